"""
Values of symbolic execution: plain integers where they are known, cvc5 terms where they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import cvc5
from cvc5 import Kind

from conformance.bounds.expressions import apply_integers

Value = Any
"""An unsigned int, or a cvc5 term: a bit vector of the width at hand, for formulas a Boolean."""

_KINDS: Final = {
    "add": Kind.BITVECTOR_ADD, "sub": Kind.BITVECTOR_SUB, "mul": Kind.BITVECTOR_MULT,
    "udiv": Kind.BITVECTOR_UDIV, "urem": Kind.BITVECTOR_UREM, "sdiv": Kind.BITVECTOR_SDIV,
    "srem": Kind.BITVECTOR_SREM, "and": Kind.BITVECTOR_AND, "or": Kind.BITVECTOR_OR,
    "xor": Kind.BITVECTOR_XOR, "shl": Kind.BITVECTOR_SHL, "lshr": Kind.BITVECTOR_LSHR,
    "ashr": Kind.BITVECTOR_ASHR, "eq": Kind.EQUAL, "ne": Kind.DISTINCT,
    "ult": Kind.BITVECTOR_ULT, "ule": Kind.BITVECTOR_ULE, "ugt": Kind.BITVECTOR_UGT,
    "uge": Kind.BITVECTOR_UGE, "slt": Kind.BITVECTOR_SLT, "sle": Kind.BITVECTOR_SLE,
    "sgt": Kind.BITVECTOR_SGT, "sge": Kind.BITVECTOR_SGE, "all": Kind.AND, "any": Kind.OR,
    "no": Kind.NOT, "not": Kind.BITVECTOR_NOT, "neg": Kind.BITVECTOR_NEG, "ite": Kind.ITE,
}  # fmt: skip
_EXTENSIONS: Final = {
    "zext": Kind.BITVECTOR_ZERO_EXTEND, "sext": Kind.BITVECTOR_SIGN_EXTEND,
}  # fmt: skip
_LOW_BITS: Final[dict[Any, Callable[[Iterable[int]], int]]] = {
    Kind.BITVECTOR_SHL: min, Kind.BITVECTOR_MULT: sum, Kind.BITVECTOR_AND: max,
    Kind.BITVECTOR_ADD: min, Kind.BITVECTOR_SUB: min, Kind.BITVECTOR_OR: min,
}  # fmt: skip
"""How many low bits of a result are zero, from those of its operands."""
_SHIFTS: Final = {"shl": "shl", "shr_u": "lshr", "shr_s": "ashr"}
_PLAIN: Final = {
    "add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor",
    "div_u": "udiv", "div_s": "sdiv", "rem_u": "urem", "rem_s": "srem",
    "eq": "eq", "ne": "ne", "lt_s": "slt", "lt_u": "ult", "gt_s": "sgt", "gt_u": "ugt",
    "le_s": "sle", "le_u": "ule", "ge_s": "sge", "ge_u": "uge",
}  # fmt: skip


class Terms:
    """
    Makes values; one instance per term manager, its fresh symbols are numbered.
    """

    def __init__(self) -> None:
        """
        Start with no symbols.
        """
        self.manager = cvc5.TermManager()
        self._fresh = 0
        self._symbols: dict[str, Any] = {}
        self._sums: dict[Any, tuple[Any, int]] = {}

    def symbol(self, name: str, width: int) -> Value:
        """
        The constant called *name*, always the same one.
        """
        key = f"{name}:{width}"
        found = self._symbols.get(key)
        if found is None:
            found = self.manager.mkConst(self.manager.mkBitVectorSort(width), name)
            self._symbols[key] = found
        return found

    def fresh(self, width: int) -> Value:
        """
        A value of which nothing is known.
        """
        self._fresh += 1
        return self.symbol(f"unknown{self._fresh}", width)

    def term(self, value: Value, width: int) -> Any:
        """
        A value as a cvc5 term; width 0 for formulas.
        """
        if not isinstance(value, int):
            return value
        if width == 0:
            return self.manager.mkBoolean(bool(value))
        return self.manager.mkBitVector(width, value)

    def apply(  # noqa: PLR0911 - one return for each kind of operator
        self, operator: str, numbers: tuple[int, ...], width: int, operands: Sequence[Value],
        widths: Sequence[int],
    ) -> Value:  # fmt: skip
        """
        An operator of the language of certificates.
        """
        if all(isinstance(operand, int) for operand in operands):
            return apply_integers(operator, numbers, width, operands, widths)
        if operator in ("all", "any"):
            return self._junction(operator, operands)
        if operator == "ite":
            return self.ite(operands[0], operands[1], operands[2], width)
        if operator in ("add", "sub"):
            return self._sum(operator, width, operands)
        made = [self.term(v, w) for v, w in zip(operands, widths, strict=True)]
        make = self.manager.mkTerm
        if operator in _EXTENSIONS:
            grown = width - widths[0]
            return (
                make(self.manager.mkOp(_EXTENSIONS[operator], grown), *made) if grown else made[0]
            )
        if operator == "extract":
            return make(self.manager.mkOp(Kind.BITVECTOR_EXTRACT, *numbers), *made)
        return make(_KINDS[operator], *made)

    def _junction(self, operator: str, operands: Sequence[Value]) -> Value:
        absorbing = operator == "any"
        open_ones = []
        for operand in operands:
            if not isinstance(operand, int):
                open_ones.append(operand)
            elif bool(operand) == absorbing:
                return int(absorbing)
        if len(open_ones) < 2:  # noqa: PLR2004 - a junction of one is that one
            return open_ones[0] if open_ones else int(not absorbing)
        return self.manager.mkTerm(_KINDS[operator], *open_ones)

    def _sum(self, operator: str, width: int, operands: Sequence[Value]) -> Value:
        """
        Sums with a known part are kept as (base, known part), so that addresses can be compared.
        """
        left, right = operands
        if isinstance(right, int) or (operator == "add" and isinstance(left, int)):
            term, known = (left, right) if isinstance(right, int) else (right, left)
            base, before = self.split(term)
            known = (before + (known if operator == "add" else -known)) & ((1 << width) - 1)
            if not known:
                return base
            made = self.manager.mkTerm(Kind.BITVECTOR_ADD, base, self.term(known, width))
            self._sums[made] = (base, known)
            return made
        return self.manager.mkTerm(_KINDS[operator], *[self.term(v, width) for v in operands])

    def split(self, value: Value) -> tuple[Value, int]:
        """
        Base and known part whose sum is *value*; the base is 0 for a known value.
        """
        return (0, value) if isinstance(value, int) else self._sums.get(value, (value, 0))

    def trailing_zeros(self, value: Value, depth: int = 6) -> int:
        """
        A number of low bits, at most 16, that are surely zero; found from how it is written.
        """
        if isinstance(value, int) or value.getKind() == Kind.CONST_BITVECTOR:
            number = value if isinstance(value, int) else int(value.getBitVectorValue(10))
            return min(16, (number & -number).bit_length() - 1) if number else 16
        kind, parts = value.getKind(), list(value)
        if not depth or kind not in _LOW_BITS:
            return 0
        if kind == Kind.BITVECTOR_SHL:
            if parts[1].getKind() != Kind.CONST_BITVECTOR:
                return self.trailing_zeros(parts[0], depth - 1)
            shifted = int(parts[1].getBitVectorValue(10))
            return min(16, self.trailing_zeros(parts[0], depth - 1) + shifted)
        return min(16, _LOW_BITS[kind](self.trailing_zeros(part, depth - 1) for part in parts))

    # ------------------------------------------------------------------------ short forms

    def both(self, *formulas: Value) -> Value:
        """
        Conjunction.
        """
        return self.apply("all", (), 0, formulas, [0] * len(formulas))

    def either(self, *formulas: Value) -> Value:
        """
        Disjunction.
        """
        return self.apply("any", (), 0, formulas, [0] * len(formulas))

    def no(self, formula: Value) -> Value:
        """
        Negation.
        """
        return self.apply("no", (), 0, [formula], [0])

    def ite(self, condition: Value, yes: Value, other: Value, width: int) -> Value:
        """
        *yes* where *condition* holds, else *other*.
        """
        if isinstance(condition, int):
            return yes if condition else other
        if same(yes, other):
            return yes
        made = (condition, self.term(yes, width), self.term(other, width))
        return self.manager.mkTerm(Kind.ITE, *made)

    def two(self, operator: str, left: Value, right: Value, width: int) -> Value:
        """
        A binary operator or comparison on values of one width.
        """
        result = 0 if operator in _COMPARING else width
        return self.apply(operator, (), result, [left, right], [width, width])

    def resize(self, value: Value, before: int, after: int, *, sign: bool = False) -> Value:
        """
        Zero- or sign-extend, or cut off.
        """
        if after < before:
            return self.apply("extract", (after - 1, 0), after, [value], [before])
        return self.apply("sext" if sign else "zext", (after,), after, [value], [before])

    def bit(self, condition: Value) -> Value:
        """
        1 or 0, 32 bits wide, as comparisons of the machine give it.
        """
        return int(bool(condition)) if isinstance(condition, int) else self.ite(condition, 1, 0, 32)

    def choose(self, index: Value, width: int, entries: Sequence[Value], result: int) -> Value:
        """
        Entry number *index*, 0 beyond the end: a tree over the bits of the index.
        """
        if isinstance(index, int):
            return entries[index] if index < len(entries) else 0
        bits = min(width, max(1, (len(entries) - 1).bit_length()))
        level = list(entries)
        for number in range(bits):
            level += [0] * (len(level) % 2)
            odd = self.two("eq", self.apply("extract", (number, number), 1, [index], [width]), 1, 1)
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [self.ite(odd, high, low, result) for low, high in pairs]
        beyond = 0 if width <= bits else self.two("uge", index, 1 << bits, width)
        return self.ite(beyond, 0, level[0] if level else 0, result)

    # --------------------------------------------------------- integer operators of the machine

    def integer(self, operator: str, width: int, operands: Sequence[Value]) -> Value | None:
        """
        `i32.` or `i64.` *operator* on operands of *width* bits; None for one that is not known.

        Source: core specification 2.0, section 4.3.2. Where the machine traps, the value is that of
        the language of certificates.
        """
        first = operands[0]
        if operator in _SHIFTS or operator in ("rotl", "rotr"):
            count = self.two("and", operands[1], width - 1, width)
            if operator in _SHIFTS:
                return self.two(_SHIFTS[operator], first, count, width)
            back = self.two("and", self.two("sub", width, count, width), width - 1, width)
            left, right = (count, back) if operator == "rotl" else (back, count)
            up = self.two("shl", first, left, width)
            return self.two("or", up, self.two("lshr", first, right, width), width)
        if operator in _PLAIN:
            found = self.two(_PLAIN[operator], first, operands[1], width)
            return self.bit(found) if _PLAIN[operator] in _COMPARING else found
        if operator == "eqz":
            return self.bit(self.two("eq", first, 0, width))
        if operator in ("clz", "ctz", "popcnt"):
            return self._counted(operator, first, width)
        extend: dict[str, Callable[[], Value]] = {
            "extend8_s": lambda: self._again(first, width, 8),
            "extend16_s": lambda: self._again(first, width, 16),
            "extend32_s": lambda: self._again(first, width, 32),
            "wrap_i64": lambda: self.resize(first, 64, 32),
            "extend_i32_u": lambda: self.resize(first, 32, 64),
            "extend_i32_s": lambda: self.resize(first, 32, 64, sign=True),
        }
        return extend[operator]() if operator in extend else None

    def _again(self, value: Value, width: int, narrow: int) -> Value:
        return self.resize(self.resize(value, width, narrow), narrow, width, sign=True)

    def _counted(self, operator: str, value: Value, width: int) -> Value:
        """
        Leading zeros, trailing zeros, or ones.
        """
        bits = [self.apply("extract", (k, k), 1, [value], [width]) for k in range(width)]
        if operator == "popcnt":
            total: Value = 0
            for bit in bits:
                total = self.two("add", total, self.resize(bit, 1, width), width)
            return total
        found: Value = width
        for k in range(width) if operator == "clz" else reversed(range(width)):
            zeros = width - 1 - k if operator == "clz" else k
            found = self.ite(self.two("eq", bits[k], 1, 1), zeros, found, width)
        return found


_COMPARING: Final = frozenset({"eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"})


def same(left: Value, right: Value) -> bool:
    """
    Whether two values are known to be one.
    """
    if left is right:
        return True
    if isinstance(left, int) or isinstance(right, int):
        return isinstance(left, int) and isinstance(right, int) and left == right
    return bool(left == right)
