"""
Loops that walk over constants, such as trees: the longest walk from each node is a rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from conformance.bounds.expressions import apply_integers
from conformance.bounds.prove.candidates import step_of
from conformance.bounds.prove.constants import Constants
from conformance.bounds.prove.subject import FunctionProof, Subject
from conformance.bounds.prove.terms import VARIABLES, Term, Terms, ordered

_MOST_NODES: Final = 1 << 14
_MOST_VALUES: Final = 32
_MOST_CHOICES: Final = 4


@dataclass(frozen=True, slots=True)
class Walk:
    """
    A loop that walks over constants.
    """

    function: int
    loop: int
    node: Term
    """The variable that holds the node."""
    height: Term
    """The longest walk from it, as a lookup."""
    longest: tuple[int, ...]
    """By node."""
    sums: dict[int, dict[int, Term]] = field(default_factory=dict)
    """Loop around it -> measures that count its repetitions in all of that loop's passages."""


def walks(subject: Subject, constants: Constants) -> list[Walk]:
    """
    Loops that walk over constants, with the longest walk from each node.
    """
    if not constants.spans:
        return []
    terms = subject.terms
    found: list[Walk] = []
    for function, proof in subject.functions.items():
        for cut in proof.layout.cuts[1:]:
            for variable in sorted(proof.relevant[cut], key=lambda v: v.serial):
                count = _nodes(subject, function, cut, variable)
                longest = None
                if count is not None:
                    longest = _walks(subject, proof, cut, variable, count)
                if longest is None or not any(longest):
                    continue
                height = terms.lookup(_tabled(terms, "height", longest), variable)
                walk = Walk(function, cut, variable, height, longest)
                walk.sums.update(_sums(subject, proof, walk))
                found.append(walk)
    return found


def _tabled(terms: Terms, what: str, entries: tuple[int, ...]) -> str:
    """
    The name of a new table, or of an equal one.
    """
    for name, (_, known) in terms.tables.items():
        if known == entries and name.startswith(what):
            return name
    name = f"{what}{len(terms.tables)}"
    terms.tables[name] = (32, entries)
    return name


def _sums(subject: Subject, proof: FunctionProof, walk: Walk) -> dict[int, dict[int, Term]]:
    """
    For a loop directly around a walk: what the walks of all later passages take together.
    """
    terms = subject.terms
    around = proof.layout.around[walk.loop]
    if not around or proof.layout.cuts.count(around[-1]) != 1:
        return {}
    outer = around[-1]
    if [c for c in proof.layout.cuts if proof.layout.inside(c, outer)] != [outer, walk.loop]:
        return {}
    for variable in sorted(proof.relevant[outer], key=lambda v: v.serial):
        count = _nodes(subject, proof.function, outer, variable)
        step = _common_step(proof, outer, variable)
        if count is None or not step or step < 0:
            continue
        roots = _roots(subject, proof, walk, outer, variable, count)
        if roots is None:
            continue
        later = [0] * (count + step)
        for number in reversed(range(count)):
            most = max((walk.longest[root] for root in roots[number]), default=0)
            later[number] = most + later[number + step]
        table = _tabled(terms, "sum", tuple(later))
        after = terms.two("add", variable, terms.const(variable.width, step))
        inside = terms.two("add", walk.height, terms.lookup(table, after))
        return {outer: {outer: terms.lookup(table, variable), walk.loop: inside}}
    return {}


def _common_step(proof: FunctionProof, outer: int, variable: Term) -> int | None:
    """
    By how much a variable moves on every way back to the head of *outer*; None: not always alike.
    """
    steps = set()
    for cut in proof.layout.cuts:
        if proof.layout.inside(cut, outer):
            for target, end in proof.regions[cut].ends:
                if target == outer:
                    steps.add(step_of(variable, proof.put(outer, end).get(variable, variable)))
    return steps.pop() if len(steps) == 1 else None


def _roots(
    subject: Subject, proof: FunctionProof, walk: Walk, outer: int, variable: Term, count: int
) -> list[frozenset[int]] | None:
    """
    Nodes at which the walk can begin, for each value of the outer loop's variable.
    """
    equal = _equalities(subject.holds.get((proof.function, outer), ()), variable)
    found = []
    for number in range(count):
        nodes: set[int] = set()
        for target, end in proof.regions[outer].ends:
            if target != walk.loop:
                continue
            put = proof.put(walk.loop, end)
            known = {variable: frozenset([number])}
            begun = _next(subject.terms, known, equal, end.guard, put.get(walk.node, walk.node))
            if begun is None or any(node >= len(walk.longest) for node in begun):
                return None
            nodes |= begun
        found.append(frozenset(nodes))
    return found


def _nodes(subject: Subject, function: int, cut: int, variable: Term) -> int | None:
    """
    How many values a variable can have, from 0 on.
    """
    if variable.operator not in ("local", "stack") or variable.width != 32:  # noqa: PLR2004 - i32
        return None
    tops = [
        term.operands[1].value
        for term in subject.holds.get((function, cut), ())
        if term.operator == "ule" and term.operands[0] is variable
    ]
    tops += [
        term.operands[1].value - 1
        for term in subject.holds.get((function, cut), ())
        if term.operator == "ult" and term.operands[0] is variable and term.operands[1].value
    ]
    known = [top for top in tops if top is not None]
    return min(known) + 1 if known and min(known) < _MOST_NODES else None


