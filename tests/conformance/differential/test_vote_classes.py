"""
Each class of finding, explicitly, with the case beside it in which there is nothing to find.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from voting_samples import (
    MINUS_NAN,
    MINUS_ZERO,
    NAN,
    ONE,
    SCALAR_SHAPE,
    SIGNALLING_NAN,
    TWO,
    ZERO,
    block_of,
    ending,
    returning,
    voice_of,
    vote_on,
)

from conformance.differential.division import deviants
from conformance.differential.profiles import NanProfile, OutputShape
from conformance.differential.records import FindingClass
from conformance.differential.vote import BadVoiceError, vote
from runners.blocks import BlockOutcome
from runners.records import Call
from runners.status import BROKEN, LIMITS, REJECTED, TRAPS, Status, same_kind

STACK, FUEL = Status.EXHAUSTED_STACK, Status.EXHAUSTED_FUEL
DIV0, OVERFLOW, UNKNOWN = (
    Status.TRAP_INTEGER_DIVIDE_BY_ZERO,
    Status.TRAP_INTEGER_OVERFLOW,
    Status.TRAP_UNKNOWN,
)
NULL, TABLE, ELEMENT = (
    Status.TRAP_INDIRECT_CALL_TO_NULL,
    Status.TRAP_TABLE_OUT_OF_BOUNDS,
    Status.TRAP_UNDEFINED_ELEMENT,
)


def found(*ends: Status | int, profile: NanProfile = "exact") -> list[tuple[str, list[set[str]]]]:
    """
    Vote on one case with voices a, b, c, ... and list (class, groups).
    """
    outcomes = {chr(ord("a") + i): ending(end) for i, end in enumerate(ends)}
    verdict = vote_on(outcomes, profile=profile)
    return [
        (d.kind.value, sorted(({label[0] for label in g.labels} for g in d.groups), key=sorted))
        for d in verdict.disagreements
    ]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((ONE, ONE), []),
        ((ONE, TWO), [("value", [{"a"}, {"b"}])]),
        ((ONE, ONE, TWO), [("value", [{"a", "b"}, {"c"}])]),
        ((ZERO, MINUS_ZERO), [("value", [{"a"}, {"b"}])]),
        ((NAN, MINUS_NAN), [("nan-bits", [{"a"}, {"b"}])]),
        ((NAN, NAN), []),
        ((NAN, ONE), [("value", [{"a"}, {"b"}])]),
        ((NAN, MINUS_NAN, ONE), [("value", [{"a", "b"}, {"c"}]), ("nan-bits", [{"a"}, {"b"}])]),
        ((DIV0, DIV0), []),
        ((ONE, DIV0), [("kind", [{"a"}, {"b"}])]),
        ((ONE, UNKNOWN), [("kind", [{"a"}, {"b"}])]),
        ((DIV0, OVERFLOW), [("kind", [{"a"}, {"b"}])]),
        ((DIV0, UNKNOWN), []),
        ((NULL, ELEMENT), []),
        ((NULL, TABLE), [("kind", [{"a"}, {"b"}])]),
        # "Same kind" is not transitive: c is like a and like b, which differ.
        ((DIV0, OVERFLOW, UNKNOWN), [("kind", [{"a"}, {"b"}])]),
        ((NULL, TABLE, ELEMENT), [("kind", [{"a"}, {"b"}])]),
        ((NULL, ELEMENT, DIV0), [("kind", [{"a", "b"}, {"c"}])]),
        (
            (NULL, TABLE, ELEMENT, DIV0, UNKNOWN),
            [("kind", [{"a", "b", "c"}, {"d"}]), ("kind", [{"a"}, {"b"}])],
        ),
        ((ONE, DIV0, OVERFLOW), [("kind", [{"a"}, {"b", "c"}]), ("kind", [{"b"}, {"c"}])]),
        ((STACK, STACK), [("limit", [{"a", "b"}])]),
        ((FUEL, FUEL), []),
        ((ONE, STACK), [("limit", [{"a"}, {"b"}])]),
        ((UNKNOWN, STACK), [("limit", [{"a"}, {"b"}])]),
        ((STACK, FUEL), [("limit", [{"a"}, {"b"}])]),
        ((ONE, TWO, STACK), [("limit", [{"a", "b"}, {"c"}]), ("value", [{"a"}, {"b"}])]),
        ((Status.CRASHED, ONE, ONE), [("broken-worker", [{"a"}])]),
        (
            (Status.CRASHED, Status.TIMED_OUT, Status.CRASHED),
            [("broken-worker", [{"a", "c"}]), ("broken-worker", [{"b"}])],
        ),
        ((Status.BROKE_PROTOCOL, Status.REJECTED_COMPILE), [("broken-worker", [{"a"}])]),
        ((Status.REJECTED_COMPILE, Status.REJECTED_INSTANTIATE), []),
        ((Status.REJECTED_ENTRY, ONE, ONE), [("refused", [{"a"}, {"b", "c"}])]),
        ((Status.REJECTED_ENTRY, STACK), [("refused", [{"a"}, {"b"}])]),
        ((Status.PENDING, ONE), []),
    ],
)
def test_table_of_classes(
    ends: tuple[Status | int, ...], expected: list[tuple[str, list[set[str]]]]
) -> None:
    assert found(*ends) == expected


def test_nan_bits_are_free_only_under_profile_free() -> None:
    assert found(NAN, MINUS_NAN, profile="free") == []
    assert found(NAN, ONE, profile="free") == [("value", [{"a"}, {"b"}])]
    for profile in ("exact", "canonical", "cosmwasm", "deterministic"):
        assert found(NAN, MINUS_NAN, profile=profile) == [("nan-bits", [{"a"}, {"b"}])]


def test_integers_have_no_nans() -> None:
    call = Call("f", results=("i64",))
    voices = [voice_of("a", returning(NAN)), voice_of("b", returning(MINUS_NAN))]
    shape = OutputShape(((0, "i64", 1),))
    verdict = vote(block_of(1, call), shape, voices, "exact", 2)
    assert [d.kind for d in verdict.disagreements] == [FindingClass.VALUE]


def test_narrow_results_are_compared_in_all_eight_bytes() -> None:
    shape = OutputShape(((0, "f32", 1),))
    quiet, other = 0x7FC00000, 0xFFC00000
    cases = {(quiet, other): FindingClass.NAN_BITS, (quiet, quiet | 1 << 40): FindingClass.VALUE}
    for (left, right), kind in cases.items():
        voices = [voice_of("a", returning(left)), voice_of("b", returning(right))]
        verdict = vote(block_of(1), shape, voices, "exact", 2)
        assert [d.kind for d in verdict.disagreements] == [kind]


def test_every_pair_of_statuses_follows_same_kind() -> None:
    votes = sorted({Status.RETURNED, *TRAPS})
    for left in votes:
        for right in votes:
            kinds = [d[0] for d in found(left, right)]
            assert kinds == ([] if same_kind(left, right) else ["kind"]), (left, right)


def test_every_triple_of_traps_is_divided_exactly_when_a_pair_is() -> None:
    triples = list(product(sorted(TRAPS), repeat=3))
    outcomes = {
        name: ending(*ends) for name, ends in zip("abc", zip(*triples, strict=True), strict=True)
    }
    divided = {d.row for d in vote_on(outcomes).disagreements}
    for row, ends in enumerate(triples):
        alike = all(same_kind(a, b) for a, b in combinations(ends, 2))
        assert (row in divided) is not alike, ends


def observing(**arrays: object) -> BlockOutcome:
    base = {
        "pages": np.array([17], np.uint32),
        "memory": np.zeros((1, 32), np.uint8),
        "globals": np.zeros((1, 0), np.uint8),
        "gas": np.array([1000], np.uint64),
        "meter": "fuel:x@1",
        "host_calls": np.zeros((1, 32), np.uint8),
    }
    return replace(returning(ONE), **{**base, **arrays})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arrays", "kind", "aspect"),
    [
        ({"pages": np.array([18], np.uint32)}, "state", "pages"),
        ({"memory": np.ones((1, 32), np.uint8)}, "state", "memory"),
        ({"gas": np.array([1001], np.uint64)}, "gas", "gas"),
        ({"host_calls": np.ones((1, 32), np.uint8)}, "host-calls", "host-calls"),
    ],
)
def test_observations_differ(arrays: dict[str, object], kind: str, aspect: str) -> None:
    same = vote_on({"a": observing(), "b": observing()})
    assert same.disagreements == ()
    verdict = vote_on({"a": observing(), "b": observing(**arrays)})
    assert [(d.kind.value, d.division.aspect) for d in verdict.disagreements] == [(kind, aspect)]


@pytest.mark.parametrize("name", ["pages", "memory", "gas", "host_calls"])
def test_what_one_side_does_not_show_is_not_compared(name: str) -> None:
    verdict = vote_on({"a": observing(), "b": observing(**{name: None})})
    assert verdict.disagreements == ()
    counts = dict(verdict.compared)
    aspect = name.replace("_", "-")
    assert counts.pop(aspect) == 0
    assert set(counts.values()) == {1}
    # A third node that shows it is compared with the first.
    other = {"pages": np.array([1], np.uint32), "gas": np.array([1], np.uint64)}
    third = other.get(name, np.ones((1, 32), np.uint8))
    verdict = vote_on(
        {"a": observing(), "b": observing(**{name: None}), "c": observing(**{name: third})}
    )
    assert [len(d.groups) for d in verdict.disagreements] == [2]
    assert deviants(verdict.disagreements[0].division) == ("a@1.0", "c@1.0")


def test_gas_is_compared_on_one_meter_only() -> None:
    more = np.array([2], np.uint64)
    assert (
        vote_on({"a": observing(), "b": observing(gas=more, meter="fuel:y@1")}).disagreements == ()
    )
    assert vote_on({"a": observing(), "b": observing(gas=more, meter="")}).disagreements == ()
    kinds = [d.kind for d in vote_on({"a": observing(), "b": observing(gas=more)}).disagreements]
    assert kinds == [FindingClass.GAS]
    for left, right, shown in (("fuel:x@1", "fuel:y@1", 0), ("", "", 0), ("m", "m", 1)):
        outcomes = {"a": observing(meter=left), "b": observing(meter=right)}
        assert dict(vote_on(outcomes).compared)["gas"] == shown


def test_memory_of_limits_and_of_other_results_is_not_compared() -> None:
    other = np.ones((1, 32), np.uint8)
    met = replace(observing(memory=other), status=np.array([Status.EXHAUSTED_FUEL], np.uint8))
    kinds = [d.kind for d in vote_on({"a": observing(), "b": met}).disagreements]
    assert kinds == [FindingClass.LIMIT]
    wrong = replace(observing(memory=other), outputs=returning(TWO).outputs)
    kinds = [d.kind for d in vote_on({"a": observing(), "b": wrong}).disagreements]
    assert kinds == [FindingClass.VALUE]


def test_memory_that_holds_free_nan_bits_is_not_compared() -> None:
    outcomes = {
        "a": replace(observing(), outputs=returning(NAN).outputs),
        "b": replace(
            observing(memory=np.ones((1, 32), np.uint8)), outputs=returning(MINUS_NAN).outputs
        ),
    }
    assert vote_on(outcomes, profile="free").disagreements == ()
    outcomes["c"] = replace(outcomes["b"], memory=np.full((1, 32), 2, np.uint8))
    kinds = [d.kind for d in vote_on(outcomes, profile="free").disagreements]
    assert kinds == [FindingClass.STATE]


def test_state_after_a_trap_is_compared() -> None:
    trap = np.array([Status.TRAP_UNREACHABLE], np.uint8)
    empty = np.zeros((1, 8), np.uint8)
    left = replace(observing(), status=trap, outputs=empty)
    right = replace(left, memory=np.ones((1, 32), np.uint8))
    assert vote_on({"a": left, "b": left}).disagreements == ()
    assert [d.kind for d in vote_on({"a": left, "b": right}).disagreements] == [FindingClass.STATE]


def test_globals_mean_floats_only_if_said() -> None:
    call = Call("f64_min", results=("i64",), globals=("g",))
    outcomes = [
        replace(returning(ONE), globals=np.array([[bits]], "<u8").view(np.uint8))
        for bits in (NAN, MINUS_NAN)
    ]
    voices = [voice_of(name, o) for name, o in zip("ab", outcomes, strict=True)]
    raw, meant = SCALAR_SHAPE, OutputShape(SCALAR_SHAPE.columns, ("f64",))
    block = block_of(1, call)
    table = {("free", 0): 1, ("free", 1): 0, ("exact", 0): 1, ("exact", 1): 1}
    for (profile, said), count in table.items():
        shape = (raw, meant)[said]
        verdict = vote(block, shape, voices, profile, 2)  # type: ignore[arg-type]
        assert len(verdict.disagreements) == count


def test_quorum_counts_families_that_vote() -> None:
    generators = {"a": "cranelift", "b": "cranelift", "c": "singlepass"}
    ends = {
        "a": ending(ONE, ONE, ONE),
        "b": ending(ONE, ONE, ONE),
        "c": ending(ONE, STACK, Status.CRASHED),
    }
    verdict = vote_on(ends, generators=generators)
    assert verdict.undecided.tolist() == [1, 2]
    assert not verdict.decided
    assert vote_on(ends, generators=generators, quorum=3).undecided.tolist() == [0, 1, 2]
    assert vote_on(ends, generators=generators, quorum=0).decided
    assert vote_on(ends, quorum=2).decided


def test_quorum_may_differ_by_row() -> None:
    voices = [voice_of(name, returning(ONE, ONE)) for name in "ab"]
    verdict = vote(block_of(2), SCALAR_SHAPE, voices, "exact", np.array([2, 3]))
    assert verdict.undecided.tolist() == [1]


def test_a_sampled_voice_is_compared_on_its_rows() -> None:
    sample = voice_of("c", returning(ONE, TWO), rows=np.array([3, 1]))
    voices = [voice_of(name, returning(ONE, ONE, ONE, ONE)) for name in "ab"]
    verdict = vote(block_of(4), SCALAR_SHAPE, [*voices, sample], "exact", 3)
    assert [(d.row, d.case_id) for d in verdict.disagreements] == [(1, 101)]
    assert deviants(verdict.disagreements[0].division) == ("c@1.0",)
    assert verdict.undecided.tolist() == [0, 2]
    tallies = {t.label: (t.compared, t.agreeing, t.differing) for t in verdict.tallies}
    assert tallies == {"a@1.0": (4, 4, 0), "b@1.0": (4, 4, 0), "c@1.0": (2, 1, 1)}
    assert {f.generator: (f.compared, f.differing) for f in verdict.families}["c"] == (2, 1)


def test_two_sampled_voices_are_compared_where_both_were_asked() -> None:
    voices = [
        voice_of("a", returning(ONE, ONE), rows=np.array([0, 1])),
        voice_of("b", returning(TWO, ONE), rows=np.array([1, 2])),
    ]
    verdict = vote(block_of(4), SCALAR_SHAPE, voices, "exact", 2)
    assert [d.row for d in verdict.disagreements] == [1]
    assert verdict.undecided.tolist() == [0, 2, 3]


def test_tallies_of_everything_that_can_happen() -> None:
    ends = {
        "a": ending(ONE, ONE, ONE, Status.REJECTED_COMPILE, Status.REJECTED_COMPILE, ONE),
        "b": ending(ONE, ONE, STACK, ONE, Status.REJECTED_COMPILE, ONE),
        "c": ending(ONE, TWO, ONE, ONE, Status.REJECTED_COMPILE, Status.CRASHED),
    }
    tallies = {t.label[0]: t for t in vote_on(ends).tallies}
    got = {
        n: (t.compared, t.agreeing, t.differing, t.abstained, t.broken) for n, t in tallies.items()
    }
    assert got == {"a": (5, 4, 1, 1, 0), "b": (4, 4, 0, 2, 0), "c": (4, 3, 1, 1, 1)}


def test_who_votes_alone_is_not_compared() -> None:
    verdict = vote_on({"a": ending(ONE, ONE), "b": ending(STACK, ONE)})
    assert [t.compared for t in verdict.tallies] == [1, 1]
    assert [f.compared for f in verdict.families] == [1, 1]
    alone = vote_on({"a": ending(ONE, ONE)}, quorum=1)
    assert [t.compared for t in alone.tallies] == [0]
    assert dict(alone.compared)["results"] == 0


def test_nodes_of_one_family_are_compared_but_the_family_is_not() -> None:
    outcomes = {"a": returning(ONE), "b": returning(ONE)}
    verdict = vote_on(outcomes, generators={"a": "p", "b": "p"})
    assert [t.compared for t in verdict.tallies] == [1, 1]
    assert [(f.generator, f.compared) for f in verdict.families] == [("p", 0)]


def test_nodes_that_are_like_both_sides_are_neutral() -> None:
    def neutral(*ends: Status | int) -> list[list[str]]:
        outcomes = {chr(97 + i): ending(end) for i, end in enumerate(ends)}
        found = vote_on(outcomes).disagreements
        return [[member.label[0] for member in d.division.neutral] for d in found]

    assert neutral(DIV0, OVERFLOW, UNKNOWN) == [["c"]]
    assert neutral(NULL, TABLE, ELEMENT, UNKNOWN) == [["c", "d"]]
    assert neutral(NULL, TABLE, ELEMENT, DIV0, UNKNOWN) == [["e"], ["c"]]
    assert neutral(ONE, TWO, ONE) == [[]]
    assert neutral(Status.CRASHED, ONE, STACK) == [["b", "c"], []]


def test_disagreements_are_in_order_of_rows() -> None:
    bent = replace(returning(ONE, ONE), fpu_broken=True)
    voices = [
        voice_of("a", returning(ONE, ONE, ONE)),
        voice_of("b", returning(TWO, ONE, TWO)),
        voice_of("c", bent, rows=np.array([1, 2])),
    ]
    verdict = vote(block_of(3), SCALAR_SHAPE, voices, "exact", 2)
    assert [(d.row, d.kind.value) for d in verdict.disagreements] == [
        (0, "value"),
        (1, "fpu-mode"),
        (2, "value"),
    ]


def test_a_bent_fpu_silences_a_node_and_is_reported_once() -> None:
    ends = {name: returning(ONE, ONE, ONE) for name in "abc"}
    ends["b"] = replace(returning(TWO, TWO, TWO), fpu_broken=True)
    verdict = vote_on(ends)
    assert [(d.kind, d.row) for d in verdict.disagreements] == [(FindingClass.FPU_MODE, 0)]
    assert deviants(verdict.disagreements[0].division) == ("b@1.0",)
    assert [t.broken for t in verdict.tallies] == [0, 3, 0]
    assert vote_on(ends, quorum=3).undecided.tolist() == [0, 1, 2]
    assert len(vote_on({**ends, "b": returning(TWO, TWO, TWO)}).disagreements) == 3


def test_signalling_nans_are_told_apart_from_lawful_ones() -> None:
    lawful = vote_on({"a": returning(NAN), "b": returning(MINUS_NAN)}).disagreements[0]
    moved = vote_on({"a": returning(NAN), "b": returning(SIGNALLING_NAN)}).disagreements[0]
    assert (lawful.division.lawful, moved.division.lawful) == (True, False)
    promised = vote_on({"a": returning(NAN), "b": returning(MINUS_NAN)}, profile="canonical")
    assert not promised.disagreements[0].division.lawful


def test_manner_names_signs_of_zeros_only_when_nothing_else_differs() -> None:
    def manner(*values: int) -> str:
        outcomes = {chr(97 + i): returning(v) for i, v in enumerate(values)}
        return vote_on(outcomes).disagreements[0].division.manner

    assert manner(ZERO, MINUS_ZERO) == "sign-of-zero"
    assert manner(ZERO, MINUS_ZERO, ZERO) == "sign-of-zero"
    assert manner(ZERO, MINUS_ZERO, ONE) == "other"
    assert manner(ZERO, 1) == "other"
    assert manner(NAN, MINUS_NAN) == "nan-bits"


def test_manner_is_trap_only_when_the_majority_returned() -> None:
    def manner(*ends: Status | int) -> str:
        outcomes = {chr(97 + i): ending(end) for i, end in enumerate(ends)}
        return vote_on(outcomes).disagreements[0].division.manner

    assert manner(ONE, ONE, UNKNOWN) == "trap"
    assert manner(ONE, UNKNOWN, UNKNOWN) == "other"
    assert manner(ONE, UNKNOWN) == "other"


def test_voices_that_do_not_fit_are_refused() -> None:
    block, good = block_of(2), returning(ONE, ONE)
    bad = [
        ([], "1 to 250 voices"),
        ([voice_of("a", good), voice_of("a", good)], "of one node"),
        ([voice_of("a", returning(ONE))], "status has shape"),
        ([voice_of("a", replace(good, outputs=np.zeros((2, 9), np.uint8)))], "outputs has shape"),
        ([voice_of("a", replace(good, memory=np.zeros((2, 31), np.uint8)))], "memory has shape"),
        ([voice_of("a", good, rows=np.array([0, 0]))], "distinct rows"),
        ([voice_of("a", good, rows=np.array([0, 2]))], "distinct rows"),
        ([voice_of("a", replace(good, status=np.array([1, 7], np.uint8)))], "status byte 7"),
    ]
    for voices, words in bad:
        with pytest.raises(BadVoiceError, match=words):
            vote(block, SCALAR_SHAPE, voices, "exact", 2)


def test_an_empty_block_is_decided_and_quiet() -> None:
    empty = BlockOutcome(np.zeros(0, np.uint8), np.zeros((0, 8), np.uint8))
    verdict = vote(block_of(0), SCALAR_SHAPE, [voice_of("a", empty)], "exact", 2)
    assert verdict.decided
    assert verdict.disagreements == ()


def test_every_status_has_a_part_in_the_vote() -> None:
    parts = [TRAPS, LIMITS, BROKEN, REJECTED, {Status.RETURNED, Status.PENDING}]
    assert set().union(*parts) == set(Status)
    assert sum(map(len, parts)) == len(Status)
