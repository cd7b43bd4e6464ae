from __future__ import annotations

import dataclasses
import hashlib
import struct

import numpy as np
import pytest
from evidence_samples import LEVELS, equal, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.evidence import content
from runners.blocks import BlockOutcome
from runners.records import Level
from runners.status import Status

LIMIT = int(Status.EXHAUSTED_STACK)
TRAP = int(Status.TRAP_UNREACHABLE)


def test_the_documented_recipe_gives_the_digests() -> None:
    record = content.known(outcome([5, 6], [1, LIMIT]), Level.FULL)
    five = struct.pack("<Q", 5)
    text = b"weavegate outcome 1\n" + struct.pack("<QQ", 2, 8) + b"\1\1" + bytes([1, LIMIT])
    text += five + bytes(8)
    expected = [hashlib.sha256(text).digest()]
    text += b"\1" + struct.pack("<Q", 4) + struct.pack("<II", 6, 0)
    text += b"\1" + struct.pack("<Q", 32) + five + bytes(24) + bytes(32)
    text += b"\1" + struct.pack("<Q", 8) + five + bytes(8)
    expected.append(hashlib.sha256(text).digest())
    text += b"\1" + struct.pack("<Q", 8) + struct.pack("<QQ", 26, 0) + b"fuel:fake@1.0"
    calls = bytes(255 - each for each in five + bytes(24))
    text += b"\1" + struct.pack("<Q", 32) + calls + bytes(32)
    expected.append(hashlib.sha256(text).digest())
    assert content.digests(record) == tuple(expected)


def test_every_part_of_an_outcome_is_decided_upon() -> None:
    """
    A field that is added later turns this red until somebody says what evidence makes of it.
    """
    compared = {*content.ARRAYS, "meter"}
    kept = {"not_observed", "details"}
    never_stored = {"cut", "unstable", "fpu_broken", "host_log"}
    fields = {field.name for field in dataclasses.fields(BlockOutcome)}
    assert fields == compared | kept | never_stored


@pytest.mark.parametrize("level", LEVELS)
def test_a_slice_has_the_digests_of_a_lower_record(level: Level) -> None:
    full = content.known(outcome([1, 2, 3]), Level.FULL)
    lower = content.known(outcome([1, 2, 3], level=level), level)
    assert content.digests(content.sliced(full, level)) == content.digests(lower)
    assert content.digests(full)[: level.rank + 1] == content.digests(lower)


def test_words_and_unstable_rows_are_not_content() -> None:
    plain = outcome([1, 2])
    wordy = dataclasses.replace(
        plain, details={0: "boom"}, unstable={1: "SIGSEGV"}, not_observed=(("gas", "no meter"),)
    )
    left, right = content.known(plain, Level.FULL), content.known(wordy, Level.FULL)
    assert content.digests(left) == content.digests(right)
    assert right.outcome.details == {0: "boom"}
    assert right.outcome.unstable == {}


@pytest.mark.parametrize("never", [Status.PENDING, Status.TIMED_OUT, Status.BROKE_PROTOCOL])
def test_rows_that_time_or_nonsense_decided_are_not_known(never: Status) -> None:
    record = content.known(outcome([7, 8, 9], [1, int(never), 1]), Level.FULL)
    assert record.rows.tolist() == [True, False, True]
    assert record.outcome.status.tolist() == [1, 0, 1]
    assert record.outcome.gas is not None
    assert record.outcome.gas.tolist() == [32, 0, 38]


@pytest.mark.parametrize(
    "status",
    [s for s in Status if s not in {Status.PENDING, Status.TIMED_OUT, Status.BROKE_PROTOCOL}],
)
def test_every_other_end_is_known(status: Status) -> None:
    assert content.known(outcome([7], [int(status)]), Level.FULL).complete


@pytest.mark.parametrize(
    ("name", "lowest"),
    [
        ("status", Level.RESULT),
        ("outputs", Level.RESULT),
        ("pages", Level.STATE),
        ("memory", Level.STATE),
        ("globals", Level.STATE),
        ("gas", Level.FULL),
        ("host_calls", Level.FULL),
    ],
)
def test_each_array_counts_from_its_level_on(name: str, lowest: Level) -> None:
    plain = outcome([1, 2, 3])
    array = getattr(plain, name).copy()
    array[1] += 15
    changed = dataclasses.replace(plain, **{name: array})
    if name == "status":
        assert changed.status[1] == TRAP
    one, two = content.known(plain, Level.FULL), content.known(changed, Level.FULL)
    for level in LEVELS:
        low, high = content.sliced(one, level), content.sliced(two, level)
        counts = level.rank >= lowest.rank
        assert (content.digests(low)[-1] != content.digests(high)[-1]) == counts
        assert content.differing_rows(low, high).tolist() == [False, counts, False]
        assert (content.row_bytes(low, 1) != content.row_bytes(high, 1)) == counts
        assert content.row_bytes(low, 0) == content.row_bytes(high, 0)