def _walks(
    subject: Subject, proof: FunctionProof, cut: int, variable: Term, count: int
) -> tuple[int, ...] | None:
    """
    Longest walk from each node; None where a next node is unknown or nodes form a cycle.
    """
    ways = [end for target, end in proof.regions[cut].ends if target == cut]
    holds = subject.holds.get((proof.function, cut), ())
    equal = _equalities(holds, variable)
    following: list[list[int]] = []
    for node in range(count):
        after: set[int] = set()
        here = _Values(subject.terms, {variable: frozenset([node])}, equal)
        # A node for which something proved is false is never at the head.
        possible = all(here.of(term) != frozenset([0]) for term in holds)
        for end in ways if possible else ():
            moved = proof.put(cut, end).get(variable, variable)
            nodes = _next(subject.terms, {variable: frozenset([node])}, equal, end.guard, moved)
            if nodes is None:
                return None
            after |= nodes
        following.append(sorted(x for x in after if x < count))
        if any(x >= count for x in after):
            return None
    return _longest(following)


def _next(
    terms: Terms, known: Mapping[Term, frozenset[int] | None], equal: Mapping[Term, Term],
    guard: Term, moved: Term,
) -> frozenset[int] | None:  # fmt: skip
    """
    Values of *moved* where *guard* can hold; choices of which nothing is known are made in turn.
    """
    first = _Values(terms, dict(known), equal)
    first.of(guard)
    first.of(moved)
    choices = {
        node.operands[0]: None
        for term in (guard, moved)
        for node in ordered(term, {})
        if node.operator == "ite" and len(first.known.get(node.operands[0]) or ()) != 1
    }
    open_ones = list(choices)[:_MOST_CHOICES]
    found: set[int] = set()
    for made in product((0, 1), repeat=len(open_ones)):
        forced = {term: frozenset([bit]) for term, bit in zip(open_ones, made, strict=True)}
        values = _Values(terms, {**known, **forced}, equal)
        if values.of(guard) == frozenset([0]):
            continue
        here = values.of(moved)
        if here is None:
            return None
        found |= here
    return frozenset(found)


def _equalities(holds: Sequence[Term], variable: Term) -> dict[Term, Term]:
    """
    What other variables are equal to, by what is proved.
    """
    equal: dict[Term, Term] = {}
    for term in holds:
        if term.operator == "eq":
            for one, other in (term.operands, term.operands[::-1]):
                if one.operator in VARIABLES and one is not variable:
                    equal.setdefault(one, other)
    return equal


def _longest(following: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
    """
    Edges of the longest path from each node; None if there is a cycle.
    """
    found: list[int | None] = [None] * len(following)
    entered = [False] * len(following)
    for root in range(len(following)):
        todo = [root]
        while todo:
            node = todo[-1]
            if found[node] is not None:
                todo.pop()
                continue
            missing = [n for n in following[node] if found[n] is None]
            if not missing:
                found[node] = max((1 + (found[n] or 0) for n in following[node]), default=0)
                todo.pop()
            elif entered[node]:
                return None
            else:
                entered[node] = True
                todo += missing
    return tuple(height or 0 for height in found)


@dataclass(slots=True)
class _Values:
    """
    Sets of values of terms; None: any value.
    """

    terms: Terms
    known: dict[Term, frozenset[int] | None]
    equal: Mapping[Term, Term]

    def of(self, term: Term) -> frozenset[int] | None:
        for node in ordered(term, self.known):
            if node.operator in VARIABLES:
                other = self.equal.get(node)
                self.known[node] = None
                if other is not None:
                    self.known[node] = self.of(other)
            else:
                self.known[node] = self._node(node)
        return self.known[term]

    def _node(self, node: Term) -> frozenset[int] | None:
        if node.value is not None:
            return frozenset([node.value])
        parts = [self.known[part] for part in node.operands]
        if node.operator == "ite":
            return self._choice(parts)
        if node.operator in ("all", "any"):
            deciding = frozenset([int(node.operator == "any")])
            if deciding in parts:
                return deciding
        sets = [part for part in parts if part is not None]
        if len(sets) < len(parts):
            return frozenset([0, 1]) if node.width == 0 else None
        rows: list[tuple[int, ...]] = [()]
        for part in sets:
            rows = [(*row, value) for row in rows for value in sorted(part)]
            if len(rows) > _MOST_VALUES:
                return None if node.width else frozenset([0, 1])
        return frozenset(self._applied(node, row) for row in rows)

    @staticmethod
    def _choice(parts: Sequence[frozenset[int] | None]) -> frozenset[int] | None:
        condition, yes, other = parts
        if condition == frozenset([1]):
            return yes
        if condition == frozenset([0]):
            return other
        return None if yes is None or other is None else yes | other

    def _applied(self, node: Term, row: tuple[int, ...]) -> int:
        if node.operator == "lookup":
            entries = self.terms.tables[str(node.numbers[0])][1]
            return entries[row[0]] if row[0] < len(entries) else 0
        widths = [part.width for part in node.operands]
        numbers = tuple(int(number) for number in node.numbers)
        return apply_integers(node.operator, numbers, node.width, row, widths)
