from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from pool_samples import LIMITS, MODULE, SLOW_MS, block_of, honest_rows, numbers, run_fake

from runners.arena import Arena
from runners.blocks import BlockOutcome
from runners.cell import CellLimits
from runners.job import GIVE_UP_BREAKS, GIVE_UP_TIMEOUTS
from runners.pool import Pool, WorkerLostError, WorkerStartError
from runners.records import Level
from runners.status import Status
from tests.fakes.launches import seat_of

HANG_MS = 250
CULPRIT = 13.0
XS = np.arange(20.0)
ROW = 13


def assert_only_the_culprit(
    outcome: BlockOutcome, wrong: Status, reuse: int, rows: tuple[int, ...] = (ROW,)
) -> None:
    """
    Rows have outcome `wrong`; all others are what an honest worker gives.
    """
    status, outputs = honest_rows(XS, reuse, rows)
    status[list(rows)] = wrong
    assert outcome.status.tolist() == status.tolist()
    assert numbers(outcome).tolist() == outputs.tolist()


BREACHES: list[tuple[str, str, dict[str, Any]]] = [
    ("frame-length", "huge_frame_length", {}),
    ("frame-length", "huge_frame_length", {"blobs": 1}),
    ("frame-truncated", "truncates_frame", {}),
    ("frame-json", "sends_garbage_json", {"kind": "text"}),
    ("frame-json", "sends_garbage_json", {"kind": "list"}),
    ("frame-json", "sends_garbage_json", {"kind": "latin"}),
    ("frame-json", "sends_garbage_json", {"kind": "surrogate"}),
    ("frame-json", "sends_garbage_json", {"kind": "deep"}),
    ("frame-json", "sends_garbage_json", {"kind": "digits"}),
    ("frame-json", "sends_garbage_json", {"kind": "wide"}),
    ("reply-id", "answers_out_of_order", {}),
    ("reply-shape", "omits_reply_field", {"field": "ok"}),
    ("reply-shape", "omits_reply_field", {"field": "meter"}),
    ("reply-shape", "omits_reply_field", {"field": "filled", "wrong": 1}),
    ("reply-shape", "omits_reply_field", {"field": "details", "wrong": 1}),
    ("reply-shape", "omits_reply_field", {"field": "not_observed", "wrong": 1}),
    ("unasked-reply", "answers_twice", {}),
    ("status-byte", "writes_status_zero", {}),
    ("status-byte", "writes_controller_status", {"byte": 80}),
    ("status-byte", "writes_controller_status", {"byte": 82}),
    ("status-byte", "writes_controller_status", {"byte": 255}),
    ("progress", "progress_backwards", {}),
    ("progress", "progress_too_far", {}),
    ("progress", "answers_early", {}),
    ("output-flood", "floods_stdout", {"mib": 2}),
    ("exited", "exits_quietly", {}),
    ("exited", "exits_quietly", {"status": 3}),
    ("exited", "closes_replies", {}),
]
ONE_OF_EACH = list({rule: index for index, (rule, _, _) in enumerate(BREACHES)}.values())
FLOOD = CellLimits(output_bytes=1 << 20, start_deadline_ms=20_000)


@pytest.mark.parametrize(
    ("index", "policy"),
    [(index, "fresh") for index in range(len(BREACHES))]
    + [(index, "reuse(8)") for index in ONE_OF_EACH],
    ids=lambda value: value if isinstance(value, str) else BREACHES[value][1],
)
def test_every_broken_rule_is_named_for_its_row_and_the_run_goes_on(
    index: int, policy: str
) -> None:
    rule, fake, parameters = BREACHES[index]
    outcome = run_fake(fake, block_of(XS), policy, limits=FLOOD, at=CULPRIT, **parameters)
    assert_only_the_culprit(outcome, Status.BROKE_PROTOCOL, 8 if policy != "fresh" else 1)
    assert outcome.details[ROW].split(":")[0].split()[0] == rule
    assert not outcome.unstable


