"""
wasmtime as a witness: its own fuel for one call, and the counters of a rewritten module.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import wasmtime

from runners.records import (
    AtAddress,
    Buffer,
    ByAllocator,
    ByExport,
    Call,
    Constant,
    InputPointer,
    Slot,
)


@cache
def engine(*, fuel: bool) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = fuel
    return wasmtime.Engine(config)


def _ending(store: wasmtime.Store, instance: wasmtime.Instance, entry: str, given: Any) -> str:
    function = instance.exports(store)[entry]
    assert isinstance(function, wasmtime.Func)
    try:
        return repr(function(store, *given))
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        lines = [line for line in str(error).splitlines() if "wasm trap" in line]
        return lines[0].partition("wasm trap")[2] if lines else str(error)


def fuel_of(binary: bytes, entry: str, arguments: Sequence[Any] = ()) -> tuple[str, int]:
    """
    How the call ended, and the fuel that wasmtime says it took.
    """
    store = wasmtime.Store(engine(fuel=True))
    store.set_fuel(1 << 40)
    module = wasmtime.Module(store.engine, binary)
    instance = wasmtime.Instance(store, module, [])
    before = store.get_fuel()
    ending = _ending(store, instance, entry, arguments)
    return ending, before - store.get_fuel()


def counted(
    binary: bytes, counters: Sequence[str], entry: str, arguments: Sequence[Any] = ()
) -> tuple[str, tuple[int, ...]]:
    """
    How the call ended, and what each counter says afterwards.
    """
    store = wasmtime.Store(engine(fuel=False))
    module = wasmtime.Module(store.engine, binary)
    instance = wasmtime.Instance(store, module, [])
    ending = _ending(store, instance, entry, arguments)
    values = []
    for name in counters:
        found = instance.exports(store)[name]
        assert isinstance(found, wasmtime.Global)
        values.append(int(found.value(store)))
    return ending, tuple(values)


def _bits(value: str) -> Any:
    """
    A typed constant as wasmtime's Python takes it.
    """
    kind, _, digits = value.partition(":")
    return _number(kind, int(digits, 16))


def _number(kind: str, bits: int) -> Any:
    if kind in ("f32", "f64"):
        width, letters = (4, "<f") if kind == "f32" else (8, "<d")
        return struct.unpack(letters, (bits & ((1 << 8 * width) - 1)).to_bytes(width, "little"))[0]
    width = 32 if kind == "i32" else 64
    bits &= (1 << width) - 1
    return bits - (1 << width) if bits >> (width - 1) else bits


def _address(store: wasmtime.Store, exports: Any, buffer: Buffer | None) -> int:
    match buffer.place if buffer else None:
        case ByExport(name):
            return int(exports[name](store))
        case ByAllocator(name):
            assert buffer is not None
            return int(exports[name](store, buffer.size_bytes))
        case AtAddress(address):
            return address
        case _:
            return 0


def _stub(store: wasmtime.Store, described: Any) -> wasmtime.Func:
    """
    An import that answers zeros.
    """
    zeros = [0.0 if str(kind).startswith("f") else 0 for kind in described.results]
    one = zeros[0] if len(zeros) == 1 else None
    return wasmtime.Func(store, described, lambda *_: zeros if one is None and zeros else one)


def drive(
    binary: bytes, call: Call, row: bytes, counters: Sequence[str] = (), door: str = ""
) -> tuple[str, int]:
    """
    One case of a manifest's call: how it ended, and its fuel, or the sum of *counters*.

    Counters are read through *door*, the export that zeroes them.
    """
    store = wasmtime.Store(engine(fuel=not counters))
    if not counters:
        store.set_fuel(1 << 50)
    module = wasmtime.Module(store.engine, binary)
    instance = wasmtime.Instance(
        store, module, [_stub(store, each.type) for each in module.imports]
    )
    exports: Any = instance.exports(store)
    for name in call.initialize:
        exports[name](store)
    at_in = _address(store, exports, call.input)
    at_out = _address(store, exports, call.output)
    if call.input is not None:
        exports[call.memory].write(store, row[8 * call.slots :], at_in)
    given = []
    for argument in call.arguments:
        match argument:
            case Slot(index, kind):
                given.append(
                    _number(kind, int.from_bytes(row[8 * index : 8 * index + 8], "little"))
                )
            case Constant(bits):
                given.append(_bits(bits))
            case InputPointer():
                given.append(at_in)
            case _:
                given.append(at_out)
    before = 0 if counters else store.get_fuel()
    ending = _ending(store, instance, door or call.entry, given)
    if counters:
        return ending, sum(int(exports[name].value(store)) for name in counters)
    return ending, before - store.get_fuel()
