from __future__ import annotations

import dataclasses
import hashlib
import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from evidence_samples import LEVELS, equal, key, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.evidence.answers import Deviant, PutKind
from conformance.evidence.content import digests, known, sliced
from conformance.evidence.errors import BadEvidenceError
from conformance.evidence.store import EvidenceStore
from runners.records import Level
from runners.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runners.blocks import BlockOutcome

LATE = int(Status.TIMED_OUT)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EvidenceStore]:
    with EvidenceStore.open(tmp_path / "evidence.db") as opened:
        yield opened


def count(store: EvidenceStore, table: str) -> int:
    with store.database.snapshot() as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of this file


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_put_comes_back_bit_by_bit(store: EvidenceStore, level: Level) -> None:
    given_outcome = dataclasses.replace(
        outcome([1, 2, 2**64 - 1], [1, 17, 1], level, width=24),
        details={1: "out of bounds\nat 0x10"},
    )
    assert store.lookup(key(), level) is None
    put = store.put(key(), level, given_outcome)
    assert (put.kind, put.attempt, put.attempts) == (PutKind.NEW, 1, 1)
    found = store.lookup(key(), level)
    assert found is not None
    assert found.complete
    assert equal(found.outcome, given_outcome)
    assert store.lookup(key(1), level) is None


def test_the_keys_of_a_module_are_those_with_outcomes(store: EvidenceStore) -> None:
    other = msgspec.structs.replace(key(), module_sha256="ff" * 32)
    for each in (key(2), key(1), other):
        store.put(each, Level.RESULT, outcome([1]))
    store.put_deviants(key(3), outcome([1]), [0])
    assert store.keys_of(key().module_sha256) == tuple(sorted((key(1), key(2))))
    assert store.keys_of(other.module_sha256) == (other,)
    assert store.keys_of("ee" * 32) == ()
    with store.database.transaction() as connection:
        connection.execute("UPDATE block_keys SET key = 'none'")
    with pytest.raises(BadEvidenceError, match="a key is damaged"):
        store.keys_of(key().module_sha256)


@pytest.mark.parametrize("asked", LEVELS)
@pytest.mark.parametrize("stored", LEVELS)
def test_a_higher_level_serves_a_lower_one_sliced_down(
    store: EvidenceStore, stored: Level, asked: Level
) -> None:
    reasons = (("gas", "no meter"), ("host_calls", "not asked"), ("memory", "not exported"))
    full = dataclasses.replace(outcome([4, 5], level=stored), not_observed=reasons)
    store.put(key(), stored, full)
    found = store.lookup(key(), asked)
    if asked.rank > stored.rank:
        assert found is None
        return
    assert found is not None
    expected = {Level.RESULT: (), Level.STATE: reasons[2:], Level.FULL: reasons}[asked]
    plain = dataclasses.replace(outcome([4, 5], level=asked), not_observed=expected)
    assert equal(found.outcome, plain)


def test_the_same_outcome_again_changes_nothing(store: EvidenceStore) -> None:
    for _ in range(3):
        put = store.put(key(), Level.FULL, outcome([1, 2]))
    assert (put.kind, put.attempt, put.attempts) == (PutKind.SAME, 1, 1)
    lower = store.put(key(), Level.RESULT, outcome([1, 2], level=Level.RESULT))
    assert lower.kind is PutKind.SAME
    assert count(store, "outcomes") == 1


def test_a_higher_level_takes_the_place_of_a_lower_one(store: EvidenceStore) -> None:
    store.put(key(), Level.RESULT, outcome([1, 2], level=Level.RESULT))
    before = store.digest([(key(), Level.RESULT)])
    put = store.put(key(), Level.FULL, outcome([1, 2]))
    assert (put.kind, put.attempt) == (PutKind.NEW, 1)
    assert count(store, "outcomes") == 1
    assert store.digest([(key(), Level.RESULT)]) == before
    assert store.digest([(key(), Level.FULL)]) != before


