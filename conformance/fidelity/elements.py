"""
Numbers to and from the raw little-endian bytes of rows and tensors, bit by bit.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Final

from conformance.fidelity import arithmetic

WIDTH: Final[dict[str, int]] = {"i32": 4, "i64": 8, "f32": 4, "f64": 8}
"""Size of one element of each dtype, in bytes."""

_CODE: Final[dict[str, str]] = {"i32": "i", "i64": "q", "f32": "f", "f64": "d"}


class UnwritableError(ValueError):
    """
    A computed number has no place in the output's dtype.
    """


def decode(dtype: str, data: bytes) -> tuple[float, ...] | tuple[int, ...]:
    """
    Elements of little-endian *data*; binary32 values are widened, which is exact.
    """
    count = len(data) // WIDTH[dtype]
    return struct.unpack(f"<{count}{_CODE[dtype]}", data)


def encode(dtype: str, values: Sequence[float] | Sequence[int]) -> bytes:
    """
    Write numbers as little-endian elements; every NaN becomes the canonical one.

    Raises UnwritableError for an integer out of range, and for a value that is not a binary32
    number where one is due: the program has to say `f32(...)` where the module rounds.
    """
    return b"".join(_encode_one(dtype, value) for value in values)


def _encode_one(dtype: str, value: float) -> bytes:
    """
    One element, little-endian.
    """
    if dtype in {"i32", "i64"}:
        bits = 8 * WIDTH[dtype]
        if not isinstance(value, int) or not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            message = f"{value!r} is not a signed integer of {bits} bits"
            raise UnwritableError(message)
        return value.to_bytes(WIDTH[dtype], "little", signed=True)
    if not isinstance(value, float):
        message = f"the integer {value} stands where a {dtype} is due: convert it with float()"
        raise UnwritableError(message)
    if dtype == "f64":
        nan = math.isnan(value)
        bits = arithmetic.CANONICAL_NAN if nan else arithmetic.bits_of_float(value)
        return bits.to_bytes(8, "little")
    if math.isnan(value):
        return b"\x00\x00\xc0\x7f"
    if arithmetic.round_to_f32(value) != value:
        message = f"{value.hex()} is no binary32 number: round it with f32() where the module does"
        raise UnwritableError(message)
    return struct.pack("<f", value)
