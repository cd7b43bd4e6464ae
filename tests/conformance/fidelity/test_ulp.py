"""
Errors in units in the last place, on functions whose error is known by construction.
"""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from conformance.fidelity import ulp
from conformance.fidelity.true_functions import correctly_rounded


def exp(argument: float) -> float:
    return correctly_rounded("exp", argument)


def test_ordinals_count_the_numbers() -> None:
    assert ulp.ordinal(0.0) == ulp.ordinal(-0.0) == 0
    assert ulp.ordinal(2.0**-1074) == 1
    assert ulp.steps(-(2.0**-1074), 2.0**-1074) == 2
    assert ulp.steps(1.0, 1.0 + 2.0**-52) == 1
    assert ulp.steps(1.0, 1.0 - 2.0**-53) == 1
    assert ulp.steps(math.nan, math.nan) == 0
    assert ulp.steps(math.nan, 1.0) == 1 << 63


def test_a_correctly_rounded_function_is_within_half_an_ulp() -> None:
    arguments = ulp.seeded_arguments(1, 200, -700.0, 700.0)
    report = ulp.measure(exp, ("mine", "exp"), arguments)
    assert report.correctly_rounded == report.arguments == 200
    assert report.worst_steps == 0
    assert report.worst_milliulp <= 500


@pytest.mark.parametrize("off", [1, 3])
def test_steps_away_are_measured(off: int) -> None:
    def crooked(argument: float) -> float:
        value = exp(argument)
        return value + off * math.ulp(value) if argument > 2.0 else value

    report = ulp.measure(crooked, ("mine", "exp"), [0.5, 1.0, 2.5])
    assert report.worst_steps == off
    assert report.correctly_rounded == 2
    assert 1000 * off - 500 <= report.worst_milliulp <= 1000 * off + 500
    assert report.worst_argument == "f64:4004000000000000"


def test_an_infinity_in_the_wrong_place_is_far() -> None:
    report = ulp.measure(lambda _: math.inf, ("mine", "exp"), [1.0])
    assert report.worst_milliulp == 1000 << 63
    assert ulp.measure(exp, ("mine", "exp"), [1000.0]).worst_milliulp == 0


def test_the_error_is_the_exact_one() -> None:
    # tanh(2^-30) = 2^-30 - 2^-90/3 + ...; the identity is off by a third of 2^-90.
    argument = 2.0**-30
    error = Fraction(1, 3) * Fraction(2) ** -90 / Fraction(math.ulp(argument / 1.5))
    assert ulp.error_milliulp(argument, "tanh", argument) in {
        math.ceil(1000 * error),
        math.ceil(500 * error),
    }


def test_arguments_are_seeded_and_stay_inside() -> None:
    arguments = ulp.seeded_arguments(7, 300, -3.0, 5.0)
    assert arguments == ulp.seeded_arguments(7, 300, -3.0, 5.0)
    assert arguments != ulp.seeded_arguments(8, 300, -3.0, 5.0)
    assert len(arguments) == 300
    assert all(-3.0 <= argument <= 5.0 for argument in arguments)
    assert {-3.0, 5.0} <= set(arguments)
    assert sum(abs(argument) < 1e-100 for argument in arguments) > 50


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(ValueError, match="no true function is called 'expo'"):
        ulp.measure(exp, ("mine", "expo"), [1.0])