@pytest.mark.parametrize("to", [1, 2], ids=["stdout", "stderr"])
def test_a_gibibyte_of_output_is_cut_at_the_limit_and_nothing_is_lost(to: int) -> None:
    outcome = run_fake("floods_stdout", block_of(XS), "reuse(8)", at=CULPRIT, mib=1024, on=to)
    assert_only_the_culprit(outcome, Status.BROKE_PROTOCOL, 8)
    assert outcome.details[ROW].startswith("output-flood")
    assert f"more than {16 << 20} bytes" in outcome.details[ROW]


def test_the_same_fakes_break_nothing_without_their_culprit() -> None:
    for _, fake, parameters in BREACHES:
        outcome = run_fake(fake, block_of(XS), limits=FLOOD, at=-1.0, **parameters)
        assert_only_the_culprit(outcome, Status.RETURNED, 1, ())


def test_a_breach_above_level_result_is_named_for_its_row() -> None:
    block = block_of(XS, level=Level.FULL)
    outcome = run_fake("exits_quietly", block, "reuse(8)", at=CULPRIT)
    assert_only_the_culprit(outcome, Status.BROKE_PROTOCOL, 8)
    assert outcome.gas is not None
    assert outcome.gas[12:16].tolist() == [105, 0, 101, 102]


@pytest.mark.parametrize("policy", ["fresh", "reuse(8)", "reuse(64)"])
def test_a_breach_that_does_not_repeat_is_unstable_and_leaves_no_trace(
    tmp_path: Path, policy: str
) -> None:
    outcome = run_fake("babbles_once", block_of(XS), policy, at=CULPRIT, mark=tmp_path / "said")
    assert_same(outcome, run_fake("honest", block_of(XS), policy))
    assert outcome.unstable == {0: "frame-json"}


def test_a_case_that_did_not_return_has_no_output_whatever_its_worker_left() -> None:
    outcome = run_fake("leaves_output_in_traps", block_of(XS), "reuse(8)")
    assert_only_the_culprit(outcome, Status.RETURNED, 8, ())


def test_a_breach_in_a_batch_between_others_leaves_them_alone() -> None:
    with Pool([seat_of("sends_garbage_json", at=CULPRIT, kind="text")], limits=LIMITS) as pool:
        pool.add_module(MODULE, b"")
        tickets = [pool.submit(0, MODULE, block_of(XS + 100 * (n != 2))) for n in range(5)]
        done = {completion.ticket: completion.outcome for completion in pool.drain()}
    assert_only_the_culprit(done.pop(tickets[2]), Status.BROKE_PROTOCOL, 1)
    for outcome in done.values():
        assert set(outcome.status) == {Status.RETURNED}
        assert not outcome.unstable


def test_an_arena_cannot_be_cut_by_its_worker() -> None:
    outcome = run_fake("shrinks_arena", block_of(XS), at=CULPRIT)
    assert_only_the_culprit(outcome, Status.RETURNED, 1, ())


def test_an_arena_that_was_cut_is_noticed_where_it_is_not_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One case alone: with two batches in flight nobody could say which of them did it.
    monkeypatch.setattr("runners.arena.SEALS", 0)
    with Pool([seat_of("shrinks_arena", at=CULPRIT)], limits=LIMITS) as pool:
        pool.add_module(MODULE, b"")
        outcome = pool.run(0, MODULE, block_of([CULPRIT]))
        assert outcome.status.tolist() == [Status.BROKE_PROTOCOL]
        assert outcome.details[0].startswith("arena-size")
        assert pool.run(0, MODULE, block_of([1.0])).status.tolist() == [Status.RETURNED]


# ---------------------------------------------------------------------------------- crashes


@pytest.mark.parametrize("policy", ["fresh", "reuse(8)"])
@pytest.mark.parametrize("level", [Level.RESULT, Level.FULL])
def test_a_crash_that_repeats_alone_is_an_outcome(policy: str, level: Level) -> None:
    outcome = run_fake("crashes", block_of(XS, level=level), policy, at=CULPRIT)
    assert_only_the_culprit(outcome, Status.CRASHED, 8 if policy != "fresh" else 1)
    assert outcome.details[ROW].startswith("SIGSEGV")
    assert not outcome.unstable


