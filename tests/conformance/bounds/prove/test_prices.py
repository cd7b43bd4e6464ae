"""
Prices against all paths of small functions, counted out one by one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from provable_modules import module_of

from conformance.bounds.certificate import OUT
from conformance.bounds.check.semantics.layout import Layout, lay_out
from conformance.bounds.prove.prices import Row, System, solve

DIAMOND = """(module (func (export "infer") (param i32)
  (if (local.get 0) (then nop nop) (else nop))
  (if (local.get 0) (then nop))))"""
LOOP = """(module (func (export "infer") (param i32)
  (loop (if (local.get 0) (then nop) (else nop)) (br_if 0 (local.get 0)))))"""


def paths(layout: Layout, turns: int, at: int = 0) -> Iterator[tuple[int, ...]]:
    """
    Blocks of every path to the end that goes back at most *turns* times.
    """
    for target in layout.successors(layout.blocks[at]):
        if target == OUT:
            yield (at,)
        elif target > at or turns:
            for rest in paths(layout, turns - (target <= at), target):
                yield (at, *rest)


def layout_of(text: str) -> Layout:
    return lay_out(module_of(text), 0)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=12, max_size=12))
def test_without_loops_prices_are_extreme_paths(costs: list[int]) -> None:
    layout = layout_of(DIAMOND)
    gas = dict(zip(layout.blocks, costs, strict=False))
    totals = [sum(gas[block] for block in path) for path in paths(layout, 0)]
    for least in (True, False):
        found = solve(System(layout, 7, gas, ()), least=least)
        assert found is not None
        assert found.bound == 7 + (min(totals) if least else max(totals))


@settings(derandomize=True, max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=12, max_size=12), st.integers(0, 4))
def test_a_fact_bounds_how_often_a_loop_is_paid(costs: list[int], turns: int) -> None:
    layout = layout_of(LOOP)
    (loop,) = layout.loops
    gas = dict(zip(layout.blocks, costs, strict=False))
    back = {edge: 1 for edge in layout.edges if edge[1] == loop + 1 and edge[0] != loop}
    row = Row("turns", False, back, turns, frozenset([(loop, loop + 1)]))
    totals = [sum(gas[block] for block in path) for path in paths(layout, turns)]
    found = solve(System(layout, 0, gas, [row]), least=False)
    assert found is not None
    assert found.bound == max(totals)


@pytest.mark.parametrize("turns", [0, 3])
def test_a_fact_of_kind_least_raises_the_least(turns: int) -> None:
    layout = layout_of(LOOP)
    (loop,) = layout.loops
    gas = dict.fromkeys(layout.blocks, 10)
    back = {edge: 1 for edge in layout.edges if edge[1] == loop + 1 and edge[0] != loop}
    per = frozenset([(loop, loop + 1)])
    rows = [Row("least", True, back, turns, per)]
    found = solve(System(layout, 0, gas, rows), least=True)
    exact = [p for p in paths(layout, turns) if len(p) >= 1]
    shortest = min(10 * len(p) for p in exact if p.count(loop + 1) == turns + 1)
    assert found is not None
    assert found.bound == shortest


def test_a_loop_without_a_fact_has_no_price() -> None:
    layout = layout_of(LOOP)
    gas = dict.fromkeys(layout.blocks, 1)
    assert solve(System(layout, 0, gas, ()), least=False) is None