def test_a_lower_level_stays_where_the_higher_one_has_gaps(store: EvidenceStore) -> None:
    store.put(key(), Level.RESULT, outcome([1, 2, 3], level=Level.RESULT))
    store.put(key(), Level.FULL, outcome([1, 2, 3], [1, LATE, 1]))
    low, high = store.lookup(key(), Level.RESULT), store.lookup(key(), Level.FULL)
    assert low is not None
    assert high is not None
    assert low.complete
    assert high.missing.tolist() == [1]
    store.put(key(), Level.FULL, outcome([1, 2, 3], [LATE, 1, LATE]))
    assert count(store, "outcomes") == 1


@pytest.mark.parametrize(
    "changed", ["status", "outputs", "pages", "memory", "globals", "gas", "host_calls"]
)
def test_two_outcomes_under_one_key_are_flaky_and_both_kept(
    store: EvidenceStore, changed: str
) -> None:
    first = outcome([1, 2, 3])
    array = getattr(first, changed).copy()
    array[1] += 15
    second = dataclasses.replace(first, **{changed: array})
    assert store.put(key(), Level.FULL, first).kind is PutKind.NEW
    put = store.put(key(), Level.FULL, second)
    assert (put.kind, put.attempt, put.attempts) == (PutKind.FLAKY, 2, 2)
    assert put.rows == (1,)
    for attempt, value in ((1, first), (2, second)):
        found = store.lookup(key(), Level.FULL, attempt)
        assert found is not None
        assert (found.attempt, found.attempts) == (attempt, 2)
        assert equal(sliced(known(value, Level.FULL), Level.FULL).outcome, found.outcome)
    for attempt, value in ((1, first), (2, second)):
        again = store.put(key(), Level.FULL, value)
        assert (again.kind, again.attempt, again.attempts) == (PutKind.SAME, attempt, 2)
    assert count(store, "outcomes") == 2


def test_words_and_unstable_rows_make_nothing_flaky(store: EvidenceStore) -> None:
    store.put(key(), Level.FULL, outcome([1, 2]))
    wordy = dataclasses.replace(outcome([1, 2]), details={0: "x"}, unstable={1: "SIGBUS"})
    assert store.put(key(), Level.FULL, wordy).kind is PutKind.SAME


def test_a_contradiction_at_a_lower_level_is_flaky_too(store: EvidenceStore) -> None:
    store.put(key(), Level.FULL, outcome([1, 2]))
    put = store.put(key(), Level.RESULT, outcome([1, 3], level=Level.RESULT))
    assert (put.kind, put.rows) == (PutKind.FLAKY, (1,))
    found = store.lookup(key(), Level.FULL)
    assert found is not None
    assert found.attempts == 2


@pytest.mark.parametrize("never", [Status.PENDING, Status.TIMED_OUT, Status.BROKE_PROTOCOL])
def test_rows_that_may_not_be_stored_are_run_again(store: EvidenceStore, never: Status) -> None:
    put = store.put(key(), Level.FULL, outcome([1, 2], [int(never)] * 2))
    assert (put.kind, put.attempt, put.attempts) == (PutKind.NOTHING, 0, 0)
    assert store.lookup(key(), Level.FULL) is None

    assert store.put(key(), Level.FULL, outcome([1, 2, 3], [1, int(never), 1])).kind is PutKind.NEW
    found = store.lookup(key(), Level.FULL)
    assert found is not None
    assert found.missing.tolist() == [1]
    assert found.outcome.status.tolist() == [1, 0, 1]

    rerun = outcome([0, 2, 0], [0, 1, 0])
    assert store.put(key(), Level.FULL, rerun).kind is PutKind.NEW
    found = store.lookup(key(), Level.FULL)
    assert found is not None
    assert found.complete
    assert equal(found.outcome, outcome([1, 2, 3]))
    assert count(store, "outcomes") == 1


def test_a_block_beside_a_broken_fpu_is_never_stored(store: EvidenceStore) -> None:
    bent = dataclasses.replace(outcome([1, 2]), fpu_broken=True)
    assert store.put(key(), Level.FULL, bent).kind is PutKind.NOTHING
    assert store.lookup(key(), Level.FULL) is None
    assert count(store, "block_keys") == 0


