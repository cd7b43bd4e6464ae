"""
Values hold what they stand for, however they are joined or cut.
"""

from __future__ import annotations

from abstract_values import numbers, valued
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.bounds.abstract.domain import (
    MOST_MEMBERS,
    Value,
    among,
    between,
    ends,
    holds,
    join,
    members,
    within,
)

Given = tuple[Value, int]


@settings(derandomize=True, max_examples=100)
@given(valued(32), valued(32))
def test_a_join_holds_what_either_holds(one: Given, other: Given) -> None:
    joined = join(one[0], other[0])
    assert holds(joined, one[1])
    assert holds(joined, other[1])
    low, high = ends(joined, 32)
    assert low <= min(one[1], other[1]) <= max(one[1], other[1]) <= high


@settings(derandomize=True, max_examples=100)
@given(valued(32), numbers(32), numbers(32))
def test_a_cut_keeps_what_lies_inside_and_nothing_else(one: Given, first: int, second: int) -> None:
    low, high = min(first, second), max(first, second)
    left = within(one[0], low, high, 32)
    if low <= one[1] <= high:
        assert left is not False
        assert holds(left, one[1])
    if left is not False:
        least, most = ends(left, 32)
        assert low <= least <= most <= high


def test_sets_become_intervals_when_they_grow() -> None:
    assert among(range(MOST_MEMBERS)) == frozenset(range(MOST_MEMBERS))
    assert among(range(MOST_MEMBERS + 1)) == (0, MOST_MEMBERS)
    assert among((5, 5)) == 5
    assert join((1, 3), 9) == (1, 9)
    assert join(None, 9) is None


def test_what_is_not_in_a_value_is_not_held() -> None:
    values: tuple[Value, ...] = (4, frozenset((3, 5)), (1, 3))
    assert [holds(value, 4) for value in values] == [True, False, False]
    assert between(0, (1 << 32) - 1, 32) is None
    assert between(0, (1 << 32) - 1, 64) == (0, (1 << 32) - 1)
    assert list(members((2, 4)) or ()) == [2, 3, 4]
    assert members(None) is None
    assert members((0, 5000)) is None


@settings(derandomize=True, max_examples=50)
@given(st.lists(numbers(64), min_size=1, max_size=8))
def test_a_set_holds_its_numbers(chosen: list[int]) -> None:
    value = among(chosen)
    assert all(holds(value, one) for one in chosen)
    assert not holds(value, max(chosen) + 1)
