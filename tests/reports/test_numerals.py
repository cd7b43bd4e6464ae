from __future__ import annotations

import math
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.numerals import decimal, distance, fields, hex_digits, is_nan, marked_digits

PATTERN64 = st.integers(min_value=0, max_value=2**64 - 1)


def bits_of(value: float) -> int:
    return int.from_bytes(struct.pack("<d", value), "little")


def test_known_patterns_read_as_known_values() -> None:
    assert decimal("f64", 0x3FF8000000000000) == "1.5"
    assert decimal("f64", 0x8000000000000000) == "-0.0"
    assert decimal("f64", 0x7FF0000000000000) == "inf"
    assert decimal("f32", 0x3DCCCCCD) == "0.1"
    assert decimal("f32", 0x80000000) == "-0.0"
    assert decimal("i32", 0xFFFFFFFF) == "-1"
    assert decimal("i64", 0x7FFFFFFFFFFFFFFF) == "9223372036854775807"
    assert decimal("bytes8", 12) == ""


def test_nans_show_sign_kind_and_payload() -> None:
    assert decimal("f64", 0xFFF8000000000000) == "-NaN quiet 0x0"
    assert decimal("f64", 0x7FF0000000000001) == "+NaN signalling 0x1"
    assert decimal("f32", 0x7FC00BAD) == "+NaN quiet 0xbad"


@given(PATTERN64)
@settings(derandomize=True)
def test_a_decimal_names_one_float_and_a_nan_is_told(bits: int) -> None:
    text = decimal("f64", bits)
    if math.isnan(struct.unpack("<d", bits.to_bytes(8, "little"))[0]):
        assert is_nan("f64", bits)
        assert "NaN" in text
    else:
        assert bits_of(float(text)) == bits


@given(PATTERN64, PATTERN64)
@settings(derandomize=True)
def test_fields_are_the_pattern_and_its_marks_the_mask(bits: int, mask: int) -> None:
    parts = fields("f64", bits, mask)
    assert [len(part.digits) for part in parts] == [1, 11, 52]
    assert int("".join(part.digits for part in parts), 2) == bits
    marks = "".join("1" if m else "0" for part in parts for m in part.marked)
    assert int(marks, 2) == mask


def test_hexadecimal_marks_touch_only_digits_that_differ() -> None:
    assert hex_digits("f32", 0x2A) == "0000002a"
    assert hex_digits("bytes3", 0x1) == "000001"
    assert marked_digits("i32", 0x80000010) == (True, *[False] * 5, True, False)


@given(st.floats(allow_nan=False, allow_infinity=False), st.booleans())
@settings(derandomize=True)
def test_neighbours_are_one_ulp_apart_across_zero(value: float, up: bool) -> None:  # noqa: FBT001 - drawn
    neighbour = math.nextafter(value, math.inf if up else -math.inf)
    expected = "infinity against number" if math.isinf(neighbour) else "1 ulp apart"
    assert distance("f64", (bits_of(value), bits_of(neighbour))) == expected


def test_distances_in_words() -> None:
    one, zero, minus_zero = bits_of(1.0), 0, 1 << 63
    nan, other = 0x7FF8000000000000, 0xFFF8000000000000
    assert distance("f64", (zero, minus_zero)) == "only the sign of zero differs"
    assert distance("f64", (nan, other)) == "all NaN, only NaN bits differ"
    assert distance("f64", (nan, one)) == "NaN against number"
    assert distance("f64", (one, one)) == ""
    assert distance("i64", (1, 2)) == ""
    assert distance("f32", (0x3F800000, 0x3F800003, 0x3F800001)) == "3 ulp apart"
