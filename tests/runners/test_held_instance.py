from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pool_samples import CALL, LIMITS, MODULE, block_of, numbers

from runners.arena import BatchTooLargeError
from runners.blocks import CaseBlock
from runners.held import HeldInstance, InstanceRefusedError
from runners.pool import Pool, WorkerLostError
from runners.records import (
    AtAddress,
    Budget,
    Buffer,
    ByAllocator,
    Call,
    InputPointer,
    Level,
    Node,
    OutputPointer,
    Slot,
)
from runners.status import Status
from tests.fakes.launches import seat_of, toy_launch

INFER = Call(
    entry="infer",
    arguments=(InputPointer(), OutputPointer()),
    input=Buffer(AtAddress(128), 16),
    output=Buffer(AtAddress(512), 16),
    initialize=("init",),
    memory="memory",
    globals=("calls",),
    grows=False,
)
ADD = Call(entry="add", arguments=(Slot(0, "i64"), Slot(1, "i64")), results=("i64",))
PAIR = struct.pack("<dd", 2.0, 3.0)
SEVEN = struct.pack("<dd", 7.0, 3.0)

Opener = Callable[..., HeldInstance]


def block(call: Call, rows: list[bytes], level: Level = Level.RESULT) -> CaseBlock:
    inputs = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), call.input_bytes)
    return CaseBlock(call, Budget(), level, np.arange(len(rows), dtype=np.uint64), inputs)


@pytest.fixture
def toys() -> Iterator[Opener]:
    launch = toy_launch()
    with Pool([(Node(launch.engine), launch)], limits=LIMITS) as pool:

        def opened(
            call: Call = INFER, level: Level = Level.RESULT, **module: object
        ) -> HeldInstance:
            data = json.dumps(module).encode()
            sha256 = hashlib.sha256(data).hexdigest()
            pool.add_module(sha256, data)
            return HeldInstance(pool, 0, sha256, call, name="i", budget=Budget(), level=level)

        yield opened


def test_one_instance_serves_all_calls_and_is_initialized_once(toys: Opener) -> None:
    with toys() as instance:
        first = instance.run(block(INFER, [PAIR, PAIR]))
        assert instance.run(block(ADD, [struct.pack("<qq", 4, 5)])).outputs.view("<i8").item() == 12
        second = instance.run(block(INFER, [PAIR]))
    assert numbers(first).tolist() == [[6.0, 1001.0], [6.0, 1002.0]]
    assert numbers(second).tolist() == [[6.0, 1004.0]]


def test_memory_can_be_read_and_written_between_calls(toys: Opener) -> None:
    with toys(pages=2) as instance:
        assert instance.memory_bytes() == 131072
        assert instance.memory() == bytes(131072)
        instance.run(block(INFER, [PAIR]))
        assert instance.peek(128, 16) == PAIR
        instance.poke(0, b"secret")
        assert instance.memory()[:6] == b"secret"
        with pytest.raises(InstanceRefusedError, match="out-of-bounds") as caught:
            instance.peek(131071, 2)
        assert (caught.value.stage, caught.value.rule) == ("memory", "out-of-bounds")


def test_buffers_keep_their_address_when_another_call_comes_between(toys: Opener) -> None:
    other = Call(
        entry="infer",
        arguments=(InputPointer(), OutputPointer()),
        input=Buffer(ByAllocator("alloc"), 16),
        output=Buffer(AtAddress(512), 16),
        memory="memory",
    )
    with toys() as instance:
        for x in (2.0, 5.0):
            row = struct.pack("<dd", x, 1.0)
            assert numbers(instance.run(block(other, [row])))[0, 0] == x
            assert instance.peek(65536 - 16, 16) == row
            instance.run(block(INFER, [PAIR]))


def test_memory_that_moved_in_one_call_is_found_by_the_next_kind(toys: Opener) -> None:
    grow = Call(entry="grow", arguments=(Slot(0, "i32"),), results=("i32",), memory="memory")
    with toys() as instance:
        assert numbers(instance.run(block(INFER, [PAIR])))[0, 0] == 6.0
        instance.run(block(grow, [struct.pack("<q", 1)]))
        assert instance.memory_bytes() == 131072
        assert numbers(instance.run(block(INFER, [struct.pack("<dd", 4.0, 4.0)])))[0, 0] == 16.0


