"""
Domains as sets of bit patterns: the order of values, membership, and bounds from numbers.

Bits are held as unsigned 64-bit integers whatever the width of the type. Integer types are
signed here: `i32:ffffffff` is -1. Nothing is compared as a float, so that NaN bits stay whole.
"""

from __future__ import annotations

import math
import re
import struct
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.manifest.records import Domain, DType
from runners.bits import WIDTH_BYTES, BadBitsError, format_bits, parse_bits

Bits = NDArray[np.uint64]

EXPONENT: Final[dict[str, int]] = {"f32": 0x7F80_0000, "f64": 0x7FF0_0000_0000_0000}
"""Exponent mask, which is also the pattern of +infinity."""

_HEX_FLOAT = re.compile(
    r"(?P<sign>[+-]?)0[xX](?P<whole>[0-9a-fA-F]+)(?:\.(?P<fraction>[0-9a-fA-F]*))?"
    r"(?:[pP](?P<exponent>[+-]?[0-9]{1,5}))?\Z"
)
_MAX_HEX_FLOAT: Final = 64


class BadBoundError(ValueError):
    """
    A bound of a domain is no finite value of its type; the message says what is wanted.
    """


def sign_bit(dtype: str) -> int:
    """
    The most significant bit of *dtype*.
    """
    return 1 << (8 * WIDTH_BYTES[dtype] - 1)


def all_ones(dtype: str) -> int:
    """
    The pattern of *dtype* with every bit set.
    """
    return 2 * sign_bit(dtype) - 1


def order(dtype: str, bits: Bits) -> Bits:
    """
    Map bits to unsigned integers in the order of the values they stand for.

    -0 comes just before +0; NaNs lie beyond the infinities of their sign.
    """
    sign = np.uint64(sign_bit(dtype))
    if dtype in EXPONENT:
        negative = (bits & sign) != 0
        return np.where(negative, bits ^ np.uint64(all_ones(dtype)), bits | sign)
    return bits ^ sign


def unorder(dtype: str, places: Bits) -> Bits:
    """
    The inverse of `order`.
    """
    sign = np.uint64(sign_bit(dtype))
    if dtype in EXPONENT:
        negative = (places & sign) == 0
        return np.where(negative, places ^ np.uint64(all_ones(dtype)), places ^ sign)
    return places ^ sign


def place_of(dtype: str, bits: int) -> int:
    """
    `order` of one pattern.
    """
    return int(order(dtype, np.array([bits], np.uint64))[0])


def bits_at(dtype: str, place: int) -> int:
    """
    `unorder` of one place.
    """
    return int(unorder(dtype, np.array([place], np.uint64))[0])


def interval(dtype: str, domain: Domain) -> tuple[int, int]:
    """
    First and last place of the domain's finite values; a bound of zero includes both zeros.
    """
    low, high = parse_bits(domain.low)[1], parse_bits(domain.high)[1]
    if dtype in EXPONENT:
        low = sign_bit(dtype) if low == 0 else low
        high = 0 if high == sign_bit(dtype) else high
    return place_of(dtype, low), place_of(dtype, high)


def contains(dtype: str, domain: Domain | None, bits: Bits) -> NDArray[np.bool_]:
    """
    Tell which patterns are legal; without a domain all are.
    """
    if domain is None:
        return np.ones(bits.shape, np.bool_)
    first, last = interval(dtype, domain)
    places = order(dtype, bits)
    inside: NDArray[np.bool_] = (places >= np.uint64(first)) & (places <= np.uint64(last))
    if domain.special and dtype in EXPONENT:
        exponent = np.uint64(EXPONENT[dtype])
        inside |= (bits & exponent) == exponent
    return inside


def widest(dtype: DType, *, special: bool) -> Domain:
    """
    The domain of all finite values of a type.
    """
    if dtype in EXPONENT:
        high = EXPONENT[dtype] - 1
        low = high | sign_bit(dtype)
    else:
        low, high = sign_bit(dtype), sign_bit(dtype) - 1
    return Domain(low=format_bits(dtype, low), high=format_bits(dtype, high), special=special)


def bound_bits(dtype: DType, value: object) -> int:
    """
    The bits of a bound: a number, a hexadecimal float such as "0x1.8p+3", or typed bits.

    A decimal float becomes the nearest value of *dtype*, as in any compiler; an integer or a
    hexadecimal float must be a value of *dtype* exactly. Raises BadBoundError.
    """
    if isinstance(value, str):
        match = _HEX_FLOAT.match(value)
        if match is not None and len(value) <= _MAX_HEX_FLOAT:
            return _from_hex_float(dtype, match)
        return _from_typed_bits(dtype, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = 'a number, a text such as "0x1.8p+3", or bits such as "f64:3ff8000000000000"'
        raise BadBoundError(message)
    if dtype in EXPONENT:
        return _float_bits(dtype, value, exact=isinstance(value, int))
    if isinstance(value, float):
        message = f"an integer, because the type is {dtype}"
        raise BadBoundError(message)
    sign = sign_bit(dtype)
    if not -sign <= value < sign:
        message = f"a signed integer of {dtype}, from {-sign} to {sign - 1}"
        raise BadBoundError(message)
    return value & all_ones(dtype)


def _from_hex_float(dtype: DType, match: re.Match[str]) -> int:
    if dtype not in EXPONENT:
        message = f"an integer, because the type is {dtype}"
        raise BadBoundError(message)
    # float.fromhex would round in silence; a fraction is exact.
    scale = int(match["exponent"] or 0) - 4 * len(match["fraction"] or "")
    number = Fraction(int(match["whole"] + (match["fraction"] or ""), 16)) * Fraction(2) ** scale
    return _float_bits(dtype, -number if match["sign"] == "-" else number, exact=True)


def _from_typed_bits(dtype: DType, text: str) -> int:
    try:
        found, bits = parse_bits(text)
    except BadBitsError:
        found, bits = "", 0
    if found != dtype:
        example = format_bits(dtype, EXPONENT.get(dtype, 256) >> 1)
        message = f'a number, a text such as "0x1.8p+3", or bits of {dtype} such as "{example}"'
        raise BadBoundError(message)
    exponent = EXPONENT.get(dtype)
    if exponent is not None and bits & exponent == exponent:
        message = "finite: say `special = true` if NaNs and infinities are legal inputs"
        raise BadBoundError(message)
    return bits


def _float_bits(dtype: DType, number: float | Fraction, *, exact: bool) -> int:
    code, integer = ("<f", "<I") if dtype == "f32" else ("<d", "<Q")
    try:
        wide = float(number)
        data = struct.pack(code, wide)
    except OverflowError:
        message = f"a finite {dtype}"
        raise BadBoundError(message) from None
    if not math.isfinite(wide):
        message = "finite: say `special = true` if NaNs and infinities are legal inputs"
        raise BadBoundError(message)
    if exact and struct.unpack(code, data)[0] != number:
        message = f"a value of {dtype} exactly: the nearest one is {struct.unpack(code, data)[0]!r}"
        raise BadBoundError(message)
    bits: int = struct.unpack(integer, data)[0]
    return bits
