"""
Soft arithmetic against references that share no code with it: the host's floats, MPFR, and values
worked out by hand from the standard.
"""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import TYPE_CHECKING

import gmpy2  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.wasm.numerics import softfloat
from conformance.wasm.numerics.results import AnyNan, Exact, Result, Trap
from conformance.wasm.numerics.scalar import OPERATORS, WIDTH_BITS, apply

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.wasm.numerics.softfloat import Format

EXAMPLES = settings(derandomize=True, deadline=None, database=None, max_examples=300)

CANONICAL, ARITHMETIC = AnyNan("canonical"), AnyNan("arithmetic")
INVALID, OVERFLOW = Trap("invalid conversion to integer"), Trap("integer overflow")

ROUNDED = softfloat.rounded

SINGLE_EDGES = [
    0, 1, 0x7FFFFF, 0x800000, 0x3EFFFFFF, 0x3F000000, 0x3F800000, 0x3F800001, 0x3FC00000,
    0x4B000001, 0x4F000000, 0x5F000000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x7F800001,
]  # fmt: skip
DOUBLE_EDGES = [
    0, 1, 0xFFFFFFFFFFFFF, 1 << 52, 0x3FDFFFFFFFFFFFFF, 0x3FE0000000000000, 0x3FF0000000000000,
    0x3FF0000000000001, 0x3FF8000000000000, 0x4330000000000001, 0x41E0000000000000,
    0x43E0000000000000, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF8000000000000,
    0x7FF0000000000001,
]  # fmt: skip


def _floats(width: int) -> st.SearchStrategy[int]:
    """
    Bits of floats: any, from a narrow band of exponents (so that sums cancel), and edges.
    """
    fraction = 23 if width == 32 else 52
    middle = ((1 << (width - fraction - 2)) - 1) << fraction
    near = st.integers(middle - (3 << fraction), middle + (60 << fraction))
    edges = st.sampled_from(SINGLE_EDGES if width == 32 else DOUBLE_EDGES)
    positive = st.one_of(st.integers(0, (1 << (width - 1)) - 1), near, edges)
    return st.builds(lambda bits, sign: bits | sign << (width - 1), positive, st.integers(0, 1))


SINGLES, DOUBLES = _floats(32), _floats(64)
WORDS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**31, 2**31 - 1, 2**32 - 1]))
LONGS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**63 - 1, 2**64 - 1]))
OF_TYPE = {"i32": WORDS, "i64": LONGS, "f32": SINGLES, "f64": DOUBLES}


def _double(bits: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return value


def _single(bits: int) -> float:
    """
    Give the exact value of a binary32 that is not a NaN.
    """
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def _double_bits(value: float) -> int:
    bits: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return bits


def _is_nan(width: int, bits: int) -> bool:
    infinity = 0x7F800000 if width == 32 else 0x7FF << 52
    return bits & ~(1 << (width - 1)) > infinity


def _agrees(result: Result, value: float) -> bool:
    """
    Whether a binary64 result is the host's value: same bits, or a NaN for a NaN.
    """
    if math.isnan(value):
        return isinstance(result, AnyNan)
    return result == Exact(_double_bits(value))


def _host(operator: str, left: float, right: float) -> float:
    if operator == "add":
        return left + right
    if operator == "sub":
        return left - right
    if operator == "mul":
        return left * right
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1, right)


@EXAMPLES
@given(st.sampled_from(["add", "sub", "mul", "div"]), DOUBLES, DOUBLES)
def test_double_arithmetic_is_the_hosts(operator: str, left: int, right: int) -> None:
    expected = _host(operator, _double(left), _double(right))
    assert _agrees(apply(f"f64.{operator}", (left, right)), expected)


@EXAMPLES
@given(DOUBLES)
def test_double_square_root_is_the_hosts(value: int) -> None:
    number = _double(value)
    expected = math.sqrt(number) if number >= 0 or math.isnan(number) else math.nan
    assert _agrees(apply("f64.sqrt", (value,)), expected)


def _rounds_ties_away(
    form: Format, sign: int, significand: int, exponent: int, *, more: bool = False
) -> int:
    return ROUNDED(form, sign, (significand << 1) + 1, exponent - 1, more=more)


def _truncates(
    form: Format, sign: int, significand: int, exponent: int, *, more: bool = False
) -> int:
    nearest = ROUNDED(form, sign, significand, exponent, more=more)
    size = max(significand.bit_length() - form.fraction - 1, 0)
    exact = ROUNDED(form, sign, significand >> size << size, exponent)
    return exact if more or significand % (1 << size) else nearest


