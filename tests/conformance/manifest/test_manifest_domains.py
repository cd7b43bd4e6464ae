import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.manifest.domains import (
    BadBoundError,
    bound_bits,
    contains,
    interval,
    order,
    unorder,
    widest,
)
from conformance.manifest.records import Domain, DType
from runners.bits import format_bits

DTYPES: tuple[DType, ...] = ("i32", "i64", "f32", "f64")
CODES = {"i32": ("<i", "<I"), "i64": ("<q", "<Q"), "f32": ("<f", "<I"), "f64": ("<d", "<Q")}
MASKS = {"i32": 2**32 - 1, "i64": 2**64 - 1, "f32": 2**32 - 1, "f64": 2**64 - 1}


def value_of(dtype: str, bits: int) -> float:
    """
    What bits mean, by the struct module: an independent reading.
    """
    value: float = struct.unpack(CODES[dtype][0], struct.pack(CODES[dtype][1], bits))[0]
    return value


@pytest.mark.parametrize("dtype", DTYPES)
@settings(derandomize=True, max_examples=100, deadline=None)
@given(data=st.data())
def test_membership_is_what_the_values_say(dtype: DType, data: st.DataObject) -> None:
    draw = st.integers(0, MASKS[dtype])
    finite = draw.filter(lambda b: math.isfinite(value_of(dtype, b)))
    ends = sorted((data.draw(finite), data.draw(finite)), key=lambda b: value_of(dtype, b))
    special = dtype.startswith("f") and data.draw(st.booleans())
    domain = Domain(
        low=format_bits(dtype, ends[0]), high=format_bits(dtype, ends[1]), special=special
    )
    sign = 1 << (MASKS[dtype].bit_length() - 1)
    probes = [*ends, 0, sign, *data.draw(st.lists(draw, max_size=5))]
    probes += [p + d for p in ends for d in (-1, 1) if 0 <= p + d <= MASKS[dtype]]
    for bits in probes:
        value = value_of(dtype, bits)
        if math.isfinite(value):
            expected = value_of(dtype, ends[0]) <= value <= value_of(dtype, ends[1])
        else:
            expected = special
        assert contains(dtype, domain, np.array([bits], np.uint64))[0] == expected
    first, last = interval(dtype, domain)
    assert first <= last


@pytest.mark.parametrize("dtype", DTYPES)
@settings(derandomize=True, max_examples=80, deadline=None)
@given(data=st.data())
def test_the_order_is_that_of_the_values(dtype: DType, data: st.DataObject) -> None:
    draw = st.integers(0, MASKS[dtype])
    pair = np.array([data.draw(draw), data.draw(draw)], np.uint64)
    places = order(dtype, pair)
    assert unorder(dtype, places).tolist() == pair.tolist()
    left, right = (value_of(dtype, int(bits)) for bits in pair)
    if left < right:
        assert places[0] < places[1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_widest_domain_has_all_finite_values_and_no_others(dtype: DType) -> None:
    probes = np.array([0, 1, MASKS[dtype], MASKS[dtype] // 2, MASKS[dtype] // 2 + 1], np.uint64)
    finite = [math.isfinite(value_of(dtype, int(b))) for b in probes]
    assert contains(dtype, widest(dtype, special=False), probes).tolist() == finite
    assert contains(dtype, None, probes).all()
    if dtype.startswith("f"):
        assert not all(finite)
        assert contains(dtype, widest(dtype, special=True), probes).all()


GOOD: list[tuple[DType, object, int]] = [
    ("f64", 0, 0),
    ("f64", 16.0, 0x4030000000000000),
    ("f64", -0.0, 0x8000000000000000),
    ("f64", 0.1, 0x3FB999999999999A),
    ("f32", 0.1, 0x3DCCCCCD),
    ("f64", 2**53, 0x4340000000000000),
    ("f64", "0x1.8p+3", 0x4028000000000000),
    ("f64", "-0x1p-1074", 0x8000000000000001),
    ("f64", "0xff", 0x406FE00000000000),
    ("f64", "0x0.00000000000000000000000000000001p+128", 0x3FF0000000000000),
    ("f32", "0x1.fffffep+127", 0x7F7FFFFF),
    ("f64", "f64:000fffffffffffff", 0x000FFFFFFFFFFFFF),
    ("i32", -1, 0xFFFFFFFF),
    ("i32", 2**31 - 1, 0x7FFFFFFF),
    ("i64", -(2**63), 0x8000000000000000),
    ("i64", "i64:00000000000000ff", 0xFF),
]


@pytest.mark.parametrize(("dtype", "value", "bits"), GOOD)
def test_bounds_become_bits(dtype: DType, value: object, bits: int) -> None:
    assert bound_bits(dtype, value) == bits


BAD: list[tuple[DType, object, str]] = [
    ("f64", 2**53 + 1, "a value of f64 exactly: the nearest one is 9007199254740992.0"),
    ("f64", 10**400, "a finite f64"),
    ("f32", 16777217, "exactly"),
    ("f32", 1e39, "a finite f32"),
    ("f64", float("inf"), "special = true"),
    ("f64", float("nan"), "special = true"),
    ("f64", "f64:7ff0000000000000", "special = true"),
    ("f64", "0x1.00000000000001p+0", "exactly"),
    ("f64", "0x1.8p-1074", "exactly"),
    ("f64", "0x1p1024", "a finite f64"),
    ("f64", "0x1p99999", "a finite f64"),
    ("f64", "1.5", "0x1.8p\\+3"),
    ("f64", True, "a number"),
    ("f64", [1], "a number"),
    ("i32", 1.0, "an integer"),
    ("i32", "0x1", "an integer"),
    ("i32", 2**31, "from -2147483648 to 2147483647"),
    ("i32", "i64:0000000000000000", "bits of i32"),
]


@pytest.mark.parametrize(("dtype", "value", "words"), BAD)
def test_what_is_no_bound_is_refused(dtype: DType, value: object, words: str) -> None:
    with pytest.raises(BadBoundError, match=words):
        bound_bits(dtype, value)
