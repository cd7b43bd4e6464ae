"""
Runs certificates' inputs with wasmtime inside the test's own process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import wasmtime

from conformance.bounds.certificate import Input


@dataclass(frozen=True)
class InProcessRun:
    returned: bool
    globals: Mapping[str, int]
    store: wasmtime.Store
    memory: wasmtime.Memory | None

    def peek(self, address: int, size: int) -> bytes:
        assert self.memory is not None
        return bytes(self.memory.read(self.store, address, address + size))


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass
class InProcess:
    engine: wasmtime.Engine = field(default_factory=wasmtime.Engine)
    modules: dict[str, wasmtime.Module] = field(default_factory=dict)

    @contextmanager
    def __call__(
        self, binary: bytes, entry: str, given: Input, watched: Sequence[str]
    ) -> Iterator[InProcessRun]:
        digest = hashlib.sha256(binary).hexdigest()
        if digest not in self.modules:
            self.modules[digest] = wasmtime.Module(self.engine, binary)
        store = wasmtime.Store(self.engine)
        exports = wasmtime.Instance(store, self.modules[digest], []).exports(store)
        memories = [item for item in exports.values() if isinstance(item, wasmtime.Memory)]
        memory = memories[0] if memories else None
        for written in given.memory:
            assert memory is not None
            memory.write(store, bytes.fromhex(written.data), written.address)
        called = exports[entry]
        assert isinstance(called, wasmtime.Func)
        kinds = [str(kind) for kind in called.type(store).params]
        arguments = [
            _signed(value, int(kind[1:]))
            for value, kind in zip(given.arguments, kinds, strict=True)
        ]
        try:
            called(store, *arguments)
            returned = True
        except (wasmtime.Trap, wasmtime.WasmtimeError):
            returned = False
        values = {}
        for name in watched:
            item = exports[name]
            assert isinstance(item, wasmtime.Global)
            values[name] = int(item.value(store)) & ((1 << 64) - 1)
        yield InProcessRun(returned, values, store, memory)
