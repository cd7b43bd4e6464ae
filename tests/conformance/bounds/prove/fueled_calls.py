"""
What calls really cost: fuel that wasmtime itself counts, one fresh instance for each call.

Nothing of the proof or of the checker has a part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import wasmtime

from conformance.bounds.certificate import Precondition
from conformance.wasm.module import Module

MOST_FUEL = 20_000_000
_PAGE = 65536


@dataclass(frozen=True)
class Spent:
    """
    One call.
    """

    fuel: int
    returned: bool
    pages: int


def _signed(value: int, kind: str) -> int:
    bits = int(kind[1:])
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass
class FueledCalls:
    """
    Calls of one exported function; a host that grants memory as the precondition says.
    """

    module: Module
    precondition: Precondition
    _engine: wasmtime.Engine = field(init=False)
    _compiled: wasmtime.Module = field(init=False)

    def __post_init__(self) -> None:
        config = wasmtime.Config()
        config.consume_fuel = True
        self._engine = wasmtime.Engine(config)
        self._compiled = wasmtime.Module(self._engine, self.module.binary)

    def __call__(self, arguments: Sequence[int], written: bytes = b"") -> Spent:
        """
        Call with *arguments*, after the host wrote *written* to address 0.
        """
        store = wasmtime.Store(self._engine)
        if self.precondition.most_pages < _PAGE:
            store.set_limits(memory_size=self.precondition.most_pages * _PAGE)
        # Instantiation runs no code here; segments are no fuel of the call.
        store.set_fuel(MOST_FUEL)
        exports = wasmtime.Instance(store, self._compiled, []).exports(store)
        memory = exports["memory"] if self._has_memory() else None
        if written:
            assert isinstance(memory, wasmtime.Memory)
            memory.write(store, written, 0)
        called = exports[self.precondition.entry]
        assert isinstance(called, wasmtime.Func)
        kinds = [str(kind) for kind in called.type(store).params]
        store.set_fuel(MOST_FUEL)
        returned = True
        try:
            called(store, *(_signed(v, k) for v, k in zip(arguments, kinds, strict=True)))
        except (wasmtime.Trap, wasmtime.WasmtimeError):
            returned = False
        pages = memory.size(store) if isinstance(memory, wasmtime.Memory) else 0
        return Spent(MOST_FUEL - store.get_fuel(), returned, pages)

    def _has_memory(self) -> bool:
        return any(export.name == "memory" for export in self.module.exports)
