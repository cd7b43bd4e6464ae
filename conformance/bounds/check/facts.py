"""
Flow facts: what must hold between two cuts so that a rank bounds how often edges are passed.

A rank over the cuts of a zone pays for passages: along a segment inside the zone it falls by at
least what the segment counts, where the zone is entered it is at most the bound, and where the zone
is left what is counted last is covered too. So one stay in the zone counts at most the bound, and a
zone that is entered at most once in a scope gives a row of the flow system. Facts of kind `least`
are the same with the inequalities turned, for runs that return.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from conformance.bounds.certificate import ENTRY, FlowFact, Summary
from conformance.bounds.check.refusals import RefusedError
from conformance.bounds.check.semantics.execution import Region
from conformance.bounds.check.semantics.layout import Edge, Layout
from conformance.bounds.check.semantics.state import EXIT, TRAP, Goal, State
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.check.semantics.terms import Value, same
from conformance.bounds.expressions import Expression


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """
    A flow fact, read against the function that it is about.
    """

    name: str
    least: bool
    bound: int
    width: int
    scope: frozenset[int]
    """Cuts between which one passage of the scope stays."""
    zone: frozenset[int]
    measures: Mapping[int, Expression]
    weights: Mapping[Edge, int]
    per: frozenset[Edge] | None
    """Edges whose passages count the scope's; None: the call itself."""


def plan(subject: Subject, summary: Summary, fact: FlowFact) -> Plan:
    """
    Read a flow fact; RefusedError where its parts do not fit.
    """
    layout = subject.layout(summary)
    title = f"{summary.name}, fact {fact.name}"
    scope, per = _scope(layout, fact, title)
    zone = frozenset(fact.zone) or scope
    if not zone <= scope:
        _misfit(f"{title}: the zone leaves the scope")
    if fact.kind == "least" and (zone != scope or fact.scope == "visit"):
        _misfit(f"{title}: a fact of kind least is about a whole call or loop")
    measures = {m.at: subject.term(summary, m.at, m.term) for m in fact.measure if m.at in zone}
    if set(measures) != zone or len(fact.measure) != len(zone):
        _misfit(f"{title}: the cuts with a measure are not those of the zone")
    widths = {measure.width for measure in measures.values()}
    weights = {(w.source, w.target): w.weight for w in fact.weights}
    if len(weights) < len(fact.weights) or not set(weights) <= layout.edges:
        _misfit(f"{title}: a weight is on no edge, or two are on one")
    width = max(widths, default=0)
    if len(widths) != 1 or (sum(weights.values()) + fact.bound) >> width:
        _misfit(f"{title}: its measures have several widths, or its numbers do not fit in them")
    return Plan(fact.name, fact.kind == "least", fact.bound, width, scope, zone, measures,
                weights, per)  # fmt: skip


def _misfit(sentence: str) -> None:
    raise RefusedError("form", sentence)


def _scope(
    layout: Layout, fact: FlowFact, title: str
) -> tuple[frozenset[int], frozenset[Edge] | None]:
    if fact.scope == "call":
        return frozenset(layout.cuts), None
    loop = fact.of
    if loop not in layout.loops:
        _misfit(f"{title}: there is no reachable loop at {loop}")
    inside = frozenset(cut for cut in layout.cuts if cut != ENTRY and layout.inside(cut, loop))
    heads = frozenset(edge for edge in layout.edges if edge[1] == loop + 1)
    if fact.scope == "entry":
        return inside, heads & {(loop, loop + 1)}
    return inside - {loop}, heads


def check_zone(plan: Plan, segments: Mapping[int, frozenset[int]], title: str) -> None:
    """
    A zone that is left inside its scope must not be entered again there.

    *segments*: cut -> cuts that a segment leads to.
    """
    outside = plan.scope - plan.zone
    left = {t for cut in plan.zone for t in segments.get(cut, ()) if t in outside}
    todo = list(left)
    while todo:
        for target in segments.get(todo.pop(), ()):
            if target in plan.zone:
                message = f"{title}, fact {plan.name}: its zone is left and entered again"
                raise RefusedError("structure", message)
            if target in outside and target not in left:
                left.add(target)
                todo.append(target)


def fact_goals(region: Region, plans: Sequence[Plan], target: int, state: State) -> Iterator[Goal]:
    """
    What the facts demand of one segment.
    """
    for number, fact in enumerate(plans):
        counted = state.counts[number]
        if region.cut not in fact.zone and target not in fact.zone and same(counted, 0):
            continue
        demand = _demanded(region, fact, counted, target, state)
        where = {EXIT: "the return", TRAP: "a trap"}.get(target, f"cut {target}")
        what = f"fact {fact.name} from cut {region.cut} to {where}"
        yield Goal(what, region.cut, state.guard, demand)


def _demanded(region: Region, fact: Plan, count: Value, target: int, state: State) -> Value:
    terms, width = region.terms, fact.width
    before = region.cut in fact.zone
    after = target in fact.zone
    held: Value = fact.bound
    if before:
        held = region.reading(region.start).value(fact.measures[region.cut])
    left = region.reading(state).value(fact.measures[target]) if after else 0
    if not fact.least:
        if not before and not after:
            return terms.two("eq", count, 0, width)
        paid = terms.two("ule", count, held, width)
        return terms.both(paid, terms.two("ule", left, terms.two("sub", held, count, width), width))
    if target == TRAP or not (before or after):
        return 1
    # No wrap: either the count alone covers what was held, or what is left covers the rest.
    alone = terms.two("uge", count, held, width)
    rest = terms.two("uge", left, terms.two("sub", held, count, width), width)
    return terms.either(alone, rest)


def start_goals(region: Region, plans: Sequence[Plan]) -> Iterator[Goal]:
    """
    What the facts demand where the function is entered inside their zone.
    """
    for fact in plans:
        if region.cut == ENTRY and ENTRY in fact.zone:
            value = region.reading(region.start).value(fact.measures[ENTRY])
            operator = "uge" if fact.least else "ule"
            formula = region.terms.two(operator, value, fact.bound, fact.width)
            yield Goal(f"fact {fact.name} at the entry", ENTRY, 1, formula)
