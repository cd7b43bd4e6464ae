from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pool_samples import (
    CALL,
    LIMITS,
    MODULE,
    block_of,
    honest_rows,
    numbers,
    probe_of_subnormals,
    run_fake,
)

from runners.arena import BatchTooLargeError
from runners.pool import Pool, WorkerStartError
from runners.records import Level
from runners.status import Status
from tests.fakes.launches import launch_of, seat_of


@pytest.mark.parametrize("policy", ["fresh", "pooled", "reuse(3)", "reuse(64)"])
def test_an_honest_worker_gives_every_row_under_every_policy(policy: str) -> None:
    xs = np.arange(20.0)
    outcome = run_fake("honest", block_of(xs), policy)
    reuse = {"reuse(3)": 3, "reuse(64)": 64}.get(policy, 1)
    status, outputs = honest_rows(xs, reuse)
    assert outcome.status.tolist() == status.tolist()
    assert np.array_equal(numbers(outcome), outputs)
    assert outcome.status[7] == Status.TRAP_UNREACHABLE
    assert not outcome.unstable
    assert not outcome.fpu_broken


def test_levels_bring_what_they_ask_for() -> None:
    plain = run_fake("honest", block_of([1.0, 2.0]))
    assert plain.pages is plain.memory is plain.globals is plain.gas is None
    state = run_fake("honest", block_of([1.0, 2.0], level=Level.STATE))
    assert state.pages is not None
    assert state.pages.tolist() == [1, 1]
    assert state.memory is not None
    assert state.memory[0].tobytes() != state.memory[1].tobytes()
    assert state.gas is None
    full = run_fake("honest", block_of([1.0, 2.0], level=Level.FULL), "reuse(2)")
    assert full.gas is not None
    assert full.gas.tolist() == [101, 102]
    assert full.meter == "fuel:fake@1.0"


def test_many_blocks_on_many_nodes_come_back_under_their_tickets() -> None:
    seats = [seat_of("honest"), seat_of("honest", "reuse(4)"), seat_of("prints_on_stdout")]
    with Pool(seats, limits=LIMITS) as pool:
        pool.add_module(MODULE, b"")
        wanted = {}
        for index in range(12):
            for seat in range(3):
                xs = np.arange(index * 10.0, index * 10 + 5 + index)
                wanted[pool.submit(seat, MODULE, block_of(xs))] = (seat, xs)
        assert pool.outstanding == 36
        for completion in pool.drain():
            seat, xs = wanted.pop(completion.ticket)
            assert completion.seat == seat
            assert completion.busy_ns > 0
            status, outputs = honest_rows(xs, 4 if seat == 1 else 1)
            assert completion.outcome.status.tolist() == status.tolist()
            assert np.array_equal(numbers(completion.outcome), outputs)
        assert not wanted
        assert pool.outstanding == 0
        assert pool.wait() == []


def test_room_is_bounded_by_what_a_worker_holds() -> None:
    with Pool([seat_of("honest")], limits=LIMITS) as pool:
        pool.add_module(MODULE, b"")
        submitted = 0
        while pool.has_room(0):
            pool.submit(0, MODULE, block_of([1.0]))
            submitted += 1
            assert submitted < 10
        assert len(list(pool.drain())) == submitted
        assert pool.has_room(0)


def test_an_empty_block_is_done_at_once() -> None:
    outcome = run_fake("honest", block_of([]))
    assert len(outcome) == 0


def test_identities_are_what_the_workers_say() -> None:
    with Pool([seat_of("honest"), seat_of("claims_simd")], limits=LIMITS) as pool:
        honest, simd = pool.identities()
        assert honest.core_version == "fake@1.0"
        assert honest.worker_sha256 == launch_of("honest").worker_sha256
        assert honest.worker_sha256 != simd.worker_sha256
        assert "proposal:simd" not in pool.capabilities(0)
        assert "proposal:simd" in pool.capabilities(1)


def test_a_claimed_feature_that_is_refused_is_rejected_in_every_row() -> None:
    outcome = run_fake("claims_simd", block_of([1.0, 2.0, 3.0]))
    assert set(outcome.status) == {Status.REJECTED_COMPILE}
    assert outcome.details[0].startswith("unsupported: SIMD")


def test_a_block_larger_than_the_arena_is_cut_where_instances_are_opened() -> None:
    xs = np.arange(2000.0)
    with Pool([seat_of("honest", "reuse(64)")], limits=LIMITS, arena_bytes=1 << 16) as pool:
        pool.add_module(MODULE, b"")
        outcome = pool.run(0, MODULE, block_of(xs))
        status, outputs = honest_rows(xs, 64)
        assert outcome.status.tolist() == status.tolist()
        assert np.array_equal(numbers(outcome), outputs)


def test_an_instance_that_does_not_fit_in_the_arena_is_refused_and_the_pool_goes_on() -> None:
    with Pool([seat_of("honest", "reuse(2000)")], limits=LIMITS, arena_bytes=1 << 16) as pool:
        pool.add_module(MODULE, b"")
        with pytest.raises(BatchTooLargeError, match="larger arena"):
            pool.submit(0, MODULE, block_of(np.arange(2000.0)))
        assert pool.outstanding == 0
        assert pool.run(0, MODULE, block_of([2.0])).status.tolist() == [Status.RETURNED]


