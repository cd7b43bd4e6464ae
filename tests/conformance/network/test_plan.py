from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_samples import model, plan_of, validators

from conformance.network.ballots import BallotBox
from conformance.network.plan import (
    MOST_POWER,
    BadPlanError,
    Plan,
    check_plan,
    check_powers,
    check_size,
)

A, B = ("a" * 64, "b" * 64), ("c" * 64, "d" * 64)


def test_a_plan_that_can_commit_is_taken() -> None:
    check_plan(plan_of())
    check_plan(plan_of(powers=(0, 0, 1, 1)))
    check_powers((MOST_POWER - 1, 1), 2)


@pytest.mark.parametrize(
    ("powers", "words"),
    [
        ((0, 0), "all powers are 0"),
        ((1, 0), "all power lies with one validator"),
        ((0, 7), "all power lies with one validator"),
        ((1,), "1 powers are given for 2 validators: .* --power 1,1$"),
        ((1, 1, 1), "3 powers are given for 2"),
        ((2, -1), "never negative"),
        ((MOST_POWER, 1), "a chain takes at most"),
    ],
)
def test_powers_that_cannot_be_are_refused(powers: tuple[int, ...], words: str) -> None:
    with pytest.raises(BadPlanError, match=words):
        check_powers(powers, 2)


@pytest.mark.parametrize(
    ("nodes", "blocks", "words"),
    [(1, 5, "--nodes 2"), (0, 5, "--nodes 2"), (-3, 5, "--nodes 2"), (251, 5, "at most 250"),
     (4, 0, "--blocks 1"), (4, -1, "--blocks 1")],
)  # fmt: skip
def test_sizes_that_show_nothing_are_refused(nodes: int, blocks: int, words: str) -> None:
    with pytest.raises(BadPlanError, match=words):
        check_size(nodes, blocks)


def test_validators_that_are_alike_are_refused() -> None:
    plan = plan_of()
    twins = replace(plan, validators=(*plan.validators, plan.validators[0]))
    with pytest.raises(BadPlanError, match=r"2 validators are engine-a@1\.0"):
        check_plan(twins)


def test_models_must_be_there_and_differ() -> None:
    with pytest.raises(BadPlanError, match="--module"):
        check_plan(replace(plan_of(), models=()))
    with pytest.raises(BadPlanError, match="product and twin are the same module"):
        check_plan(replace(plan_of(), models=(model(), model("twin"))))


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.integers(0, 400))
@settings(derandomize=True, max_examples=200)
def test_a_quorum_is_more_than_two_thirds(powers: list[int], power: int) -> None:
    plan = Plan(1, 1, validators(powers), (model(),))
    total = sum(powers)
    # Multiplied out, so that a total of nothing needs no case of its own.
    assert plan.is_quorum(power) == (Fraction(power) > total * Fraction(2, 3))


def test_exactly_two_thirds_do_not_commit() -> None:
    box = BallotBox(plan_of(powers=(1, 1, 1), families="abc"))
    assert not box.cast(0, A)
    assert not box.cast(1, A)
    assert box.committed is None
    assert box.cast(2, A)
    assert box.committed == A


def test_a_vote_that_comes_after_the_commit_changes_nothing() -> None:
    box = BallotBox(plan_of())
    assert [box.cast(place, A) for place in range(3)] == [False, False, True]
    assert not box.cast(3, B)
    assert box.committed == A
    assert [(s.hashes, s.validators, s.power) for s in box.sides()] == [
        (A, (0, 1, 2), 3),
        (B, (3,), 1),
    ]


def test_power_counts_and_not_heads() -> None:
    box = BallotBox(plan_of(powers=(1, 1, 1, 10)))
    for place in range(3):
        assert not box.cast(place, A)
    assert box.cast(3, B)
    assert box.committed == B


def test_equal_app_hashes_with_other_results_are_other_hashes() -> None:
    box = BallotBox(plan_of())
    box.cast(0, A)
    box.cast(1, (A[0], B[1]))
    assert len(box.sides()) == 2


def test_nobody_votes_twice() -> None:
    box = BallotBox(plan_of())
    box.cast(0, A)
    with pytest.raises(ValueError, match="votes twice"):
        box.cast(0, B)
