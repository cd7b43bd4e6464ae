"""
Samples drawn by id, and bounds on rates against exact fractions.
"""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.differential.sampling import (
    BadShareError,
    chance_of_missing,
    in_sample,
    rate_below,
    strength,
)

IDS = np.arange(100_000, dtype=np.uint64)
PROPERTY = settings(max_examples=50, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_share_is_kept(share: float) -> None:
    for seed in range(3):
        got = float(in_sample(seed, IDS, share).mean())
        assert abs(got - share) < 5 * math.sqrt(share * (1 - share) / len(IDS))


def test_none_and_all() -> None:
    assert not in_sample(1, IDS, 0.0).any()
    assert in_sample(1, IDS, 1.0).all()


def test_drawn_from_seed_purpose_and_id_alone() -> None:
    whole = in_sample(7, IDS, 0.3)
    order = np.random.default_rng(1).permutation(IDS)
    assert np.array_equal(in_sample(7, order, 0.3), whole[order])
    assert np.array_equal(in_sample(7, IDS[5000:6000], 0.3), whole[5000:6000])
    for other in (in_sample(8, IDS, 0.3), in_sample(7, IDS, 0.3, "level")):
        # Independent: both at once in about 9 of 100.
        assert abs(float((other & whole).mean()) - 0.09) < 0.006


def test_larger_share_contains_smaller() -> None:
    small, large = in_sample(3, IDS, 0.1), in_sample(3, IDS, 0.2)
    assert not (small & ~large).any()


def test_known_draw_never_changes() -> None:
    # SplitMix64 by hand, on Python integers.

    mask = 2**64 - 1

    def mix(x: int) -> int:
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
        return x ^ x >> 31

    key = hashlib.blake2b(b"sample:42", digest_size=16).digest()
    first, second = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    drawn = [mix((mix(i ^ first) + second) & mask) < int(0.25 * 2**64) for i in range(300)]
    assert in_sample(42, IDS[:300], 0.25).tolist() == drawn


def test_bad_shares_are_refused() -> None:
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadShareError):
            in_sample(1, IDS, share)
        with pytest.raises(BadShareError):
            chance_of_missing(share, 3)
    for cases, differing in ((-1, 0), (3, 4), (3, -1)):
        with pytest.raises(BadShareError):
            rate_below(cases, differing)
    with pytest.raises(BadShareError):
        chance_of_missing(0.5, -1)


def at_most(cases: int, differing: int, rate: Fraction) -> Fraction:
    return sum(
        (math.comb(cases, k) * rate**k * (1 - rate) ** (cases - k) for k in range(differing + 1)),
        Fraction(0),
    )


@PROPERTY
@given(st.integers(1, 120), st.data())
def test_bound_is_the_exact_one(cases: int, data: st.DataObject) -> None:
    differing = data.draw(st.integers(0, cases))
    bound = rate_below(cases, differing)
    if differing == cases:
        assert bound == 1.0
        return
    five = Fraction(5, 100)
    assert at_most(cases, differing, Fraction(bound)) <= five
    assert at_most(cases, differing, Fraction(bound) - Fraction(1, 2**45)) > five


def test_rule_of_three() -> None:
    assert rate_below(0) == 1.0
    for cases in (10, 1000, 10**6):
        bound = rate_below(cases)
        assert 2.5 / cases < bound < 3 / cases
        assert bound == pytest.approx(1 - 0.05 ** (1 / cases), rel=1e-6)


def test_large_counts_are_bounded_too() -> None:
    # Normal approximation of the exact bound: good to a few parts in ten thousand here.
    for cases, differing in ((10**6, 5 * 10**5), (10**6, 1000)):
        share = differing / cases
        guess = share + 1.645 * math.sqrt(share * (1 - share) / cases)
        assert rate_below(cases, differing) == pytest.approx(guess, rel=2e-3)


def test_missing_a_liar() -> None:
    assert chance_of_missing(0.0, 1000) == 1.0
    assert chance_of_missing(1.0, 1) == 0.0
    assert chance_of_missing(0.5, 0) == 1.0
    assert chance_of_missing(0.5, 10) == 2.0**-10
    assert chance_of_missing(0.01, 299) < 0.05 < chance_of_missing(0.01, 298)


def test_strength_is_rounded_up() -> None:
    assert strength(0) == "0 of 0: nothing is known about the rate"
    assert strength(1000) == "0 of 1000: rate < 0.30 % at 95 %"
    assert strength(1) == "0 of 1: rate < 95 % at 95 %"
    assert strength(10, 10) == "10 of 10: rate < 100 % at 95 %"
