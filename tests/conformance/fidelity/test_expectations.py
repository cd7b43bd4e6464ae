"""
Expected outcomes: what is within them, what is not, and which files are refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.fidelity.expectations import (
    BadExpectationsError,
    Difference,
    Expectations,
    Mismatch,
    judged,
)
from conformance.wasm.numerics.results import AnyNan, Exact, Trap
from runners.status import BROKEN, LIMITS, REJECTED, TRAPS, Status

if TYPE_CHECKING:
    from pathlib import Path

CALLS = {
    "f64.op": ["8000000000000000", "nan:canonical", "nan:arithmetic", "7ff0000000000001"],
    "f32.op": ["80000000", "nan:canonical", "nan:arithmetic", "7fa00000"],
    "i64.op": ["8000000000000000", "trap:integer overflow", "trap:undefined element"],
}
FILE = {"schema": 1, "calls": CALLS, "results": {name: name[:3] for name in CALLS}}
EXPECTED = Expectations.decode(json.dumps(FILE).encode())


def compared(entry: str, index: int, status: Status, bits: int) -> list[Mismatch]:
    outputs = np.array([bits], dtype="<u8").view(np.uint8).reshape(1, 8)
    row = np.array([status], dtype=np.uint8)
    return EXPECTED.mismatches(entry, np.array([index]), row, outputs)


@pytest.mark.parametrize(("entry", "index", "bits"), [
    ("f64.op", 0, 0x8000000000000000),
    ("f64.op", 1, 0x7FF8000000000000),
    ("f64.op", 1, 0xFFF8000000000000),
    ("f64.op", 2, 0x7FF8000000000000),
    ("f64.op", 2, 0xFFFFFFFFFFFFFFFF),
    ("f64.op", 3, 0x7FF0000000000001),
    ("f32.op", 1, 0xFFC00000),
    ("f32.op", 2, 0x7FC00001),
    ("f32.op", 3, 0x7FA00000),
    ("i64.op", 0, 1 << 63),
])  # fmt: skip
def test_what_the_specification_allows_is_within(entry: str, index: int, bits: int) -> None:
    assert compared(entry, index, Status.RETURNED, bits) == []


@pytest.mark.parametrize(("entry", "index", "bits", "difference"), [
    ("f64.op", 0, 0, "sign-of-zero"),
    ("f64.op", 0, 0x8000000000000001, "value"),
    ("f64.op", 1, 0x7FF8000000000001, "nan-bits"),
    ("f64.op", 1, 0x7FF0000000000000, "value"),
    ("f64.op", 2, 0x7FF4000000000000, "nan-bits"),
    ("f64.op", 2, 0x7FF0000000000000, "value"),
    ("f64.op", 2, 0x3FF8000000000000, "value"),
    ("f64.op", 3, 0x7FF8000000000001, "nan-bits"),
    ("f32.op", 0, 0, "sign-of-zero"),
    ("f32.op", 1, 0x7FE00000, "nan-bits"),
    ("f32.op", 1, 0x17FC00000, "value"),
    ("f32.op", 2, 0x17FC00000, "value"),
    ("f32.op", 2, 0x7FA00000, "nan-bits"),
    ("f32.op", 3, 0x7FE00000, "nan-bits"),
    ("i64.op", 0, 0, "value"),
    ("i64.op", 1, 0, "trap"),
])  # fmt: skip
def test_any_other_bits_are_a_mismatch(
    entry: str, index: int, bits: int, difference: Difference
) -> None:
    (mismatch,) = compared(entry, index, Status.RETURNED, bits)
    assert (mismatch.entry, mismatch.index, mismatch.position) == (entry, index, 0)
    assert (mismatch.status, mismatch.bits) == (Status.RETURNED, bits)
    assert mismatch.difference == difference


@pytest.mark.parametrize(("index", "within"), [
    (1, {Status.TRAP_INTEGER_OVERFLOW, Status.TRAP_UNKNOWN}),
    (2, {
        Status.TRAP_UNDEFINED_ELEMENT, Status.TRAP_INDIRECT_CALL_TO_NULL,
        Status.TRAP_TABLE_OUT_OF_BOUNDS, Status.TRAP_UNKNOWN,
    }),
    (0, set()),
])  # fmt: skip
def test_traps_are_compared_by_kind(index: int, within: set[Status]) -> None:
    for status in sorted(TRAPS):
        found = compared("i64.op", index, status, 0)
        assert [one.difference for one in found] == ([] if status in within else ["trap"])


def test_nodes_that_abstain_are_not_judged() -> None:
    abstaining = sorted({Status.PENDING, *LIMITS, *BROKEN, *REJECTED})
    for status in abstaining:
        assert compared("i64.op", 0, status, 0) == []
        assert compared("i64.op", 1, status, 0) == []
    assert not judged(np.array(abstaining, dtype=np.uint8)).any()
    assert judged(np.array([Status.RETURNED, *sorted(TRAPS)], dtype=np.uint8)).all()


def test_rows_are_reported_in_order_with_their_position() -> None:
    indices = np.array([2, 0, 1, 0])
    status = np.full(4, Status.RETURNED, dtype=np.uint8)
    outputs = np.zeros((4, 8), dtype=np.uint8)
    outputs[3, 7] = 0x80
    found = EXPECTED.mismatches("f64.op", indices, status, outputs)
    assert [(one.position, one.index) for one in found] == [(0, 2), (1, 0), (2, 1)]
    assert [one.expected for one in found] == [
        AnyNan("arithmetic"),
        Exact(1 << 63),
        AnyNan("canonical"),
    ]
    assert EXPECTED.mismatches("f64.op", indices[:0], status[:0], outputs[:0]) == []


def test_sentences_say_what_was_expected_and_what_came() -> None:
    (mismatch,) = compared("i64.op", 0, Status.TRAP_UNREACHABLE, 0)
    assert mismatch.sentence("i64") == "i64.op #0: expected 8000000000000000, trap unreachable"
    (mismatch,) = compared("f32.op", 1, Status.RETURNED, 0x3F800000)
    assert mismatch.sentence("f32") == "f32.op #1: expected nan:canonical, 3f800000"


@settings(derandomize=True, deadline=None, database=None)
@given(st.sampled_from([entry for entry in CALLS if entry[0] == "f"]), st.integers(0, 63))
def test_one_flipped_bit_of_exact_results_is_found(entry: str, bit: int) -> None:
    meant = int(CALLS[entry][0], 16)
    assert compared(entry, 0, Status.RETURNED, meant) == []
    (mismatch,) = compared(entry, 0, Status.RETURNED, meant ^ 1 << bit)
    assert mismatch.bits == meant ^ 1 << bit


def test_single_rows_can_be_asked_for() -> None:
    assert EXPECTED.entries == tuple(CALLS)
    assert EXPECTED.row("i64.op", 0) == Exact(1 << 63)
    assert EXPECTED.row("i64.op", 1) == Trap("integer overflow")
    assert EXPECTED.row("f32.op", 2) == AnyNan("arithmetic")
    assert EXPECTED.result("f32.op") == "f32"
    for index in (-1, 3):
        with pytest.raises(BadExpectationsError, match=r"i64\.op has 3 expected outcomes"):
            EXPECTED.row("i64.op", index)
    with pytest.raises(BadExpectationsError, match=r"no expected outcomes of entry 'f64\.fma'"):
        EXPECTED.row("f64.fma", 0)


@pytest.mark.parametrize("shapes", [((2,), (1,), (2, 8)), ((1,), (1,), (1, 4)), ((1,), (1,), (8,))])
def test_arrays_that_do_not_fit_are_refused(
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
) -> None:
    indices, status, outputs = (np.zeros(shape, dtype=np.uint8) for shape in shapes)
    with pytest.raises(BadExpectationsError, match="status bytes"):
        EXPECTED.mismatches("i64.op", indices, status, outputs)


@pytest.mark.parametrize("index", [-1, 3])
def test_cases_that_do_not_exist_are_refused(index: int) -> None:
    with pytest.raises(BadExpectationsError, match="some index is beyond"):
        compared("i64.op", index, Status.RETURNED, 0)


@pytest.mark.parametrize(("file", "sentence"), [
    ({**FILE, "schema": 2}, "no file of expected outcomes"),
    ({**FILE, "colour": "red"}, "no file of expected outcomes"),
    ({"schema": 1, "calls": CALLS}, "no file of expected outcomes"),
    ({**FILE, "results": {**FILE["results"], "f64.op": "v128"}}, "no file of expected outcomes"),  # type: ignore[dict-item]
    ({**FILE, "results": {"f64.op": "f64"}}, "'f32.op' must stand in both"),
    ({**FILE, "calls": {**CALLS, "i64.op": ["nan:canonical"]}}, "i64.op #0: nan:canonical cannot"),
    ({**FILE, "calls": {**CALLS, "f32.op": ["00000000", "0"]}}, "f32.op #1: '0' is no expected"),
    ({**FILE, "calls": {**CALLS, "f32.op": ["trap:boom"]}}, "'trap:boom' is no expected outcome"),
])  # fmt: skip
def test_bad_files_are_refused_by_name_and_reason(
    tmp_path: Path, file: dict[str, object], sentence: str
) -> None:
    path = tmp_path / "expected.json"
    path.write_text(json.dumps(file))
    with pytest.raises(BadExpectationsError) as caught:
        Expectations.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert sentence in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadExpectationsError, match="cannot be read: No such file"):
        Expectations.load(tmp_path / "expected.json")


@settings(derandomize=True, deadline=None, database=None)
@given(st.binary(max_size=80), st.integers(0, 400))
def test_no_bytes_raise_another_error(noise: bytes, at: int) -> None:
    data = json.dumps(FILE).encode()
    for damaged in (noise, data[:at] + noise + data[at:], data[:at]):
        try:
            decoded = Expectations.decode(damaged)
        except BadExpectationsError:
            continue
        assert set(decoded.entries) == set(json.loads(damaged)["calls"])