def _flushes_subnormals(
    form: Format, sign: int, significand: int, exponent: int, *, more: bool = False
) -> int:
    bits = ROUNDED(form, sign, significand, exponent, more=more)
    return bits if bits % form.sign >> form.fraction else bits & form.sign


def _disagreements_with_the_host() -> int:
    values = [sign | bits for bits in DOUBLE_EDGES for sign in (0, 1 << 63)]
    return sum(
        not _agrees(
            apply(f"f64.{operator}", (left, right)), _host(operator, _double(left), _double(right))
        )
        for operator in ("add", "sub", "mul", "div")
        for left in values
        for right in values
    )


@pytest.mark.parametrize("bent", [_rounds_ties_away, _truncates, _flushes_subnormals])
def test_a_bent_rounding_is_noticed(
    monkeypatch: pytest.MonkeyPatch, bent: Callable[..., int]
) -> None:
    assert _disagreements_with_the_host() == 0
    monkeypatch.setattr(softfloat, "rounded", bent)
    assert _disagreements_with_the_host() > 0


# ------------------------------------------------------------------------------ against MPFR

SINGLE_CONTEXT = gmpy2.context(
    precision=24, emax=128, emin=-148, subnormalize=True, round=gmpy2.RoundToNearest
)
DOUBLE_CONTEXT = gmpy2.context(
    precision=53, emax=1024, emin=-1073, subnormalize=True, round=gmpy2.RoundToNearest
)


def _bits_of(value: gmpy2.mpfr, width: int) -> int | None:
    """
    Bits of an MPFR number that fits the format exactly; None for a NaN.
    """
    if gmpy2.is_nan(value):
        return None
    number = float(value)
    if width == 64:
        return _double_bits(number)
    bits: int = struct.unpack("<I", struct.pack("<f", number))[0]
    return bits


def _agrees_with_mpfr(result: Result, value: gmpy2.mpfr, width: int) -> bool:
    bits = _bits_of(value, width)
    return isinstance(result, AnyNan) if bits is None else result == Exact(bits)


def _mpfr(context: gmpy2.context, operator: str, operands: list[float]) -> gmpy2.mpfr:
    operations = {
        "add": gmpy2.add, "sub": gmpy2.sub, "mul": gmpy2.mul, "div": gmpy2.div, "sqrt": gmpy2.sqrt,
    }  # fmt: skip
    with context:
        return operations[operator](*[gmpy2.mpfr(operand) for operand in operands])


@EXAMPLES
@given(st.sampled_from(["add", "sub", "mul", "div"]), SINGLES, SINGLES)
def test_single_arithmetic_is_mpfrs(operator: str, left: int, right: int) -> None:
    expected = _mpfr(SINGLE_CONTEXT, operator, [_single(left), _single(right)])
    assert _agrees_with_mpfr(apply(f"f32.{operator}", (left, right)), expected, 32)


@EXAMPLES
@given(SINGLES)
def test_single_square_root_is_mpfrs(value: int) -> None:
    expected = _mpfr(SINGLE_CONTEXT, "sqrt", [_single(value)])
    assert _agrees_with_mpfr(apply("f32.sqrt", (value,)), expected, 32)


@EXAMPLES
@given(DOUBLES)
def test_demotion_is_mpfrs(value: int) -> None:
    with SINGLE_CONTEXT:
        expected = gmpy2.mpfr(_double(value))
    assert _agrees_with_mpfr(apply("f32.demote_f64", (value,)), expected, 32)


@EXAMPLES
@given(SINGLES)
def test_promotion_keeps_the_value(value: int) -> None:
    assert _agrees(apply("f64.promote_f32", (value,)), _single(value))


@EXAMPLES
@given(st.sampled_from(["f32", "f64"]), st.sampled_from(["i32", "i64"]), st.booleans(), LONGS)
def test_conversion_of_integers_is_mpfrs(target: str, source: str, signed: bool, low: int) -> None:  # noqa: FBT001 - drawn by hypothesis
    n = WIDTH_BITS[source]
    bits = low % 2**n
    number = bits - 2**n if signed and bits >= 2 ** (n - 1) else bits
    with SINGLE_CONTEXT if target == "f32" else DOUBLE_CONTEXT:
        expected = gmpy2.mpfr(gmpy2.mpz(number))
    name = f"{target}.convert_{source}_{'s' if signed else 'u'}"
    assert _agrees_with_mpfr(apply(name, (bits,)), expected, WIDTH_BITS[target])


