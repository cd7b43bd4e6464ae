"""
Refused growth is a limit and no value, and hides nothing between nodes with equal pages.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from voting_samples import (
    MINUS_NAN,
    NAN,
    ONE,
    SCALAR,
    SCALAR_SHAPE,
    TWO,
    ZERO,
    block_of,
    ending,
    voice_of,
)

from conformance.differential.blame import blame
from conformance.differential.division import deviants
from conformance.differential.records import FindingClass
from conformance.differential.vote import BlockVote, Voice, vote
from runners.status import Status, same_kind

DIV0, OVERFLOW, UNKNOWN = (
    Status.TRAP_INTEGER_DIVIDE_BY_ZERO,
    Status.TRAP_INTEGER_OVERFLOW,
    Status.TRAP_UNKNOWN,
)
THREE = 0x4008000000000000
End = Status | int
Shown = tuple[End, int | None]
"""How a node ended, and its pages after the call; None: not shown."""


def voices_of(*shown: Shown) -> list[Voice]:
    """
    Voices a, b, c, ... on one case, each of a family of its own.
    """
    made = []
    for name, (end, pages) in zip("abcdefgh", shown, strict=False):
        array = None if pages is None else np.array([pages], np.uint32)
        made.append(voice_of(name, replace(ending(end), pages=array)))
    return made


def judged(voices: list[Voice], *, grows: bool = True) -> BlockVote:
    call = structs.replace(SCALAR, grows=grows)
    return vote(block_of(1, call), SCALAR_SHAPE, voices, "exact", 2)


def found(*shown: Shown, grows: bool = True) -> list[tuple[str, list[str]]]:
    """
    (class, groups) of each division, a group as the letters of its nodes.
    """
    verdict = judged(voices_of(*shown), grows=grows)
    return [
        (d.kind.value, sorted("".join(label[0] for label in g.labels) for g in d.groups))
        for d in verdict.disagreements
    ]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (((ONE, 9), (TWO, 1)), [("limit", ["a", "b"])]),
        (((ONE, 9), (TWO, 1), (TWO, 1)), [("limit", ["a", "bc"])]),
        (((ONE, 9), (TWO, 5), (ZERO, 1)), [("limit", ["a", "b", "c"])]),
        (((ONE, 9), (DIV0, 1)), [("limit", ["a", "b"])]),
        (((DIV0, 9), (OVERFLOW, 1)), [("limit", ["a", "b"])]),
        # Equal pages: nothing is excused.
        (((ONE, 1), (TWO, 1)), [("value", ["a", "b"])]),
        (((ONE, 1), (TWO, 1), (TWO, 1)), [("value", ["a", "bc"])]),
        (((ONE, 1), (DIV0, 1)), [("kind", ["a", "b"])]),
        # A liar among the refused is found there, whoever else was granted the growth.
        (
            ((ONE, 9), (TWO, 1), (TWO, 1), (THREE, 1)),
            [("limit", ["a", "bcd"]), ("value", ["bc", "d"])],
        ),
        (
            ((ONE, 9), (TWO, 1), (TWO, 1), (DIV0, 1)),
            [("limit", ["a", "bcd"]), ("kind", ["bc", "d"])],
        ),
        # Others got the same result with other pages, so growth is not why d differs.
        (
            ((ONE, 1), (ONE, 1), (ONE, 1), (TWO, 1), (ONE, 2)),
            [("value", ["abce", "d"]), ("state", ["abc", "e"])],
        ),
        (((ONE, 9), (ONE, 1)), [("state", ["a", "b"])]),
        (((DIV0, 9), (UNKNOWN, 1)), [("state", ["a", "b"])]),
        (((NAN, 9), (MINUS_NAN, 1)), [("nan-bits", ["a", "b"])]),
        # Who does not show its pages stands with those it agrees with, or is not compared.
        (((ONE, 9), (TWO, 1), (TWO, None)), [("limit", ["a", "bc"])]),
        (((ONE, 9), (TWO, 1), (THREE, None)), [("limit", ["a", "b"])]),
        (((ONE, 9), (TWO, None)), [("value", ["a", "b"])]),
        (((ONE, None), (TWO, None)), [("value", ["a", "b"])]),
    ],
)
def test_table_of_growth(shown: tuple[Shown, ...], expected: list[tuple[str, list[str]]]) -> None:
    assert found(*shown) == expected


def test_a_module_that_cannot_grow_has_no_such_excuse() -> None:
    assert found((ONE, 9), (TWO, 1), grows=False) == [("value", ["a", "b"])]


def test_memory_of_parted_nodes_is_not_compared() -> None:
    def kinds(pages: int) -> list[str]:
        voices = voices_of((ONE, 9), (TWO, 1), (TWO, pages))
        digests = [np.full((1, 32), n, np.uint8) for n in range(3)]
        voices = [
            replace(v, outcome=replace(v.outcome, memory=d))
            for v, d in zip(voices, digests, strict=True)
        ]
        return [d.kind.value for d in judged(voices).disagreements]

    assert kinds(1) == ["limit", "state"], "b and c have equal pages and other memories"
    assert found((ONE, 9), (TWO, 1), (TWO, 1)) == [("limit", ["a", "bc"])]


def test_no_engine_is_named_and_the_reason_is_growth() -> None:
    alone = judged(voices_of((ONE, 9), (TWO, 1), (TWO, 1), (TWO, 1))).disagreements[0]
    named = blame(alone)
    assert (named.party, named.nodes) == ("undecided", ())
    assert "different numbers of pages, because growth was refused by some" in named.reason
    assert "b@1.0, c@1.0 and d@1.0 against a@1.0" in named.reason
    assert deviants(alone.division) == ("a@1.0", "b@1.0", "c@1.0", "d@1.0")
    halves = judged(voices_of((ONE, 9), (ONE, 9), (TWO, 1), (TWO, 1))).disagreements[0]
    assert (blame(halves).party, blame(halves).nodes) == ("module", ())
    equal = judged(voices_of((ONE, 1), (TWO, 1), (TWO, 1), (TWO, 1))).disagreements[0]
    assert (blame(equal).party, blame(equal).nodes) == ("engine", ("a@1.0",))


def test_a_liar_among_the_refused_is_named() -> None:
    verdict = judged(voices_of((ONE, 9), (TWO, 1), (TWO, 1), (THREE, 1)))
    parties = [blame(d).nodes for d in verdict.disagreements]
    assert parties == [(), ("d@1.0",)]
    tallies = {t.label[0]: (t.compared, t.differing, t.abstained) for t in verdict.tallies}
    assert tallies == {"a": (0, 0, 1), "b": (0, 0, 1), "c": (0, 0, 1), "d": (1, 1, 0)}


def test_parted_nodes_abstain() -> None:
    verdict = judged(voices_of((ONE, 9), (TWO, 1), (TWO, 1), (THREE, None)))
    assert [(t.compared, t.abstained) for t in verdict.tallies] == [(0, 1)] * 4
    assert verdict.undecided.tolist() == [0]
    assert dict(verdict.compared)["results"] == 0
    assert [m.label for m in verdict.disagreements[0].division.neutral] == ["d@1.0"]
    equal = judged(voices_of((ONE, 1), (TWO, 1), (TWO, 1)))
    assert [(t.compared, t.abstained) for t in equal.tallies] == [(1, 0)] * 3
    assert equal.undecided.tolist() == []


def test_order_of_voices_changes_nothing_about_growth() -> None:
    voices = voices_of((ONE, 9), (TWO, 1), (THREE, 1), (TWO, None), (ZERO, 5))
    first = judged(voices)
    assert [d.kind.value for d in first.disagreements] == ["limit", "value"]
    for order in permutations(voices):
        other = judged(list(order))
        assert other.disagreements == first.disagreements
        assert other.tallies == first.tallies


ENDS = st.sampled_from([ONE, ONE, TWO, THREE, DIV0, OVERFLOW, UNKNOWN])
BALLOT = st.lists(st.tuples(ENDS, st.sampled_from([1, 1, 9, 5, None])), min_size=2, max_size=6)


def alike(left: End, right: End) -> bool:
    if isinstance(left, Status) and isinstance(right, Status):
        return same_kind(left, right)
    return left is right if isinstance(left, Status) else left == right


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(BALLOT)
def test_growth_excuses_no_pair_with_equal_pages(shown: list[Shown]) -> None:
    verdict = judged(voices_of(*shown))
    letters = "abcdefgh"

    def set_apart(x: int, y: int) -> set[FindingClass]:
        kinds = set()
        for d in verdict.disagreements:
            at = {label[0]: n for n, group in enumerate(d.groups) for label in group.labels}
            one, two = at.get(letters[x]), at.get(letters[y])
            if one is not None and two is not None and one != two:
                kinds.add(d.kind)
        return kinds

    for x, y in combinations(range(len(shown)), 2):
        (end, pages), (other, others) = shown[x], shown[y]
        kinds = set_apart(x, y)
        if alike(end, other):
            assert FindingClass.LIMIT not in kinds
        elif pages == others and pages is not None and UNKNOWN not in (end, other):
            assert kinds & {FindingClass.VALUE, FindingClass.KIND}
            assert FindingClass.LIMIT not in kinds
    seen = {pages for _, pages in shown if pages is not None}
    if len(seen) < 2:
        assert FindingClass.LIMIT not in {d.kind for d in verdict.disagreements}
