"""
What might hold at a cut, suggested by rows of runs and by the text of the code.

Everything here is only a guess: `houdini` keeps what the solver proves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import gcd
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove.observe import Observed, Values
from conformance.bounds.prove.subject import FunctionProof
from conformance.bounds.prove.terms import Term, Terms, leaves, ordered

_MOST_VARIABLES: Final = 40
_MOST_FACTOR: Final = 1 << 16
Columns = NDArray[Any]


def guesses(
    terms: Terms, proof: FunctionProof, cut: int, observed: Observed
) -> list[Term]:  # fmt: skip
    """
    Candidates at one cut, in a stable order, each once.
    """
    variables = _ordered(proof.relevant[cut] | set(proof.executor.params))
    found: dict[Term, None] = {}
    rows = observed.at(proof.function, cut)
    if rows:
        found.update(dict.fromkeys(_from_rows(terms, variables[:_MOST_VARIABLES], rows)))
    if cut != ENTRY:
        found.update(dict.fromkeys(_from_text(terms, proof, cut, variables)))
        found.update(dict.fromkeys(_available(terms, proof, cut, variables)))
        if proof.executor.cells:
            found.update(dict.fromkeys(_kept(terms, proof, cut, variables)))
    return [term for term in found if term.value is None]


def _ordered(variables: frozenset[Term]) -> list[Term]:
    return sorted(variables, key=lambda v: (v.operator, v.numbers, v.width))


# ------------------------------------------------------------------------------- rows of runs


def _from_rows(terms: Terms, variables: Sequence[Term], rows: Sequence[Values]) -> Iterator[Term]:
    columns: dict[Term, Columns] = {}
    for variable in variables:
        key = (variable.operator, int(variable.numbers[0]) if variable.numbers else 0)
        values = [row.get(key) for row in rows]
        if None not in values:
            columns[variable] = np.array(values, object)
    for variable, column in columns.items():
        yield from _alone(terms, variable, column)
    moving = {v for v, column in columns.items() if min(column) != max(column)}
    for left, right in combinations(columns, 2):
        if left.width != right.width:
            continue
        if left in moving and right in moving:
            yield from _pair(terms, left, right, columns[left], columns[right])
        elif "entry-global" in (left.operator, right.operator):
            continue  # A number in all rows: the range of the other one says as much.
        elif left in moving or right in moving:
            yield from _order(terms, left, right, columns[left], columns[right])
        elif "param" in (left.operator, right.operator) and (columns[left] == columns[right]).all():
            yield terms.two("eq", left, right)


def _alone(terms: Terms, variable: Term, column: Columns) -> Iterator[Term]:
    low, high = int(min(column)), int(max(column))
    width = variable.width
    if low == high:
        yield terms.two("eq", variable, terms.const(width, low))
        return
    if high - low >= 1 << (width - 1):
        signed = [int(x) - (1 << width) if int(x) >> (width - 1) else int(x) for x in column]
        low, high = min(signed), max(signed)
    yield from within(terms, variable, low, high)
    step = gcd(*[int(x) - low for x in column])
    if step > 1 and step & (step - 1):
        rest = terms.two("urem", variable, terms.const(width, step))
        yield terms.two("eq", rest, terms.const(width, low % step))
    step &= -step
    if step > 1:
        bits = terms.extract(variable, step.bit_length() - 2, 0)
        yield terms.two("eq", bits, terms.const(bits.width, low))


def within(terms: Terms, variable: Term, low: int, high: int) -> Iterator[Term]:
    """
    That a variable lies between two numbers, of which *low* may be negative.
    """
    width = variable.width
    if low < 0:
        shifted = terms.two("add", variable, terms.const(width, -low))
        yield terms.two("ule", shifted, terms.const(width, high - low))
        return
    if low:
        yield terms.two("uge", variable, terms.const(width, low))
    yield terms.two("ule", variable, terms.const(width, high))
    rounded = (1 << high.bit_length()) - 1
    if rounded != high and rounded < (1 << width) - 1:
        yield terms.two("ule", variable, terms.const(width, rounded))


def _pair(terms: Terms, left: Term, right: Term, a: Columns, b: Columns) -> Iterator[Term]:
    mask = (1 << left.width) - 1
    difference = (int(a[0]) - int(b[0])) & mask
    if all((int(x) - int(y)) & mask == difference for x, y in zip(a, b, strict=True)):
        yield terms.two("eq", terms.two("sub", left, right), terms.const(left.width, difference))
        return
    yield from _order(terms, left, right, a, b)
    yield from _linear(terms, left, right, a, b)


def _order(terms: Terms, left: Term, right: Term, a: Columns, b: Columns) -> Iterator[Term]:
    for one, other, holds, strictly in (
        (left, right, (a <= b).all(), (a < b).all()),
        (right, left, (a >= b).all(), (a > b).all()),
    ):
        if strictly:
            yield terms.two("ult", one, other)
        if holds:
            yield terms.two("ule", one, other)


def _linear(terms: Terms, left: Term, right: Term, a: Columns, b: Columns) -> Iterator[Term]:
    """
    `p * left - q * right = r`, from the first two rows that differ in both.

    Arguments need a third one, as any two pairs of them lie on a line.
    """
    arguments = {left.operator, right.operator} <= {"param", "entry-global"}
    if arguments and len(set(zip(a, b, strict=True))) < 3:  # noqa: PLR2004 - two points
        return
    other = next((k for k in range(len(a)) if a[k] != a[0] and b[k] != b[0]), None)
    if other is None:
        return
    rise, run = int(b[other]) - int(b[0]), int(a[other]) - int(a[0])
    shared = gcd(rise, run)
    p, q = rise // shared, run // shared
    if p < 0:
        p, q = -p, -q
    if p >= _MOST_FACTOR or abs(q) >= _MOST_FACTOR:
        return
    rest = int(a[0]) * p - int(b[0]) * q
    if all(int(x) * p - int(y) * q == rest for x, y in zip(a, b, strict=True)):
        width = left.width
        scaled = [
            terms.two("mul", left, terms.const(width, p)),
            terms.two("mul", right, terms.const(width, q)),
        ]
        yield terms.two("eq", terms.two("sub", *scaled), terms.const(width, rest))


# ------------------------------------------------------------------------------ text of the code


def comparisons(formula: Term) -> Iterator[tuple[str, Term, Term]]:
    """
    The comparisons of words in a formula.
    """
    for node in ordered(formula, {}):
        if node.operator in ("eq", "ne", "ult", "ule", "slt", "sle"):
            yield node.operator, node.operands[0], node.operands[1]


def split(term: Term) -> tuple[Term, int]:
    """
    (Base, number) whose sum is *term*.
    """
    if term.operator == "add" and term.operands[1].value is not None:
        return term.operands[0], term.operands[1].value
    return term, 0


def step_of(before: Term, after: Term) -> int | None:
    """
    The change from *before* to *after* as a signed number where it is known from the text.
    """
    (one, start), (two, end) = split(before), split(after)
    if one is not two:
        return None
    width = before.width
    change = (end - start) & ((1 << width) - 1)
    return change - (1 << width) if change >> (width - 1) else change


def _from_text(
    terms: Terms, proof: FunctionProof, cut: int, variables: Sequence[Term]
) -> Iterator[Term]:
    """
    Ranges whose ends are numbers in tests and entry values, moved by steps.
    """
    numbers: dict[Term, set[int]] = {variable: set() for variable in variables}
    steps: dict[Term, set[int]] = {variable: set() for variable in variables}
    # Tests of other regions count as well: a variable may be carried past loops to its own.
    for region in proof.regions.values():
        for _, state in region.ends:
            for _, left, right in comparisons(state.guard):
                for one, other in ((left, right), (right, left)):
                    base, offset = split(one)
                    if base in numbers and other.value is not None:
                        numbers[base].add(other.value - offset)
    for origin, source in proof.regions.items():
        for target, state in source.ends:
            if target == cut:
                put = proof.put(cut, state)
                _changes(put, variables, numbers, steps if origin == cut else None)
                _looked_up(terms, put, variables, numbers)
    for variable in variables:
        yield from _thresholds(terms, variable, numbers[variable], steps[variable])


def _changes(
    put: Mapping[Term, Term], variables: Sequence[Term], numbers: dict[Term, set[int]],
    steps: dict[Term, set[int]] | None,
) -> None:  # fmt: skip
    """
    Add the numbers that variables are set to, and, where *steps* is given, their changes.
    """
    for variable in variables:
        term = put.get(variable)
        if term is not None and term.value is not None:
            numbers[variable].add(term.value)
        elif term is not None and steps is not None:
            step = step_of(variable, term)
            if step:
                steps[variable].add(step)


def _looked_up(
    terms: Terms, put: Mapping[Term, Term], variables: Sequence[Term],
    numbers: dict[Term, set[int]],
) -> None:  # fmt: skip
    """
    Add the greatest entries of the tables from which variables are set.
    """
    for variable in variables:
        if variable in put:
            for node in ordered(put[variable], {}):
                if node.operator == "lookup":
                    numbers[variable].add(max(terms.tables[str(node.numbers[0])][1]))


def _thresholds(terms: Terms, variable: Term, numbers: set[int], steps: set[int]) -> Iterator[Term]:
    width, top = variable.width, 1 << variable.width
    moved = {0, -1, 1} | steps | {-step for step in steps}
    found = sorted({(number + move) % top for number in numbers for move in moved})
    if len(found) > 24:  # noqa: PLR2004 - more are not worth their questions
        return
    for number in found:
        yield terms.two("ule", variable, terms.const(width, number))
        yield terms.two("uge", variable, terms.const(width, number))
        yield terms.two("sle", variable, terms.const(width, number))
        yield terms.two("sge", variable, terms.const(width, number))
    for step in sorted(map(abs, steps)):
        low = step & -step
        if low > 1 and numbers:
            bits = terms.extract(variable, low.bit_length() - 2, 0)
            yield terms.two("eq", bits, terms.const(bits.width, min(numbers)))


def _available(
    terms: Terms, proof: FunctionProof, cut: int, variables: Sequence[Term]
) -> Iterator[Term]:
    """
    That a variable still is the function of others from which it was computed.
    """
    known: dict[Term, frozenset[Term]] = {}
    for region in proof.regions.values():
        for target, state in region.ends:
            if target != cut:
                continue
            put = proof.put(cut, state)
            sources: dict[Term, Term] = {}
            for name, made in put.items():
                if made.value is None and name in proof.relevant[cut]:
                    sources.setdefault(made, name)
            for variable in variables:
                term = put.get(variable)
                if term is None or term.value is not None or not term.operands:
                    continue
                others: dict[Term, Term] = {
                    made: var for made, var in sources.items() if var is not variable
                }
                others.pop(term, None)
                again = terms.substituted(term, others)
                names = leaves(again, known)
                free = {v for v in names if v.operator == "unknown" or put.get(v, v) is not v}
                if again is not term and free <= set(others.values()):
                    yield terms.two("eq", variable, again)


def _kept(
    terms: Terms, proof: FunctionProof, cut: int, variables: Sequence[Term]
) -> Iterator[Term]:
    """
    That a variable still is what it was set to from parameters and globals at the entry.
    """
    known: dict[Term, frozenset[Term]] = {}
    fixed = {"param", "entry-global"}
    for region in proof.regions.values():
        for target, state in region.ends:
            if target == cut:
                put = proof.put(cut, state)
                for variable in variables:
                    term = put.get(variable)
                    if term is not None and {v.operator for v in leaves(term, known)} <= fixed:
                        yield terms.two("eq", variable, term)
                        yield from _signs(terms, variable)


def _signs(terms: Terms, variable: Term) -> Iterator[Term]:
    """
    That a variable is not negative, as what counts up from nothing is.
    """
    yield terms.two("sge", variable, terms.const(variable.width, 0))


def arguments(terms: Terms, callers: Sequence[FunctionProof], function: int) -> list[Term]:
    """
    What the arguments of a function may be, by the numbers that its callers pass.
    """
    passed: dict[int, set[Term]] = {}
    for caller in callers:
        for region in caller.regions.values():
            for called in region.calls:
                if called.function == function:
                    for k, argument in enumerate(called.arguments):
                        passed.setdefault(k, set()).add(argument)
    found: list[Term] = []
    for k, values in sorted(passed.items()):
        numbers = [term.value for term in values if term.value is not None]
        if len(numbers) < len(values):
            continue
        variable = terms.variable("param", k, next(iter(values)).width)
        found += within(terms, variable, min(numbers), max(numbers))
        if len(numbers) == 1:
            found.append(terms.two("eq", variable, terms.const(variable.width, numbers[0])))
    return found


def kept_parameters(terms: Terms, proof: FunctionProof, required: Sequence[Term]) -> list[Term]:
    """
    Requirements that speak of parameters and entry values only: they hold at every cut.
    """
    del terms, proof
    known: dict[Term, frozenset[Term]] = {}
    fixed = {"param", "entry-global", "entry-pages"}
    return [term for term in required if {leaf.operator for leaf in leaves(term, known)} <= fixed]
