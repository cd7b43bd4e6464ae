"""
The dual of a function's flow system: prices of blocks and facts that give the best bound.

Primal: passages of edges, conserved at blocks, as the flow facts allow; every block pays its gas. A
function without facts has no loops that matter, and its prices are longest (shortest) paths; with
facts z3 solves the dual over rationals. Source: Y.-T. S. Li, S. Malik, "Performance analysis of
embedded software using implicit path enumeration", 1995.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from conformance.bounds.certificate import OUT
from conformance.bounds.check.semantics.layout import Edge, Layout
from conformance.bounds.prove.solver import load_solver


@dataclass(frozen=True, slots=True)
class Row:
    """
    A flow fact as a row: the weighted passages are at most (least) bound times those of `per`.
    """

    name: str
    least: bool
    weights: Mapping[Edge, int]
    bound: int
    per: frozenset[Edge] | None
    """None: once per call."""

    def at(self, edge: Edge) -> int:
        """
        The coefficient of an edge's passages.
        """
        found = self.weights.get(edge, 0)
        return found - self.bound if self.per is not None and edge in self.per else found


@dataclass(frozen=True, slots=True)
class System:
    """
    One function under one model.
    """

    layout: Layout
    entry: int
    gas: Mapping[int, int]
    """By first instruction of a block."""
    rows: Sequence[Row]
    stops: frozenset[int] = frozenset()
    """Blocks in the middle of which a run may end."""


@dataclass(frozen=True, slots=True)
class Solution:
    """
    A bound and the prices that prove it.
    """

    bound: int
    prices: dict[int, Fraction]
    multipliers: dict[str, Fraction]


def solve(system: System, *, least: bool) -> Solution | None:
    """
    The best bound that the rows prove; None where they prove none.
    """
    paths = _paths(system, least=least)
    if paths is not None:
        return Solution(int(system.entry + paths[0]), paths, {})
    return _program(system, least=least)


def _edges(system: System, *, least: bool) -> list[tuple[int, Edge]]:
    """
    (First instruction of the block that it leaves, edge) of all edges that count.
    """
    found = []
    for first, last in system.layout.blocks.items():
        if least and system.layout.code[last].opcode.name == "unreachable":
            continue
        found += [(first, (last, target)) for target in system.layout.successors(last)]
    return found


def _paths(system: System, *, least: bool) -> dict[int, Fraction] | None:
    """
    Longest (shortest) paths to the end from each block; None for a graph with back edges.
    """
    following: dict[int, list[int]] = {}
    for first, (_, target) in _edges(system, least=least):
        if target != OUT and target <= first:
            return None
        following.setdefault(first, []).append(target)
    prices: dict[int, Fraction] = {}
    choose = min if least else max
    for first in sorted(system.layout.blocks, reverse=True):
        after = [
            Fraction(0) if target == OUT else prices[target]
            for target in following.get(first, ())
            if target == OUT or target in prices
        ]
        if after:
            prices[first] = system.gas[first] + choose(after)
    return prices if 0 in prices else None


def _program(system: System, *, least: bool) -> Solution | None:
    z3 = load_solver()
    rows = [row for row in system.rows if least or not row.least]
    prices = {first: z3.Real(f"p{first}") for first in system.layout.blocks}
    factors = {row.name: z3.Real(f"z{k}") for k, row in enumerate(rows)}
    optimizer = z3.Optimize()
    for factor in factors.values():
        optimizer.add(factor >= 0)
    for first, edge in _edges(system, least=least):
        after = 0 if edge[1] == OUT else prices[edge[1]]
        wanted = system.gas[first] + after
        for row in rows:
            at = row.at(edge)
            if at:
                sign = 1 if row.least == least else -1
                wanted = wanted - sign * at * factors[row.name]
        optimizer.add(prices[first] <= wanted if least else prices[first] >= wanted)
        if not least and first in system.stops:
            optimizer.add(prices[first] >= system.gas[first])
    goal = prices[0]
    for row in rows:
        if row.per is None:
            goal = goal + (1 if row.least == least else -1) * row.bound * factors[row.name]
    # For the least gas a fact of kind most is turned, and what it allows is taken off.
    handle = optimizer.maximize(goal) if least else optimizer.minimize(goal)
    if optimizer.check() != z3.sat:
        return None
    value = (optimizer.lower if not least else optimizer.upper)(handle)
    if not z3.is_rational_value(value) and not z3.is_int_value(value):
        return None
    model = optimizer.model()
    found = {first: _fraction(model, name) for first, name in prices.items()}
    multipliers = {name: _fraction(model, factor) for name, factor in factors.items()}
    total = system.entry + _fraction(model, goal)
    bound = ceil(total) if least else floor(total)
    return Solution(bound, found, {k: v for k, v in multipliers.items() if v})


def _fraction(model: Any, term: Any) -> Fraction:
    value = model.eval(term, model_completion=True)
    return Fraction(value.numerator_as_long(), value.denominator_as_long())
