"""
Typed bit patterns: the only way a number travels through a record.

Text form is `TYPE:DIGITS`, lower-case hexadecimal with the most significant digit first, for
example `f64:3ff8000000000000`, `i32:0000002a`, `bytes:00ff`.
"""

from __future__ import annotations

import re
from typing import Final, Literal

ValueType = Literal["i32", "i64", "f32", "f64", "v128"]

WIDTH_BYTES: Final[dict[str, int]] = {"i32": 4, "i64": 8, "f32": 4, "f64": 8, "v128": 16}
"""Size of one value of each type, in bytes."""

_TYPED = re.compile(r"(i32|i64|f32|f64|v128|bytes):([0-9a-f]*)\Z")


class BadBitsError(ValueError):
    """
    A text is not a typed bit pattern.
    """


def format_bits(value_type: str, bits: int) -> str:
    """
    Write *bits* (an unsigned integer) as a typed bit pattern of *value_type*.
    """
    width = WIDTH_BYTES[value_type]
    if not 0 <= bits < 1 << (8 * width):
        message = f"{bits:#x} does not fit in {value_type}"
        raise BadBitsError(message)
    return f"{value_type}:{bits:0{2 * width}x}"


def format_bytes(data: bytes) -> str:
    """
    Write raw bytes, in memory order, as a typed bit pattern.
    """
    return f"bytes:{data.hex()}"


def parse_bits(text: str) -> tuple[str, int]:
    """
    Read `TYPE:DIGITS` and return the type and the bits as an unsigned integer.

    Raises BadBitsError for an unknown type, upper-case digits or a wrong number of digits.
    """
    match = _TYPED.match(text)
    if match is None or match[1] == "bytes":
        message = f"{text!r} is not a typed bit pattern such as f64:3ff8000000000000"
        raise BadBitsError(message)
    value_type, digits = match[1], match[2]
    if len(digits) != 2 * WIDTH_BYTES[value_type]:
        message = (
            f"{text!r} has {len(digits)} digits, {value_type} needs {2 * WIDTH_BYTES[value_type]}"
        )
        raise BadBitsError(message)
    return value_type, int(digits, 16)


def parse_bytes(text: str) -> bytes:
    """
    Read `bytes:DIGITS`; raises BadBitsError for anything else.
    """
    match = _TYPED.match(text)
    if match is None or match[1] != "bytes" or len(match[2]) % 2:
        message = f"{text!r} is not a byte pattern such as bytes:00ff"
        raise BadBitsError(message)
    return bytes.fromhex(match[2])
