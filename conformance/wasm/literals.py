"""
Numbers and strings of the text format: floats exactly, whatever their bits.

Source: core specification 2.0, section 6.3 (values of the text format).
"""

from __future__ import annotations

import math
import struct
from typing import Final, Literal

_ESCAPES: Final = [
    chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:02x}"  # noqa: PLR2004 - printable ASCII
    for byte in range(256)
]
_SHAPES: Final = {"f32": ("<I", "<f", 8, 23), "f64": ("<Q", "<d", 11, 52)}


def string(content: bytes) -> str:
    """
    A string literal of these bytes, in printable ASCII only.
    """
    return '"' + "".join([_ESCAPES[byte] for byte in content]) + '"'


def float_literal(bits: int, value_type: Literal["f32", "f64"]) -> str:
    """
    The literal of exactly this bit pattern: hexadecimal, `inf`, `nan` or `nan:0x` and payload.
    """
    _, _, exponent_bits, fraction_bits = _SHAPES[value_type]
    sign = "-" if bits >> (exponent_bits + fraction_bits) else ""
    exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1)
    fraction = bits & ((1 << fraction_bits) - 1)
    if exponent == (1 << exponent_bits) - 1:
        if not fraction:
            return f"{sign}inf"
        canonical = fraction == 1 << (fraction_bits - 1)
        return f"{sign}nan" if canonical else f"{sign}nan:{fraction:#x}"
    return finite(bits, value_type).hex()


def finite(bits: int, value_type: Literal["f32", "f64"]) -> float:
    """
    The value of a bit pattern that is no NaN; ValueError for one that is.
    """
    pack, unpack, _, _ = _SHAPES[value_type]
    (value,) = struct.unpack(unpack, struct.pack(pack, bits))
    if math.isnan(value):
        message = f"{bits:#x} is a NaN"
        raise ValueError(message)
    return float(value)


def vector_literal(bits: int) -> str:
    """
    A v128 as four lanes of 32 bits, the lowest first.
    """
    lanes = [bits >> shift & 0xFFFFFFFF for shift in range(0, 128, 32)]
    return "i32x4 " + " ".join(f"{lane:#010x}" for lane in lanes)
