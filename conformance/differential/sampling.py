"""
Which cases slow engines see, and what "no difference seen" is then worth.

A case is in the sample by its seed and id alone, whatever the engines and however fast they are.
"""

from __future__ import annotations

import hashlib
from decimal import ROUND_UP, Decimal
from typing import Any, Final

import gmpy2  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = "0.95"
"""Confidence of every bound on a rate, as exact decimal text."""

_PRECISION: Final = 160
"""Bits in which bounds are computed: rounded once, at the end, so equal on every machine."""

_STEPS: Final = 64
"""Bisections of a bound: its error is then below the last bit of a binary64."""


class BadShareError(ValueError):
    """
    A share or a rate is not between 0 and 1, or a count makes no sense.
    """


def _check_unit(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        message = f"{name} must be between 0 and 1, not {value}"
        raise BadShareError(message)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """
    Mix with the finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
    generators", 2014), a bijection of 64-bit integers.
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def in_sample(
    seed: int, case_ids: NDArray[np.uint64], share: float, purpose: str = "sample"
) -> NDArray[np.bool_]:
    """
    Tell which cases are in a sample of *share* of all; shape of *case_ids*.

    Drawn from *seed*, *purpose* and each id alone; a larger share contains a smaller one. Samples
    of two purposes (who sees a case, how much is observed of it) are independent.
    """
    _check_unit("a share", share)
    if share == 1:
        return np.ones(np.shape(case_ids), dtype=np.bool_)
    key = hashlib.blake2b(f"{purpose}:{seed}".encode(), digest_size=16).digest()
    first, second = (np.uint64(int.from_bytes(key[i : i + 8], "little")) for i in (0, 8))
    drawn = _mixed(_mixed(np.asarray(case_ids, dtype=np.uint64) ^ first) + second)
    return np.asarray(drawn < np.uint64(int(share * 2**64)), dtype=np.bool_)


def rate_below(cases: int, differing: int = 0) -> float:
    """
    Upper bound, at 95 %, of the rate of differing cases when *differing* of *cases* differ.

    Clopper and Pearson's exact bound: the rate at which so few, or fewer, would be seen with
    probability 5 %. For 0 of N it is `1 - 0.05 ** (1 / N)`, below the "rule of three" 3 / N.
    1.0 without cases. Rounded up.
    """
    if cases < 0 or not 0 <= differing <= cases:
        message = f"{differing} of {cases} cases cannot differ"
        raise BadShareError(message)
    if differing == cases:
        return 1.0
    with gmpy2.context(precision=_PRECISION):
        alpha = 1 - gmpy2.mpfr(CONFIDENCE)
        if differing == 0:
            bound = -gmpy2.expm1(gmpy2.log(alpha) / cases)
        else:
            low, bound = gmpy2.mpfr(differing) / cases, gmpy2.mpfr(1)
            for _ in range(_STEPS):
                middle = (low + bound) / 2
                if _at_most(cases, differing, middle) > alpha:
                    low = middle
                else:
                    bound = middle
        with gmpy2.context(precision=53, round=gmpy2.RoundUp):
            return min(1.0, float(+bound))


def _at_most(cases: int, differing: int, rate: Any) -> Any:
    """
    Probability of *differing* or fewer of *cases* at *rate* >= differing / cases.

    Summed from the largest term down until terms no longer count.
    """
    log_term = (
        gmpy2.lgamma(gmpy2.mpfr(cases + 1))[0]
        - gmpy2.lgamma(gmpy2.mpfr(differing + 1))[0]
        - gmpy2.lgamma(gmpy2.mpfr(cases - differing + 1))[0]
        + differing * gmpy2.log(rate)
        + (cases - differing) * gmpy2.log1p(-rate)
    )
    term = gmpy2.exp(log_term)
    odds = (1 - rate) / rate
    total, least = term, term * gmpy2.mpfr(2) ** -100
    for count in range(differing, 0, -1):
        term = term * odds * count / (cases - count + 1)
        total += term
        if term < least:
            break
    return total


def chance_of_missing(rate: float, cases: int) -> float:
    """
    Probability that a node which is wrong in *rate* of all cases is right in *cases* drawn ones.
    """
    _check_unit("a rate", rate)
    if cases < 0:
        message = f"a sample has no {cases} cases"
        raise BadShareError(message)
    with gmpy2.context(precision=_PRECISION):
        kept = (1 - gmpy2.mpfr(rate)) ** cases
        with gmpy2.context(precision=53, round=gmpy2.RoundUp):
            return float(+kept)


def strength(cases: int, differing: int = 0) -> str:
    """
    Say what *differing* of *cases* is worth: `0 of 1000: rate < 0.30 % at 95 %`, rounded up.
    """
    if cases == 0:
        return "0 of 0: nothing is known about the rate"
    # 12 digits first: the bound's own rounding must not show.
    percent = Decimal(f"{rate_below(cases, differing):.12g}") * 100
    places = max(0, 1 - percent.adjusted())
    shown = percent.quantize(Decimal(1).scaleb(-places), rounding=ROUND_UP)
    return f"{differing} of {cases}: rate < {shown:f} % at 95 %"
