"""
Keeps of the candidates at all cuts of all functions what is inductive together.

Source: C. Flanagan, K. R. M. Leino, "Houdini, an annotation assistant for ESC/Java", 2001.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.states import EXIT
from conformance.bounds.prove.subject import RETURN, Key, Subject
from conformance.bounds.prove.terms import Term, evaluate


@dataclass(frozen=True, slots=True)
class Way:
    """
    One way on which what is supposed somewhere must be shown: from a region, where *guard* holds.
    """

    function: int
    cut: int
    guard: Term
    target: Key
    goals: tuple[Term, ...]
    """One for each term supposed at the target, in the same order."""


def ways(subject: Subject, function: int, cut: int) -> Iterator[Way]:
    """
    All ways out of one region to somewhere with suppositions, each made when it is asked for.
    """
    proof = subject.functions[function]
    region = proof.regions[cut]
    for target, state in region.ends:
        key = (function, RETURN if target == EXIT else target)
        supposed = subject.holds.get(key, [])
        if not supposed or target < EXIT:
            continue
        returns = target == EXIT
        put = proof.put_result(subject.terms, state) if returns else proof.put(target, state)
        known: dict[Term, Term] = {}
        goals = tuple(subject.terms.substituted(term, put, known) for term in supposed)
        yield Way(function, cut, state.guard, key, goals)
    for called in region.calls:
        goals = tuple(subject.required(called))
        if goals:
            key = (called.function, ENTRY)
            yield Way(function, cut, called.guard, key, goals)


def settle(subject: Subject, solver: Solver) -> None:
    """
    Drop suppositions until all that are left hold on every way; what is given at entry stays.
    """
    regions = [(f, cut) for f, proof in subject.functions.items() for cut in proof.regions]
    todo = dict.fromkeys(regions)
    while todo:
        function, cut = next(iter(todo))
        del todo[function, cut]
        for key in _settle_region(subject, solver, function, cut):
            todo.update(dict.fromkeys(_dependent(subject, key)))


def bury(subject: Subject, solver: Solver) -> None:
    """
    Suppose `false`, and nothing else, at cuts where what is left after `settle` contradicts itself.

    No run gets there. All ways to such a cut were shown to be impossible, so this is inductive too.
    """
    false = subject.terms.false
    for function, proof in subject.functions.items():
        for cut in proof.regions:
            at_entry = (function, cut) == (subject.entry, ENTRY)
            if not at_entry and solver.proves(subject.hypotheses(function, cut), false):
                subject.holds[function, cut] = [false]


def _dependent(subject: Subject, key: Key) -> list[tuple[int, int]]:
    """
    Regions that lean on what is supposed at *key*.
    """
    function, place = key
    if place != RETURN:
        return [(function, place)]
    return [
        (caller, cut)
        for caller, proof in subject.functions.items()
        for cut, region in proof.regions.items()
        if any(called.function == function for called in region.calls)
    ]


def _settle_region(subject: Subject, solver: Solver, function: int, cut: int) -> list[Key]:
    """
    Drop what one region refutes; returns where something was dropped.
    """
    dropped: dict[Key, None] = {}
    again = True
    while again:
        again = False
        hypotheses = subject.hypotheses(function, cut)
        for way in ways(subject, function, cut):
            wrong = _wrong(subject, solver, hypotheses, way)
            if not wrong:
                continue
            supposed = subject.holds[way.target]
            subject.holds[way.target] = [
                term for number, term in enumerate(supposed) if number not in wrong
            ]
            dropped[way.target] = None
            if way.target == (function, cut) or way.target[1] == RETURN:
                again = True
                break
    return list(dropped)


def _wrong(subject: Subject, solver: Solver, hypotheses: Sequence[Term], way: Way) -> set[int]:
    """
    Numbers of the goals of a way that do not hold, or are not known to.
    """
    wrong: set[int] = set()
    while True:
        open_ones = [k for k in range(len(way.goals)) if k not in wrong]
        goals = [way.goals[k] for k in open_ones]
        if not goals:
            return wrong
        verdict, model = solver.ask([*hypotheses, way.guard], subject.terms.every(goals))
        if verdict == "proved":
            return wrong
        before = len(wrong)
        if model is not None:
            memo: dict[Term, int | None] = {}
            wrong |= {
                k for k in open_ones if evaluate(way.goals[k], model, subject.terms, memo) == 0
            }
        if len(wrong) == before:
            wrong |= {
                k for k in open_ones if not solver.proves([*hypotheses, way.guard], way.goals[k])
            }
            return wrong
