"""
What integer operators of WebAssembly do, as terms.

Where an operator traps, its term has the value of the language of certificates. Source: WebAssembly
core specification 2.0, section 4.3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from conformance.bounds.prove.terms import Term, Terms

_PLAIN: Final = {
    "add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor",
    "div_u": "udiv", "div_s": "sdiv", "rem_u": "urem", "rem_s": "srem",
}  # fmt: skip
_COMPARING: Final = {
    "eq": "eq", "ne": "ne", "lt_s": "slt", "lt_u": "ult", "gt_s": "sgt", "gt_u": "ugt",
    "le_s": "sle", "le_u": "ule", "ge_s": "sge", "ge_u": "uge",
}  # fmt: skip
_SHIFTS: Final = {"shl": "shl", "shr_u": "lshr", "shr_s": "ashr"}


def integer(terms: Terms, operator: str, width: int, operands: Sequence[Term]) -> Term:
    """
    The result of `i32.` or `i64.` *operator*, *width* the 32 or 64 of its name.

    One that is not modelled (counts of bits) gives an unknown value.
    """
    first = operands[0]
    if operator in _PLAIN:
        return terms.two(_PLAIN[operator], first, operands[1])
    if operator in _COMPARING:
        return terms.bit(terms.two(_COMPARING[operator], first, operands[1]))
    if operator == "eqz":
        return terms.bit(terms.two("eq", first, terms.const(width, 0)))
    if operator in _SHIFTS:
        return terms.two(_SHIFTS[operator], first, _count(terms, operands[1]))
    if operator in ("rotl", "rotr"):
        return _rotated(terms, operator, first, operands[1])
    single = _SINGLE.get(operator)
    return single(terms, first, width) if single else terms.unknown(width)


def _count(terms: Terms, amount: Term) -> Term:
    return terms.two("and", amount, terms.const(amount.width, amount.width - 1))


def _rotated(terms: Terms, operator: str, value: Term, amount: Term) -> Term:
    zero = terms.const(value.width, 0)
    one = _count(terms, amount)
    other = _count(terms, terms.two("sub", zero, one))
    left, right = (one, other) if operator == "rotl" else (other, one)
    return terms.two("or", terms.two("shl", value, left), terms.two("lshr", value, right))


def _narrow(bits: int) -> Callable[[Terms, Term, int], Term]:
    def made(terms: Terms, value: Term, width: int) -> Term:
        return terms.extend(terms.extract(value, bits - 1, 0), width, sign=True)

    return made


_SINGLE: Final[dict[str, Callable[[Terms, Term, int], Term]]] = {
    "extend8_s": _narrow(8),
    "extend16_s": _narrow(16),
    "extend32_s": _narrow(32),
    "wrap_i64": lambda terms, value, _: terms.extract(value, 31, 0),
    "extend_i32_u": lambda terms, value, _: terms.extend(value, 64),
    "extend_i32_s": lambda terms, value, _: terms.extend(value, 64, sign=True),
}