@EXAMPLES
@given(st.sampled_from(["f32", "f64"]), st.sampled_from(["i32", "i64"]), st.booleans(), st.data())
def test_truncation_to_integers_is_exact(
    source: str,
    target: str,
    signed: bool,  # noqa: FBT001 - drawn by hypothesis
    data: st.DataObject,
) -> None:
    bits = data.draw(OF_TYPE[source])
    number = _single(bits) if source == "f32" else _double(bits)
    n = WIDTH_BITS[target]
    low, high = (-(2 ** (n - 1)), 2 ** (n - 1) - 1) if signed else (0, 2**n - 1)
    suffix = f"{source}_{'s' if signed else 'u'}"
    expected: Result
    if math.isnan(number):
        expected, saturated = INVALID, 0
    elif math.isinf(number):
        expected, saturated = OVERFLOW, high if number > 0 else low
    else:
        whole = math.trunc(Fraction(number))
        inside = low <= whole <= high
        expected = Exact(whole % 2**n) if inside else OVERFLOW
        saturated = sorted([low, whole, high])[1]
    assert apply(f"{target}.trunc_{suffix}", (bits,)) == expected
    assert apply(f"{target}.trunc_sat_{suffix}", (bits,)) == Exact(saturated % 2**n)


@EXAMPLES
@given(st.sampled_from(["f32", "f64"]), st.data())
def test_rounding_to_integral_numbers_is_pythons(kind: str, data: st.DataObject) -> None:
    bits = data.draw(OF_TYPE[kind])
    number = _single(bits) if kind == "f32" else _double(bits)
    width = WIDTH_BITS[kind]
    for name, function in (
        ("ceil", math.ceil),
        ("floor", math.floor),
        ("trunc", math.trunc),
        ("nearest", round),
    ):
        result = apply(f"{kind}.{name}", (bits,))
        if math.isnan(number):
            assert isinstance(result, AnyNan)
            continue
        whole = number if math.isinf(number) else math.copysign(float(function(number)), number)
        assert _agrees_with_mpfr(result, gmpy2.mpfr(whole), width)


@EXAMPLES
@given(st.sampled_from(["f32", "f64"]), st.data())
def test_comparisons_and_extrema_are_those_of_numbers(kind: str, data: st.DataObject) -> None:
    left, right = data.draw(OF_TYPE[kind]), data.draw(OF_TYPE[kind])
    a, b = (_single(left), _single(right)) if kind == "f32" else (_double(left), _double(right))
    truths = {"eq": a == b, "ne": a != b, "lt": a < b, "gt": a > b, "le": a <= b, "ge": a >= b}
    for name, truth in truths.items():
        assert apply(f"{kind}.{name}", (left, right)) == Exact(int(truth))
    least, greatest = (apply(f"{kind}.{name}", (left, right)) for name in ("min", "max"))
    if math.isnan(a) or math.isnan(b):
        assert isinstance(least, AnyNan)
        assert isinstance(greatest, AnyNan)
    elif a != b:
        order = [Exact(left), Exact(right)] if a < b else [Exact(right), Exact(left)]
        assert [least, greatest] == order
    else:
        negative = [bits for bits in (left, right) if bits >> (WIDTH_BITS[kind] - 1)]
        positive = [bits for bits in (left, right) if not bits >> (WIDTH_BITS[kind] - 1)]
        assert least == Exact((negative + positive)[0])
        assert greatest == Exact((positive + negative)[0])


