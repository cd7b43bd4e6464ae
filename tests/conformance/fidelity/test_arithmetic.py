"""
The language's built-ins against exact rational arithmetic and hand-worked cases.
"""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.fidelity import arithmetic as a
from conformance.fidelity.errors import BentFpuError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
INF = math.inf


def is_nearest(got: float, true: Fraction) -> bool:
    """
    Whether no neighbour of *got* is closer to *true*, ties going to the even one.
    """
    error = abs(Fraction(got) - true)
    for other in (math.nextafter(got, INF), math.nextafter(got, -INF)):
        if math.isinf(other):
            continue
        distance = abs(Fraction(other) - true)
        if distance < error or (distance == error and a.bits_of_float(got) & 1):
            return False
    return True


@settings(derandomize=True, max_examples=200)
@given(FINITE, FINITE.filter(bool))
def test_division_is_correctly_rounded(dividend: float, divisor: float) -> None:
    quotient = a.divide(dividend, divisor)
    if math.isinf(quotient):
        assert abs(Fraction(dividend) / Fraction(divisor)) >= Fraction(2) ** 1023 * 2 - 2**970
    else:
        assert is_nearest(quotient, Fraction(dividend) / Fraction(divisor))


@pytest.mark.parametrize(
    ("dividend", "divisor", "quotient"),
    [(1.0, 0.0, INF), (1.0, -0.0, -INF), (-1.0, 0.0, -INF), (-2.5, -0.0, INF), (INF, 0.0, INF)],
)
def test_division_by_zero_gives_an_infinity(
    dividend: float, divisor: float, quotient: float
) -> None:
    assert a.divide(dividend, divisor) == quotient


@pytest.mark.parametrize(("dividend", "divisor"), [(0.0, 0.0), (-0.0, 0.0), (math.nan, 0.0)])
def test_zero_by_zero_is_nan(dividend: float, divisor: float) -> None:
    assert math.isnan(a.divide(dividend, divisor))


@settings(derandomize=True, max_examples=100)
@given(st.floats(min_value=0.0, allow_infinity=False))
def test_square_root_is_correctly_rounded(value: float) -> None:
    root = Fraction(a.square_root(value))
    gap = Fraction(math.ulp(float(root))) / 2
    assert max(Fraction(0), root - gap) ** 2 <= Fraction(value) <= (root + gap) ** 2


def test_square_root_of_negatives() -> None:
    assert math.isnan(a.square_root(-1.0))
    assert a.bits_of_float(a.square_root(-0.0)) == 1 << 63


@settings(derandomize=True, max_examples=200)
@given(st.one_of(FINITE, st.floats(-1e4, 1e4), st.integers(-20, 20).map(lambda n: n / 2)))
def test_roundings_are_those_of_the_rationals(value: float) -> None:
    exact = Fraction(value)
    assert Fraction(a.floor(value)) == math.floor(exact)
    assert Fraction(a.nearest(value)) == round(exact)
    for rounded in (a.floor(value), a.nearest(value)):
        if rounded == 0.0:
            assert math.copysign(1.0, rounded) == math.copysign(1.0, value)


@pytest.mark.parametrize("value", [INF, -INF])
def test_roundings_keep_infinities(value: float) -> None:
    assert (a.floor(value), a.nearest(value)) == (value, value)


@settings(derandomize=True, max_examples=200)
@given(FINITE, st.integers(-1022, 1023))
def test_scale_rounds_once(value: float, exponent: int) -> None:
    scaled = a.scale(value, exponent)
    if math.isfinite(scaled):
        assert is_nearest(scaled, Fraction(value) * Fraction(2) ** exponent)


@pytest.mark.parametrize("exponent", [-1023, 1024])
def test_scale_refuses_powers_that_are_not_normal(exponent: int) -> None:
    with pytest.raises(a.OutOfRangeError, match="exponent from -1022 to 1023"):
        a.scale(1.0, exponent)


@pytest.mark.parametrize(
    ("value", "narrowed"),
    [
        (1.0 + 2**-24, 1.0),
        (1.0 + 3 * 2**-24, 1.0 + 2**-22),
        (2.0**-149, 2.0**-149),
        (2.0**-150, 0.0),
        (2.0**128 - 2.0**103, INF),
        (-(2.0**128), -INF),
        (2.0**128 - 2.0**104, 2.0**128 - 2.0**104),
    ],
)
def test_round_to_f32(value: float, narrowed: float) -> None:
    assert a.round_to_f32(value) == narrowed


@pytest.mark.parametrize("value", [math.nan, INF, 2.0**63, -(2.0**63) - 2048])
def test_truncate_refuses_what_traps(value: float) -> None:
    with pytest.raises(a.OutOfRangeError):
        a.truncate(value)


def test_truncate_goes_towards_zero() -> None:
    assert (a.truncate(-1.75), a.truncate(1.75), a.truncate(-(2.0**63))) == (-1, 1, -(2**63))


def test_integers_are_bounded() -> None:
    assert a.bounded(2**127 - 1) == 2**127 - 1
    for value in (2**127, -(2**127)):
        with pytest.raises(a.OutOfRangeError):
            a.bounded(value)
    with pytest.raises(a.OutOfRangeError):
        a.shift_left(1, 127)
    for count in (-1, 128):
        with pytest.raises(a.OutOfRangeError):
            a.shift_left(1, count)
        with pytest.raises(a.OutOfRangeError):
            a.shift_right(1, count)


def test_bits_round_trip() -> None:
    for bits in (0, 1, 0x7FF8000000000001, 0x8000000000000000, 0xFFF0000000000000):
        assert a.bits_of_float(a.float_of_bits(bits)) == bits
    with pytest.raises(a.OutOfRangeError):
        a.float_of_bits(1 << 64)


def flushes_results(left: float, right: float) -> float:
    product = left * right
    return product if product == 0.0 or abs(product) >= 2.0**-1022 else 0.0


def reads_subnormals_as_zero(left: float, right: float) -> float:
    return (left if abs(left) >= 2.0**-1022 else 0.0) * right


def rounds_upwards(left: float, right: float) -> float:
    product = left * right
    return math.nextafter(product, INF) if Fraction(product) < exact(left, right) else product


def rounds_downwards(left: float, right: float) -> float:
    product = left * right
    return math.nextafter(product, -INF) if Fraction(product) > exact(left, right) else product


def rounds_towards_zero(left: float, right: float) -> float:
    product = left * right
    too_far = abs(Fraction(product)) > abs(exact(left, right))
    return math.nextafter(product, 0.0) if too_far else product


def exact(left: float, right: float) -> Fraction:
    return Fraction(left) * Fraction(right)


@pytest.mark.parametrize(
    "bent",
    [
        flushes_results,
        reads_subnormals_as_zero,
        rounds_upwards,
        rounds_downwards,
        rounds_towards_zero,
    ],
)
def test_every_bent_mode_is_noticed(bent: object) -> None:
    with pytest.raises(BentFpuError, match="IEEE 754 gives"):
        a.check_fpu(bent)  # type: ignore[arg-type]


def test_the_default_mode_passes() -> None:
    a.check_fpu()
