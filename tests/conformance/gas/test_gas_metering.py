from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wasmtime
from gas_modules import Maker
from wasmtime_meter import counted, drive, engine, fuel_of

from conformance.gas.charges import function_charges
from conformance.gas.load import catalogue, gas_model
from conformance.gas.metering import Metered, metered, rewrite_id
from conformance.manifest.calls import build_calls
from conformance.manifest.read import read_manifest
from conformance.wasm.decode import validated
from conformance.wasm.encode import Rewrite
from conformance.wasm.module import Module

VECTORS = Path(__file__).parents[3] / "vectors"
FUEL = gas_model("wasmtime-fuel@50.0.1")
GIVEN = (
    (0, 0, 0.0, 0.0),
    (7, -3, 1.5, 2.5),
    (-1, 1 << 40, float("nan"), -1e30),
)
# A module that is fetched is not there unless somebody fetched it.
SUBJECTS = sorted(
    path.parent for path in VECTORS.glob("*/*/model.toml") if any(path.parent.glob("*.wasm"))
)


def module(text: str) -> Module:
    return validated(bytes(wasmtime.wat2wasm(f"(module {text})")))


def endings(seeds: range) -> Counter[str]:
    """
    Hold the counters of generated modules against wasmtime's own fuel; returns how calls ended.
    """
    seen: Counter[str] = Counter()
    for seed in seeds:
        found = validated(bytes(wasmtime.wat2wasm(Maker(seed).module())))
        result = metered(found, FUEL, ["run"], by_function=bool(seed % 2))
        validated(result.binary)
        for given in GIVEN:
            ending, fuel = fuel_of(found.binary, "run", given)
            same, values = counted(result.binary, result.counters, result.entries["run"], given)
            assert (same, sum(values)) == (ending, fuel), (seed, given)
            seen[ending] += 1
    return seen


def test_counters_equal_fuel_on_generated_modules() -> None:
    seen = endings(range(40))
    assert seen["None"] > 40
    assert len(seen) > 4, "too few kinds of traps were met to say anything about them"


@pytest.mark.nightly
@pytest.mark.parametrize("share", range(20))
def test_fuel_equality(share: int) -> None:
    seen = endings(range(1_000 + 500 * share, 1_500 + 500 * share))
    print(f"share {share}: {sum(seen.values())} calls, {dict(seen)}")  # noqa: T201 - a campaign's count


def test_a_wrong_price_is_noticed() -> None:
    import msgspec  # noqa: PLC0415 - the control alone needs it

    dearer = msgspec.structs.replace(FUEL, weights={**FUEL.weights, "i32.add": 2})
    found = module('(func (export "f") (drop (i32.add (i32.const 1) (i32.const 2))))')
    result = metered(found, dearer)
    assert counted(result.binary, result.counters, "f")[1] != (fuel_of(found.binary, "f")[1],)


