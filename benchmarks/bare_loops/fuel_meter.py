"""
Tells the fuel that a wasmtime wheel takes, in the environment of the wheel; any wheel since 0.24.

Each line on stdin is a request in JSON: `wasm` in base64, `fuel`, whether it is metered, `globals` to
read afterwards, and `calls`. A call has an `entry` and `arguments`, pairs of type and bits, or of
`made` and the number of an earlier result; and what comes first, unmetered: `before`, pairs of an
export and its arguments, whose results are the made ones, and `writes`, triples of a memory, an
address as an argument, and bytes in base64. The answer is a line with, for each call, how it ended,
the fuel it took (0 when not metered) and the bits of the globals; or a line with `refused` where the
wheel does not take the module. Every call has a store of its own; imports answer zeros. Runs on any
Python from 3.8 and imports nothing of weavegate.
"""

import base64
import ctypes
import importlib.metadata
import json
import struct
import sys

import wasmtime
from wasmtime import _ffi as ffi

TANK = 1 << 40
EARLY = tuple(map(int, importlib.metadata.version("wasmtime").split(".")[:2])) < (0, 28)
"""Whether exports, calls and globals take no store, as before 0.28."""


def number(kind, bits):
    """
    The Python value that stands for the bits.
    """
    if kind == "f64":
        return struct.unpack("<d", struct.pack("<Q", bits))[0]
    if kind == "f32":
        return struct.unpack("<f", struct.pack("<I", bits))[0]
    width = 32 if kind == "i32" else 64
    return bits - (1 << width) if bits >> (width - 1) else bits


def fill(store):
    """
    Fill the tank.
    """
    if hasattr(store, "set_fuel"):
        store.set_fuel(TANK)
    else:
        store.add_fuel(TANK)


def taken(store):
    """
    Fuel taken since the tank was filled.
    """
    return TANK - store.get_fuel() if hasattr(store, "get_fuel") else store.fuel_consumed()


def bits_of(store, exported):
    """
    Bits of a global; not by `value`, which gives a wrapper in place of a zero in some wheels.
    """
    if EARLY:
        raw = ffi.wasm_val_t()
        ffi.wasm_global_get(exported._ptr, ctypes.byref(raw))
    else:
        raw = ffi.wasmtime_val_t()
        context = store._context
        context = context() if callable(context) else context
        ffi.wasmtime_global_get(context, ctypes.byref(exported._global), ctypes.byref(raw))
    return int.from_bytes(ctypes.string_at(ctypes.byref(raw.of), 8), "little")


def ending_of(call):
    """
    `returned`, or the trap's words.
    """
    try:
        call()
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        lines = [line for line in str(error).splitlines() if "wasm trap" in line]
        return lines[0].partition("wasm trap")[2].strip(" :") if lines else str(error)[:200]
    return "returned"


def stub(store, described):
    """
    An import that answers zeros.
    """
    zeros = [0.0 if str(kind).startswith("f") else 0 for kind in described.results]
    reply = zeros[0] if len(zeros) == 1 else (zeros or None)
    return wasmtime.Func(store, described, lambda *_: reply)


def write(store, memory, address, data):
    """
    Put bytes into linear memory.
    """
    base = memory.data_ptr if EARLY else memory.data_ptr(store)
    ctypes.memmove(ctypes.addressof(base.contents) + address, data, len(data))


def answer(engines, request):
    """
    What became of the calls of one request.
    """
    engine = engines[bool(request["fuel"])]
    try:
        module = wasmtime.Module(engine, base64.b64decode(request["wasm"]))
    except wasmtime.WasmtimeError as error:
        return {"refused": str(error)[:400]}
    found = []
    for call in request["calls"]:
        store = wasmtime.Store(engine)
        if request["fuel"]:
            fill(store)
        imports = [stub(store, item.type) for item in module.imports]
        instance = wasmtime.Instance(store, module, imports)
        exports = instance.exports if EARLY else instance.exports(store)
        context = [] if EARLY else [store]
        made = []

        def value(kind, bits):
            return made[bits] if kind == "made" else number(kind, bits)

        for name, arguments in call["before"]:
            made.append(exports[name](*(context + [value(*one) for one in arguments])))
        for name, address, data in call["writes"]:
            write(store, exports[name], value(*address), base64.b64decode(data))
        given = context + [value(*one) for one in call["arguments"]]
        before = taken(store) if request["fuel"] else 0
        ending = ending_of(lambda: exports[call["entry"]](*given))
        fuel = taken(store) - before if request["fuel"] else 0
        found.append([ending, fuel, [bits_of(store, exports[name]) for name in request["globals"]]])
    return {"calls": found}


def main():
    """
    One answer for each line.
    """
    engines = []
    for metered in (False, True):
        config = wasmtime.Config()
        config.consume_fuel = metered
        for switch in ("wasm_bulk_memory", "wasm_reference_types", "wasm_multi_value"):
            setattr(config, switch, True)
        engines.append(wasmtime.Engine(config))
    for line in sys.stdin:
        print(json.dumps(answer(engines, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