def test_a_row_that_is_run_again_and_differs_is_flaky(store: EvidenceStore) -> None:
    store.put(key(), Level.FULL, outcome([1, 2, 3], [1, LATE, 1]))
    put = store.put(key(), Level.FULL, outcome([1, 2, 4]))
    assert (put.kind, put.rows) == (PutKind.FLAKY, (2,))


def test_rows_of_another_width_are_another_outcome(store: EvidenceStore) -> None:
    store.put(key(), Level.RESULT, outcome([1, 2], level=Level.RESULT, width=8))
    put = store.put(key(), Level.RESULT, outcome([1, 2], level=Level.RESULT, width=16))
    assert (put.kind, put.rows) == (PutKind.FLAKY, (0, 1))


def test_a_third_story_is_compared_with_the_first(store: EvidenceStore) -> None:
    for values in ([1, 2, 3], [1, 5, 3]):
        store.put(key(), Level.FULL, outcome(values))
    put = store.put(key(), Level.FULL, outcome([1, 5, 4]))
    assert (put.kind, put.attempt, put.rows) == (PutKind.FLAKY, 3, (1, 2))


def test_engines_that_agree_share_their_arrays(store: EvidenceStore) -> None:
    store.put(key(0), Level.FULL, outcome([1, 2]))
    blobs = count(store, "blobs")
    store.put(key(1), Level.FULL, outcome([1, 2]))
    assert count(store, "outcomes") == 2
    assert count(store, "blobs") == blobs


def test_an_empty_block_stores_nothing(store: EvidenceStore) -> None:
    assert store.put(key(), Level.FULL, outcome([])).kind is PutKind.NOTHING


def test_arrays_come_back_read_only(store: EvidenceStore) -> None:
    store.put(key(), Level.RESULT, outcome([1], level=Level.RESULT))
    found = store.lookup(key(), Level.RESULT)
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found.outcome.outputs[0, 0] = 9


# ---------------------------------------------------------------------------------- digests

PIECES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(LEVELS),
        st.lists(st.integers(1, 2), min_size=3, max_size=3),
        st.lists(st.sampled_from([1, LATE]), min_size=3, max_size=3),
    ),
    max_size=5,
)


def filled(path: Path, pieces: list[tuple[int, Level, list[int], list[int]]]) -> list[str]:
    path.unlink(missing_ok=True)
    with EvidenceStore.open(path) as store:
        for number, level, values, status in pieces:
            store.put(key(number), level, outcome(values, status, level))
        assert store.verify() >= 0
        return [store.digest([(key(0), level), (key(1), level)]) for level in LEVELS]


@pytest.mark.slow
@settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(PIECES, st.randoms(use_true_random=False))
def test_the_digest_knows_what_was_said_and_not_in_which_order(
    tmp_path: Path, pieces: list[tuple[int, Level, list[int], list[int]]], random: object
) -> None:
    """
    A plain model beside it: per key, level and row the set of values seen at that level or above.
    """
    shuffled = list(pieces)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = filled(tmp_path / "one.db", pieces)
    assert filled(tmp_path / "two.db", shuffled + pieces[:2]) == first

    fewer = pieces[1:]
    second = filled(tmp_path / "three.db", fewer)
    for level, one, two in zip(LEVELS, first, second, strict=True):
        assert (one == two) == (said(pieces, level) == said(fewer, level))


def said(
    pieces: list[tuple[int, Level, list[int], list[int]]], level: Level
) -> set[tuple[int, int, int]]:
    return {
        (number, row, value)
        for number, each, values, status in pieces
        for row, (value, state) in enumerate(zip(values, status, strict=True))
        if each.rank >= level.rank and state == 1
    }