@pytest.mark.parametrize("folder", SUBJECTS, ids=lambda folder: folder.name)
def test_counters_equal_fuel_on_vectors(folder: Path) -> None:
    manifest = read_manifest(folder / "model.toml")
    (path,) = sorted(folder.glob("*.wasm"))[:1]
    found = validated(path.read_bytes())
    memory = next((e.name for e in found.exports if e.kind == "memory"), None)
    calls = build_calls(manifest, (), memory, grows=found.grows)
    draw = np.random.default_rng(1)
    result = metered(found, FUEL, [call.entry for call in calls])
    for call in calls[:: max(1, len(calls) // 12)]:
        values = draw.standard_normal(call.input_bytes // 4 + 1)
        for row in (bytes(call.input_bytes), values.astype("<f4").tobytes()[: call.input_bytes]):
            expected = drive(found.binary, call, row)
            door = result.entries[call.entry]
            assert drive(result.binary, call, row, result.counters, door) == expected


# ------------------------------------------------------------------------- what a rewrite is


def test_the_start_function_and_initialisers_count_unless_the_entry_is_counted_alone() -> None:
    found = module("""(global $g (mut i32) (i32.const 0)) (func $s (global.set $g (i32.const 1)))
        (start $s) (func (export "f") (param i32) (result i32 i32) (i32.const 5) (local.get 0))""")
    result = metered(found, FUEL, ["f"])
    assert counted(result.binary, result.counters, "f", (9,)) == ("[5, 9]", (6,))
    assert counted(result.binary, result.counters, result.entries["f"], (9,)) == ("[5, 9]", (3,))


def test_functions_have_counters_of_their_own() -> None:
    found = module("""(func $a nop (drop (i32.const 1))) (func $b (call $a) (call $a))
        (func $never (drop (i32.const 7))) (func (export "f") (call $b) (drop (i32.const 2)))""")
    result = metered(found, FUEL, by_function=True)
    assert len(result.counters) == 4
    assert counted(result.binary, result.counters, "f")[1] == (4, 3, 0, 3)
    assert fuel_of(found.binary, "f")[1] == 10


def test_only_the_function_that_traps_loses_its_count() -> None:
    found = module("""(func $trap (drop (i32.const 1)) (drop (i32.div_s (i32.const 1)
        (i32.const 0)))) (func (export "f") (drop (i32.const 5)) (call $trap))""")
    result = metered(found, FUEL, by_function=True)
    assert counted(result.binary, result.counters, "f")[1] == (0, 3)
    assert fuel_of(found.binary, "f")[1] == 3


def test_names_that_the_module_has_already_are_avoided() -> None:
    found = module("""(global (export "weavegate.gas.0") i32 (i32.const 3))
        (func (export "weavegate.counted.f") (export "f"))""")
    result = metered(found, FUEL, ["f"])
    assert result.counters == ("weavegate.gas.0'",)
    assert result.entries["f"] == "weavegate.counted.f'"
    assert counted(result.binary, result.counters, result.entries["f"])[1] == (1,)


def test_an_entry_that_is_not_exported_is_refused() -> None:
    with pytest.raises(LookupError, match="no function 'g'"):
        metered(module('(func (export "f"))'), FUEL, ["g"])


def test_every_model_counts_every_module_it_takes_and_changes_no_result() -> None:
    found = module("""(memory (export "m") 1) (func $f (param i32) (result f64)
        (if (result f64) (local.get 0) (then (f64.add (f64.convert_i32_s (local.get 0))
        (call $f (i32.sub (local.get 0) (i32.const 1))))) (else (f64.const 0.5))))
        (func (export "f") (param i32) (result f64) (call $f (local.get 0)))""")
    expected = fuel_of(found.binary, "f", (9,))[0]
    seen: dict[str, Metered] = {}
    for model in {entry.alike: entry for entry in catalogue().values()}.values():
        if "f64.add" not in model.weights:
            continue
        result = metered(found, model)
        validated(result.binary)
        ending, (gas,) = counted(result.binary, result.counters, "f", (9,))
        assert ending == expected
        assert gas > 0
        seen[result.rewrite] = result
    assert rewrite_id(FUEL) == "gas-counter.1:wasmtime-fuel@50.0.1" in seen
    assert len(seen) > 20


def test_custom_sections_and_untouched_parts_stay_as_they_are() -> None:
    found = module('(func $f (export "f") nop) (data "abc") (memory 1)')
    rewritten = validated(metered(found, gas_model("cosmwasm-vm@3.0.4")).binary)
    assert [section.name for section in rewritten.sections if section.name == "data"] == ["data"]
    assert rewritten.data[0].span.size == found.data[0].span.size
    assert Rewrite(rewritten).binary() == rewritten.binary


def test_the_counter_of_growth_that_is_refused_by_the_host_agrees_as_well() -> None:
    text = '(memory 1) (func (export "f") (param i32) (result i32) (memory.grow (local.get 0)))'
    found = module(text)
    result = metered(found, FUEL)
    for pages in (1, 2, 128, 129, 500):
        told = []
        for binary, fuel in ((found.binary, True), (result.binary, False)):
            store = wasmtime.Store(engine(fuel=fuel))
            store.set_limits(memory_size=2 * 65_536)
            if fuel:
                store.set_fuel(1_000_000)
            instance = wasmtime.Instance(store, wasmtime.Module(store.engine, binary), [])
            function, counter = instance.exports(store)["f"], result.counters[0]
            assert isinstance(function, wasmtime.Func)
            answer = function(store, pages)
            if fuel:
                told.append((answer, 1_000_000 - store.get_fuel()))
            else:
                cell = instance.exports(store)[counter]
                assert isinstance(cell, wasmtime.Global)
                told.append((answer, cell.value(store)))
        assert told[0] == told[1]


@pytest.mark.parametrize("model", ["near", "wasm-instrument", "internet-computer"])
def test_counts_are_sums_of_charges_whatever_is_put_together(model: str) -> None:
    # A straight function that traps at its last division pays what `before` says up to there.
    text = "(drop (i32.div_s (i32.const 9) (i32.const {0})))"
    body = "".join(text.format(one) for one in (1, 2, 3, 0, 5))
    found = module(f'(func (export "f") (local i32) nop {body} (local.set 0 (i32.const 1)))')
    result = metered(found, gas_model(model))
    charges = function_charges(found, 0, gas_model(model))
    last = [found.functions[0].body[n].opcode.name for n in range(len(charges.before))]
    place = [n for n, name in enumerate(last) if name == "i32.div_s"][3]
    ending, values = counted(result.binary, result.counters, "f")
    assert "divide by zero" in ending
    assert values == (charges.entry + sum(charges.before[: place + 1]),)
