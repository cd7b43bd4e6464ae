"""
Which of two bit patterns is the simpler one, and what to try instead of a pattern.

Simple is what a reader takes in at a glance: zero, then small integers, then few significant bits,
then a small exponent. Bits are unsigned integers of the element's width.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from conformance.differential.profiles import FORMATS, WIDTHS, FloatFormat
from conformance.manifest.domains import contains
from conformance.manifest.records import Domain
from runners.bits import parse_bits

SMALL: Final = 16
"""Integers up to this one are small."""

_KEPT: Final = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48)
"""Numbers of significant bits that are tried; one and two fewer than there are come on top."""

Cost = tuple[int, int, int, int]


def _integer_bits(form: FloatFormat, value: int) -> int:
    """
    Bits of a small integer as a float.
    """
    if value == 0:
        return 0
    size = abs(value).bit_length() - 1
    width = form.mantissa.bit_length()
    bias = (form.exponent >> width) >> 1
    sign = form.sign if value < 0 else 0
    return sign | (bias + size) << width | (abs(value) << (width - size)) & form.mantissa


def _float_cost(form: FloatFormat, bits: int) -> Cost:
    sign = int(bits & form.sign != 0)
    mantissa, exponent = bits & form.mantissa, bits & form.exponent
    width = form.mantissa.bit_length()
    if exponent == form.exponent:
        extra = (mantissa & ~form.quiet).bit_count() + 2 * int(not mantissa & form.quiet)
        return (4 if mantissa else 3, extra if mantissa else 0, 0, sign)
    if exponent == 0 and mantissa == 0:
        return (0, sign, 0, 0)
    for value in range(1, SMALL + 1):
        if bits & ~form.sign == _integer_bits(form, value):
            return (1, value, 0, sign)
    bias = (form.exponent >> width) >> 1
    if exponent:
        significand, power = mantissa | (form.mantissa + 1), (exponent >> width) - bias
    else:
        significand, power = mantissa, mantissa.bit_length() - width - bias
    zeros = (significand & -significand).bit_length() - 1
    return (2, significand.bit_length() - zeros, abs(power), sign)


def cost(dtype: str, bits: int) -> Cost:
    """
    Say how complicated a pattern is, as a tuple in the order of complication.
    """
    if dtype in FORMATS:
        return _float_cost(FORMATS[dtype], bits)
    size = 8 * WIDTHS[dtype]
    value = bits - (1 << size) if bits >> (size - 1) else bits
    if abs(value) <= SMALL:
        return (0, abs(value), 0, int(value < 0))
    zeros = (value & -value).bit_length() - 1
    return (1, abs(value).bit_length() - zeros, abs(value).bit_length(), int(value < 0))


def _shortened(significand: int) -> list[int]:
    """
    Keep fewer of the leading bits of a positive integer, of the same size.
    """
    size = significand.bit_length()
    zeros = (significand & -significand).bit_length() - 1
    kept = sorted({*_KEPT, size - zeros - 1, size - zeros - 2})
    return [significand >> (size - k) << (size - k) for k in kept if 0 < k < size]


def _float_choices(form: FloatFormat, bits: int) -> list[int]:
    choices = [_integer_bits(form, sign * v) for v in range(SMALL + 1) for sign in (1, -1)]
    choices.append(bits & ~form.sign)
    sign, exponent, mantissa = bits & form.sign, bits & form.exponent, bits & form.mantissa
    width = form.mantissa.bit_length()
    bias = (form.exponent >> width) >> 1
    if exponent == form.exponent:
        # An infinity often stands for any large number, a NaN for any NaN.
        large = [sign | (bias + power) << width for power in (8, bias >> 4, bias >> 1, bias)]
        nans = [form.canonical, form.canonical | sign, bits | form.quiet]
        return [*choices, *large, form.exponent, *(nans if mantissa else [])]
    hidden = form.mantissa + 1
    if exponent == 0:
        return [*choices, *(sign | short for short in _shortened(mantissa or 1))]
    shorts = [short & form.mantissa for short in _shortened(mantissa | hidden)]
    power = (exponent >> width) - bias
    # Halving the exponent comes near zero in few rounds and keeps the mantissa.
    powers = {0, power // 2, power - 1 if power > 0 else power + 1}
    choices += [sign | exponent | short for short in shorts]
    return [*choices, *(sign | (bias + p) << width | mantissa for p in sorted(powers))]


def _integer_choices(size: int, bits: int) -> list[int]:
    mask = (1 << size) - 1
    value = bits - (1 << size) if bits >> (size - 1) else bits
    choices = [sign * small for small in range(SMALL + 1) for sign in (1, -1)]
    choices.append(abs(value))
    if value:
        sign = -1 if value < 0 else 1
        choices += [sign * short for short in _shortened(abs(value))]
        choices += [sign * (abs(value) >> shift) for shift in (1, 4, 8, 16, 32)]
    return [choice & mask for choice in choices]


def simpler(dtype: str, bits: int) -> list[int]:
    """
    Patterns to try instead of *bits*, each simpler than it, the simplest first.
    """
    if dtype in FORMATS:
        choices = _float_choices(FORMATS[dtype], bits)
    else:
        choices = _integer_choices(8 * WIDTHS[dtype], bits)
    limit = cost(dtype, bits)
    return sorted(
        {choice for choice in choices if cost(dtype, choice) < limit},
        key=lambda choice: (cost(dtype, choice), choice),
    )


def simplest(dtype: str, domain: Domain | None) -> int:
    """
    Give the simplest pattern of a domain: zero, else a small integer, else one of its bounds.
    """
    if domain is None:
        return 0
    low, high = parse_bits(domain.low)[1], parse_bits(domain.high)[1]
    if dtype in FORMATS:
        form = FORMATS[dtype]
        small = [_integer_bits(form, s * v) for v in range(SMALL + 1) for s in (1, -1)]
    else:
        mask = (1 << 8 * WIDTHS[dtype]) - 1
        small = [s * v & mask for v in range(SMALL + 1) for s in (1, -1)]
    choices = np.array([*small, low, high], dtype=np.uint64)
    legal: list[int] = choices[contains(dtype, domain, choices)].tolist()
    return min(legal, key=lambda choice: (cost(dtype, choice), choice))
