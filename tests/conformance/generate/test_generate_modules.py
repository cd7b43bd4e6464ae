"""
Generated modules: valid by construction, terminating, the same for a seed, and of every shape.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.generate.choices import Choices, Replayed, Seeded
from conformance.generate.modules import GeneratedModule, generate, made, replay
from conformance.generate.operators import CALM, SCALARS, traps
from conformance.generate.soup import soup
from conformance.generate.strategies import modules, soups
from conformance.wasm.decode import validated
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.program import Program
from conformance.wasm.evaluate.stops import TrappedError
from conformance.wasm.shape import check_call

MODULES = 200
FUEL = 2_000_000
"""Instructions, far beyond what a call can execute; exhausting them fails the test."""


def check_valid(built: GeneratedModule, engine: wasmtime.Engine) -> None:
    module = validated(built.binary)
    assert check_call(module, built.call) == ()
    wasmtime.Module.validate(engine, built.binary)
    assert built.rows.shape[1] == built.call.input_bytes
    assert len(built.rows) >= 1


@pytest.mark.parametrize("make", [generate, soup])
def test_every_module_is_valid(make: object) -> None:
    engine = wasmtime.Engine()
    for index in range(MODULES):
        check_valid(make(11, index), engine)  # type: ignore[operator]


def test_every_call_ends() -> None:
    ends: Counter[str] = Counter()
    for index in range(MODULES):
        built = generate(12, index)
        program = Program.load(built.binary)
        for row in built.rows[:2].view("<u8").tolist():
            instance = Instance(program, fuel=FUEL)
            arguments = [row[0] & 0xFFFFFFFF, row[1] & 0xFFFFFFFF, row[2], row[3]]
            try:
                instance.call("run", *arguments)
                ends["returned"] += 1
            except TrappedError as error:
                ends[error.kind] += 1
    assert ends["returned"] > 250, ends
    assert len(ends) >= 3, ends


def test_all_shapes_occur() -> None:
    seen = Counter(name for index in range(MODULES) for name in generate(13, index).patterns)
    assert set(seen) == {
        "operand = itself", "last bytes", "shifted address", "wrapped address", "call_indirect",
        "dead store", "reduction", "loop", "activation", "live across a call", "NaN-rich",
        "br_table", "bulk memory", "layer",
    }  # fmt: skip
    assert min(seen.values()) >= 10, seen


def test_all_scalar_operators_occur() -> None:
    seen: set[str] = set()
    for index in range(1500):
        seen.update(validated(generate(14, index).binary).operators)
    wanted = {one.name for kind in SCALARS for one in CALM[kind]}
    assert not wanted - seen
    assert any(traps(name) for name in seen)


def test_a_seed_and_number_make_one_module() -> None:
    assert generate(1, 7).binary == generate(1, 7).binary
    assert np.array_equal(generate(1, 7).rows, generate(1, 7).rows)
    assert generate(1, 7).binary != generate(1, 8).binary
    assert generate(2, 7).binary != generate(1, 7).binary


def test_the_first_decisions_of_a_seed_are_fixed() -> None:
    """
    SplitMix64 from a state finalised twice, computed here once more.
    """

    def mix(value: int) -> int:
        mask = (1 << 64) - 1
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & mask
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & mask
        return value ^ (value >> 31)

    step, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1
    state = mix(mix(5) ^ (3 * step & mask))
    source = Seeded(5, 2)
    for _ in range(20):
        state = (state + step) & mask
        assert source.below(1 << 64) == mix(state)


def test_recorded_decisions_make_the_module_again() -> None:
    for index in range(50):
        built = generate(3, index)
        again = replay(built.decisions.taken)
        assert (again.binary, again.decisions) == (built.binary, built.decisions)
        assert np.array_equal(again.rows, built.rows)


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(st.lists(st.integers(0, 1 << 70), max_size=120))
def test_any_numbers_make_a_valid_module(sequence: list[int]) -> None:
    check_valid(replay(tuple(sequence)), wasmtime.Engine())


def test_no_decisions_make_the_simplest_module() -> None:
    built = replay(())
    assert built.operators <= 4
    assert len(built.rows) == 1
    assert not built.rows.any()


@settings(max_examples=25, derandomize=True, database=None, deadline=None)
@given(modules())
def test_hypothesis_draws_valid_modules(built: GeneratedModule) -> None:
    check_valid(built, wasmtime.Engine())


@settings(max_examples=10, derandomize=True, database=None, deadline=None)
@given(soups())
def test_hypothesis_draws_valid_soups(built: GeneratedModule) -> None:
    check_valid(built, wasmtime.Engine())


def test_a_source_that_always_takes_the_last_answer_ends() -> None:
    class Last(Seeded):
        def below(self, count: int) -> int:
            self.made.append(count - 1)
            return count - 1

    source: Choices = Last(0)
    check_valid(made(source), wasmtime.Engine())


def test_a_failing_test_would_show_text_and_rows() -> None:
    built = replay((0,) * 200)
    shown = repr(built)
    assert "row 0: i32:00000000, i32:00000000, i64:0000000000000000" in shown
    text = shown[shown.index("(module") :]
    assert bytes(wasmtime.wat2wasm(text))[:4] == b"\0asm"


def test_replayed_numbers_wrap_and_run_out() -> None:
    source = Replayed((7, 3))
    assert [source.below(5), source.below(5), source.below(5)] == [2, 3, 0]
    assert source.made == [2, 3, 0]
