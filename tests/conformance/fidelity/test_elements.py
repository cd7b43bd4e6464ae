"""
Numbers to and from rows, bit by bit.
"""

from __future__ import annotations

import math

import pytest

from conformance.fidelity.elements import UnwritableError, decode, encode


@pytest.mark.parametrize(
    ("dtype", "data", "values"),
    [
        ("f64", "000000000000f83f0000000000000080", (1.5, -0.0)),
        ("f32", "0000c03f01000000", (1.5, 2.0**-149)),
        ("i32", "ffffffff00000080", (-1, -(2**31))),
        ("i64", "feffffffffffffff", (-2,)),
    ],
)
def test_decode_and_encode(dtype: str, data: str, values: tuple[float, ...]) -> None:
    decoded = decode(dtype, bytes.fromhex(data))
    assert repr(decoded) == repr(values)
    assert encode(dtype, list(decoded)).hex() == data


def test_every_nan_is_written_as_the_canonical_one() -> None:
    odd = decode("f64", bytes.fromhex("010000000000f8ff"))
    assert encode("f64", odd).hex() == "000000000000f87f"
    assert encode("f32", odd).hex() == "0000c07f"


@pytest.mark.parametrize(
    ("dtype", "value", "words"),
    [
        ("f32", 0.1, "round it with f32"),
        ("f32", 2.0**200, "round it with f32"),
        ("f64", 3, "convert it with float"),
        ("i32", 2**31, "signed integer of 32 bits"),
        ("i64", -(2**63) - 1, "signed integer of 64 bits"),
        ("i32", 1.0, "signed integer"),
    ],
)
def test_refused(dtype: str, value: float, words: str) -> None:
    with pytest.raises(UnwritableError, match=words):
        encode(dtype, [value])


def test_infinities_are_binary32_numbers() -> None:
    assert encode("f32", [math.inf, -math.inf]).hex() == "0000807f000080ff"
