"""
What `weavegate bound` says of abstract execution: loops where there is no bound, and never gas.
"""

from __future__ import annotations

import pytest

from conformance.bounds.abstract.guide import Guide, LoopSeen
from conformance.bounds.bound import BoundReport, GasAnswer
from conformance.bounds.certificate import Bound, Precondition
from weavegate.bound_guide import guide_json, guide_lines

LOOP = LoopSeen(0, "infer", 0x2A, 37)
NEVER = LoopSeen(0, "infer", 0x30, 0)


def report(guide: Guide | None, bound: Bound | None = None) -> BoundReport:
    answer = GasAnswer("m@1", "unknown" if bound is None else "proved", bound)
    return BoundReport(
        "0" * 64, Precondition("infer", ()), (answer,), None, None, (), (), 0, guide=guide
    )


def test_an_unknown_shows_how_often_loops_were_seen() -> None:
    lines = guide_lines(report(Guide(True, 500, (LOOP, NEVER))))
    assert lines == [
        "abstract execution, not proved: every path ends",
        "  loop in infer, byte 0x2a: seen at most 37 times for one entry, not proved",
        "  loop in infer, byte 0x30: no state comes there",
    ]


def test_an_execution_that_gave_up_says_where() -> None:
    gave_up = Guide(False, 500, (LOOP, NEVER), "no progress", "infer", 0x2A, "it repeats")
    assert guide_lines(report(gave_up)) == [
        "abstract execution gave up: infer, byte 0x2a: no progress: it repeats",
        "  loop in infer, byte 0x2a: seen 37 times so far",
        "  loop in infer, byte 0x30: not reached so far",
    ]


def test_where_there_is_a_bound_nothing_is_said() -> None:
    bound = Bound("m@1", 1, 2, 1, 2)
    assert guide_lines(report(Guide(True, 500, (LOOP,)), bound)) == []
    assert guide_lines(report(None)) == []
    assert guide_json(report(None)) is None


@pytest.mark.parametrize("many", [3, 40])
def test_many_loops_are_cut_short(many: int) -> None:
    lines = guide_lines(report(Guide(True, 500, (LOOP,) * many)))
    assert len(lines) == min(many + 1, 13)
    assert (lines[-1] == "  ...") == (many == 40)


def test_json_is_labelled_as_not_proved_and_holds_no_gas() -> None:
    found = guide_json(report(Guide(True, 500, (LOOP,)), Bound("m@1", 1, 2, 1, 2)))
    assert found is not None
    assert found["proved"] is False
    assert found["loops"] == [{"function": "infer", "offset": 0x2A, "visits": 37}]
    assert not {"gas", "lo", "hi"} & found.keys()
