"""
Who is named, rule by rule, with the neighbouring case in which nobody is.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from voting_samples import MINUS_NAN, NAN, ONE, SIGNALLING_NAN, TWO, ZERO, ending, vote_on

from conformance.differential.blame import blame, blame_division, listed
from conformance.differential.division import Division, Group, Member, count_families, deviants
from conformance.differential.profiles import NanProfile
from conformance.differential.records import Blame, FindingClass
from runners.status import Status

THREE = 0x4008000000000000
STACK = Status.EXHAUSTED_STACK


def judge(
    *nodes: tuple[str, str, Status | int], profile: NanProfile = "exact", index: int = 0
) -> Blame:
    """
    Vote on one case; each node is (name, code-generator family, what it did).
    """
    outcomes = {name: ending(end) for name, _, end in nodes}
    generators = {name: family for name, family, _ in nodes}
    verdict = vote_on(outcomes, profile=profile, generators=generators)
    return blame(verdict.disagreements[index])


def test_two_voices_name_nobody() -> None:
    made = judge(("a", "p", ONE), ("b", "q", TWO))
    assert (made.party, made.nodes) == ("undecided", ())
    assert "only 2 have a voice (p, q)" in made.reason


def test_two_families_name_nobody_however_many_nodes_they_have() -> None:
    many = [(name, "p", ONE) for name in "abcde"]
    made = judge(*many, ("z", "q", TWO))
    assert (made.party, made.nodes) == ("undecided", ())


def test_one_against_two_families_is_named_with_the_margin() -> None:
    made = judge(("a", "p", ONE), ("b", "q", ONE), ("c", "r", TWO))
    assert (made.party, made.nodes) == ("engine", ("c@1.0",))
    assert "2 of 3 code-generator families (p, q)" in made.reason
    assert "1 stands apart" in made.reason


def test_three_different_answers_name_nobody() -> None:
    made = judge(("a", "p", ONE), ("b", "q", TWO), ("c", "r", THREE))
    assert (made.party, made.nodes) == ("undecided", ())
    assert "no side holds more than half of the 3" in made.reason


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((ONE, ONE, TWO, TWO), ()),
        ((ONE, ONE, TWO, THREE), ()),
        ((ONE, ONE, ONE, TWO), ("d@1.0",)),
        ((ONE, ONE, ONE, TWO, TWO), ("d@1.0", "e@1.0")),
        ((ONE, ONE, ONE, TWO, THREE), ("d@1.0", "e@1.0")),
        ((ONE, ONE, TWO, TWO, THREE), ()),
    ],
)
def test_majority_is_more_than_half(values: Sequence[int], named: tuple[str, ...]) -> None:
    nodes = [(chr(97 + i), f"family {i}", value) for i, value in enumerate(values)]
    assert judge(*nodes).nodes == named


def test_two_liars_that_agree_outvote_one_and_the_margin_says_so() -> None:
    made = judge(("honest", "p", ONE), ("liar-a", "q", TWO), ("liar-b", "r", TWO))
    assert made.nodes == ("honest@1.0",)
    assert "2 of 3" in made.reason
    # One more honest family, and nobody is named; two more, and the liars are.
    more = [("honest", "p", ONE), ("liar-a", "q", TWO), ("liar-b", "r", TWO), ("x", "s", ONE)]
    assert judge(*more).party == "undecided"
    assert judge(*more, ("y", "t", ONE)).nodes == ("liar-a@1.0", "liar-b@1.0")


def test_two_liars_of_one_family_are_one_voice() -> None:
    made = judge(("a", "p", ONE), ("b", "q", ONE), ("c", "r", TWO), ("d", "r", TWO))
    assert made.nodes == ("c@1.0", "d@1.0")
    assert "2 of 3" in made.reason


def test_a_family_whose_members_differ_has_no_voice_but_can_be_named() -> None:
    nodes = [("a", "p", ONE), ("b", "p", TWO), ("c", "q", ONE), ("d", "r", ONE)]
    made = judge(*nodes)
    assert made.party == "undecided"
    assert "p has no voice, because its own members differ" in made.reason
    made = judge(*nodes, ("e", "s", ONE))
    assert made.nodes == ("b@1.0",)
    assert "3 of 3 code-generator families (q, r, s)" in made.reason
    assert "p has no voice" in made.reason


def test_lawful_nan_bits_are_the_modules_own() -> None:
    nodes = [("a", "p", NAN), ("b", "q", NAN), ("c", "r", MINUS_NAN)]
    made = judge(*nodes)
    assert (made.party, made.nodes) == ("module", ())
    assert "lets them escape" in made.reason
    assert judge(*nodes[1:]).party == "module"


def test_unlawful_or_promised_nan_bits_are_an_engines() -> None:
    for liar, profile in ((SIGNALLING_NAN, "exact"), (MINUS_NAN, "canonical")):
        nodes = [("a", "p", NAN), ("b", "q", NAN), ("c", "r", liar)]
        made = judge(*nodes, profile=profile)  # type: ignore[arg-type]
        assert (made.party, made.nodes) == ("engine", ("c@1.0",))


def test_limits_never_name_an_engine() -> None:
    one = judge(("a", "p", ONE), ("b", "q", ONE), ("c", "r", STACK))
    assert (one.party, one.nodes) == ("undecided", ())
    assert "c@1.0 met it, a@1.0 and b@1.0 not" in one.reason
    same = judge(("a", "p", ONE), ("c", "r", STACK), ("d", "r", STACK))
    assert same.party == "undecided"
    fuel = Status.EXHAUSTED_FUEL
    other = judge(("a", "p", ONE), ("c", "r", STACK), ("d", "r", fuel))
    assert other.party == "undecided"
    two = judge(("a", "p", ONE), ("b", "q", STACK), ("c", "r", Status.EXHAUSTED_FUEL))
    assert (two.party, two.nodes) == ("module", ())
    assert "(fuel and stack)" in two.reason


def test_limits_deviants_are_those_that_met_it() -> None:
    outcomes = {"a": ending(ONE), "b": ending(ONE), "c": ending(STACK)}
    division = vote_on(outcomes).disagreements[0].division
    assert deviants(division) == ("c@1.0",)


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMED_OUT, Status.BROKE_PROTOCOL])
def test_a_broken_worker_is_named_without_a_vote(status: Status) -> None:
    made = judge(("a", "p", ONE), ("b", "q", status))
    assert (made.party, made.nodes) == ("engine", ("b@1.0",))
    assert "without a vote" in made.reason


def test_when_no_node_comes_back_the_module_runs_too_long() -> None:
    late = Status.TIMED_OUT
    assert judge(("a", "p", late), ("b", "q", late)).party == "module"
    assert judge(("a", "p", late), ("b", "p", late)).party == "engine"
    some = judge(("a", "p", late), ("b", "q", late), ("c", "r", ONE))
    assert (some.party, some.nodes) == ("engine", ("a@1.0", "b@1.0"))
    assert judge(("a", "p", late), ("b", "q", Status.CRASHED), index=1).party == "engine"


def test_a_refusal_is_voted_on() -> None:
    refused = Status.REJECTED_COMPILE
    assert judge(("a", "p", ONE), ("b", "q", refused)).party == "undecided"
    assert judge(("a", "p", ONE), ("b", "q", ONE), ("c", "r", refused)).nodes == ("c@1.0",)
    # An engine that runs what two others refuse is the odd one.
    assert judge(("a", "p", ONE), ("b", "q", refused), ("c", "r", refused)).nodes == ("a@1.0",)


def test_a_neutral_node_has_no_voice() -> None:
    div0, overflow = Status.TRAP_INTEGER_DIVIDE_BY_ZERO, Status.TRAP_INTEGER_OVERFLOW
    nodes = [("a", "p", div0), ("b", "q", overflow), ("c", "r", Status.TRAP_UNKNOWN)]
    assert judge(*nodes).party == "undecided"
    assert judge(*nodes[:2], ("c", "r", div0)).nodes == ("b@1.0",)


def division(
    kind: FindingClass, aspect: str, *groups: Sequence[tuple[str, str, str, str]]
) -> Division:
    made = [Group("", tuple(Member(*member) for member in group)) for group in groups]
    return Division(kind, aspect, tuple(made))  # type: ignore[arg-type]


def test_pages_are_voted_on_by_runtimes_and_host_calls_by_hosts() -> None:
    sides = [
        [("a", "g1", "r1", "h"), ("b", "g2", "r1", "h"), ("c", "g3", "r1", "h")],
        [("d", "g4", "r2", "h")],
    ]
    memory = division(FindingClass.STATE, "memory", *sides)
    assert blame_division(memory).nodes == ("d",)
    pages = division(FindingClass.STATE, "pages", *sides)
    assert blame_division(pages).party == "undecided"
    assert count_families(pages).voices == (("r1", 0), ("r2", 1))
    hosts = division(FindingClass.HOST_CALLS, "host-calls", *sides)
    assert count_families(hosts).divided == ("h",)
    assert "none have a voice" in blame_division(hosts).reason


def test_classes_without_a_vote() -> None:
    one = [("a", "p", "p", "h")]
    assert blame_division(division(FindingClass.FLAKY, "results", one)).nodes == ("a",)
    assert blame_division(division(FindingClass.UNFAITHFUL, "results", one)).party == "module"
    assert blame_division(division(FindingClass.FPU_MODE, "results", one)).party == "harness"
    three = [("a", "p", "p", "h"), ("b", "q", "q", "h"), ("c", "r", "r", "h")]
    assert deviants(division(FindingClass.FPU_MODE, "results", three)) == ("a", "b", "c")


def test_zero_is_not_minus_zero_to_blame_either() -> None:
    assert judge(("a", "p", ZERO), ("b", "q", ZERO), ("c", "r", 1 << 63)).nodes == ("c@1.0",)


def test_lists_read_as_sentences() -> None:
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
