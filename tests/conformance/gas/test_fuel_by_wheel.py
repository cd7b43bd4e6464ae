"""
The wasmtime-fuel models of old and new wheels, against what the wheels themselves took.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
import wasmtime
from gas_modules import Maker
from wasmtime_meter import counted

from benchmarks.fuel import generations, read
from benchmarks.fuel_meters import Argument, Asked, FuelMeter, wheel
from benchmarks.fuel_probes import assembled, probes
from conformance.gas.errors import BadGasModelError, RefusedOperatorError, UnknownGasModelError
from conformance.gas.load import catalogue, gas_model, order, parse
from conformance.gas.metering import metered
from conformance.gas.records import GasModel
from conformance.manifest.calls import build_calls
from conformance.manifest.read import read_manifest
from conformance.wasm.decode import validated
from runners.catalog import Catalog
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

VECTORS = Path(__file__).parents[3] / "vectors"
SUBJECTS = sorted(
    path.parent for path in VECTORS.glob("*/*/model.toml") if any(path.parent.glob("*.wasm"))
)
GIVEN = (
    (0, 0, 0, 0),
    (7, (1 << 64) - 3, 0x3FC00000, 0x4004000000000000),
    (0xFFFFFFFF, 1 << 40, 0x7FC00000, 0xC6293E5939A08CEA),
)
CALLS = [Asked("run", list(zip(("i32", "i64", "f32", "f64"), row, strict=True))) for row in GIVEN]
ENDS = [
    version
    for model in generations()
    for version in dict.fromkeys((model.alike[0], model.alike[-1]))
]
"""The first and the last wheel of each generation."""

PAIR = "(drop (i32.const 1)) (drop (i32.const 2))"
TOO_MANY = "(drop (table.grow (ref.null func) (i32.const 1000)))"
TRAP = "(drop (i32.div_s (i32.const 1) (i32.const 0)))"
GROWN = "(drop (memory.grow (i32.const 1)))"
# Code, then the fuel that the wheels 45.0.0, 46.0.1, 48.0.0 and 49.0.0 took for it.
TAKEN = {
    TOO_MANY: (4, 1, 1004, 4),
    f"{PAIR} {TOO_MANY}": (6, 1, 1006, 6),
    f"{PAIR} (call $e) {PAIR} {TOO_MANY}": (10, 5, 1010, 10),
    f"{TOO_MANY} {PAIR}": (6, 3, 1006, 6),
    f"{TOO_MANY} {TOO_MANY}": (7, 1, 2007, 7),
    f"(drop (table.grow (ref.null func) (i32.const 1))) {TOO_MANY}": (7, 5, 1008, 8),
    "(drop (table.grow (ref.null func) (i32.const 5)))": (4, 1, 9, 9),
    "(drop (table.grow (ref.null func) (i32.const 128)))": (4, 1, 132, 132),
    "(drop (table.grow (ref.null func) (i32.const 129)))": (4, 1, 133, 4),
    "(drop (table.grow (ref.null func) (i32.const -1)))": (4, 1, 4_294_967_299, 4),
    f"{PAIR} (drop (memory.grow (i32.const 1000))) {PAIR}": (7, 7, 7, 7),
    f"{PAIR} {GROWN} {PAIR}": (7, 7, 7, 8),
    f"{PAIR} (drop (memory.grow (i32.const 5))) {PAIR}": (7, 7, 7, 12),
    f"(memory.fill (i32.const 0) (i32.const 1) (i32.const 9)) {TRAP}": (0, 0, 0, 0),
    "(call $e) (memory.fill (i32.const 0) (i32.const 1) (i32.const 90000000))": (3, 3, 3, 3),
    f"{PAIR} (memory.fill (i32.const 0) (i32.const 1) (i32.const 9)) {PAIR} {TOO_MANY} {PAIR}":
        (14, 18, 1023, 23),
    f"{PAIR} {GROWN} {PAIR} {TOO_MANY} {PAIR}": (12, 3, 1012, 13),
    f"{PAIR} (loop {PAIR} {TOO_MANY} {PAIR}) {PAIR}": (12, 7, 1012, 12),
    f"{PAIR} (block {PAIR} {TOO_MANY} {PAIR}) {PAIR}": (12, 5, 1012, 12),
    # A literal length of a copy is a part of its run, and any other one ends it.
    f"{PAIR} (memory.copy (i32.const 0) (i32.const 8) (i32.const 3)) {PAIR} {TOO_MANY} {PAIR}":
        (14, 3, 1017, 17),
    f"{PAIR} (memory.copy (i32.const 0) (i32.const 8) (i32.load8_u (i32.const 0)))"
    f" {PAIR} {TOO_MANY} {PAIR}": (15, 10, 1015, 15),
}  # fmt: skip
COLUMNS = (
    ("0.24.0", "0.33.0", "36.0.0", "45.0.0"), ("46.0.1", "47.0.1"), ("48.0.0",),
    ("49.0.0", "50.0.1"),
)  # fmt: skip


def counts(model: GasModel, code: str) -> int:
    """
    What the counters say on the wheel at hand.
    """
    found = assembled(f'(memory 1 2) (table 1 2 funcref) (func $e) (func (export "f") {code})')
    result = metered(found, model)
    validated(result.binary)
    return counted(result.binary, result.counters, "f")[1][0]


@pytest.mark.parametrize("column", range(len(COLUMNS)))
def test_counters_say_what_each_generation_of_wheels_took(column: int) -> None:
    for version in COLUMNS[column]:
        model = gas_model(f"wasmtime-fuel@{version}")
        assert {code: counts(model, code) for code in TAKEN} == {
            code: taken[column] for code, taken in TAKEN.items()
        }, version


def test_each_generation_differs_from_the_next_somewhere() -> None:
    columns = list(zip(*TAKEN.values(), strict=True))
    assert all(one != two for one, two in pairwise(columns))


def test_every_catalogued_wheel_has_a_model_and_no_other_has() -> None:
    known = [model.version for model in catalogue().values() if model.name == "wasmtime-fuel"]
    assert known == sorted(Catalog.load().entry("wasmtime").versions, key=order)
    with pytest.raises(UnknownGasModelError, match=r"75 versions are known, 0\.24\.0 to 50\.0\.1"):
        gas_model("wasmtime-fuel@26.0.0")


def test_wheels_without_simd_refuse_it() -> None:
    found = assembled("(func (drop (v128.const i64x2 1 2)))")
    with pytest.raises(RefusedOperatorError, match="SIMD is off in these wheels"):
        metered(found, gas_model("wasmtime-fuel@0.32.0"))
    assert metered(found, gas_model("wasmtime-fuel@0.33.0"))


# ------------------------------------------------------------- on wheels


def held(meter: FuelMeter, seeds: range) -> int:
    """
    Hold the counters of generated modules against a wheel's own fuel; returns how many calls trap.
    """
    model = gas_model(f"wasmtime-fuel@{meter.version}")
    trapped = 0
    for seed in seeds:
        text = Maker(seed, simd="i8x16.add" in model.weights).module()
        found = validated(bytes(wasmtime.wat2wasm(text)))
        own = meter.fuel(found, CALLS)
        assert own is not None
        assert meter.counted(found, model, CALLS) == own, seed
        trapped += sum(one.ending != "returned" for one in own)
    return trapped


def asked(call: Call, row: bytes) -> Asked:
    """
    One case of a manifest's call, as a meter takes it.
    """
    before: list[tuple[str, list[Argument]]] = [(name, []) for name in call.initialize]

    def address(buffer: Buffer | None) -> Argument:
        match buffer.place if buffer else None:
            case ByExport(name):
                before.append((name, []))
            case ByAllocator(name):
                assert buffer is not None
                before.append((name, [("i32", buffer.size_bytes)]))
            case AtAddress(place):
                return "i32", place
            case _:
                return "i32", 0
        return "made", len(before) - 1

    at_in, at_out = address(call.input), address(call.output)
    writes = [] if call.input is None else [(call.memory or "", at_in, row[8 * call.slots :])]
    given: list[Argument] = []
    for argument in call.arguments:
        match argument:
            case Slot(index, kind):
                word = int.from_bytes(row[8 * index : 8 * index + 8], "little")
                given.append((kind, word & 0xFFFFFFFF if kind in ("i32", "f32") else word))
            case Constant(bits):
                name, _, digits = bits.partition(":")
                given.append((name, int(digits, 16)))
            case InputPointer():
                given.append(at_in)
            case _:
                given.append(at_out)
    return Asked(call.entry, given, before, writes)


def held_on_vectors(meter: FuelMeter, folder: Path) -> int:
    """
    Hold the counters of a shipped module against a wheel's own fuel; returns the number of calls.
    """
    manifest = read_manifest(folder / "model.toml")
    (path,) = sorted(folder.glob("*.wasm"))[:1]
    found = validated(path.read_bytes())
    memory = next((export.name for export in found.exports if export.kind == "memory"), None)
    calls = build_calls(manifest, (), memory, grows=found.grows)
    draw = np.random.default_rng(1)
    cases = []
    for call in calls[:: max(1, len(calls) // 12)]:
        values = draw.standard_normal(call.input_bytes // 4 + 1).astype("<f4").tobytes()
        cases += [asked(call, bytes(call.input_bytes)), asked(call, values[: call.input_bytes])]
    own = meter.fuel(found, cases)
    assert own is not None
    assert all(one.fuel for one in own)
    assert meter.counted(found, gas_model(f"wasmtime-fuel@{meter.version}"), cases) == own
    return len(cases)


def test_the_newest_wheel_as_a_process_agrees_with_its_model() -> None:
    every = list(probes())
    model = gas_model("wasmtime-fuel@50.0.1")
    with wheel("50.0.1") as meter:
        reading = read(meter, model, every[::7])
        assert (reading.different, reading.equal.total()) == ([], len(every[::7]))
        dearer = msgspec.structs.replace(model, weights={**model.weights, "drop": 1})
        assert read(meter, dearer, every[:3]).different
        assert read(meter, gas_model("wasmtime-fuel@45.0.0"), every).different
        assert held(meter, range(8))
        assert held_on_vectors(meter, VECTORS / "models" / "digits-mlp-tanh")


@pytest.mark.nightly
@pytest.mark.parametrize("version", ENDS)
def test_fuel_by_wheel(version: str) -> None:
    with wheel(version) as meter:
        reading = read(meter, gas_model(f"wasmtime-fuel@{version}"), list(probes()))
        assert reading.different == []
        calls = sum(held_on_vectors(meter, folder) for folder in SUBJECTS)
        trapped = held(meter, range(20_000, 20_600))
        told = f"{reading.equal.total()} probes, {calls} calls of vectors, 1,800 of modules"
        print(f"wasmtime@{version}: {told}, {trapped} of them traps")  # noqa: T201 - a campaign's count
    assert trapped


# ----------------------------------------------------------------- what data may say


def test_drops_run_needs_runs_that_end_at_a_growth() -> None:
    from importlib import resources  # noqa: PLC0415 - the control alone reads the file

    text = resources.files("conformance.gas").joinpath("models.toml").read_text(encoding="utf-8")
    assert ' table.grow"\n' in text
    with pytest.raises(BadGasModelError, match="drops_run is for growth"):
        parse(text.replace(' table.grow"\n', '"\n'))
