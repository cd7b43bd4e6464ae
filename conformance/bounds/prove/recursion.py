"""
Functions that call themselves: a potential over their parameters that pays for all activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove.obligations import recursion_goals
from conformance.bounds.prove.ranks import search
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.subject import FunctionProof, Subject
from conformance.bounds.prove.terms import Term

_MOST: int = 1 << 20
"""Activations beyond which no bound is of use: stacks of engines end far below."""


def find_potential(
    subject: Subject, solver: Solver, proof: FunctionProof, given: Sequence[Term]
) -> bool:
    """
    Whether a potential was proved; it then stands in `subject.potentials`.

    *given*: what the precondition says, where the function is the entry.
    """
    for term in _candidates(subject, proof):
        subject.potentials[proof.function] = (term, 0)
        if not all(
            solver.proves([*subject.hypotheses(proof.function, goal.cut), goal.guard], goal.formula)
            for goal in recursion_goals(subject, proof)
        ):
            continue
        most = _most(subject, solver, proof, term, given)
        if most is not None and most < _MOST:
            subject.potentials[proof.function] = (term, most)
            return True
    subject.potentials.pop(proof.function, None)
    return False


def _candidates(subject: Subject, proof: FunctionProof) -> Iterator[Term]:
    """
    A parameter that counts down to 0 or up to a limit, and 1 for the last activation.
    """
    terms = subject.terms
    for param in proof.executor.params:
        if param.width != 32:  # noqa: PLR2004 - potentials are words
            continue
        one = terms.const(32, 1)
        yield terms.two("add", param, one)
        for term in subject.holds.get((proof.function, ENTRY), ()):
            if term.operator == "ule" and term.operands[0] is param:
                limit = term.operands[1]
                yield terms.two("add", terms.two("sub", limit, param), one)


def _most(
    subject: Subject, solver: Solver, proof: FunctionProof, term: Term, given: Sequence[Term]
) -> int | None:
    """
    The greatest potential that a call from outside of the function gives it.
    """
    found: list[int | None] = []
    if proof.function == subject.entry:
        found.append(search(solver, given, term, highest=True))
    for function, caller in subject.functions.items():
        if function == proof.function:
            continue
        for cut, region in caller.regions.items():
            for called in region.calls:
                if called.function == proof.function:
                    hypotheses = [*subject.hypotheses(function, cut), called.guard]
                    value = subject.potential(called)
                    found.append(search(solver, hypotheses, value, highest=True))
    known = [most for most in found if most is not None]
    return max(known, default=None) if len(known) == len(found) else None
