"""
How far a program's own function is from the true one, in units in the last place.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable
from fractions import Fraction

from msgspec import Struct

from conformance.fidelity.arithmetic import bits_of_float, float_of_bits
from conformance.fidelity.oracle import Oracle
from conformance.fidelity.true_functions import (
    TRUE_FUNCTIONS,
    correctly_rounded,
    cross_check_exp,
    wide_value,
)
from conformance.manifest.records import Manifest
from runners.bits import format_bits

_SIGN = 1 << 63
_CROSS_CHECKS = 64


class UlpReport(Struct, frozen=True, kw_only=True):
    """
    The greatest error found of one function of a program, over a seeded set of arguments.
    """

    function: str
    """Name in the program."""
    true_function: str
    arguments: int
    """How many were tried."""
    correctly_rounded: int
    """How many gave the binary64 number nearest to the true value."""
    worst_steps: int
    """Greatest distance from the correctly rounded value, counted in binary64 numbers."""
    worst_milliulp: int
    """Greatest distance from the true value in thousandths of an ulp of it, rounded up."""
    worst_argument: str
    """Where that was, as typed bits."""


def ordinal(value: float) -> int:
    """
    Place of a number among the binary64 numbers: neighbours differ by 1, both zeros are 0.
    """
    bits = bits_of_float(value)
    return -(bits ^ _SIGN) if bits & _SIGN else bits


def steps(one: float, other: float) -> int:
    """
    Distance of two numbers, counted in binary64 numbers; NaN is far from all but NaN.
    """
    if math.isnan(one) or math.isnan(other):
        return 0 if math.isnan(one) and math.isnan(other) else 1 << 63
    return abs(ordinal(one) - ordinal(other))


def error_milliulp(approximation: float, name: str, argument: float) -> int:
    """
    |approximation - true value| in thousandths of an ulp of the true value, rounded up.

    The ulp is that of the correctly rounded value (Muller's definition away from powers of two).
    Where the approximation or that value is infinite or NaN, a difference counts as 2^63 ulp.
    """
    nearest = correctly_rounded(name, argument)
    if not (math.isfinite(nearest) and math.isfinite(approximation)):
        same = steps(approximation, nearest) == 0
        return 0 if same else 1000 << 63
    error = abs(Fraction(approximation) - wide_value(name, argument))
    return math.ceil(1000 * error / Fraction(math.ulp(nearest)))


def seeded_arguments(seed: int, count: int, low: float, high: float) -> list[float]:
    """
    *count* finite arguments within [low, high]: half uniform, half uniform over bit patterns.

    Drawn from SHA-256 in counter mode, so that every platform draws the same; ends included.
    """
    first, last = ordinal(low), ordinal(high)
    drawn = [low, high]
    for index in range(max(0, count - 2)):
        digest = hashlib.sha256(struct.pack("<QQ", seed, index)).digest()
        fraction = int.from_bytes(digest[:8], "little")
        if index % 2:
            value = Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(fraction, 1 << 64)
            drawn.append(float(value))
        else:
            drawn.append(_at_ordinal(first + (last - first) * fraction // (1 << 64)))
    return drawn


def _at_ordinal(place: int) -> float:
    """
    The number at a place among the binary64 numbers.
    """
    return float_of_bits(place if place >= 0 else -place | _SIGN)


def measure(
    function: Callable[[float], float], names: tuple[str, str], arguments: list[float]
) -> UlpReport:
    """
    Compare *function*, called names[0] in the program, with the true function names[1].
    """
    own, true = names
    if true not in TRUE_FUNCTIONS:
        message = f"no true function is called {true!r}: {', '.join(TRUE_FUNCTIONS)}"
        raise ValueError(message)
    correct, worst_steps, worst_milliulp, worst_argument = 0, 0, -1, arguments[0]
    for argument in arguments:
        value = function(argument)
        distance = steps(value, correctly_rounded(true, argument))
        correct += distance == 0
        worst_steps = max(worst_steps, distance)
        error = error_milliulp(value, true, argument)
        if error > worst_milliulp:
            worst_milliulp, worst_argument = error, argument
    return UlpReport(
        function=own,
        true_function=true,
        arguments=len(arguments),
        correctly_rounded=correct,
        worst_steps=worst_steps,
        worst_milliulp=worst_milliulp,
        worst_argument=format_bits("f64", bits_of_float(worst_argument)),
    )


def measure_declared(manifest: Manifest, oracle: Oracle, arguments: list[float]) -> list[UlpReport]:
    """
    Measure every function that the manifest's `[semantics] functions` names.

    exp by MPFR is first compared with exp by integers on some of the arguments; raises
    OracleDisagreementError when they differ.
    """
    cross_check_exp(arguments[:_CROSS_CHECKS])
    functions = manifest.semantics.functions if manifest.semantics is not None else ()
    return [measure(oracle.function(own), (own, true), arguments) for own, true in functions]