def test_the_signal_is_named() -> None:
    outcome = run_fake("crashes", block_of(XS), at=CULPRIT, signal=int(signal.SIGABRT))
    assert outcome.details[ROW].startswith("SIGABRT")


@pytest.mark.parametrize("policy", ["fresh", "reuse(8)", "reuse(64)"])
@pytest.mark.parametrize("level", [Level.RESULT, Level.FULL])
def test_a_crash_that_does_not_repeat_is_unstable_and_leaves_no_trace(
    tmp_path: Path, policy: str, level: Level
) -> None:
    block = block_of(XS, level=level)
    mark = tmp_path / "crashed"
    outcome = run_fake("crashes_once", block, policy, at=CULPRIT, mark=mark)
    honest = run_fake("honest", block, policy)
    assert outcome.unstable == {ROW: "SIGSEGV"}
    assert_same(outcome, honest)


def test_crashes_beyond_the_limit_end_the_job_but_not_the_pool() -> None:
    xs = np.where(np.arange(40) % 2, CULPRIT, 1.0)
    with Pool([seat_of("crashes", at=CULPRIT)], limits=LIMITS) as pool:
        pool.add_module(MODULE, b"")
        outcome = pool.run(0, MODULE, block_of(xs))
        crashed = np.flatnonzero(outcome.status == Status.CRASHED)
        assert crashed.tolist() == list(range(1, 2 * GIVE_UP_BREAKS, 2))
        assert set(outcome.status[2 * GIVE_UP_BREAKS :]) == {Status.PENDING}
        assert outcome.details[2 * GIVE_UP_BREAKS].startswith("not run")
        after = pool.run(0, MODULE, block_of([1.0, 2.0]))
        assert after.status.tolist() == [Status.RETURNED] * 2


# ------------------------------------------------------------------------------------ hangs


@pytest.mark.parametrize("policy", ["fresh", "reuse(8)"])
def test_a_hang_costs_its_own_row_only(policy: str) -> None:
    block = block_of(XS, deadline_ms=HANG_MS)
    outcome = run_fake("hangs", block, policy, at=CULPRIT)
    assert_only_the_culprit(outcome, Status.TIMED_OUT, 8 if policy != "fresh" else 1)


def test_hangs_beyond_the_limit_end_the_job() -> None:
    xs = np.where(np.arange(12) % 2, CULPRIT, 1.0)
    outcome = run_fake("hangs", block_of(xs, deadline_ms=HANG_MS), at=CULPRIT)
    hung = np.flatnonzero(outcome.status == Status.TIMED_OUT)
    assert hung.tolist() == list(range(1, 2 * GIVE_UP_TIMEOUTS, 2))
    assert set(outcome.status[2 * GIVE_UP_TIMEOUTS :]) == {Status.PENDING}


def test_a_worker_that_never_says_hello_is_a_broken_environment() -> None:
    limits = CellLimits(start_deadline_ms=200)
    with (
        Pool([seat_of("never_says_hello")], limits=limits) as pool,
        pytest.raises(WorkerStartError, match="does not start"),
    ):
        pool.identities()


# ------------------------------------------------------------------------------ other falls


def test_a_worker_that_takes_too_much_memory_falls_alone() -> None:
    limits = CellLimits(data_mib=256, start_deadline_ms=20_000)
    block = block_of(XS)
    outcome = run_fake("takes_memory", block, limits=limits, at=CULPRIT, mib=512)
    assert_only_the_culprit(outcome, Status.BROKE_PROTOCOL, 1)
    assert "MemoryError" in outcome.details[ROW]
    enough = CellLimits(data_mib=1024, start_deadline_ms=20_000)
    outcome = run_fake("takes_memory", block, limits=enough, at=CULPRIT, mib=512)
    assert_only_the_culprit(outcome, Status.RETURNED, 1, ())


def test_output_below_the_cap_is_drained_and_harmless() -> None:
    outcome = run_fake("floods_stdout", block_of(XS), at=CULPRIT, mib=2)
    assert_only_the_culprit(outcome, Status.RETURNED, 1, ())


