"""
What might hold at a cut, suggested by abstract execution.

As all guesses: `houdini` keeps what the solver proves, and the checker confirms it or there is no
number. Where every path was followed to its end, a cut that no state came to may be dead.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import Final

from conformance.bounds.abstract.domain import Value, ends
from conformance.bounds.abstract.explore import Explored
from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove.candidates import within
from conformance.bounds.prove.observe import Observed
from conformance.bounds.prove.subject import FunctionProof
from conformance.bounds.prove.terms import Term, Terms

_MOST_CHOICES: Final = 8
"""Members of a set that are named one by one."""


def add_rows(observed: Observed, explored: Explored) -> None:
    """
    Give *observed* the states of abstract execution for cuts that no run of the module reached.
    """
    for key, cut in explored.seen.cuts.items():
        if not observed.at(*key):
            rows = cut.rows
            if rows and key[1] != ENTRY:
                observed.rows[key] = rows


def guided(
    terms: Terms, proof: FunctionProof, cut: int, explored: Explored | None
) -> Iterator[Term]:
    """
    Candidates at one cut, in a stable order.
    """
    if explored is None:
        return
    found = explored.seen.cuts.get((proof.function, cut))
    if found is None:
        if explored.complete:
            yield terms.false
        return
    whole = found.whole
    variables = proof.relevant[cut] | set(proof.executor.params)
    for variable in sorted(variables, key=lambda v: (v.operator, v.numbers, v.width)):
        index = int(variable.numbers[0]) if variable.numbers else 0
        value = whole.get((variable.operator, index))
        if value is not None:
            yield from _about(terms, variable, value)


def _about(terms: Terms, variable: Term, value: Value) -> Iterator[Term]:
    """
    That a variable is what a value can be.
    """
    width = variable.width
    low, high = ends(value, width)
    if low == high:
        yield terms.two("eq", variable, terms.const(width, low))
        return
    if high - low >= 1 << (width - 1) and isinstance(value, frozenset):
        half, top = 1 << (width - 1), 1 << width
        signed = [one - top if one >= half else one for one in value]
        low, high = min(signed), max(signed)
    yield from within(terms, variable, low, high)
    if isinstance(value, frozenset):
        if len(value) <= _MOST_CHOICES:
            equal = [terms.two("eq", variable, terms.const(width, one)) for one in sorted(value)]
            yield terms.some(equal)
        yield from _residue(terms, variable, sorted(value))


def _residue(terms: Terms, variable: Term, numbers: list[int]) -> Iterator[Term]:
    width = variable.width
    step = gcd(*[one - numbers[0] for one in numbers])
    if step & (step - 1):
        rest = terms.two("urem", variable, terms.const(width, step))
        yield terms.two("eq", rest, terms.const(width, numbers[0] % step))
    step &= -step
    if step > 1:
        bits = terms.extract(variable, step.bit_length() - 2, 0)
        yield terms.two("eq", bits, terms.const(bits.width, numbers[0] % step))
