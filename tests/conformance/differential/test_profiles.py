"""
What counts as NaN bits, and who can keep which profile.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voting_samples import (
    MINUS_NAN,
    MINUS_ZERO,
    NAN,
    ONE,
    SIGNALLING_NAN,
    TWO,
    ZERO,
    is_nan,
    rows_of,
)

from conformance.differential.profiles import (
    PROFILES,
    BadShapeError,
    OutputShape,
    nan_bits_only,
    output_shape,
    under_profile,
    unlawful_nans,
    zero_signs_only,
)
from runners.records import AtAddress, Buffer, Call, EngineId

F64 = OutputShape(((0, "f64", 2),))
I64 = OutputShape(((0, "i64", 2),))


@pytest.mark.parametrize(
    ("left", "right", "nans", "zeros"),
    [
        ((ONE, ONE), (ONE, ONE), False, False),
        ((NAN, ONE), (MINUS_NAN, ONE), True, False),
        ((NAN, ONE), (MINUS_NAN, TWO), False, False),
        ((NAN, ONE), (ONE, ONE), False, False),
        ((NAN, ONE), (0x7FF0000000000000, ONE), False, False),
        ((ZERO, ONE), (MINUS_ZERO, ONE), False, True),
        ((ZERO, NAN), (MINUS_ZERO, MINUS_NAN), False, False),
        ((ZERO, NAN), (MINUS_ZERO, NAN), False, True),
        ((ZERO, ONE), (1, ONE), False, False),
    ],
)
def test_what_rows_differ_in(
    left: tuple[int, int], right: tuple[int, int], *, nans: bool, zeros: bool
) -> None:
    a, b = rows_of([left]), rows_of([right])
    assert nan_bits_only(a, b, F64).tolist() == [nans]
    assert zero_signs_only(a, b, F64).tolist() == [zeros]
    assert not nan_bits_only(a, b, I64)[0]
    assert not zero_signs_only(a, b, I64)[0]


@settings(derandomize=True, database=None, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_nan_bits_only_means_two_nans(left: int, right: int) -> None:
    a, b = rows_of([[left, ONE]]), rows_of([[right, ONE]])
    expected = left != right and is_nan(left) and is_nan(right)
    assert nan_bits_only(a, b, F64).tolist() == [expected]
    for exponent in (0x7FF << 52, 0xFFF << 52):
        a, b = rows_of([[left | exponent, ONE]]), rows_of([[right | exponent, ONE]])
        expected = all(is_nan(x | exponent) for x in (left, right)) and a.tolist() != b.tolist()
        assert nan_bits_only(a, b, F64).tolist() == [expected]


def test_single_precision_in_a_slot_and_packed() -> None:
    shape = OutputShape(((0, "f32", 1), (8, "f32", 2)))
    base = np.array([[0x7FC00000, 0, 0x7FC00000, 0x3F800000]], dtype="<u4").view(np.uint8)
    for byte, expected in ((3, True), (7, False), (11, True), (15, False)):
        other = base.copy()
        other[0, byte] ^= 0x80
        assert nan_bits_only(base, other, shape).tolist() == [expected]


def test_comparing_changes_no_argument() -> None:
    left, right = rows_of([[SIGNALLING_NAN]]), rows_of([[MINUS_ZERO]])
    shape = OutputShape(((0, "f64", 1),))
    nan_bits_only(left, right, shape)
    zero_signs_only(left, right, shape)
    assert left.tobytes() == rows_of([[SIGNALLING_NAN]]).tobytes()
    assert right.tobytes() == rows_of([[MINUS_ZERO]]).tobytes()


def test_signalling_nans_are_unlawful_only_where_nodes_differ() -> None:
    shape = OutputShape(((0, "f64", 2),))
    seen = np.array([[True, True]])
    cases = [
        ((SIGNALLING_NAN, NAN), (SIGNALLING_NAN, MINUS_NAN), [False, False]),
        ((SIGNALLING_NAN, NAN), (NAN, NAN), [True, False]),
        ((NAN, NAN), (NAN, SIGNALLING_NAN), [False, True]),
        ((NAN, NAN), (NAN, 0x7FF0000000000000), [False, False]),
    ]
    for left, right, expected in cases:
        rows = [rows_of([left]), rows_of([right])]
        assert unlawful_nans(rows, seen, shape).tolist() == [expected]
    rows = [rows_of([(SIGNALLING_NAN, NAN)]), rows_of([(NAN, NAN)])]
    assert not unlawful_nans(rows, np.array([[False, True]]), shape).any()


def test_shape_of_a_call() -> None:
    call = Call("f", results=("i64", "i32"), output=Buffer(AtAddress(0), 24))
    assert output_shape(call, ["f64", "f32"], "f64").columns == (
        (0, "f64", 1),
        (8, "f32", 1),
        (16, "f64", 3),
    )
    assert output_shape(call).columns == ((0, "i64", 1), (8, "i32", 1))
    for results, buffer in ((["f64"], "f64"), (["f64", "f64"], "f16")):
        with pytest.raises(BadShapeError):
            output_shape(call, results, buffer)


@pytest.mark.parametrize(
    "columns",
    [((0, "f64", 3),), ((0, "f64", 1), (4, "f32", 1)), ((0, "f80", 1),), ((-8, "f64", 1),)],
)
def test_columns_outside_their_row_are_refused(columns: tuple[tuple[int, str, int], ...]) -> None:
    with pytest.raises(BadShapeError):
        OutputShape(columns).check(16)
    OutputShape(((8, "f64", 1), (0, "f32", 2))).check(16)


@pytest.mark.parametrize(
    ("engine", "generator", "full", "asked"),
    [
        ("wasmtime@50.0.1/cranelift", "cranelift", True, "- mode cosmwasm mode -"),
        ("wasmtime@50.0.1/cranelift+nan=canonical", "cranelift", True, "- mode not mode -"),
        ("wasmer@1.1.0/singlepass", "singlepass", False, "- canonical cosmwasm canonical -"),
        ("wasmer@1.1.0/llvm", "llvm", False, "- canonical cosmwasm canonical -"),
        ("pywasm@2.2.3", "pywasm", False, "- canonical cosmwasm canonical -"),
        ("reference@1", "reference", True, "- mode not mode -"),
    ],
)
def test_who_keeps_which_profile(engine: str, generator: str, *, full: bool, asked: str) -> None:
    capabilities = ("nan:canonical",) if full else ()
    name = EngineId.parse(engine)
    found = []
    for profile in PROFILES:
        told = under_profile(name, generator, capabilities, profile)
        if told.engine is None:
            found.append("not")
            assert "makes NaNs canonical in f32.demote_f64" in told.reason
            continue
        assert not told.reason
        own_mode = dict(told.engine.settings).get("nan") == "canonical"
        assert not (own_mode and told.rewrite)
        found.append(told.rewrite or ("mode" if own_mode and profile not in _LOOSE else "-"))
    assert found == asked.split()


_LOOSE = ("exact", "free")


def test_canonical_engines_are_asked_in_their_canonical_mode() -> None:
    name = EngineId.parse("wasmtime@50.0.1/cranelift+opt=0")
    asked = under_profile(name, "cranelift", ("nan:canonical",), "canonical").engine
    assert str(asked) == "wasmtime@50.0.1/cranelift+nan=canonical,opt=0"
    assert under_profile(name, "cranelift", ("nan:canonical",), "exact").engine == name


def test_without_conversions_canonical_and_cosmwasm_are_one() -> None:
    for name, generator, capabilities in (
        ("wasmer@1.1.0/singlepass", "singlepass", ()),
        ("wasmtime@50.0.1", "cranelift", ("nan:canonical",)),
    ):
        for profile in ("canonical", "cosmwasm"):
            engine = EngineId.parse(name)
            with_both = under_profile(engine, generator, capabilities, profile, converts=False)
            assert with_both.engine is not None