@EXAMPLES
@given(st.sampled_from(["f32", "f64"]), st.data())
def test_sign_operators_touch_the_sign_bit_alone(kind: str, data: st.DataObject) -> None:
    left, right = data.draw(OF_TYPE[kind]), data.draw(OF_TYPE[kind])
    sign = 1 << (WIDTH_BITS[kind] - 1)
    assert apply(f"{kind}.abs", (left,)) == Exact(left % sign)
    assert apply(f"{kind}.neg", (left,)) == Exact((left + sign) % (2 * sign))
    assert apply(f"{kind}.copysign", (left, right)) == Exact(left % sign + right // sign * sign)


# ------------------------------------------------------------------ worked out by hand


@pytest.mark.parametrize(("operator", "operands", "expected"), [
    ("f64.add", (0x7FF8000000000000, 0), CANONICAL),
    ("f64.add", (0xFFF8000000000000, 0), CANONICAL),
    ("f64.add", (0, 0x7FF8000000000001), ARITHMETIC),
    ("f64.add", (0x7FF8000000000000, 0x7FF0000000000001), ARITHMETIC),
    ("f64.sub", (0x7FF0000000000000, 0x7FF0000000000000), CANONICAL),
    ("f64.mul", (0x7FF0000000000000, 0x8000000000000000), CANONICAL),
    ("f64.div", (0, 0), CANONICAL),
    ("f32.sqrt", (0xBF800000,), CANONICAL),
    ("f32.sqrt", (0xFFA00000,), ARITHMETIC),
    ("f32.min", (0x3F800000, 0x7FA00000), ARITHMETIC),
    ("f32.max", (0xFFC00000, 0x3F800000), CANONICAL),
    ("f64.nearest", (0x7FF4000000000000,), ARITHMETIC),
    ("f32.demote_f64", (0xFFF8000000000000,), CANONICAL),
    ("f32.demote_f64", (0x7FF8000000000001,), ARITHMETIC),
    ("f64.promote_f32", (0x7FC00000,), CANONICAL),
    ("f64.promote_f32", (0x7F800001,), ARITHMETIC),
    ("f64.neg", (0x7FF0000000000001,), Exact(0xFFF0000000000001)),
    ("f32.copysign", (0x7F800001, 0x80000000), Exact(0xFF800001)),
    ("f64.add", (0x8000000000000000, 0x8000000000000000), Exact(0x8000000000000000)),
    ("f64.sub", (0x3FF0000000000000, 0x3FF0000000000000), Exact(0)),
    ("f64.sqrt", (0x8000000000000000,), Exact(0x8000000000000000)),
    ("f64.nearest", (0xBFE0000000000000,), Exact(0x8000000000000000)),
    ("f64.nearest", (0x4004000000000000,), Exact(0x4000000000000000)),
    ("f64.min", (0, 0x8000000000000000), Exact(0x8000000000000000)),
    ("f64.max", (0x8000000000000000, 0), Exact(0)),
    ("f32.demote_f64", (0x47EFFFFFEFFFFFFF,), Exact(0x7F7FFFFF)),
    ("f32.demote_f64", (0x47EFFFFFF0000000,), Exact(0x7F800000)),
    ("f32.demote_f64", (0x3690000000000000,), Exact(0)),
    ("f32.demote_f64", (0x3690000000000001,), Exact(1)),
    ("f32.convert_i64_u", (0x0040000040000001,), Exact(0x5A800001)),
    ("i32.trunc_f64_s", (0xC1E00000001CCCCD,), Exact(0x80000000)),
    ("i32.trunc_f64_s", (0xC1E0000000200000,), OVERFLOW),
    ("i32.trunc_f64_u", (0xBFE0000000000000,), Exact(0)),
    ("i32.trunc_f64_u", (0xBFF0000000000000,), OVERFLOW),
    ("i64.trunc_f32_u", (0x5F7FFFFF,), Exact(0xFFFFFF0000000000)),
    ("i32.rem_s", (0x80000000, 0xFFFFFFFF), Exact(0)),
    ("i32.div_s", (0x80000000, 0xFFFFFFFF), OVERFLOW),
    ("i64.div_s", (1 << 63, 2**64 - 1), OVERFLOW),
    ("i32.div_s", (0xFFFFFFFB, 2), Exact(0xFFFFFFFE)),
    ("i64.div_u", (2**64 - 1, 1), Exact(2**64 - 1)),
])  # fmt: skip
def test_values_worked_out_from_the_specification(
    operator: str, operands: tuple[int, ...], expected: Result
) -> None:
    assert apply(operator, operands) == expected


@EXAMPLES
@given(st.sampled_from(sorted(OPERATORS)), st.data())
def test_every_operator_answers_within_its_type(operator: str, data: st.DataObject) -> None:
    known = OPERATORS[operator]
    operands = tuple(data.draw(OF_TYPE[kind]) for kind in known.parameters)
    result = apply(operator, operands)
    width = WIDTH_BITS[known.result]
    match result:
        case Exact(bits):
            assert 0 <= bits < 1 << width
        case AnyNan():
            assert known.result in {"f32", "f64"}
            noisy = [
                bits
                for kind, bits in zip(known.parameters, operands, strict=True)
                if _is_nan(WIDTH_BITS[kind], bits)
                and bits % (1 << (WIDTH_BITS[kind] - 1)) not in {0x7FC00000, 0x7FF8000000000000}
            ]
            assert (result == ARITHMETIC) == bool(noisy)
        case Trap(kind):
            assert kind in {
                "integer divide by zero",
                "integer overflow",
                "invalid conversion to integer",
            }
