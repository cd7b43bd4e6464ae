"""
Correctly rounded functions: MPFR for all of them, and plain integers for exp, as its cross-check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import gmpy2  # type: ignore[import-untyped]

from conformance.fidelity.arithmetic import bits_of_float
from conformance.fidelity.errors import OracleDisagreementError

TRUE_FUNCTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    name: getattr(gmpy2, name)
    for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cos", "cosh", "erf", "erfc",
        "exp", "exp10", "exp2", "expm1", "log", "log10", "log1p", "log2", "sin", "sinh", "sqrt",
        "tan", "tanh",
    )
}  # fmt: skip
"""Functions of one real argument that MPFR rounds correctly."""

_WIDE_BITS: Final = 160
_FIRST_PRECISION: Final = 128
_OVERFLOW: Final = float.fromhex("0x1.62e42fefa39efp9")
"""Largest binary64 number whose exp is finite (ln of the largest binary64 number)."""
_UNDERFLOW: Final = -746.0
"""exp of this and below rounds to zero: half of the least subnormal is exp(-745.13...)."""


def _binary64_context() -> Any:
    """
    MPFR as binary64: 53 bits, subnormals, ties to even.
    """
    return gmpy2.context(
        precision=53, emax=1024, emin=-1073, subnormalize=True, round=gmpy2.RoundToNearest
    )


def correctly_rounded(name: str, argument: float) -> float:
    """
    The binary64 number nearest to the true value of function *name*, ties to even.
    """
    with _binary64_context():
        return float(TRUE_FUNCTIONS[name](gmpy2.mpfr(argument)))


def wide_value(name: str, argument: float) -> Fraction:
    """
    The true value of function *name* to 160 bits, for measuring errors below one ulp.

    Raises ValueError where the value is not finite.
    """
    with gmpy2.context(precision=_WIDE_BITS):
        value = TRUE_FUNCTIONS[name](gmpy2.mpfr(argument))
        if not gmpy2.is_finite(value):
            message = f"{name}({argument.hex()}) is not finite"
            raise ValueError(message)
        return Fraction(*(int(part) for part in value.as_integer_ratio()))


# ------------------------------------------------------------------- exp in plain integers


def integer_exp(argument: float, precision: int = _FIRST_PRECISION) -> float:
    """
    Correctly rounded exp without any floating-point operation on the way.

    The argument is divided by a power of two, the Taylor series summed in fixed point, and the
    sum squared back; both ends of the error interval are rounded, and the precision is widened
    until they round alike (Ziv's strategy). Terminates because exp of a rational other than 0 is
    never rational, so never a tie. *precision* in bits is where it starts.
    """
    if math.isnan(argument) or argument == 0.0:
        return argument if math.isnan(argument) else 1.0
    if argument > _OVERFLOW:
        return math.inf
    if argument < _UNDERFLOW:
        return 0.0
    exact = Fraction(argument)
    while True:
        low, high, exponent = enclose_exp(exact, precision)
        first = _round_to_binary64(low, exponent)
        if first == _round_to_binary64(high, exponent):
            return first
        precision *= 2


def enclose_exp(exact: Fraction, precision: int) -> tuple[int, int, int]:
    """
    Integers low, high and an exponent e with low * 2^e < exp(exact) < high * 2^e.
    """
    halvings = max(0, exact.numerator.bit_length() - exact.denominator.bit_length() + 1) + 8
    guard = precision + 2 * halvings + 16
    small = (exact.numerator << guard) // (exact.denominator << halvings)
    total = term = 1 << guard
    count = 1
    while term not in {0, -1}:
        term = (term * small >> guard) // count
        total += term
        count += 1
    # Each of the `count` terms is short by at most 2 units, the tail by 1, the argument by 1.
    error = 2 * count + 4
    exponent = -guard
    for _ in range(halvings):
        squared = total * total
        error = 2 * error * total + error * error
        shift = max(0, squared.bit_length() - guard)
        total, error, exponent = squared >> shift, (error >> shift) + 2, 2 * exponent + shift
    return total - error, total + error, exponent


def _round_to_binary64(mantissa: int, exponent: int) -> float:
    """
    Mantissa * 2^exponent to binary64, ties to even, by comparing integers.
    """
    # The last place kept: 53 digits, but never below the least subnormal 2^-1074.
    last = max(mantissa.bit_length() - 53, -1074 - exponent)
    if last <= 0:
        return math.ldexp(mantissa, exponent)
    kept, rest = divmod(mantissa, 1 << last)
    half = 1 << (last - 1)
    if rest > half or (rest == half and kept & 1):
        kept += 1
    if kept.bit_length() + last + exponent > 1024:  # noqa: PLR2004 - binary64's emax
        return math.inf
    return math.ldexp(kept, last + exponent)


def cross_check_exp(
    arguments: Sequence[float], first: Callable[[float], float] | None = None
) -> int:
    """
    Compare MPFR's exp with the one in integers; return how many arguments were compared.

    *first* stands in for MPFR. Raises OracleDisagreementError at the first difference.
    """
    for argument in arguments:
        one = first(argument) if first is not None else correctly_rounded("exp", argument)
        other = integer_exp(argument)
        if bits_of_float(one) != bits_of_float(other):
            message = (
                f"exp({argument.hex()}) is {one.hex()} by MPFR and {other.hex()} by integers: "
                "one of the two is wrong, so the oracle cannot be trusted"
            )
            raise OracleDisagreementError(message)
    return len(arguments)
