"""
Calls modules with wasmtime in this process, as bits in and bits out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import wasmtime

MASKS = {"i32": (1 << 32) - 1, "i64": (1 << 64) - 1}


def wat(text: str) -> bytes:
    """
    Assemble *text*.
    """
    return bytes(wasmtime.wat2wasm(text))


@dataclass(slots=True)
class Ended:
    """
    How a call ended, and the instance that it left behind.
    """

    results: tuple[int, ...] | None
    """Unsigned integers; None after a trap."""
    trap: str
    """What the engine calls it."""
    instance: Any
    store: Any

    def exported_global(self, name: str) -> int:
        """
        The value of an exported integer global, unsigned.
        """
        found = self.instance.exports(self.store)[name]
        return int(found.value(self.store)) & MASKS[str(found.type(self.store).content)]

    def memory(self, name: str, start: int, size: int) -> bytes:
        """
        Bytes of an exported memory.
        """
        found = self.instance.exports(self.store)[name]
        return bytes(found.read(self.store, start, start + size))


def call(binary: bytes, entry: str, *arguments: int, canonical: bool = False) -> Ended:
    """
    Instantiate a module without imports and call an export that takes and gives integers.
    """
    config = wasmtime.Config()
    config.cranelift_nan_canonicalization = canonical
    engine = wasmtime.Engine(config)
    store: Any = wasmtime.Store(engine)
    instance = wasmtime.Instance(store, wasmtime.Module(engine, binary), [])
    function: Any = instance.exports(store)[entry]
    kinds = [str(kind) for kind in function.type(store).params]
    signed = [_signed(bits, kind) for bits, kind in zip(arguments, kinds, strict=True)]
    given = [str(kind) for kind in function.type(store).results]
    try:
        results = function(store, *signed)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        return Ended(None, _reason(str(error)), instance, store)
    if not isinstance(results, list):
        results = [] if results is None else [results]
    masked = tuple(int(bits) & MASKS[kind] for bits, kind in zip(results, given, strict=True))
    return Ended(masked, "", instance, store)


def _reason(text: str) -> str:
    """
    What the engine calls the trap.
    """
    return text.partition("wasm trap: ")[2].splitlines()[0]


def _signed(bits: int, kind: str) -> int:
    limit = 1 << (31 if kind == "i32" else 63)
    return bits - 2 * limit if bits >= limit else bits
