"""
Numbers, names and counts, against a LEB128 writer of the test's own.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.wasm.errors import BadModuleError
from conformance.wasm.reader import Reader

BITS = (32, 33, 64)


def _reader(data: bytes) -> Reader:
    return Reader(data, 0, len(data), "the test")


def _signed_leb(value: int, length: int) -> bytes:
    groups = [(value >> 7 * k) & 0x7F for k in range(length)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_signed_numbers_come_back_in_every_length(data: st.DataObject) -> None:
    bits = data.draw(st.sampled_from(BITS))
    value = data.draw(st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
    longest = -(-bits // 7)
    shortest = next(n for n in range(1, 11) if -(1 << 7 * n - 1) <= value < 1 << 7 * n - 1)
    for length in range(shortest, longest + 1):
        reader = _reader(_signed_leb(value, length))
        assert reader.signed("x", bits) == value
        assert not reader.left
    for length in (longest + 1, longest + 2):
        with pytest.raises(BadModuleError) as caught:
            _reader(_signed_leb(value, length)).signed("x", bits)
        assert caught.value.rule == "leb-too-long"


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_signed_numbers_one_beyond_the_width_are_refused(data: st.DataObject) -> None:
    bits = data.draw(st.sampled_from(BITS))
    beyond = data.draw(st.integers(1 << (bits - 1), (1 << 7 * -(-bits // 7) - 1) - 1))
    for value in (beyond, -beyond - 1):
        with pytest.raises(BadModuleError) as caught:
            _reader(_signed_leb(value, -(-bits // 7))).signed("x", bits)
        assert caught.value.rule == "leb-too-large"


@settings(derandomize=True, deadline=None)
@given(st.integers(0, (1 << 35) - 1), st.integers(1, 6))
def test_unsigned_numbers_have_32_bits_and_5_bytes(value: int, length: int) -> None:
    if value >> 7 * length:
        return
    data = _signed_leb(value, length)
    if length <= 5 and value < 1 << 32:
        assert _reader(data).u32("x") == value
        return
    with pytest.raises(BadModuleError) as caught:
        _reader(data).u32("x")
    assert caught.value.rule == ("leb-too-long" if length > 5 else "leb-too-large")


def test_a_number_cut_off_names_the_end() -> None:
    for end in (0, 1, 2):
        reader = Reader(b"\x80\x80\0", 0, end, "the test")
        with pytest.raises(BadModuleError) as caught:
            reader.u32("x")
        assert (caught.value.rule, caught.value.offset) == ("unexpected-end", end)


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (b"\x01\xff", 1),
        (b"\x04a\xc0\x80b", 2),  # overlong zero
        (b"\x03\xed\xa0\x80", 1),  # surrogate
        (b"\x04\xf4\x90\x80\x80", 1),  # beyond U+10FFFF
        (b"\x02ab\xc3"[:3], None),
        (b"\x03a\0b", None),
        (b"\x02\xc3\xa9", None),
    ],
)
def test_names_are_utf8(raw: bytes, offset: int | None) -> None:
    if offset is None:
        assert _reader(raw).name("x") == raw[1:].decode()
        return
    with pytest.raises(BadModuleError) as caught:
        _reader(raw).name("x")
    assert (caught.value.rule, caught.value.offset) == ("invalid-utf8", offset)


def test_a_count_must_fit_into_what_is_left() -> None:
    assert _reader(b"\x02abcd").count("things", 2) == 2
    with pytest.raises(BadModuleError) as caught:
        _reader(b"\x03abcd\0").count("things", 2)
    assert caught.value.rule == "count-too-large"
    assert str(caught.value) == (
        "3 things need at least 6 bytes, but the test has 5 left (byte 0, 0x0; rule "
        "count-too-large)"
    )
