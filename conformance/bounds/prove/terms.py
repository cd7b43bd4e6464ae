"""
Terms of the proof: shared nodes of the language of certificates, simplified as they are made.

One `Terms` interns its nodes, so equal terms are one object, and a term made between two cuts stays
small although its text may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from conformance.bounds.expressions import apply_integers

UNKNOWN: Final = "unknown"
"""Operator of a value of which nothing is known; its number tells it from others."""
VARIABLES: Final = frozenset(
    {"param", "local", "stack", "global", "pages", "result", "entry-global", "entry-pages",
     "cell", UNKNOWN}
)  # fmt: skip
_COMMUTATIVE: Final = frozenset({"add", "mul", "and", "or", "xor", "eq", "ne"})
_SWAPPED: Final = {"ugt": "ult", "uge": "ule", "sgt": "slt", "sge": "sle"}
_OPPOSITE: Final = {
    "eq": "ne", "ne": "eq", "ult": "ule", "ule": "ult", "slt": "sle", "sle": "slt",
}  # fmt: skip
_MOST_REJOINED: Final = 16
_MOST_TEXT: Final = 40_000
_MOST_DEPTH: Final = 80


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """
    One node; formulas have width 0, numbers have operator `const`.
    """

    operator: str
    numbers: tuple[int | str, ...]
    operands: tuple[Term, ...]
    width: int
    serial: int = field(repr=False)

    @property
    def value(self) -> int | None:
        """
        The number, where it is one; formulas give 0 or 1.
        """
        return int(self.numbers[0]) if self.operator == "const" else None


class Terms:
    """
    Makes terms.
    """

    def __init__(self) -> None:
        """
        Start with none.
        """
        self._made: dict[tuple[object, ...], Term] = {}
        self._unknowns = 0
        self.tables: dict[str, tuple[int, tuple[int, ...]]] = {}
        """Name -> width of an entry, entries: what `lookup` looks up."""
        self.true = self.const(0, 1)
        self.false = self.const(0, 0)

    def _intern(
        self, operator: str, numbers: tuple[int | str, ...], operands: tuple[Term, ...], width: int
    ) -> Term:
        key = (operator, numbers, tuple([part.serial for part in operands]), width)
        found = self._made.get(key)
        if found is None:
            found = Term(operator, numbers, operands, width, len(self._made))
            self._made[key] = found
        return found

    def const(self, width: int, value: int) -> Term:
        """
        A number of *width* bits; width 0 gives a formula.
        """
        return self._intern("const", (value & ((1 << (width or 1)) - 1),), (), width)

    def variable(self, kind: str, index: int, width: int) -> Term:
        """
        A variable of the state.
        """
        return self._intern(kind, () if kind.endswith("pages") else (index,), (), width)

    def unknown(self, width: int) -> Term:
        """
        A new value of which nothing is known.
        """
        self._unknowns += 1
        return self._intern(UNKNOWN, (self._unknowns,), (), width)

    def lookup(self, table: str, index: Term) -> Term:
        """
        An entry of a table, 0 beyond its end.
        """
        width, entries = self.tables[table]
        at = index.value
        if at is not None:
            return self.const(width, entries[at] if at < len(entries) else 0)
        return self._intern("lookup", (table,), (index,), width)

    # ------------------------------------------------------------------------- operators

    def two(self, operator: str, left: Term, right: Term) -> Term:
        """
        A binary operator or comparison.
        """
        if operator in _SWAPPED:
            operator, left, right = _SWAPPED[operator], right, left
        comparing = operator in _OPPOSITE
        width = 0 if comparing else left.width
        one, other = left.value, right.value
        if one is not None and other is not None:
            widths = [left.width, right.width]
            return self.const(width, apply_integers(operator, (), width, [one, other], widths))
        if operator == "sub" and other is not None:
            return self.two("add", left, self.const(width, -other))
        if operator in _COMMUTATIVE and (
            one is not None or (other is None and left.serial > right.serial)
        ):
            left, right, one, other = right, left, other, one
        found = self._same(operator, left, right) if left is right else None
        if found is None and other is not None:
            found = self._with_number(operator, left, right, other)
        if found is None and not comparing:
            found = self._bits(operator, left, right)
        return found or self._intern(operator, (), (left, right), width)

    def _same(self, operator: str, left: Term, right: Term) -> Term | None:
        del right
        if operator in ("eq", "ule", "sle"):
            return self.true
        if operator in ("ne", "ult", "slt"):
            return self.false
        if operator in ("sub", "xor"):
            return self.const(left.width, 0)
        return left if operator in ("and", "or") else None

    def _with_number(  # noqa: PLR0911 - one return for each rule
        self, operator: str, left: Term, right: Term, number: int
    ) -> Term | None:
        """
        *left* with a number on the right; None where nothing simpler is known.
        """
        width, ones = left.width, (1 << left.width) - 1
        if operator in ("add", "or", "xor", "shl", "lshr", "ashr") and number == 0:
            return left
        if operator == "and" and number in (0, ones):
            return left if number else right
        if operator == "mul" and number in (0, 1):
            return left if number else right
        if operator == "add" and left.operator == "add" and left.operands[1].value is not None:
            total = left.operands[1].value + number
            return self.two("add", left.operands[0], self.const(width, total))
        if operator in ("eq", "ne"):
            return self._equal_to(operator, left, number)
        if operator == "ult" and number == 0:
            return self.false
        return None

    def _equal_to(self, operator: str, left: Term, number: int) -> Term | None:
        if left.operator == "add" and left.operands[1].value is not None:
            rest = self.const(left.width, number - left.operands[1].value)
            return self.two(operator, left.operands[0], rest)
        if left.operator == "ite":
            condition, *values = left.operands
            one, other = values[0].value, values[1].value
            if one is not None and other is not None and one != other:
                hit = [one == number, other == number]
                if operator == "ne":
                    hit = [not h for h in hit]
                if hit[0] == hit[1]:
                    return self.true if hit[0] else self.false
                return condition if hit[0] else self.no(condition)
        return None

    def _bits(self, operator: str, left: Term, right: Term) -> Term | None:
        """
        Conjunction and disjunction of truth values held in words.
        """
        if operator not in ("and", "or"):
            return None
        formulas = [self.truth(part) for part in (left, right)]
        if formulas[0] is None or formulas[1] is None:
            return None
        both = [formulas[0], formulas[1]]
        joined = self.every(both) if operator == "and" else self.some(both)
        return self.bit(joined, left.width)

    def truth(self, term: Term) -> Term | None:
        """
        The formula whose truth a word of 0 or 1 holds; None for other words.
        """
        if term.value in (0, 1):
            return self.true if term.value else self.false
        if term.operator == "ite" and [part.value for part in term.operands[1:]] == [1, 0]:
            return term.operands[0]
        return None

    def bit(self, formula: Term, width: int = 32) -> Term:
        """
        1 where *formula* holds, else 0.
        """
        return self.ite(formula, self.const(width, 1), self.const(width, 0))

    def ite(self, condition: Term, yes: Term, other: Term) -> Term:
        """
        *yes* where *condition* holds, else *other*.
        """
        if condition.value is not None:
            return yes if condition.value else other
        if yes is other:
            return yes
        if yes.width == 0:
            sides = [self.every([condition, yes]), self.every([self.no(condition), other])]
            return self.some(sides)
        if condition.operator == "no":
            return self._intern("ite", (), (condition.operands[0], other, yes), yes.width)
        return self._intern("ite", (), (condition, yes, other), yes.width)

    def no(self, formula: Term) -> Term:
        """
        Negation.
        """
        if formula.value is not None:
            return self.const(0, 1 - formula.value)
        if formula.operator == "no":
            return formula.operands[0]
        opposite = _OPPOSITE.get(formula.operator)
        if opposite in ("eq", "ne"):
            return self._intern(opposite, (), formula.operands, 0)
        if opposite is not None:
            return self.two(opposite, formula.operands[1], formula.operands[0])
        return self._intern("no", (), (formula,), 0)

    def every(self, formulas: Sequence[Term]) -> Term:
        """
        Conjunction.
        """
        kept: dict[Term, None] = {}
        for formula in formulas:
            parts = formula.operands if formula.operator == "all" else (formula,)
            kept.update(dict.fromkeys(part for part in parts if part is not self.true))
        if self.false in kept or any(self.no(part) in kept for part in kept):
            return self.false
        if len(kept) < 2:  # noqa: PLR2004 - a conjunction of one is that one
            return next(iter(kept), self.true)
        return self._intern("all", (), tuple(kept), 0)

    def some(self, formulas: Sequence[Term]) -> Term:
        """
        Disjunction; paths that part at one condition and meet again lose it.
        """
        kept: dict[Term, None] = {}
        for formula in formulas:
            parts = formula.operands if formula.operator == "any" else (formula,)
            kept.update(dict.fromkeys(part for part in parts if part is not self.false))
        if self.true in kept or any(self.no(part) in kept for part in kept):
            return self.true
        if 1 < len(kept) <= _MOST_REJOINED:
            merged = self._merged(list(kept))
            if len(merged) < len(kept):
                return self.some(merged)
        if len(kept) < 2:  # noqa: PLR2004 - a disjunction of one is that one
            return next(iter(kept), self.false)
        return self._intern("any", (), tuple(kept), 0)

    def _merged(self, formulas: list[Term]) -> list[Term]:
        """
        The same disjunction, with the latest formula joined to an earlier one if that is simpler.
        """
        *earlier, last = formulas
        for at in reversed(range(len(earlier))):
            joined = self._rejoined(earlier[at], last)
            if joined is not None:
                return [*earlier[:at], *earlier[at + 1 :], joined]
        return formulas

    def _rejoined(self, left: Term, right: Term) -> Term | None:
        one = dict.fromkeys(left.operands if left.operator == "all" else (left,))
        two = dict.fromkeys(right.operands if right.operator == "all" else (right,))
        apart = ([p for p in one if p not in two], [p for p in two if p not in one])
        shared = [part for part in one if part in two]
        if not apart[0] or not apart[1]:
            return self.every(shared)
        if len(apart[0]) == 1 and len(apart[1]) == 1 and self.no(apart[0][0]) is apart[1][0]:
            return self.every(shared)
        return None

    def extend(self, term: Term, width: int, *, sign: bool = False) -> Term:
        """
        To a greater width, or the same.
        """
        if term.width == width:
            return term
        operator = "sext" if sign else "zext"
        if term.value is not None:
            return self.const(
                width, apply_integers(operator, (width,), width, [term.value], [term.width])
            )
        return self._intern(operator, (width,), (term,), width)

    def extract(self, term: Term, high: int, low: int) -> Term:
        """
        Bits *high* to *low*.
        """
        if low == 0 and high == term.width - 1:
            return term
        if term.value is not None:
            return self.const(high - low + 1, term.value >> low)
        if term.operator in ("zext", "sext") and high < term.operands[0].width:
            return self.extract(term.operands[0], high, low)
        return self._intern("extract", (high, low), (term,), high - low + 1)

    # --------------------------------------------------------------------------- traversal

    def rebuilt(  # noqa: PLR0911 - one return for each kind of node
        self, term: Term, operands: Sequence[Term]
    ) -> Term:
        """
        The node *term* over other operands.
        """
        match term.operator:
            case "all":
                return self.every(operands)
            case "any":
                return self.some(operands)
            case "no":
                return self.no(operands[0])
            case "ite":
                return self.ite(operands[0], operands[1], operands[2])
            case "zext" | "sext":
                return self.extend(operands[0], term.width, sign=term.operator == "sext")
            case "extract":
                return self.extract(operands[0], int(term.numbers[0]), int(term.numbers[1]))
            case "lookup":
                return self.lookup(str(term.numbers[0]), operands[0])
            case _:
                return self.two(term.operator, operands[0], operands[1])

    def substituted(
        self, term: Term, put: Mapping[Term, Term], memo: dict[Term, Term] | None = None
    ) -> Term:
        """
        *term* with each node that *put* names replaced.
        """
        memo = {} if memo is None else memo
        for node in ordered(term, memo):
            if node in put:
                memo[node] = put[node]
            elif not node.operands:
                memo[node] = node
            else:
                memo[node] = self.rebuilt(node, [memo[part] for part in node.operands])
        return memo[term]


def ordered(term: Term, known: Mapping[Term, object]) -> Iterator[Term]:
    """
    All nodes of *term* that are not *known*, operands before what they are operands of.
    """
    todo: list[tuple[Term, bool]] = [(term, False)]
    while todo:
        node, ready = todo.pop()
        if node in known:
            continue
        if ready or not node.operands:
            yield node
            continue
        todo.append((node, True))
        todo += [(part, False) for part in node.operands if part not in known]


def leaves(term: Term, known: dict[Term, frozenset[Term]]) -> frozenset[Term]:
    """
    The variables and unknown values in *term*; *known* remembers.
    """
    for node in ordered(term, known):
        if node.operator in VARIABLES:
            known[node] = frozenset([node])
        else:
            known[node] = frozenset().union(*[known[part] for part in node.operands])
    return known[term]


def text(term: Term) -> str | None:
    """
    *term* in the language of certificates; None if it is too long or holds an unknown value.
    """
    made: dict[Term, tuple[str, int]] = {}
    for node in ordered(term, made):
        if node.operator == UNKNOWN:
            return None
        depth = 1 + max((made[part][1] for part in node.operands), default=0)
        parts = [made[part][0] for part in node.operands]
        if node.operator == "const":
            found = _number(node)
        else:
            found = f"({' '.join([node.operator, *map(str, node.numbers), *parts])})"
        if len(found) > _MOST_TEXT or depth > _MOST_DEPTH:
            return None
        made[node] = (found, depth)
    return made[term][0]


def _number(node: Term) -> str:
    if node.width == 0:
        return "(all)" if node.value else "(any)"
    return (
        f"(i{node.width} {node.value})"
        if node.width in (32, 64)
        else (f"(const {node.width} {node.value})")
    )


def evaluate(
    term: Term, values: Callable[[Term], int | None], terms: Terms,
    memo: dict[Term, int | None] | None = None,
) -> int | None:  # fmt: skip
    """
    The value of *term* where *values* gives those of variables; None where one is missing.
    """
    memo = {} if memo is None else memo
    for node in ordered(term, memo):
        if node.operator in VARIABLES:
            memo[node] = values(node)
            continue
        if node.operator == "const":
            memo[node] = node.value
            continue
        parts = [memo[part] for part in node.operands]
        memo[node] = _applied(node, parts, terms)
    return memo[term]


def _applied(node: Term, parts: Sequence[int | None], terms: Terms) -> int | None:
    known = [part for part in parts if part is not None]
    if node.operator in ("all", "any"):
        decided = node.operator == "any"
        if any(bool(part) == decided for part in known):
            return int(decided)
    if node.operator == "ite" and parts[0] is not None:
        return parts[1] if parts[0] else parts[2]
    if len(known) < len(parts):
        return None
    if node.operator == "lookup":
        entries = terms.tables[str(node.numbers[0])][1]
        return entries[known[0]] if known[0] < len(entries) else 0
    numbers = tuple(int(number) for number in node.numbers)
    widths = [part.width for part in node.operands]
    return apply_integers(node.operator, numbers, node.width, known, widths)
