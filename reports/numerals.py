"""
Reading aids for bit patterns: decimal text, the fields of a float, distance in ulp.

A decimal here is never compared or stored; it stands beside the bits for human readers.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from runners.bits import WIDTH_BYTES

EXPONENT_BITS: Final[dict[str, int]] = {"f32": 8, "f64": 11}
"""Width of the exponent field of IEEE 754 binary32 and binary64."""


@dataclass(frozen=True, slots=True)
class Field:
    """
    One part of a bit pattern, most significant bit first.
    """

    name: str
    """`sign`, `exponent`, `mantissa`, or `bits` for an integer."""
    digits: str
    """Of `0` and `1`."""
    marked: tuple[bool, ...]
    """Per digit: whether it differs between the outcomes shown together."""


def width_bits(dtype: str) -> int:
    """
    Width of one element of *dtype*; `bytes8`, `bytes3` are raw bytes in memory order.
    """
    if dtype.startswith("bytes"):
        return 8 * int(dtype.removeprefix("bytes"))
    return 8 * WIDTH_BYTES[dtype]


def hex_digits(dtype: str, bits: int) -> str:
    """
    All hexadecimal digits of the pattern, most significant first.
    """
    return f"{bits:0{width_bits(dtype) // 4}x}"


def marked_digits(dtype: str, mask: int) -> tuple[bool, ...]:
    """
    Per hexadecimal digit: whether *mask* (differing bits) touches it.
    """
    return tuple(digit != "0" for digit in hex_digits(dtype, mask))


def fields(dtype: str, bits: int, mask: int) -> tuple[Field, ...]:
    """
    Split a pattern into sign, exponent and mantissa, or leave it whole if it is no float.
    """
    width = width_bits(dtype)
    digits = f"{bits:0{width}b}"
    marks = tuple(digit == "1" for digit in f"{mask:0{width}b}")
    if dtype not in EXPONENT_BITS:
        return (Field("bits", digits, marks),)
    end = 1 + EXPONENT_BITS[dtype]
    return (
        Field("sign", digits[:1], marks[:1]),
        Field("exponent", digits[1:end], marks[1:end]),
        Field("mantissa", digits[end:], marks[end:]),
    )


def is_nan(dtype: str, bits: int) -> bool:
    """
    Tell whether the pattern is a NaN of its type (IEEE 754: exponent all ones, mantissa not 0).
    """
    if dtype not in EXPONENT_BITS:
        return False
    _, exponent, mantissa = fields(dtype, bits, 0)
    return "0" not in exponent.digits and "1" in mantissa.digits


def decimal(dtype: str, bits: int) -> str:
    """
    Write the value as people read it: shortest decimal that names the float, signed integers.

    NaNs get sign, kind and payload; types without a numeric meaning give an empty text.
    """
    width = width_bits(dtype)
    if dtype in {"i32", "i64"}:
        return str(bits - (1 << width) if bits >> (width - 1) else bits)
    if dtype not in EXPONENT_BITS:
        return ""
    if is_nan(dtype, bits):
        mantissa_bits = width - 1 - EXPONENT_BITS[dtype]
        quiet = bits >> (mantissa_bits - 1) & 1
        payload = bits & ((1 << (mantissa_bits - 1)) - 1)
        sign = "-" if bits >> (width - 1) else "+"
        return f"{sign}NaN {'quiet' if quiet else 'signalling'} {payload:#x}"
    if dtype == "f32":
        return str(np.array(bits, dtype=np.uint32).view(np.float32)[()])
    return repr(struct.unpack("<d", bits.to_bytes(8, "little"))[0])


def _ordinal(dtype: str, bits: int) -> int:
    """
    Place of a float among all floats of its type, both zeros at 0.
    """
    magnitude = bits & ((1 << (width_bits(dtype) - 1)) - 1)
    return -magnitude if bits >> (width_bits(dtype) - 1) else magnitude


def distance(dtype: str, patterns: tuple[int, ...]) -> str:
    """
    Say in words how far apart the patterns of one element are; empty if nothing fits.

    For floats: the number of representable steps between the least and the greatest.
    """
    if len(set(patterns)) < 2 or dtype not in EXPONENT_BITS:  # noqa: PLR2004 - a pair
        return ""
    nans = [is_nan(dtype, bits) for bits in patterns]
    if all(nans):
        return "all NaN, only NaN bits differ"
    if any(nans):
        return "NaN against number"
    places = [_ordinal(dtype, bits) for bits in patterns]
    steps = max(places) - min(places)
    if steps == 0:
        return "only the sign of zero differs"
    infinite = [math.isinf(float(decimal(dtype, bits))) for bits in patterns]
    return "infinity against number" if any(infinite) else f"{steps:,} ulp apart"
