"""
Strategies of domains draw what the domain allows, its edges among it, and nothing else.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from conformance.generate.domains import bits, rows
from conformance.manifest.calls import build_calls, input_columns
from conformance.manifest.domains import contains
from conformance.manifest.read import read_manifest
from conformance.manifest.records import Domain
from runners.bits import format_bits

MODELS = Path(__file__).resolve().parents[3] / "vectors" / "models"
QUICK = settings(max_examples=150, derandomize=True, database=None, deadline=None)


def f64(value: float) -> str:
    return format_bits("f64", struct.unpack("<Q", struct.pack("<d", value))[0])


def f32(value: float) -> str:
    return format_bits("f32", struct.unpack("<I", struct.pack("<f", value))[0])


UNIT = Domain(low=f64(-1.0), high=f64(1.0))
WITH_NANS = Domain(low=f64(0.0), high=f64(2.0), special=True)
NARROW = Domain(low=f32(2.0), high=f32(3.0))
BYTES = Domain(low="i32:ffffff80", high="i32:0000007f")


@pytest.mark.parametrize(
    ("dtype", "domain"),
    [("f64", UNIT), ("f64", WITH_NANS), ("f32", NARROW), ("i32", BYTES), ("i64", None)],
)
def test_only_legal_values_are_drawn(dtype: str, domain: Domain | None) -> None:
    seen: set[int] = set()

    @QUICK
    @given(bits(dtype, domain))
    def check(value: int) -> None:
        seen.add(value)
        assert contains(dtype, domain, np.array([value], np.uint64))[0]

    check()
    assert len(seen) > 20


def test_bounds_are_drawn() -> None:
    seen: set[int] = set()

    @QUICK
    @given(bits("i32", BYTES))
    def check(value: int) -> None:
        seen.add(value)

    check()
    assert {0xFFFFFF80, 0x7F} <= seen


def test_special_values_are_drawn_only_where_they_are_legal() -> None:
    exponent = 0x7FF0000000000000
    found = find(
        bits("f64", WITH_NANS),
        lambda v: v & exponent == exponent and bool(v & 0xFFFFF),
        settings=settings(derandomize=True, database=None, max_examples=2000),
    )
    assert found & exponent == exponent
    # Nothing of the kind is legal in UNIT: see above, where every value drawn is checked.


def test_values_shrink_towards_zero() -> None:
    smallest = find(
        bits("f64", UNIT),
        lambda v: 0.5 <= struct.unpack("<d", struct.pack("<Q", v))[0] < 0.75,
        settings=settings(derandomize=True, database=None, max_examples=500),
    )
    assert struct.unpack("<d", struct.pack("<Q", smallest))[0] == 0.5


def test_rows_are_as_calls_lay_them_out() -> None:
    manifest = read_manifest(MODELS / "diabetes-ridge" / "model.toml")
    assert manifest.run.entry is not None
    call = next(
        c for c in build_calls(manifest, (), "memory", grows=False)
        if c.entry == manifest.run.entry
    )  # fmt: skip
    ((at, dtype, count),) = input_columns(manifest, manifest.run.entry)
    assert manifest.run.input is not None
    domain = manifest.run.input.domain

    @settings(max_examples=20, derandomize=True, database=None, deadline=None)
    @given(rows(manifest))
    def check(row: bytes) -> None:
        assert len(row) == call.input_bytes
        values = np.frombuffer(row[at:], f"<u{8 if dtype == 'f64' else 4}").astype(np.uint64)
        assert len(values) == count
        assert contains(dtype, domain, values).all()

    check()


def test_a_call_of_scalars_is_drawn_in_slots() -> None:
    manifest = read_manifest(MODELS.parent / "operators" / "model.toml")
    entry = "f64.add"
    columns = input_columns(manifest, entry)

    @settings(max_examples=20, derandomize=True, database=None, deadline=None)
    @given(rows(manifest, entry))
    def check(row: bytes) -> None:
        assert len(row) == 8 * len(columns) == 16

    check()
    with pytest.raises(ValueError, match="no entry of its own"):
        rows(manifest)


def test_the_strategy_is_one_of_hypothesis() -> None:
    assert isinstance(bits("f32"), st.SearchStrategy)
