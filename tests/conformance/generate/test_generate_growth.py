"""
Modules whose memory grows: valid, ending, granted and refused, and apart from the usual ones.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter

import numpy as np
import pytest
import wasmtime

from conformance.gas.load import gas_model
from conformance.gas.metering import metered
from conformance.generate.growth import MOST_PAGES, growing, regrown
from conformance.generate.modules import generate
from conformance.wasm.decode import validated
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.program import Program
from conformance.wasm.evaluate.stops import TrappedError
from conformance.wasm.shape import check_call

MODULES = 120


def test_every_module_is_valid_and_may_grow() -> None:
    seen: Counter[str] = Counter()
    for index in range(MODULES):
        built = growing(21, index)
        module = validated(built.binary)
        assert check_call(module, built.call) == ()
        assert module.grows == ("memory.grow" in module.operators)
        assert built.call.grows
        seen.update(built.patterns)
    assert min(seen[name] for name in ("growth", "new page", "size")) >= 10, seen


def test_growth_is_granted_and_refused() -> None:
    pages: Counter[int] = Counter()
    answers: Counter[bool] = Counter()
    for index in range(MODULES):
        built = growing(22, index)
        program = Program.load(built.binary)
        for row in built.rows[:2].view("<u8").tolist():
            instance = Instance(program, fuel=2_000_000)
            try:
                instance.call("run", row[0] & 0xFFFFFFFF, row[1] & 0xFFFFFFFF, row[2], row[3])
            except TrappedError:
                continue
            pages[instance.memory("memory").pages] += 1
            answers[instance.cell("i32").value == 0xFFFFFFFF] += 1
    assert set(pages) == set(range(1, MOST_PAGES + 1)), pages
    assert min(answers.values()) > 5, answers


def test_decisions_make_the_module_again() -> None:
    for index in range(20):
        built = growing(23, index)
        again = regrown(built.decisions.taken)
        assert again.binary == built.binary
        assert np.array_equal(again.rows, built.rows)


def test_the_usual_modules_of_a_seed_are_what_they_were() -> None:
    # The documented findings and figures name modules by seed and number.
    told = hashlib.sha256(b"".join(generate(1, index).binary for index in range(100)))
    assert told.hexdigest() == ("aea83df173e2e1e82f084fbec0fa4dcb5921f2844982259891cb2dff4b92cafa")
    assert not any("memory.grow" in validated(generate(1, n).binary).operators for n in range(50))


@pytest.mark.parametrize("seed", [24])
def test_counters_and_wasmtime_agree_on_growing_modules(seed: int) -> None:
    config = wasmtime.Config()
    config.consume_fuel = True
    engine = wasmtime.Engine(config)
    model = gas_model("wasmtime-fuel@50.0.1")
    for index in range(40):
        built = growing(seed, index)
        result = metered(validated(built.binary), model, ["run"])
        row = built.rows.view("<i8")[0].tolist()
        given = [np.int32(np.uint32(word & 0xFFFFFFFF)).item() for word in row[:2]] + row[2:]
        read = []
        for binary, entry in ((built.binary, "run"), (result.binary, result.entries["run"])):
            store = wasmtime.Store(engine)
            store.set_fuel(1 << 40)
            instance = wasmtime.Instance(store, wasmtime.Module(engine, binary), [])
            function = instance.exports(store)[entry]
            assert isinstance(function, wasmtime.Func)
            with contextlib.suppress(wasmtime.Trap, wasmtime.WasmtimeError):
                function(store, *given)
            if entry == "run":
                read.append((1 << 40) - store.get_fuel())
            else:
                counter = instance.exports(store)[result.counters[0]]
                assert isinstance(counter, wasmtime.Global)
                read.append(counter.value(store))
        assert read[0] == read[1], index