@pytest.mark.parametrize("status", [LIMIT, int(Status.CRASHED), int(Status.REJECTED_ENTRY)])
def test_observations_of_rows_that_abstain_do_not_count(status: int) -> None:
    one = content.known(outcome([1, 2], [1, status]), Level.FULL)
    two = content.known(outcome([1, 99], [1, status]), Level.FULL)
    assert not equal(one.outcome, two.outcome)
    assert content.digests(one) == content.digests(two)
    assert not content.differing_rows(one, two).any()


def test_observations_after_a_trap_count() -> None:
    one = content.known(outcome([1, 2], [1, TRAP]), Level.FULL)
    two = content.known(outcome([1, 99], [1, TRAP]), Level.FULL)
    assert content.digests(one)[0] == content.digests(two)[0]
    assert content.differing_rows(one, two).tolist() == [False, True]


def test_an_aspect_that_only_one_shows_is_a_difference_in_rows_that_ran() -> None:
    shown = outcome([1, 2], [1, LIMIT])
    hidden = dataclasses.replace(shown, gas=None, meter="", not_observed=(("gas", "lost"),))
    one, two = content.known(shown, Level.FULL), content.known(hidden, Level.FULL)
    assert content.differing_rows(one, two).tolist() == [True, False]
    assert content.digests(one)[2] != content.digests(two)[2]


def test_another_meter_is_another_reading() -> None:
    one = content.known(outcome([1]), Level.FULL)
    two = content.known(dataclasses.replace(outcome([1]), meter="fuel:other@2"), Level.FULL)
    assert content.differing_rows(one, two).all()
    assert content.digests(one)[2] != content.digests(two)[2]


def test_an_array_of_the_wrong_length_is_refused() -> None:
    broken = dataclasses.replace(outcome([1, 2]), gas=np.zeros(3, np.uint64))
    with pytest.raises(ValueError, match="gas has 3 rows where the block has 2"):
        content.known(broken, Level.FULL)


def test_output_of_a_row_that_did_not_return_is_no_content() -> None:
    dirty = outcome([1, 2], [1, TRAP])
    outputs = dirty.outputs.copy()
    outputs[1] = 255
    record = content.known(dataclasses.replace(dirty, outputs=outputs), Level.RESULT)
    assert not record.outcome.outputs[1].any()


MASKS = st.lists(st.sampled_from([1, int(Status.TIMED_OUT)]), min_size=6, max_size=6)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(MASKS, MASKS, st.sampled_from(LEVELS))
def test_a_union_knows_what_either_knows(one: list[int], two: list[int], level: Level) -> None:
    values = list(range(10, 16))
    left = content.known(outcome(values, one, level), level)
    right = content.known(outcome(values, two, level), level)
    either = [1 if 1 in pair else 0 for pair in zip(one, two, strict=True)]
    whole = content.known(outcome(values, either, level), level)
    assert not content.differing_rows(left, right).any()
    for joined in (content.union(left, right), content.union(right, left)):
        assert joined.rows.tolist() == [bool(each) for each in either]
        assert content.digests(joined) == content.digests(whole)


def test_a_union_with_a_block_that_never_ran_keeps_the_observations() -> None:
    lost = dataclasses.replace(
        outcome([1, 2], [int(Status.CRASHED), 0]), pages=None, memory=None, globals=None, gas=None,
        host_calls=None,
        meter="", not_observed=(("gas", "worker died"), ("memory", "worker died")),
    )  # fmt: skip
    one = content.known(lost, Level.FULL)
    two = content.known(outcome([1, 2], [0, 1]), Level.FULL)
    assert not content.differing_rows(one, two).any()
    for joined in (content.union(one, two), content.union(two, one)):
        assert joined.complete
        assert joined.outcome.meter == "fuel:fake@1.0"
        assert joined.outcome.not_observed == ()
        assert joined.outcome.gas is not None
        assert joined.outcome.gas.tolist() == [0, 17]
