"""
Narrowing by a test never loses a value with which the test comes out so.
"""

from __future__ import annotations

from typing import Any

import pytest
from abstract_values import numbers, valued
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.bounds.abstract import conditions
from conformance.bounds.abstract.conditions import (
    Condition,
    Local,
    Number,
    Opaque,
    Tree,
    apply,
    asked,
    evaluate,
)
from conformance.bounds.abstract.domain import Value, holds
from conformance.bounds.abstract.operators import NeverError

TESTS = ("eq", "ne", "lt_u", "lt_s", "gt_u", "gt_s", "le_u", "le_s", "ge_u", "ge_s")
LOCALS = 3


@st.composite
def terms(draw: st.DrawFn, depth: int) -> Tree:
    kind = draw(st.sampled_from(("local", "number", "made", "local")))
    if kind == "local" or depth == 0:
        return Local(draw(st.integers(0, LOCALS - 1)))
    if kind == "number":
        return Number(draw(numbers(32)))
    name = draw(st.sampled_from(("add", "sub", "and", "or", "shl", "rem_u")))
    made = apply(f"i32.{name}", (draw(terms(depth - 1)), draw(terms(depth - 1))))
    return made or Local(0)


@st.composite
def questions(draw: st.DrawFn, depth: int) -> Tree:
    shape = draw(st.sampled_from(("compare", "compare", "eqz", "both", "either", "local")))
    if shape == "local":
        return Local(draw(st.integers(0, LOCALS - 1)))
    if shape == "compare" or depth == 0:
        name = draw(st.sampled_from(TESTS))
        made = apply(f"i32.{name}", (draw(terms(1)), draw(terms(1))))
    elif shape == "eqz":
        made = apply("i32.eqz", (draw(questions(depth - 1)),))
    else:
        name = "and" if shape == "both" else "or"
        made = apply(f"i32.{name}", (draw(questions(depth - 1)), draw(questions(depth - 1))))
    return made or Local(0)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tree, list[tuple[Value, int]]]:
    return draw(questions(2)), [draw(valued(32)) for _ in range(LOCALS)]


def lost(tree: Tree, locals_: list[tuple[Value, int]]) -> bool:
    """
    Whether the numbers do not survive the narrowing by what the test says of them.
    """
    try:
        found = evaluate(tree, dict(enumerate(number for _, number in locals_)))
    except NeverError:
        return False
    assert isinstance(found, int)
    narrowed = [value for value, _ in locals_]
    condition = Condition(tree, tuple(sorted(asked(tree))))
    if not condition.refine(narrowed, truth=found != 0):
        return True
    return not all(holds(v, n) for v, (_, n) in zip(narrowed, locals_, strict=True))


@settings(derandomize=True, max_examples=500)
@given(cases())
def test_what_a_test_allows_survives(case: tuple[Tree, list[tuple[Value, int]]]) -> None:
    tree, locals_ = case
    if asked(tree):
        assert not lost(tree, locals_), f"{tree} {locals_}"


def test_a_wrong_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = apply("i32.lt_u", (Local(0), Number(9)))
    assert tree is not None
    locals_: list[tuple[Value, int]] = [((0, 5000), 8)] * LOCALS
    assert not lost(tree, locals_)
    wrong: Any = lambda low, high, top: (low, high - 2)  # noqa: ARG005, E731 - as the right ones
    monkeypatch.setitem(conditions._RANGES, "lt", wrong)
    assert lost(tree, locals_)


def narrowed(tree: Tree | None, value: Value, *, truth: bool) -> Value | bool:
    assert tree is not None
    locals_ = [value]
    return locals_[0] if Condition(tree, (0,)).refine(locals_, truth=truth) else False


def test_intervals_lose_what_a_test_excludes() -> None:
    below = apply("i32.lt_u", (Local(0), Number(9)))
    assert narrowed(below, None, truth=True) == (0, 8)
    assert narrowed(below, (3, 5000), truth=False) == (9, 5000)
    assert narrowed(below, (9, 5000), truth=True) is False
    signed = apply("i32.gt_s", (Local(0), Number(0xFFFFFFFF)))
    assert narrowed(signed, None, truth=True) == (0, 0x7FFFFFFF)
    assert narrowed(apply("i32.eqz", (Local(0),)), (0, 7), truth=False) == (1, 7)


def test_sets_lose_members_by_evaluation() -> None:
    odd = apply("i32.and", (Local(0), Number(1)))
    assert narrowed(odd, frozenset(range(6)), truth=True) == frozenset((1, 3, 5))
    assert narrowed(odd, frozenset((2, 4)), truth=True) is False


def test_a_part_that_is_not_known_does_not_hide_the_rest() -> None:
    tree = apply("i32.and", (None, apply("i32.lt_u", (Local(0), Number(4)))))
    assert narrowed(tree, (0, 5000), truth=True) == (0, 3)
    assert narrowed(tree, (0, 5000), truth=False) == (0, 5000)
    assert apply("i32.and", (None, Number(1))) is None
    assert evaluate(Opaque(), {}) is None