def test_an_answer_too_many_that_comes_late_blames_no_case_but_is_kept() -> None:
    with Pool([seat_of("answers_twice", at=CULPRIT, late=1)], limits=LIMITS) as pool:
        pool.add_module(MODULE, b"")
        assert_only_the_culprit(pool.run(0, MODULE, block_of(XS)), Status.RETURNED, 1, ())
        assert pool.idle_falls(0) == ()
        after = pool.run(0, MODULE, block_of([1.0, 2.0]))
        assert after.status.tolist() == [Status.RETURNED] * 2
        assert not after.unstable
        assert [death.word for death in pool.idle_falls(0)] == ["unasked-reply"]


def test_a_worker_that_dies_while_it_is_asked_is_lost_and_replaced() -> None:
    with Pool([seat_of("honest")], limits=LIMITS) as pool:
        pool.identities()
        worker = pool.seats[0].worker
        assert worker is not None
        os.kill(worker.cell.process.pid, signal.SIGSTOP)
        os.kill(worker.cell.process.pid, signal.SIGKILL)
        with pytest.raises(WorkerLostError):
            pool.ask(0, "drop", {"instance": "i"})
        assert pool.ask(0, "drop", {"instance": "i"}).header["ok"] is True


KILLS = 8
"""Per run; all runs together make more than fifty."""


class KilledPool(Pool):
    """
    A pool whose worker is killed from outside, at moments drawn from a seed.

    Spared is what would rightly be an outcome of its own when it happens twice: the lone repeat
    of a crash, and a start or a compilation right after another one was cut short.
    """

    draw: Random
    kills = 0
    pause = 3
    early = False

    def _step(self) -> None:
        seat = self.seats[0]
        worker = seat.worker
        self.pause -= 1
        if worker is not None and self.pause <= 0 and self.kills < KILLS:
            early = bool(worker.owed) and worker.owed[0].command in ("hello", "load")
            if not (early and self.early) and not any(item.span.alone for item in seat.flights):
                self.pause, self.early = self.draw.randrange(1, 5), early
                os.kill(worker.cell.process.pid, signal.SIGKILL)
                self.kills += 1
        super()._step()


@pytest.mark.parametrize("policy", ["fresh", "reuse(16)"])
@pytest.mark.parametrize("level", [Level.RESULT, Level.FULL])
@pytest.mark.parametrize("seed", [1, 2])
def test_kills_from_outside_change_no_outcome(seed: int, level: Level, policy: str) -> None:
    draw = Random(seed)  # noqa: S311 - moments drawn from a seed, nothing secret
    blocks = [block_of(np.arange(float(draw.randrange(50, 200))), level=level) for _ in range(4)]
    with Pool([seat_of("honest", policy)], limits=LIMITS) as pool:
        pool.add_module(MODULE, b"")
        wanted = [pool.run(0, MODULE, block) for block in blocks]
    with KilledPool([seat_of("honest", policy)], limits=LIMITS) as killed:
        killed.draw = draw
        killed.add_module(MODULE, b"")
        while killed.kills < KILLS:
            tickets = [killed.submit(0, MODULE, block) for block in blocks]
            done = {completion.ticket: completion.outcome for completion in killed.drain()}
            for ticket, right in zip(tickets, wanted, strict=True):
                assert_same(done[ticket], right)


def assert_same(seen: BlockOutcome, right: BlockOutcome) -> None:
    """
    Two outcomes are equal in every array.
    """
    for name in ("status", "outputs", "pages", "memory", "globals", "gas"):
        left, good = getattr(seen, name), getattr(right, name)
        assert (left is None) == (good is None), name
        assert left is None or np.array_equal(left, good), name


def test_a_case_that_is_killed_both_times_counts_as_crashed() -> None:
    outcome = run_fake("crashes", block_of(XS), at=CULPRIT, signal=int(signal.SIGKILL))
    assert_only_the_culprit(outcome, Status.CRASHED, 1)
    assert outcome.details[ROW].startswith("SIGKILL")


def test_progress_of_an_arena_is_read_as_it_was_written() -> None:
    arena = Arena(1 << 20)
    arena.rows(64, 1, 8)[0] = list((SLOW_MS).to_bytes(8, "little"))
    assert arena.progress(64) == SLOW_MS
    arena.close()
