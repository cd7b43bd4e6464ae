"""
What moved between two certificates: by name, by index, and where the bound itself is gone.
"""

from __future__ import annotations

from dataclasses import replace as changed

import pytest
from msgspec.structs import replace

from conformance.bounds.bound import BoundReport, GasAnswer
from conformance.bounds.certificate import (
    Bound,
    Certificate,
    Cost,
    FlowFact,
    Precondition,
    Stack,
    Summary,
    Weight,
)
from weavegate.bound_moves import moves

FUEL, OTHER = "fuel@1", "other@1"


def summary(function: int, title: str, high: int, turns: int = 0) -> Summary:
    facts: tuple[FlowFact, ...] = ()
    if turns:
        facts = (FlowFact("most-4", "most", "entry", (Weight(9, 5, 2),), turns, (), 4),)
    costs = (Cost(FUEL, 3, high), Cost(OTHER, 3, high))
    return Summary(f"f{function}", function, (), costs, facts, title=title)


def certificate(*summaries: Summary, high: int = 50, depth: int = 2) -> Certificate:
    bounds = tuple(Bound(model, 7, high, 0, high) for model in (FUEL, OTHER))
    return Certificate(
        "ab" * 32, (FUEL, OTHER), Precondition("infer", ()), "f0", summaries, bounds, 1,
        Stack(depth, 9),
    )  # fmt: skip


def report(after: Certificate | None, *models: str) -> BoundReport:
    bounds = {} if after is None else {bound.model: bound for bound in after.bounds}
    gas = tuple(
        GasAnswer(m, "unknown" if after is None else "proved", bounds.get(m)) for m in models
    )
    return BoundReport("ab" * 32, Precondition("infer", ()), gas, after, None, (), (), 0)


BEFORE = certificate(summary(0, "infer", 50), summary(1, "dot", 20, turns=14))


def told(before: Certificate, after: Certificate | None, *models: str) -> list[str]:
    return [item.sentence() for item in moves(before, report(after, *(models or (FUEL,))))]


def test_nothing_moved_is_nothing_told() -> None:
    assert told(BEFORE, BEFORE, FUEL, OTHER) == []


def test_functions_are_paired_by_name_when_their_indices_change() -> None:
    after = certificate(summary(0, "infer", 50), summary(5, "dot", 23, turns=18))
    assert told(BEFORE, after) == [
        f"dot: gas under {FUEL}: 3..20 to 3..23, +3 at most",
        "dot: loop 1: 0..7 to 0..9, +2 at most",
    ]


def test_without_names_the_index_pairs() -> None:
    before = certificate(summary(0, "", 50), summary(1, "", 20))
    after = certificate(summary(0, "", 50), summary(1, "", 19))
    assert told(before, after) == [f"function 1: gas under {FUEL}: 3..20 to 3..19, -1 at most"]


def test_a_name_that_two_functions_have_pairs_nothing() -> None:
    twice = certificate(summary(0, "same", 50), summary(1, "same", 20))
    after = certificate(summary(0, "same", 50), summary(1, "same", 21))
    assert told(twice, after) == [f"function 1: gas under {FUEL}: 3..20 to 3..21, +1 at most"]


def test_functions_that_came_and_went() -> None:
    after = certificate(summary(0, "infer", 50), summary(1, "sum", 20))
    assert told(BEFORE, after) == [
        f"dot: gas under {FUEL}: 3..20 to nothing, it is gone",
        f"sum: gas under {FUEL}: nothing to 3..20, it is new",
        "dot: loop 1: 0..7 to nothing, it is gone",
    ]


def test_the_call_its_memory_and_its_stack() -> None:
    after = certificate(*BEFORE.summaries, high=48, depth=3)
    assert told(BEFORE, replace(after, pages=4)) == [
        f"call: gas under {FUEL}: 7..50 to 7..48, -2 at most",
        "call: activations: 2 to 3, +1 at most",
        "call: pages: 1 to 4, +3 at most",
    ]


def test_a_bound_that_is_not_proved_any_more_says_so_of_the_call_alone() -> None:
    found = told(BEFORE, None)
    assert found[0] == f"call: gas under {FUEL}: 7..50 to nothing, it is not proved any more"
    assert all(sentence.startswith("call: ") for sentence in found)


@pytest.mark.parametrize("model", [FUEL, OTHER])
def test_only_models_that_are_asked_for_are_compared(model: str) -> None:
    after = certificate(*BEFORE.summaries, high=51)
    assert told(BEFORE, after, model) == [f"call: gas under {model}: 7..50 to 7..51, +1 at most"]


def test_moves_do_not_depend_on_the_order_of_summaries() -> None:
    after = certificate(summary(0, "infer", 50), summary(5, "dot", 23))
    turned = replace(after, summaries=after.summaries[::-1])
    one, other = moves(BEFORE, report(after, FUEL)), moves(BEFORE, report(turned, FUEL))
    assert one == other
    assert changed(one[0], after=None).sentence().endswith("it is gone")