def test_level_full_is_metered_only_if_it_was_opened_so(toys: Opener) -> None:
    with toys(level=Level.FULL) as instance:
        seen = instance.run(block(INFER, [PAIR, PAIR], Level.FULL))
        assert seen.gas is not None
        assert seen.gas.tolist() == [10, 20]
        assert seen.globals is not None
        assert seen.globals.view("<u8")[:, 0].tolist() == [1, 2]
    with toys() as instance:
        seen = instance.run(block(INFER, [PAIR], Level.FULL))
        assert seen.gas is None
        assert dict(seen.not_observed)["gas"] == "the instance was opened without its meter"


def test_a_case_that_stops_spends_the_instance_but_not_the_worker(toys: Opener) -> None:
    with toys() as instance:
        outcome = instance.run(block(INFER, [PAIR, SEVEN, PAIR]))
        assert outcome.status.tolist() == [1, Status.TRAP_UNREACHABLE, Status.TRAP_UNREACHABLE]
        assert numbers(outcome)[2].tolist() == [0.0, 0.0]
        with pytest.raises(InstanceRefusedError, match="spent-instance"):
            instance.run(block(INFER, [PAIR]))
        assert instance.peek(128, 16) == SEVEN
    with toys() as instance:
        assert numbers(instance.run(block(INFER, [PAIR])))[0].tolist() == [6.0, 1001.0]


def test_a_missing_entry_rejects_the_batch_and_leaves_the_instance(toys: Opener) -> None:
    absent = Call(entry="absent", memory="memory")
    with toys() as instance:
        rejected = instance.run(block(absent, [b"", b""]))
        assert rejected.status.tolist() == [Status.REJECTED_ENTRY] * 2
        assert numbers(instance.run(block(INFER, [PAIR])))[0].tolist() == [6.0, 1001.0]


def test_what_cannot_be_opened_is_refused_with_its_stage(toys: Opener) -> None:
    with pytest.raises(InstanceRefusedError) as caught:
        toys(start=int(Status.TRAP_UNREACHABLE))
    assert (caught.value.stage, caught.value.rule) == ("instantiate", "trap")
    with pytest.raises(InstanceRefusedError) as caught:
        toys(refuse="invalid")
    assert caught.value.stage in ("compile", "protocol")


def test_a_dropped_instance_is_gone(toys: Opener) -> None:
    instance = toys()
    instance.drop()
    with pytest.raises(InstanceRefusedError, match="unknown-instance"):
        instance.memory()


def fake(pool: Pool) -> HeldInstance:
    pool.add_module(MODULE, b"")
    return HeldInstance(pool, 0, MODULE, CALL, name="i", budget=Budget())


@pytest.mark.parametrize("name", ["crashes", "hangs", "exits_quietly"])
def test_a_worker_that_falls_takes_the_instance_along(name: str) -> None:
    with Pool([seat_of(name, at=3.0)], limits=LIMITS) as pool:
        with fake(pool) as instance:
            assert numbers(instance.run(block_of([2.0]))).tolist() == [[6.0, 1.0]]
            deadline_ms = 300 if name == "hangs" else 20_000
            with pytest.raises(WorkerLostError):
                instance.run(block_of([3.0], deadline_ms=deadline_ms))
            with pytest.raises(WorkerLostError, match="is gone"):
                instance.memory()
        with fake(pool) as again:
            assert numbers(again.run(block_of([2.0]))).tolist() == [[6.0, 1.0]]


@pytest.mark.parametrize("name", ["writes_status_zero", "omits_reply_field"])
def test_nonsense_about_a_held_batch_costs_the_worker_its_life(name: str) -> None:
    with Pool([seat_of(name, at=3.0)], limits=LIMITS) as pool, fake(pool) as instance:
        with pytest.raises(WorkerLostError, match=r"broke the protocol|died while"):
            instance.run(block_of([3.0]))
        assert pool.seats[0].restarts == 1


def test_a_block_beyond_the_arena_is_refused_before_it_is_sent() -> None:
    with Pool([seat_of("honest")], limits=LIMITS, arena_bytes=1 << 15) as pool:
        with fake(pool) as instance, pytest.raises(BatchTooLargeError):
            instance.run(block_of(np.ones(4096)))
        assert pool.seats[0].restarts == 0


def test_blocks_go_on_as_usual_beside_a_held_instance() -> None:
    with Pool([seat_of("honest", policy="reuse(2)")], limits=LIMITS) as pool, fake(pool) as held:
        held.run(block_of([2.0]))
        assert numbers(pool.run(0, MODULE, block_of([2.0, 3.0]))).tolist() == [[6, 1], [9, 2]]
        assert numbers(held.run(block_of([2.0]))).tolist() == [[6.0, 2.0]]