def test_the_documented_recipe_gives_the_digest(store: EvidenceStore) -> None:
    """
    Many keys and values, so that no order of a set would be the sorted one by chance.
    """
    pairs = []
    for number in range(8):
        store.put(key(number), Level.RESULT, outcome([number, 5], level=Level.RESULT))
        record = known(outcome([number, 5], level=Level.RESULT), Level.RESULT)
        pairs.append((bytes.fromhex(key(number).digest()), b"\1" + digests(record)[0]))
    for value in range(12):
        store.put(key(9), Level.RESULT, outcome([value, 5], level=Level.RESULT))
    total = hashlib.sha256()
    for values in (range(12), [5]):
        seen = sorted(b"\1" + value.to_bytes(8, "little") for value in values)
        total.update(struct.pack("<Q", len(seen)))
        total.update(b"".join(hashlib.sha256(each).digest() for each in seen))
    pairs.append((bytes.fromhex(key(9).digest()), b"\2" + total.digest()))
    pairs.append((bytes.fromhex(key(10).digest()), bytes(33)))
    text = b"weavegate evidence 1\n"
    for name, form in sorted(pairs):
        text += name + b"\0" + form
    numbers = [*range(8), 9, 10]
    found = store.digest([(key(number), Level.RESULT) for number in numbers])
    assert found == hashlib.sha256(text).hexdigest()


def test_the_digest_depends_on_keys_levels_and_content_alone(store: EvidenceStore) -> None:
    for number in range(3):
        store.put(key(number), Level.FULL, outcome([number, 7]))
    wanted = [(key(number), Level.FULL) for number in range(3)]
    usual = store.digest(wanted)
    assert store.digest(reversed(wanted)) == usual
    assert store.digest(wanted * 2) == usual
    store.put(key(9), Level.FULL, outcome([1]))
    store.remember_run("r", b"{}", b'{"wall_ms":1}')
    assert store.digest(wanted) == usual
    others = [
        wanted[:2],
        [*wanted, (key(9), Level.FULL)],
        [*wanted, (key(99), Level.FULL)],
        [(key(number), Level.STATE) for number in range(3)],
        [],
    ]
    found = [store.digest(each) for each in others]
    assert usual not in found
    assert len(set(found)) == len(found)


def test_a_flaky_key_has_one_digest_whichever_attempt_came_first(tmp_path: Path) -> None:
    found = []
    for name, order in (("one", (1, 2)), ("two", (2, 1))):
        with EvidenceStore.open(tmp_path / name) as store:
            for value in order:
                store.put(key(), Level.FULL, outcome([value]))
            found.append(store.digest([(key(), Level.FULL)]))
    with EvidenceStore.open(tmp_path / "three") as store:
        store.put(key(), Level.FULL, outcome([1]))
        assert store.digest([(key(), Level.FULL)]) not in found
    assert len(set(found)) == 1


# ------------------------------------------------------------------ deviants, findings, runs


def test_rows_that_a_vote_named_are_kept_once(store: EvidenceStore) -> None:
    block: BlockOutcome = outcome([1, 2, 3], [1, 16, 1])
    for _ in range(2):
        store.put_deviants(key(), block, np.array([2, 1, 2]))
    value = (3).to_bytes(8, "little")
    assert store.deviants(key()) == (Deviant(1, 16, bytes(8)), Deviant(2, 1, value))
    assert store.deviants(key(1)) == ()


def test_findings_are_kept_under_their_id(store: EvidenceStore) -> None:
    store.put_finding("finding:b", b'{"b":1}')
    store.put_finding("finding:a", b'{"a":1}')
    store.put_finding("finding:a", b'{"a":2}')
    assert store.finding_ids() == ("finding:a", "finding:b")
    assert store.finding("finding:a") == b'{"a":2}'
    assert store.finding("finding:c") is None


def test_an_equal_run_is_remembered_with_its_times_apart(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    with EvidenceStore.open(path) as store:
        assert store.recall_run("d1") is None
        store.remember_run("d1", b'{"exit_code":0}', b'{"wall_ms":12.5}')
        store.remember_run("d2", b'{"exit_code":1}')
    with EvidenceStore.open(path) as store:
        assert store.recall_run("d1") == b'{"exit_code":0}'
        assert store.recall_times("d1") == b'{"wall_ms":12.5}'
        assert store.recall_run("d2") == b'{"exit_code":1}'
        assert store.recall_times("d2") == b""
        assert store.recall_run("d3") is None
