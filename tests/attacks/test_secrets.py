from __future__ import annotations

import numpy as np
import pytest

from attacks.marks import marks_of
from attacks.secrets import draw_row, spread_evenly
from conformance.manifest.calls import input_columns
from conformance.manifest.domains import bound_bits, contains
from conformance.manifest.records import (
    Domain,
    DType,
    Judge,
    Manifest,
    RunPart,
    ScalarCall,
    Tensor,
)
from runners.bits import WIDTH_BYTES, format_bits
from runners.records import AtAddress


def domain(dtype: DType, low: float, high: float) -> Domain:
    ends = (format_bits(dtype, bound_bits(dtype, value)) for value in (low, high))
    return Domain(low=next(ends), high=next(ends))


def of_buffer(dtype: DType, count: int, allowed: Domain | None) -> Manifest:
    tensor = Tensor(dtype=dtype, shape=(count,), place=AtAddress(0), domain=allowed)
    run = RunPart(entry="infer", input=tensor)
    return Manifest(name="m", path="", run=run, judge=Judge())


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("f64", -1, 1), ("f64", 0, 16), ("f32", 0, 1), ("i32", -5, 250), ("i64", 0, 2**40)],
)
def test_rows_are_legal_and_every_one_is_another(dtype: DType, low: float, high: float) -> None:
    allowed = domain(dtype, low, high)
    manifest = of_buffer(dtype, 40, allowed)
    rows = [draw_row(manifest, "infer", seed, name) for seed in (0, 1) for name in ("a", "b")]
    assert len(set(rows)) == 4
    assert rows[0] == draw_row(manifest, "infer", 0, "a")
    for row in rows:
        bits = np.frombuffer(row, f"<u{WIDTH_BYTES[dtype]}").astype(np.uint64)
        assert len(bits) == 40
        assert contains(dtype, allowed, bits).all()
        assert len(marks_of(row, input_columns(manifest, "infer"))) > 0


def test_every_float_of_a_secret_is_a_mark() -> None:
    manifest = of_buffer("f64", 40, domain("f64", 0, 16))
    marks = marks_of(draw_row(manifest, "infer", 0, "s"), input_columns(manifest, "infer"))
    assert len(marks.wide) >= 39


def test_without_a_domain_numbers_are_finite() -> None:
    values = np.frombuffer(draw_row(of_buffer("f64", 64, None), "infer", 3, "s"), "<f8")
    assert np.isfinite(values).all()


def test_scalars_take_a_slot_each() -> None:
    call = ScalarCall(entry="add", parameters=("f32", "i64"), results=("f32",), carried=True)
    manifest = Manifest(name="m", path="", run=RunPart(calls=(call,)), judge=Judge())
    row = draw_row(manifest, "add", 0, "s")
    assert len(row) == 16
    assert row[4:8] == bytes(4)


def test_few_places_are_spread_over_many() -> None:
    assert spread_evenly(3, 8) == [0, 1, 2]
    assert spread_evenly(172, 8)[0] == 0
    assert spread_evenly(172, 8)[-1] == 171
    assert len(spread_evenly(172, 8)) == 8
    assert spread_evenly(1, 1) == [0]
