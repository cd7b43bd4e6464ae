"""
MPFR and the exponential in integers against published values and against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.fidelity.errors import OracleDisagreementError
from conformance.fidelity.true_functions import (
    correctly_rounded,
    cross_check_exp,
    enclose_exp,
    integer_exp,
    wide_value,
)

E = float.fromhex("0x1.5bf0a8b145769p+1")
"""e = 2.71828182845904523536..., rounded by hand: 0x1.5bf0a8b145769535...p+1."""
HARD = [
    # The ends of the range, the first subnormal result, and arguments whose exp is nearly a tie.
    "0x1.62e42fefa39efp+9",
    "0x1.62e42fefa39eep+9",
    "-0x1.74385446d71c3p+9",
    "-0x1.74910d52d3051p+9",
    "-0x1.74910d52d3052p+9",
    "-0x1.6232bdd7abcd2p+9",
    "0x1p-54",
    "-0x1p-54",
    "0x1.8p-53",
    "0x0.0000000000001p-1022",
]


def test_known_values() -> None:
    assert correctly_rounded("exp", 1.0) == E
    assert integer_exp(1.0) == E
    assert correctly_rounded("tanh", math.inf) == 1.0
    assert correctly_rounded("log", 0.0) == -math.inf
    assert math.isnan(correctly_rounded("log", -1.0))


def test_the_least_subnormal_is_reached_and_left() -> None:
    # ln(2^-1075) = -745.13321910194122...: above it exp rounds to the least subnormal.
    above, below = -745.1332191019411, -745.1332191019412
    for exp in (integer_exp, lambda x: correctly_rounded("exp", x)):
        assert exp(above) == 2.0**-1074
        assert exp(below - 1e-12) == 0.0
        assert exp(-1e300) == 0.0


def test_the_greatest_finite_value_is_reached_and_left() -> None:
    last = float.fromhex("0x1.62e42fefa39efp+9")
    for exp in (integer_exp, lambda x: correctly_rounded("exp", x)):
        assert math.isfinite(exp(last))
        assert exp(math.nextafter(last, math.inf)) == math.inf
        assert exp(math.inf) == math.inf
        assert math.isnan(exp(math.nan))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        # e^x = 1 + x + x^2/2 + ...: the square decides on which side of a tie the sum lies.
        pytest.param(2.0**-53, 1.0 + 2.0**-52, id="just above a tie above 1"),
        pytest.param(2.0**-53 - 2.0**-106, 1.0, id="just below a tie above 1"),
        pytest.param(-(2.0**-54), 1.0, id="just above a tie below 1"),
        pytest.param(-(2.0**-54 + 2.0**-106), 1.0 - 2.0**-53, id="just below a tie below 1"),
    ],
)
@pytest.mark.parametrize("precision", [8, 60, 128])
def test_near_ties_are_decided_by_widening(argument: float, value: float, precision: int) -> None:
    assert integer_exp(argument, precision) == value
    assert correctly_rounded("exp", argument) == value


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.floats(-740.0, 700.0).filter(bool), st.sampled_from([4, 20, 60]))
def test_the_enclosure_holds_the_true_value(argument: float, precision: int) -> None:
    low, high, exponent = enclose_exp(Fraction(argument), precision)
    unit = Fraction(2) ** exponent
    assert low * unit < wide_value("exp", argument) < high * unit


def test_hard_arguments_agree() -> None:
    assert cross_check_exp([float.fromhex(text) for text in HARD]) == len(HARD)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.one_of(st.floats(-746.0, 710.0), st.floats(-1.0, 1.0), st.floats()))
def test_random_arguments_agree(argument: float) -> None:
    if not math.isnan(argument):
        cross_check_exp([argument])


def one_ulp_off_once(argument: float) -> float:
    value = correctly_rounded("exp", argument)
    return math.nextafter(value, math.inf) if argument == 0.75 else value


def flushes_subnormals(argument: float) -> float:
    value = correctly_rounded("exp", argument)
    return value if value >= 2.0**-1022 else 0.0


@pytest.mark.parametrize(("wrong", "where"), [(one_ulp_off_once, 0.75), (flushes_subnormals, -740)])
def test_a_disagreement_is_an_error_of_ours(wrong: Callable[[float], float], where: float) -> None:
    arguments = [0.5, float(where), 1.0]
    cross_check_exp(arguments)
    with pytest.raises(OracleDisagreementError, match="cannot be trusted"):
        cross_check_exp(arguments, wrong)


def test_wide_values_bracket_the_rounded_ones() -> None:
    for argument in (0.3, -7.25, 100.0):
        rounded = correctly_rounded("exp", argument)
        error = abs(
            wide_value("exp", argument)
            - rounded.as_integer_ratio()[0] / rounded.as_integer_ratio()[1]
        )
        assert float(error) <= math.ulp(rounded) / 2
    with pytest.raises(ValueError, match="not finite"):
        wide_value("log", 0.0)
