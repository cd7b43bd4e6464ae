"""
Leaves of all invariants only those on which something rests, by unsatisfiable cores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove.constants import Constants
from conformance.bounds.prove.hosts import amount_goals
from conformance.bounds.prove.houdini import ways
from conformance.bounds.prove.obligations import (
    Fact,
    Goal,
    calling_goals,
    entering_goals,
    frame_goals,
    inside_goals,
    promise_goals,
    recursion_goals,
    region_goals,
)
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.states import Region
from conformance.bounds.prove.subject import RETURN, FunctionProof, Key, Subject
from conformance.bounds.prove.terms import Term

Ranking = Mapping[int, Mapping[int, Sequence[Fact]]]
"""Function -> loop -> its facts."""


def all_goals(
    subject: Subject, proof: FunctionProof, facts: Mapping[int, Sequence[Fact]],
    constants: Constants, shadow: tuple[int, int] | None,
) -> Iterator[Goal]:  # fmt: skip
    """
    All that must be shown of one function beside invariants.
    """
    for found in facts.values():
        for fact in found:
            yield from inside_goals(subject, proof, fact)
            yield from entering_goals(subject, proof, fact)
    yield from region_goals(subject, proof, constants.spans, shadow)
    yield from recursion_goals(subject, proof)
    yield from calling_goals(subject, proof)
    yield from amount_goals(subject, proof)
    yield from frame_goals(subject, proof)
    yield from promise_goals(subject, proof)


def minimise(
    subject: Subject, solver: Solver, ranking: Ranking, constants: Constants,
    shadow: tuple[int, int] | None = None,
) -> None:  # fmt: skip
    """
    Drop from `subject.holds` what no goal rests on; what the precondition gives stays.
    """
    needed: dict[Key, dict[Term, None]] = {key: {} for key in subject.holds}
    todo: dict[Key, None] = {}
    for function, proof in subject.functions.items():
        goals = all_goals(subject, proof, ranking.get(function, {}), constants, shadow)
        for goal in goals:
            _need(subject, solver, function, goal, needed, todo)
    while todo:
        key = next(iter(todo))
        del todo[key]
        for function, proof in subject.functions.items():
            for cut in proof.regions:
                for way in ways(subject, function, cut):
                    if way.target != key:
                        continue
                    supposed = subject.holds[key]
                    wanted = [
                        goal
                        for term, goal in zip(supposed, way.goals, strict=True)
                        if term in needed[key]
                    ]
                    goal = Goal(cut, way.guard, subject.terms.every(wanted))
                    _need(subject, solver, function, goal, needed, todo)
    for key, kept in needed.items():
        if key != (subject.entry, ENTRY):
            subject.holds[key] = [term for term in subject.holds[key] if term in kept]


def _need(
    subject: Subject, solver: Solver, function: int, goal: Goal,
    needed: dict[Key, dict[Term, None]], todo: dict[Key, None],
) -> None:  # fmt: skip
    """
    Add what *goal* rests on to *needed*, and where that is new to *todo*.
    """
    if goal.formula.value == 1 or goal.guard.value == 0:
        return
    region = subject.functions[function].regions[goal.cut]
    sources = _sources(subject, function, goal.cut, region)
    fixed = [
        *subject.page_facts(region.start, subject.functions[function].executor), goal.guard,
        *[fact for called in region.calls for fact in subject.grown(called)],
    ]  # fmt: skip
    # What is needed anyway is tried first, so that few hypotheses serve many goals.
    already = [term for key, original, term in sources if original in needed[key]]
    if solver.proves([*fixed, *already], goal.formula):
        return
    terms = [term for _, _, term in sources]
    core = solver.core(terms, fixed, goal.formula)
    chosen = range(len(terms)) if core is None else sorted(core)
    for number in chosen:
        key, original, _ = sources[number]
        if original not in needed[key]:
            needed[key][original] = None
            todo[key] = None


def _sources(
    subject: Subject, function: int, cut: int, region: Region
) -> list[tuple[Key, Term, Term]]:
    """
    (Where it is supposed, the term there, the term in this region) of all hypotheses.
    """
    found = [((function, cut), term, term) for term in subject.holds.get((function, cut), ())]
    for called in region.calls:
        key = (called.function, RETURN)
        made = subject.promised(called)
        found += [(key, *pair) for pair in zip(subject.holds.get(key, ()), made, strict=True)]
    return found
