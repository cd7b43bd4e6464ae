"""
The built-in functions of the strict-order language, on binary64 rounded to nearest.

Python's own `+ - *` are the hardware's; here is what Python does differently from IEEE 754 (it
raises on division by zero and on roots of negatives) and what it has no operator for.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from typing import Final

from conformance.fidelity.errors import BentFpuError

INT_LIMIT: Final = 1 << 127
"""Integers of a program stay below this in magnitude: a product of two 64-bit values fits."""

CANONICAL_NAN: Final = 0x7FF8000000000000
"""The NaN that the oracle writes: semantics say *that* a result is a NaN, never which."""

_MAX_SHIFT: Final = 127
_LEAST_SCALE, _GREATEST_SCALE = -1022, 1023


class OutOfRangeError(ArithmeticError):
    """
    A built-in function was given an argument for which it has no value; says which and why.
    """


def float_of_bits(bits: int) -> float:
    """
    The binary64 value whose bit pattern is *bits*, an unsigned 64-bit integer.
    """
    if not 0 <= bits < 1 << 64:
        message = f"from_bits({bits}) is not an unsigned 64-bit integer"
        raise OutOfRangeError(message)
    value: float = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    return value


def bits_of_float(value: float) -> int:
    """
    The bit pattern of a binary64 value as an unsigned integer.
    """
    return int.from_bytes(struct.pack("<d", value), "little")


def divide(dividend: float, divisor: float) -> float:
    """
    IEEE 754 division: x/0 is an infinity with the sign of both, 0/0 is NaN.
    """
    if divisor != 0.0:
        return dividend / divisor
    if dividend == 0.0 or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def square_root(value: float) -> float:
    """
    IEEE 754 square root: NaN below zero, -0 for -0.
    """
    return math.sqrt(value) if value >= 0.0 else math.nan


def floor(value: float) -> float:
    """
    Round towards minus infinity, as a binary64 value; -0, infinities and NaN stay.
    """
    if not abs(value) < 2.0**52:
        return value
    return math.copysign(float(math.floor(value)), value)


def nearest(value: float) -> float:
    """
    Round to the nearest integer, ties to even, as a binary64 value; keeps the sign of zero.
    """
    if not abs(value) < 2.0**52:
        return value
    return math.copysign(float(round(value)), value)


def scale(value: float, exponent: int) -> float:
    """
    *value* times 2^exponent, rounded once; the power must be a normal number (-1022 to 1023).
    """
    if not _LEAST_SCALE <= exponent <= _GREATEST_SCALE:
        message = f"scale needs an exponent from -1022 to 1023, not {exponent}"
        raise OutOfRangeError(message)
    return value * math.ldexp(1.0, exponent)


def round_to_f32(value: float) -> float:
    """
    The binary32 value nearest to *value*, ties to even, overflowing to infinity.

    `f32(a + b)` of binary32 values equals the binary32 sum, and so for - * / and the root: 53
    digits are at least 2 * 24 + 2, so rounding twice changes nothing (Figueroa 1995).
    """
    if math.isnan(value) or math.isinf(value):
        return value
    try:
        narrowed: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return narrowed


def truncate(value: float) -> int:
    """
    The integer part of a finite value that fits 64 signed bits.
    """
    if not -(2.0**63) <= value < 2.0**63:
        message = f"int needs a finite value that fits 64 bits, not {value.hex()}"
        raise OutOfRangeError(message)
    return int(value)


def to_float(value: int) -> float:
    """
    The binary64 value nearest to an integer, ties to even.
    """
    return float(value)


def bounded(value: int) -> int:
    """
    *value* itself, unless it has left the range of the language's integers.
    """
    if -INT_LIMIT < value < INT_LIMIT:
        return value
    message = "an integer has grown beyond 127 bits"
    raise OutOfRangeError(message)


def shift_left(value: int, count: int) -> int:
    """
    *value* * 2^count within the range of the language's integers.
    """
    if not 0 <= count <= _MAX_SHIFT:
        message = f"cannot shift left by {count}: the count goes from 0 to {_MAX_SHIFT}"
        raise OutOfRangeError(message)
    return bounded(value << count)


def shift_right(value: int, count: int) -> int:
    """
    *value* / 2^count, rounded towards minus infinity.
    """
    if not 0 <= count <= _MAX_SHIFT:
        message = f"cannot shift right by {count}: the count goes from 0 to {_MAX_SHIFT}"
        raise OutOfRangeError(message)
    return value >> count


def at(index: int) -> int:
    """
    *index* itself, unless it is negative: there is no counting from the end.
    """
    if index >= 0:
        return index
    message = f"index {index} is negative"
    raise OutOfRangeError(message)


_PRODUCTS: Final = (
    # least subnormal * 1: lost when subnormal operands are read as zero
    (0x0000000000000001, 0x3FF0000000000000, 0x0000000000000001),
    # least normal * 0.5: lost when subnormal results are flushed
    (0x0010000000000000, 0x3FE0000000000000, 0x0008000000000000),
    # subnormal * 2 turns normal: lost when operands are read as zero
    (0x000FFFFFFFFFFFFF, 0x4000000000000000, 0x001FFFFFFFFFFFFE),
    # 3 * least subnormal * 0.5 is a tie: to even is 2, towards zero or down is 1
    (0x0000000000000003, 0x3FE0000000000000, 0x0000000000000002),
    # 5 * least subnormal * 0.5 is a tie: to even is 2, upwards is 3
    (0x0000000000000005, 0x3FE0000000000000, 0x0000000000000002),
    # the same tie below zero: to even is -2, downwards is -3
    (0x8000000000000005, 0x3FE0000000000000, 0x8000000000000002),
    # (1 + 2^-52)^2 = 1 + 2^-51 + 2^-104: only upwards does it exceed 1 + 2^-51
    (0x3FF0000000000001, 0x3FF0000000000001, 0x3FF0000000000002),
)
"""Factors and exact or rounded products, worked out by hand from IEEE 754."""


def check_fpu(multiply: Callable[[float, float], float] = operator.mul) -> None:
    """
    Multiply known numbers; raise BentFpuError when one product is not IEEE 754's.
    """
    for left, right, product in _PRODUCTS:
        got = bits_of_float(multiply(float_of_bits(left), float_of_bits(right)))
        if got != product:
            message = (
                f"this process multiplies {left:#018x} by {right:#018x} to {got:#018x}, IEEE 754 "
                f"gives {product:#018x}: restore the default floating-point mode"
            )
            raise BentFpuError(message)
