"""
From flow facts to gas: the dual of a function's flow system, checked in exact rationals.

The primal: passages of edges, conserved at every block, as the flow facts allow, with the gas of a
block paid whenever it is left. Any prices that satisfy the inequalities below prove a bound, by
weak duality, whoever found them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from conformance.bounds.certificate import OUT, Dual, rational
from conformance.bounds.check.facts import Plan
from conformance.bounds.check.refusals import Refusal, RefusedError
from conformance.bounds.check.semantics.layout import Edge, Layout


@dataclass(frozen=True, slots=True)
class FlowSystem:
    """
    One function under one model; costs are of blocks, by their first instruction.
    """

    layout: Layout
    title: str
    entry: int
    least: Mapping[int, int]
    """Gas of a block whose calls cost their least."""
    most: Mapping[int, int]
    plans: Sequence[Plan]
    stops: frozenset[int]
    """Blocks that a run may end in the middle of, at a call that does not return."""


def check_dual(system: FlowSystem, dual: Dual, claimed: int, *, least: bool) -> Iterator[Refusal]:
    """
    Refusals of a dual solution that does not prove *claimed*, the least or the most gas of a call.
    """
    side = "least" if least else "most"
    prices = {item.at: rational(item.price) for item in dual.prices}
    multipliers = {item.fact: rational(item.price) for item in dual.multipliers}
    facts = {plan.name: plan for plan in system.plans}
    if len(facts) < len(system.plans) or set(multipliers) - set(facts):
        message = f"{system.title}: a multiplier names no fact, or a fact's name is there twice"
        raise RefusedError("form", message)
    if any(value < 0 for value in multipliers.values()):
        yield Refusal("dual", f"{system.title}: a multiplier of the {side} gas is negative")
        return
    if not least and any(facts[name].least for name, value in multipliers.items() if value):
        # It speaks about runs that return only, and the most gas is that of every run.
        yield Refusal("dual", f"{system.title}: a fact of kind least lowers the most gas")
        return
    # A fact `sum of weights <= bound` helps the most gas and a turned one the least.
    signed = {
        facts[name]: value if facts[name].least == least else -value
        for name, value in multipliers.items()
    }
    rows = _rows(signed)
    broken = next(_broken(system, prices, rows, least=least), None)
    if broken is not None:
        where = f"{system.title}, edge from {broken[0]} to {broken[1]}"
        yield Refusal("dual", f"{where}: the prices of the {side} gas are not consistent")
        return
    total = system.entry + prices.get(0, Fraction(0)) + sum(
        (value * plan.bound for plan, value in signed.items() if plan.per is None), Fraction(0)
    )  # fmt: skip
    proved = -(-total.numerator // total.denominator) if least else total.numerator // (
        total.denominator
    )  # fmt: skip
    if claimed > proved if least else claimed < proved:
        sentence = f"{system.title}: {side} gas {claimed} is claimed, the dual proves {proved}"
        yield Refusal("dual", sentence)


def _rows(signed: Mapping[Plan, Fraction]) -> dict[Edge, Fraction]:
    """
    What the facts take off (give back) along each edge.
    """
    rows: dict[Edge, Fraction] = {}
    for plan, value in signed.items():
        for edge, weight in plan.weights.items():
            rows[edge] = rows.get(edge, Fraction(0)) + value * weight
        for edge in plan.per or ():
            rows[edge] = rows.get(edge, Fraction(0)) - value * plan.bound
    return rows


def _broken(
    system: FlowSystem, prices: Mapping[int, Fraction], rows: Mapping[Edge, Fraction],
    *, least: bool,
) -> Iterator[Edge]:  # fmt: skip
    """
    Edges u -> v where price(u) is below (above) gas(u) + price(v) - what the facts take off.
    """
    layout, none = system.layout, Fraction(0)
    gas = system.least if least else system.most
    for first, last in layout.blocks.items():
        if least and layout.code[last].opcode.name == "unreachable":
            continue
        here = prices.get(first, none)
        if not least and first in system.stops and here < gas[first]:
            yield last, OUT
        for target in layout.successors(last):
            after = none if target == OUT else prices.get(target, none)
            wanted = gas[first] + after - rows.get((last, target), none)
            if here > wanted if least else here < wanted:
                yield last, target
