"""
Shrinking keeps what is shown and leaves little else.
"""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import settings

from conformance.generate.choices import Decisions
from conformance.generate.modules import GeneratedModule, generate, replay
from conformance.generate.shrink import shrunk
from conformance.generate.strategies import modules
from conformance.wasm.decode import decode


def uses(built: GeneratedModule, operator: str) -> bool:
    return operator in decode(built.binary).operators


def first_with(operator: str) -> GeneratedModule:
    for index in range(2000):
        built = generate(21, index)
        if uses(built, operator):
            return built
    raise AssertionError(operator)


@pytest.mark.parametrize(
    "operator", ["f64.sqrt", "call_indirect", "memory.copy", "f32.min", "br_table", "i64.rotr"]
)
def test_a_module_with_one_operator_stays(operator: str) -> None:
    built = first_with(operator)

    def shows(sequence: tuple[int, ...]) -> Decisions | None:
        small = replay(sequence)
        return small.decisions if uses(small, operator) else None

    small = replay(shrunk(built.decisions, shows, most_tries=2000))
    assert uses(small, operator)
    assert small.operators <= 8
    assert len(small.rows) == 1
    assert len(small.decisions.taken) < len(built.decisions.taken)


def test_rows_of_inputs_shrink_too() -> None:
    def shows(sequence: tuple[int, ...]) -> Decisions | None:
        small = replay(sequence)
        column = small.rows.view("<u8")[:, 2]
        return small.decisions if (column >= 1 << 40).any() else None

    built = next(b for b in (generate(22, i) for i in range(100)) if shows(b.decisions.taken))
    small = replay(shrunk(built.decisions, shows, most_tries=3000))
    values = small.rows.view("<u8").tolist()
    assert len(values) == 1
    assert values[0][2] >= 1 << 40
    assert values[0][0] == values[0][1] == values[0][3] == 0
    assert small.operators <= 4


def test_tries_are_counted() -> None:
    calls = []

    def shows(sequence: tuple[int, ...]) -> Decisions | None:
        calls.append(sequence)
        return None

    built = generate(23, 0)
    assert shrunk(built.decisions, shows, most_tries=17) == built.decisions.taken
    assert len(calls) == 17


def test_a_simpler_sequence_that_shows_nothing_is_refused() -> None:
    start = Decisions((5, 4, 3), ())
    assert shrunk(start, lambda _: None) == (5, 4, 3)
    assert shrunk(start, lambda s: Decisions(s, ()) if sum(s) >= 4 else None) == (4,)


def test_parts_are_left_out_whole() -> None:
    start = Decisions((9, 1, 2, 3, 4, 5, 6, 8), ((1, 7),))
    tried: list[tuple[int, ...]] = []

    def shows(sequence: tuple[int, ...]) -> Decisions | None:
        tried.append(sequence)
        return Decisions(sequence, ()) if sequence == (9, 8) else None

    assert shrunk(start, shows) == (9, 8)
    assert tried[0] == (9, 8)


def test_hypothesis_shrinks_to_few_operators() -> None:
    found = hypothesis.find(
        modules(),
        lambda built: uses(built, "f64.max"),
        settings=settings(derandomize=True, database=None, max_examples=300, deadline=None),
    )
    assert uses(found, "f64.max")
    assert found.operators <= 12
