"""
Properties of the vote and of blame, against a pairwise reference that shares no code with them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from voting_samples import (
    CALL,
    GROWING,
    MINUS_NAN,
    MINUS_ZERO,
    NAN,
    ONE,
    PAYLOAD_NAN,
    SHAPE,
    SIGNALLING_NAN,
    TWO,
    ZERO,
    block_of,
    is_nan,
    rows_of,
    voice_of,
)

from conformance.differential.blame import blame
from conformance.differential.profiles import NanProfile
from conformance.differential.records import FindingClass
from conformance.differential.vote import BlockVote, Voice, vote
from runners.blocks import BlockOutcome
from runners.records import Node
from runners.status import BROKEN, LIMITS, REJECTED, Status, same_kind

pytestmark = pytest.mark.slow

PROPERTY = settings(max_examples=100, deadline=None, derandomize=True, database=None)
ROWS = 3
VALUES = [ZERO, MINUS_ZERO, ONE, TWO, NAN, MINUS_NAN, PAYLOAD_NAN, SIGNALLING_NAN]
STATUSES = sorted(set(Status) - {Status.PENDING})
OBSERVED = {
    "pages": FindingClass.STATE,
    "memory": FindingClass.STATE,
    "globals": FindingClass.STATE,
    "gas": FindingClass.GAS,
    "host_calls": FindingClass.HOST_CALLS,
}


@st.composite
def outcomes(draw: st.DrawFn) -> BlockOutcome:
    """
    What one node may do with ROWS cases: mostly the usual.
    """
    usual = st.sampled_from([Status.RETURNED] * 6 + [Status.TRAP_UNKNOWN])
    status = draw(st.lists(usual | st.sampled_from(STATUSES), min_size=ROWS, max_size=ROWS))
    words = [
        [draw(st.sampled_from([ONE] * 4 + VALUES)) if s is Status.RETURNED else 0 for _ in range(3)]
        for s in status
    ]

    def small(width: int, dtype: str) -> NDArray[np.unsignedinteger[Any]] | None:
        values = draw(st.lists(st.sampled_from([5, 5, 5, 6]), min_size=ROWS, max_size=ROWS))
        array = np.repeat(np.array(values)[:, None], width, axis=1).astype(dtype)
        return array if draw(st.integers(0, 2)) else None

    pages, gas = small(1, "u4"), small(1, "u8")
    return BlockOutcome(
        np.array(status, dtype=np.uint8),
        rows_of(words),
        pages=None if pages is None else pages[:, 0],
        memory=small(32, "u1"),
        globals=small(8, "u1"),
        gas=None if gas is None else gas[:, 0],
        meter=draw(st.sampled_from(["", "fuel:x@1", "fuel:x@1", "fuel:y@1"])),
        host_calls=small(32, "u1"),
    )


@st.composite
def ballots(draw: st.DrawFn, least: int = 1) -> list[Voice]:
    """
    Voices of engines a, b, c, ... in a few families, some asked only part of the block.
    """
    made = []
    for name in "abcdef"[: draw(st.integers(least, 6))]:
        generator = draw(st.sampled_from(["cranelift", "singlepass", "llvm", "pywasm", "winch"]))
        runtime = draw(st.sampled_from(["wasmtime", "wasmer", "pywasm"]))
        outcome = draw(outcomes())
        rows = None
        if draw(st.integers(0, 3)) == 0:
            rows = np.array(draw(st.permutations(range(ROWS)))[:2], dtype=np.int64)
            outcome = part_of(outcome, slice(0, 2))
        made.append(voice_of(name, outcome, generator=generator, runtime=runtime, rows=rows))
    return made


def part_of(outcome: BlockOutcome, rows: slice) -> BlockOutcome:
    arrays = {
        name: None if getattr(outcome, name) is None else getattr(outcome, name)[rows]
        for name in ("status", "outputs", *OBSERVED)
    }
    return replace(outcome, **arrays)  # type: ignore[arg-type]


def place(voice: Voice, row: int) -> int | None:
    if voice.rows is None:
        return row
    found = [i for i, r in enumerate(voice.rows) if r == row]
    return found[0] if found else None


def pair_classes(  # noqa: C901, PLR0911, PLR0912 - the rules in one piece, to be read against
    left: Voice, right: Voice, row: int, profile: str
) -> set[FindingClass]:
    """
    In which ways two nodes differ over one case, straight from the rules, one pair at a time.
    """
    i, j = place(left, row), place(right, row)
    if i is None or j is None:
        return set()
    a, b = Status(left.outcome.status[i]), Status(right.outcome.status[j])
    if a in BROKEN or b in BROKEN:
        return set()
    if a in REJECTED or b in REJECTED:
        return set() if a in REJECTED and b in REJECTED else {FindingClass.REFUSED}
    if a in LIMITS or b in LIMITS:
        return set() if a == b else {FindingClass.LIMIT}
    if not same_kind(a, b):
        return {FindingClass.KIND}
    words = [
        np.frombuffer(v.outcome.outputs[k].tobytes(), "<u8").tolist()
        for v, k in ((left, i), (right, j))
    ]
    differing = [(x, y) for x, y in zip(*words, strict=True) if x != y]
    if a is Status.RETURNED and differing:
        if not all(is_nan(x) and is_nan(y) for x, y in differing):
            return {FindingClass.VALUE}
        if profile != "free":
            return {FindingClass.NAN_BITS}
    found = set()
    for name, kind in OBSERVED.items():
        x, y = getattr(left.outcome, name), getattr(right.outcome, name)
        if x is None or y is None:
            continue
        if name == "gas" and (left.outcome.meter != right.outcome.meter or not left.outcome.meter):
            continue
        if name == "memory" and differing:
            continue
        if np.any(x[i] != y[j]):
            found.add(kind)
    return found


def test_reference_is_not_blind() -> None:
    one = BlockOutcome(np.array([1], np.uint8), rows_of([[ONE, ONE, ONE]]))
    two = replace(one, outputs=rows_of([[ONE, TWO, ONE]]))
    assert pair_classes(voice_of("a", one), voice_of("b", two), 0, "exact") == {FindingClass.VALUE}


@PROPERTY
@given(ballots(), st.sampled_from(["exact", "canonical", "free"]))
def test_vote_finds_exactly_what_pairs_differ_in(voices: list[Voice], profile: NanProfile) -> None:
    verdict = vote(block_of(ROWS, CALL), SHAPE, voices, profile, 2)
    by_label = {voice.node.label(): voice for voice in voices}
    for row in range(ROWS):
        here = [d for d in verdict.disagreements if d.row == row]
        pairs = [(x, y) for n, x in enumerate(voices) for y in voices[n + 1 :]]
        expected = set().union(*(pair_classes(x, y, row, profile) for x, y in pairs))
        found = {d.kind for d in here} - {FindingClass.BROKEN_WORKER}
        if FindingClass.KIND in found:
            # Nodes that are like two kinds of trap are compared with neither in what follows.
            expected -= {kind for kind in OBSERVED.values() if kind not in found}
        assert found == expected
        for d in here:
            for n, group in enumerate(d.groups):
                for other in d.groups[n + 1 :]:
                    for x in group.labels:
                        for y in other.labels:
                            pair = pair_classes(by_label[x], by_label[y], row, profile)
                            assert d.kind in pair
        broken = {
            v.node.label()
            for v in voices
            if (p := place(v, row)) is not None and Status(v.outcome.status[p]) in BROKEN
        }
        named = [
            label
            for d in here
            if d.kind is FindingClass.BROKEN_WORKER
            for group in d.groups
            for label in group.labels
        ]
        assert sorted(named) == sorted(broken)


def same_verdict(left: BlockVote, right: BlockVote) -> bool:
    return (
        left.disagreements == right.disagreements
        and left.tallies == right.tallies
        and left.families == right.families
        and left.compared == right.compared
        and left.undecided.tolist() == right.undecided.tolist()
    )


@PROPERTY
@given(ballots(), st.data())
def test_order_of_voices_changes_nothing(voices: list[Voice], data: st.DataObject) -> None:
    block = block_of(ROWS, data.draw(st.sampled_from([CALL, GROWING])))
    other = data.draw(st.permutations(voices))
    left, right = (vote(block, SHAPE, order, "exact", 2) for order in (voices, other))
    assert same_verdict(left, right)
    blames = [[blame(d) for d in verdict.disagreements] for verdict in (left, right)]
    assert blames[0] == blames[1]


@PROPERTY
@given(ballots(), st.data())
def test_a_second_node_of_a_family_changes_no_blame(
    voices: list[Voice], data: st.DataObject
) -> None:
    copied = data.draw(st.sampled_from(voices))
    twin = replace(copied, node=replace_cpu(copied))
    block = block_of(ROWS, data.draw(st.sampled_from([CALL, GROWING])))
    before = vote(block, SHAPE, voices, "exact", 2)
    after = vote(block, SHAPE, [*voices, twin], "exact", 2)
    assert before.undecided.tolist() == after.undecided.tolist()
    old, new = copied.node.label(), twin.node.label()
    assert len(before.disagreements) == len(after.disagreements)
    for left, right in zip(before.disagreements, after.disagreements, strict=True):
        assert (left.row, left.kind) == (right.row, right.kind)
        left_blame, right_blame = blame(left), blame(right)
        assert left_blame.party == right_blame.party
        without = tuple(label for label in right_blame.nodes if label != new)
        assert without == left_blame.nodes
        assert (new in right_blame.nodes) == (old in left_blame.nodes)


def replace_cpu(voice: Voice) -> Node:
    return type(voice.node)(voice.node.engine, cpu="baseline")


@PROPERTY
@given(outcomes(), st.integers(1, 6), st.sampled_from(["exact", "free"]))
def test_agreement_is_no_disagreement(
    outcome: BlockOutcome, count: int, profile: NanProfile
) -> None:
    broken = [s in BROKEN for s in map(Status, outcome.status)]
    voices = [voice_of(name, outcome) for name in "abcdef"[:count]]
    verdict = vote(block_of(ROWS, CALL), SHAPE, voices, profile, 1)
    kinds = {d.kind for d in verdict.disagreements}
    assert kinds <= {FindingClass.BROKEN_WORKER}
    assert len(verdict.disagreements) == sum(broken)
    assert all(tally.differing == 0 for tally in verdict.tallies)


def full_outcome(seed: int, n: int) -> BlockOutcome:
    rng = np.random.default_rng(seed)
    words = rng.choice(np.array(VALUES, dtype="<u8"), (n, 3))
    return BlockOutcome(
        np.full(n, Status.RETURNED, np.uint8),
        words.view(np.uint8).reshape(n, 24),
        pages=rng.integers(1, 9, n, dtype=np.uint32),
        memory=rng.integers(0, 256, (n, 32), dtype=np.uint8),
        globals=rng.integers(0, 256, (n, 8), dtype=np.uint8),
        gas=rng.integers(0, 2**63, n, dtype=np.uint64),
        meter="model:cosmwasm-vm@3.0.4",
        host_calls=rng.integers(0, 256, (n, 32), dtype=np.uint8),
    )


@PROPERTY
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 5),
    st.sampled_from(["outputs", "pages", "memory", "globals", "gas", "host_calls"]),
    st.data(),
)
def test_any_flipped_bit_is_found_with_its_class(
    seed: int, count: int, name: str, data: st.DataObject
) -> None:
    n = 5
    honest = full_outcome(seed, n)
    array = getattr(honest, name).copy()
    row = data.draw(st.integers(0, n - 1))
    data_of_row = array[row : row + 1].view(np.uint8).reshape(-1)
    bit = data.draw(st.integers(0, 8 * len(data_of_row) - 1))
    before = int(np.frombuffer(data_of_row.tobytes(), "<u8")[bit // 64]) if name == "outputs" else 0
    data_of_row[bit // 8] ^= np.uint8(1 << bit % 8)
    liar = data.draw(st.integers(0, count - 1))
    voices = [
        voice_of(chr(97 + i), replace(honest, **{name: array}) if i == liar else honest)
        for i in range(count)
    ]
    verdict = vote(block_of(n, CALL), SHAPE, voices, "exact", 2)
    expected = OBSERVED.get(name, FindingClass.VALUE)
    both_nan = name == "outputs" and is_nan(before) and is_nan(before ^ 1 << bit % 64)
    if both_nan:
        expected = FindingClass.NAN_BITS
    assert [(d.row, d.case_id, d.kind) for d in verdict.disagreements] == [
        (row, 100 + row, expected)
    ]
    named = blame(verdict.disagreements[0])
    if count < 3 or (both_nan and named.party == "module") or name == "host_calls":
        assert named.nodes == ()
    else:
        assert named.nodes == (f"{chr(97 + liar)}@1.0",)
    assert [t.agreeing + t.differing for t in verdict.tallies] == [n] * count


@PROPERTY
@given(ballots())
def test_vote_changes_none_of_its_arrays(voices: list[Voice]) -> None:
    before = [(v.outcome.status.copy(), v.outcome.outputs.copy()) for v in voices]
    vote(block_of(ROWS, CALL), SHAPE, voices, "free", 2)
    for voice, (status, outputs) in zip(voices, before, strict=True):
        assert np.array_equal(voice.outcome.status, status)
        assert np.array_equal(voice.outcome.outputs, outputs)