def test_a_module_that_was_never_given_is_refused() -> None:
    with Pool([seat_of("honest")], limits=LIMITS) as pool, pytest.raises(KeyError, match="never"):
        pool.submit(0, MODULE, block_of([1.0]))


def test_ask_returns_the_answer_or_its_error() -> None:
    with Pool([seat_of("honest")], limits=LIMITS) as pool:
        assert pool.ask(0, "open_instance", {"instance": "i"}).header["ok"] is True
        answer = pool.ask(0, "peek", {"instance": "i", "address": 0, "size": 5})
        assert answer.blobs == [bytes(5)]
        assert pool.ask(0, "sing", {}).header["error"]["rule"] == "unknown-command"


def test_a_probe_is_right_with_an_honest_worker_and_wrong_with_one_that_flushes() -> None:
    block = block_of([1.0, 2.0])
    probe = probe_of_subnormals()
    assert not run_fake("honest", block, probe=probe).fpu_broken
    flushed = run_fake("flushes_subnormals", block, probe=probe)
    assert flushed.fpu_broken
    assert numbers(flushed)[:, 0].tolist() == [3.0, 6.0]


def test_a_probe_too_large_for_its_room_is_refused() -> None:
    probe = probe_of_subnormals()
    block = block_of(np.arange(200.0))
    large = type(probe)(probe.module_sha256, b"", block, np.zeros((200, 16), np.uint8))
    with pytest.raises(BatchTooLargeError, match="probe"):
        Pool([seat_of("honest")], probe=large)


def test_a_program_that_is_not_there_is_named() -> None:
    node, launch = seat_of("honest")
    missing = type(launch)(
        engine=launch.engine,
        families=launch.families,
        argv=("/nowhere/worker",),
        worker_sha256="",
        artifact_sha256="",
    )
    with (
        Pool([(node, missing)], limits=LIMITS) as pool,
        pytest.raises(WorkerStartError, match="/nowhere/worker"),
    ):
        pool.identities()


STARTED = """
import resource, sys
from runners.pool import Pool, WorkerStartError
from tests.fakes.launches import seat_of

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    with Pool([seat_of("honest")]) as pool:
        print(pool.identities()[0].core_version)
except WorkerStartError as error:
    print(error)
"""


def test_a_file_size_limit_below_the_arena_is_named_and_not_the_program() -> None:
    def printed(limit_bytes: int) -> str:
        argv = [sys.executable, "-c", STARTED, str(limit_bytes)]
        root = Path(__file__).parents[2]
        done = subprocess.run(argv, capture_output=True, check=True, text=True, cwd=root)
        return done.stdout.strip()

    assert printed(64 << 20) == "fake@1.0"
    sentence = printed(100 << 10)
    assert "`ulimit -f`" in sentence
    assert "64 MiB" in sentence
    assert sys.executable not in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("fake", "differs"),
    [
        ("flips_one_mantissa_bit", 1),
        ("swaps_zero_signs", 1),
        ("keeps_last_input", 1),
        ("returns_stale_output", 1),
        ("changes_nan_payload_after_calls", 2),
        ("honest", 0),
        ("prints_on_stdout", 0),
    ],
)
def test_a_liar_in_values_differs_where_it_lies_and_nowhere_else(fake: str, differs: int) -> None:
    xs = np.arange(1.0, 1001.0)
    xs[[3, 6, 500]] = 0.0, 70.0, -5.0
    xs[[60, 61, 62]] = np.nan
    outcome = run_fake(fake, block_of(xs), "reuse(1000)", at=-5.0, after=62)
    honest = run_fake("honest", block_of(xs), "reuse(1000)")
    same = (outcome.outputs == honest.outputs).all(axis=1)
    assert outcome.status.tolist() == honest.status.tolist()
    if fake == "flips_one_mantissa_bit":
        assert 1 <= (~same).sum() <= 4
    else:
        assert (~same).sum() == differs


def test_a_liar_about_fuel_differs_in_gas_alone() -> None:
    block = block_of([1.0, 2.0, 3.0], level=Level.FULL)
    lie = run_fake("lies_about_fuel", block, at=2.0)
    honest = run_fake("honest", block)
    assert lie.gas is not None
    assert honest.gas is not None
    assert (lie.gas != honest.gas).tolist() == [False, True, False]
    assert np.array_equal(lie.outputs, honest.outputs)


def test_a_module_is_compiled_again_for_another_memory_limit() -> None:
    with Pool([seat_of("honest")], limits=LIMITS) as pool:
        pool.add_module(MODULE, b"")
        block = block_of([1.0])
        pool.run(0, MODULE, block)
        worker = pool.seats[0].worker
        assert worker is not None
        assert worker.loaded == {MODULE: 512}
        smaller = type(block.budget)(deadline_ms=block.budget.deadline_ms, memory_pages=3)
        other = type(block)(CALL, smaller, block.level, block.ids, block.inputs)
        pool.run(0, MODULE, other)
        assert worker.loaded == {MODULE: 3}
