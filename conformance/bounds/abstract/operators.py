"""
What scalar operators give on values of which not all is known.

Numbers are computed by `wasm.numerics`; a NaN is unknown, because an engine may choose its bits.
Where only some operands trap, the result is of those that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Final

from conformance.bounds.abstract.domain import (
    EITHER,
    MOST_PAIRS,
    Value,
    among,
    between,
    ends,
    members,
)
from conformance.wasm.numerics.results import Exact, Trap
from conformance.wasm.numerics.scalar import OPERATORS, WIDTH_BITS

Transfer = Callable[..., Value]
"""From one value for each operand to the result; raises NeverError."""


class NeverError(Exception):
    """
    An operator traps on all that its operands can be.
    """


def _plain(name: str) -> Transfer:
    """
    The operator on numbers; None for a NaN.
    """
    compute = OPERATORS[name].compute

    def exact(*operands: int) -> Value:
        found = compute(*operands)
        if type(found) is Exact:
            return found.bits
        if isinstance(found, Trap):
            raise NeverError
        return None

    return exact


def _fast(width: int) -> dict[str, Transfer]:
    """
    The commonest operators on numbers, without a detour; their tests hold them against `numerics`.
    """
    mask, sign = (1 << width) - 1, 1 << (width - 1)
    low = width - 1
    return {
        "add": lambda a, b: (a + b) & mask,
        "sub": lambda a, b: (a - b) & mask,
        "mul": lambda a, b: (a * b) & mask,
        "and": lambda a, b: a & b,
        "or": lambda a, b: a | b,
        "xor": lambda a, b: a ^ b,
        "shl": lambda a, b: (a << (b & low)) & mask,
        "shr_u": lambda a, b: a >> (b & low),
        "shr_s": lambda a, b: (((a ^ sign) - sign) >> (b & low)) & mask,
        "eq": lambda a, b: 1 if a == b else 0,
        "ne": lambda a, b: 1 if a != b else 0,
        "lt_u": lambda a, b: 1 if a < b else 0,
        "gt_u": lambda a, b: 1 if a > b else 0,
        "le_u": lambda a, b: 1 if a <= b else 0,
        "ge_u": lambda a, b: 1 if a >= b else 0,
        "lt_s": lambda a, b: 1 if a ^ sign < b ^ sign else 0,
        "gt_s": lambda a, b: 1 if a ^ sign > b ^ sign else 0,
        "le_s": lambda a, b: 1 if a ^ sign <= b ^ sign else 0,
        "ge_s": lambda a, b: 1 if a ^ sign >= b ^ sign else 0,
        "eqz": lambda a: 0 if a else 1,
    }


_FAST: Final = {
    f"i{width}.{name}": made for width in (32, 64) for name, made in _fast(width).items()
}


def exact(name: str) -> Transfer:
    """
    Operator *name* on numbers alone.
    """
    return _FAST.get(name) or _plain(name)


def transfer(name: str) -> Transfer:
    """
    Operator *name* on values.
    """
    operator = OPERATORS[name]
    number = exact(name)
    widths = [WIDTH_BITS[kind] for kind in operator.parameters]
    result = WIDTH_BITS[operator.result]
    floats = {*operator.parameters, operator.result} & {"f32", "f64"}
    if floats:
        return _float(name, number)
    if len(widths) == 1:
        return _single(name.partition(".")[2], number, widths[0], result)
    return _double(name.partition(".")[2], number, widths[0])


def _each(number: Transfer, rows: Iterable[tuple[int, ...]]) -> Value:
    """
    The results on each row of operands that does not trap.
    """
    found = set()
    for row in rows:
        try:
            one = number(*row)
        except NeverError:
            continue
        if one is None:
            return None
        found.add(one)
    if not found:
        raise NeverError
    return among(found)  # type: ignore[arg-type]


def _float(name: str, number: Transfer) -> Transfer:
    """
    Operators on floats: nothing is known of the result unless the operands are numbers.
    """
    operator = name.partition(".")[2]
    truth = operator in ("eq", "ne", "lt", "gt", "le", "ge")
    moved = operator.startswith("reinterpret")
    unknown = EITHER if truth else None

    def binary(left: Value, right: Value) -> Value:
        if type(left) is int and type(right) is int:
            return number(left, right)
        return unknown

    def unary(value: Value) -> Value:
        if type(value) is int:
            return number(value)
        return value if moved else None

    return binary if len(OPERATORS[name].parameters) > 1 else unary


# ---------------------------------------------------------------------------- one operand

_KEEPS_UP_TO: Final = {"extend8_s": 7, "extend16_s": 15, "extend32_s": 31, "extend_i32_s": 31,
                       "extend_i32_u": 32, "wrap_i64": 32}  # fmt: skip
"""Operator -> below which power of two a number stays what it is."""
_COUNTS: Final = ("clz", "ctz", "popcnt")


def _single(operator: str, number: Transfer, width: int, result: int) -> Transfer:
    kept = 1 << _KEEPS_UP_TO.get(operator, 0)

    def found(value: Value) -> Value:
        if type(value) is int:
            return number(value)
        known = members(value)
        if known is not None:
            return _each(number, ((one,) for one in known))
        low, high = ends(value, width)
        if operator == "eqz":
            return 0 if low > 0 else EITHER
        if operator in _COUNTS:
            return (0, width)
        return (low, high) if high < kept else between(0, (1 << result) - 1, result)

    return found


# --------------------------------------------------------------------------- two operands


def _double(operator: str, number: Transfer, width: int) -> Transfer:
    interval = _INTERVALS.get(operator)

    def found(left: Value, right: Value) -> Value:
        if type(left) is int and type(right) is int:
            return number(left, right)
        one, other = members(left), members(right)
        if one is not None and other is not None and len(one) * len(other) <= MOST_PAIRS:  # type: ignore[arg-type]
            return _each(number, product(one, other))
        if interval is None:
            return None
        (a, b), (c, d) = ends(left, width), ends(right, width)
        return interval(a, b, c, d, width)

    return found


def _add(a: int, b: int, c: int, d: int, width: int) -> Value:
    top = 1 << width
    if b + d < top:
        return between(a + c, b + d, width)
    return between(a + c - top, b + d - top, width) if a + c >= top else None


def _sub(a: int, b: int, c: int, d: int, width: int) -> Value:
    top = 1 << width
    if a >= d:
        return between(a - d, b - c, width)
    return between(a - d + top, b - c + top, width) if b < c else None


def _mul(a: int, b: int, c: int, d: int, width: int) -> Value:
    return between(a * c, b * d, width) if b * d < 1 << width else None


def _and(a: int, b: int, c: int, d: int, width: int) -> Value:
    del a, c
    return between(0, min(b, d), width)


def _or(a: int, b: int, c: int, d: int, width: int) -> Value:
    return between(max(a, c), (1 << max(b, d).bit_length()) - 1, width)


def _xor(a: int, b: int, c: int, d: int, width: int) -> Value:
    del a, c
    return between(0, (1 << max(b, d).bit_length()) - 1, width)


def _shl(a: int, b: int, c: int, d: int, width: int) -> Value:
    if c != d:
        return None
    count = c % width
    return between(a << count, b << count, width) if b << count < 1 << width else None


def _shr_u(a: int, b: int, c: int, d: int, width: int) -> Value:
    return between(a >> c % width, b >> c % width, width) if c == d else between(0, b, width)


def _shr_s(a: int, b: int, c: int, d: int, width: int) -> Value:
    return _shr_u(a, b, c, d, width) if b < 1 << (width - 1) else None


def _div_u(a: int, b: int, c: int, d: int, width: int) -> Value:
    if not d:
        raise NeverError
    return between(a // d, b // max(c, 1), width)


def _rem_u(a: int, b: int, c: int, d: int, width: int) -> Value:
    if not d:
        raise NeverError
    return between(a, b, width) if b < c else between(0, min(b, d - 1), width)


def _div_s(a: int, b: int, c: int, d: int, width: int) -> Value:
    half = 1 << (width - 1)
    return _div_u(a, b, c, d, width) if b < half and d < half else None


def _rem_s(a: int, b: int, c: int, d: int, width: int) -> Value:
    half = 1 << (width - 1)
    return _rem_u(a, b, c, d, width) if b < half and d < half else None


def _eq(a: int, b: int, c: int, d: int, width: int) -> Value:
    del width
    return 0 if b < c or d < a else EITHER


def _ne(a: int, b: int, c: int, d: int, width: int) -> Value:
    return 1 if _eq(a, b, c, d, width) == 0 else EITHER


def _lt(a: int, b: int, c: int, d: int, width: int) -> Value:
    del width
    return 1 if b < c else 0 if a >= d else EITHER


def _le(a: int, b: int, c: int, d: int, width: int) -> Value:
    del width
    return 1 if b <= c else 0 if a > d else EITHER


def _turned(order: Callable[..., Value]) -> Callable[..., Value]:
    return lambda a, b, c, d, width: order(c, d, a, b, width)


def _signed(order: Callable[..., Value]) -> Callable[..., Value]:
    """
    The order of signed numbers, by moving both so far that none is negative.
    """

    def found(a: int, b: int, c: int, d: int, width: int) -> Value:
        return order(*lifted(a, b, width), *lifted(c, d, width), width)

    return found


def lifted(low: int, high: int, width: int) -> tuple[int, int]:
    """
    Ends of an unsigned interval, read as signed numbers, with 2^(width - 1) added.
    """
    half = 1 << (width - 1)
    if high < half or low >= half:
        return low ^ half, high ^ half
    return 0, (1 << width) - 1


_INTERVALS: Final[Mapping[str, Callable[..., Value]]] = {
    "add": _add, "sub": _sub, "mul": _mul, "and": _and, "or": _or, "xor": _xor, "shl": _shl,
    "shr_u": _shr_u, "shr_s": _shr_s, "div_u": _div_u, "rem_u": _rem_u, "div_s": _div_s,
    "rem_s": _rem_s, "eq": _eq, "ne": _ne, "lt_u": _lt, "le_u": _le, "gt_u": _turned(_lt),
    "ge_u": _turned(_le), "lt_s": _signed(_lt), "le_s": _signed(_le),
    "gt_s": _turned(_signed(_lt)), "ge_s": _turned(_signed(_le)),
}  # fmt: skip
