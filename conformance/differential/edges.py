"""
Values at which number formats, operators and code generators change their behaviour.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np

from conformance.manifest.domains import (
    EXPONENT,
    all_ones,
    bits_at,
    contains,
    interval,
    place_of,
)
from conformance.manifest.records import Domain
from runners.bits import parse_bits

MAX_CONSTANTS: Final = 4_096
"""Most values that are made from a module's own constants."""

EDGES: Final[dict[str, tuple[int, ...]]] = {
    "i32": (
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x01000001, 0x7FFFFFFF, 0x80000000,
        0x80000001, 0xFFFFFFFF,
    ),
    "i64": (
        0, 1, 2, 0x7F, 0x80, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000,
        0x20000000000000, 0x20000000000001, 0x7FFFFFFFFFFFFC00, 0x7FFFFFFFFFFFFFFF,
        0x8000000000000000, 0x8000000000000001, 0xFFFFFFFF00000000, 0xFFFFFFFF80000000,
        0xFFFFFFFFFFFFFFFF,
    ),
    "f32": (
        0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x3F000000,
        0xBF000000, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0xBF800000, 0x3FC00000, 0x40200000,
        0x4B7FFFFF, 0x4EFFFFFF, 0x4F000000, 0x5F000000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000,
        0xFF800000, 0x7FC00000, 0xFFC00001, 0x7FA00000,
    ),
    "f64": (
        0x0000000000000000, 0x8000000000000000, 0x0000000000000001, 0x8000000000000001,
        0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x3FE0000000000000, 0xBFE0000000000000,
        0x3FDFFFFFFFFFFFFF, 0x3FEFFFFFFFFFFFFF, 0x3FF0000000000000, 0x3FF0000000000001,
        0xBFF0000000000000, 0x3FF8000000000000, 0x4004000000000000, 0xC004000000000000,
        0x3FB999999999999A, 0x3FF00000FFFFFFFF, 0x41DFFFFFFFC00000, 0x41E0000000000000,
        0x41F0000000000000, 0x433FFFFFFFFFFFFF, 0x4340000000000000, 0x43DFFFFFFFFFFFFF,
        0x43E0000000000000, 0xC3E0000000000000, 0x43F0000000000000, 0x7FEFFFFFFFFFFFFF,
        0xFFEFFFFFFFFFFFFF, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000,
        0xFFF8000000000000, 0x7FF4000000000000, 0xFFF800000000DEAD,
    ),
}  # fmt: skip
"""
Per type: zeros, units, the ends of the normal and subnormal ranges, halfway cases of rounding,
the borders of the conversions to 32 and 64 bits, infinities, quiet and signalling NaNs.
"""

SPECIALS: Final[dict[str, tuple[int, ...]]] = {
    dtype: tuple(bits for bits in EDGES[dtype] if bits & mask == mask)
    for dtype, mask in EXPONENT.items()
}
"""The infinities and NaNs among the edges."""

_LOW_ONES: Final[dict[str, int]] = {
    "i32": 0xFFFF, "f32": 0xFFFF, "i64": 0xFFFFFFFF, "f64": 0xFFFFFFFF,
}  # fmt: skip


def low_ones(dtype: str) -> int:
    """
    The lower half of a value of *dtype*, all ones: generators misread such values as -1.
    """
    return _LOW_ONES[dtype]


def edge_values(
    dtype: str, domain: Domain | None, given: tuple[int, ...] | None = None
) -> tuple[int, ...]:
    """
    The edge values of *dtype* that are legal, in a stable order and without repetition.

    *given* replaces the built-in list. A domain adds its bounds, their neighbours, its middle,
    and values whose lower half is all ones; NaNs and infinities are legal where it says so.
    """
    values = list(EDGES[dtype] if given is None else given)
    if domain is not None:
        first, last = interval(dtype, domain)
        for place in (first, last):
            values += _neighbours(dtype, place)
        middle = bits_at(dtype, (first + last) // 2)
        bounds = [parse_bits(text)[1] for text in (domain.low, domain.high)]
        values += [*bounds, middle]
        values += [bits | _LOW_ONES[dtype] for bits in (*bounds, middle)]
    return _legal(dtype, domain, values)


def constant_edges(
    dtype: str, domain: Domain | None, constants: Mapping[str, AbstractSet[int]]
) -> tuple[int, ...]:
    """
    The legal values at a module's own float constants and one unit in the last place beside.

    *constants* maps f32 and f64 to bit patterns. A constant of the other width is taken at its
    nearest value of *dtype*: that is where a narrowed threshold decides. At most MAX_CONSTANTS.
    """
    if dtype not in EXPONENT:
        return ()
    centres: set[int] = set(constants.get(dtype, ()))
    for other in sorted(set(constants) & set(EXPONENT) - {dtype}):
        centres.update(_converted(other, dtype, constants[other]))
    values: list[int] = []
    for bits in sorted(centres):
        values += _neighbours(dtype, place_of(dtype, bits))
    return _legal(dtype, domain, values)[:MAX_CONSTANTS]


def _neighbours(dtype: str, place: int) -> list[int]:
    places = (place, place - 1, place + 1)
    return [bits_at(dtype, near) for near in places if 0 <= near <= all_ones(dtype)]


def _converted(source: str, target: str, constants: Iterable[int]) -> list[int]:
    formats = {"f32": ("<I", "<f"), "f64": ("<Q", "<d")}
    found: list[int] = []
    for bits in constants:
        if bits & EXPONENT[source] == EXPONENT[source]:
            continue
        value = struct.unpack(formats[source][1], struct.pack(formats[source][0], bits))[0]
        try:
            data = struct.pack(formats[target][1], value)
        except OverflowError:
            continue
        found.append(struct.unpack(formats[target][0], data)[0])
    return found


def _legal(dtype: str, domain: Domain | None, values: list[int]) -> tuple[int, ...]:
    distinct = list(dict.fromkeys(values))
    legal = contains(dtype, domain, np.array(distinct, np.uint64))
    return tuple(bits for bits, keep in zip(distinct, legal, strict=True) if keep)
