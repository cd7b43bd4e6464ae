from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from pool_samples import LIMITS

from runners.blocks import BlockOutcome, CaseBlock
from runners.pool import Pool
from runners.records import (
    AtAddress,
    Budget,
    Buffer,
    ByAllocator,
    ByExport,
    ByResult,
    Call,
    Constant,
    InputPointer,
    Level,
    Node,
    OutputPointer,
    Slot,
)
from runners.status import Status
from tests.fakes.launches import toy_launch

INFER = Call(
    entry="infer",
    arguments=(InputPointer(), OutputPointer()),
    input=Buffer(ByExport("in_ptr"), 16),
    output=Buffer(ByExport("out_ptr"), 16),
    memory="memory",
    globals=("calls",),
    grows=False,
)
ADD = Call(entry="add", arguments=(Slot(1, "i64"), Slot(0, "i64")), results=("i64",))


def run(
    call: Call,
    rows: list[bytes],
    policy: str = "fresh",
    level: Level = Level.RESULT,
    budget: Budget | None = None,
    **module: object,
) -> BlockOutcome:
    launch = toy_launch()
    data = json.dumps(module).encode()
    inputs = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), call.input_bytes)
    ids = np.arange(len(rows), dtype=np.uint64)
    block = CaseBlock(call, budget or Budget(), level, ids, inputs)
    with Pool([(Node(launch.engine, policy=policy), launch)], limits=LIMITS) as pool:
        pool.add_module("m", data)
        return pool.run(0, "m", block)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def rows_of(outcome: BlockOutcome) -> list[bytes]:
    return [row.tobytes() for row in outcome.outputs]


PAIRS = [floats(x, 3.0) for x in (1.0, 2.0, 7.0, 4.0, 5.0, 6.0)]


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("level", list(Level))
def test_every_loop_gives_the_same_rows(level: Level, moves: bool) -> None:  # noqa: FBT001 - parametrised
    call = msgspec.structs.replace(INFER, grows=moves)
    outcome = run(call, PAIRS, "reuse(4)", level, moves=moves)
    expected = [(3, 1), (6, 2), (0, 0), (12, 1), (15, 1), (18, 2)]
    assert rows_of(outcome) == [floats(*pair) for pair in expected]
    assert outcome.status.tolist() == [1, 1, Status.TRAP_UNREACHABLE, 1, 1, 1]
    assert outcome.details == {2: "seven"}


def test_levels_observe_memory_pages_globals_and_gas_also_after_a_trap() -> None:
    outcome = run(INFER, PAIRS[:4], "reuse(4)", Level.FULL, gas=10)
    assert outcome.pages is not None
    assert outcome.pages.tolist() == [1] * 4
    memory = bytearray(65536)
    digests = []
    for row, (x, product, calls) in enumerate([(1, 3, 1), (2, 6, 2), (7, 6, 2), (4, 12, 1)]):
        if row == 3:
            memory = bytearray(65536)
        struct.pack_into("<dd", memory, 128, x, 3.0)
        struct.pack_into("<dd", memory, 512, product, calls)
        digests.append(hashlib.sha256(memory).digest())
    assert outcome.memory is not None
    assert [row.tobytes() for row in outcome.memory] == digests
    assert outcome.globals is not None
    assert outcome.globals.view("<u8")[:, 0].tolist() == [1, 2, 3, 1]
    assert outcome.gas is not None
    assert outcome.gas.tolist() == [10, 20, 30, 10]
    assert outcome.meter == "fuel:toy@3.1"


def test_what_cannot_be_seen_is_excused() -> None:
    outcome = run(ADD, [words(1, 2)], level=Level.STATE)
    reason = "the module exports no memory"
    assert outcome.not_observed == (("memory", reason), ("pages", reason))
    assert outcome.memory is outcome.pages is None


def test_slots_constants_and_results_are_bits() -> None:
    big = (1 << 64) - 5
    outcome = run(ADD, [words(big, 3), words(1, 1)], "reuse(2)")
    assert rows_of(outcome) == [words((big + 3 + 1) % 2**64), words(4)]
    constant = Call(
        entry="add", arguments=(Constant("i64:00000000000000ff"), Slot(0, "i64")), results=("i64",)
    )
    assert rows_of(run(constant, [words(1)])) == [words(0x101)]
    narrow = Call(entry="narrow", arguments=(Slot(0, "i32"),), results=("f32",))
    assert rows_of(run(narrow, [words(0x7FA00001)])) == [words(0x7FA00001)]


@pytest.mark.parametrize(
    ("place_in", "place_out"),
    [
        (ByExport("in_ptr"), ByExport("out_ptr")),
        (AtAddress(1000), AtAddress(2000)),
        (ByAllocator("alloc"), AtAddress(0)),
    ],
)
def test_buffers_are_found_wherever_they_lie(place_in: Any, place_out: Any) -> None:
    call = msgspec.structs.replace(
        INFER, input=Buffer(place_in, 16), output=Buffer(place_out, 16), initialize=("init", "init")
    )
    assert rows_of(run(call, PAIRS[:1])) == [floats(3.0, 2001.0)]


@pytest.mark.parametrize("moves", [False, True])
def test_an_output_buffer_may_lie_where_the_result_says(moves: bool) -> None:  # noqa: FBT001 - parametrised
    call = Call(
        entry="where",
        arguments=(InputPointer(),),
        results=("i32",),
        input=Buffer(AtAddress(8), 1),
        output=Buffer(ByResult(), 2),
        memory="memory",
    )
    outcome = run(call, [b"\x05", b"\x06"], "reuse(2)", moves=moves, out_at=4096)
    assert rows_of(outcome) == [words(4096) + b"\x0a\0", words(4096) + b"\x0c\0"]
    beyond = run(call, [b"\x05"], out_at=65535)
    assert beyond.status.tolist() == [Status.REJECTED_ENTRY]
    assert not beyond.outputs.any()


def test_memory_that_moves_is_written_where_it_is_now() -> None:
    call = Call(
        entry="where",
        arguments=(InputPointer(),),
        results=("i32",),
        input=Buffer(AtAddress(512), 1),
        memory="memory",
    )
    outcome = run(call, [b"\x05", b"\x06"], "reuse(2)", Level.STATE, moves=True)
    memory = bytearray(65536)
    memory[512] = 12
    assert outcome.memory is not None
    assert outcome.memory[1].tobytes() == hashlib.sha256(memory).digest()
    first = msgspec.structs.replace(call, entry="first")
    plain = run(first, [b"\x05", b"\x06"], "reuse(2)", moves=True)
    assert rows_of(plain) == [words(5), words(6)]


def test_growth_stops_at_the_ceiling() -> None:
    call = Call(entry="grow", arguments=(Slot(0, "i32"),), results=("i32",), memory="memory")
    rows = [words(2), words(2), words(1)]
    outcome = run(call, rows, "reuse(3)", Level.STATE, Budget(memory_pages=4))
    assert rows_of(outcome) == [words(1), words(0xFFFFFFFF), words(3)]
    assert outcome.pages is not None
    assert outcome.pages.tolist() == [3, 3, 4]


def test_fuel_is_given_anew_for_each_case() -> None:
    budget = Budget(fuel=25)
    outcome = run(INFER, [PAIRS[0]] * 6, "reuse(6)", Level.RESULT, budget, gas=10)
    exhausted = Status.EXHAUSTED_FUEL
    assert outcome.status.tolist() == [1, 1, exhausted, 1, 1, exhausted]
    assert outcome.details[2] == "out of fuel"


@pytest.mark.parametrize("policy", ["fresh", "reuse(4)"])
def test_what_fails_at_opening_fails_for_every_case_of_the_instance(policy: str) -> None:
    missing = msgspec.structs.replace(INFER, entry="nothing")
    assert run(missing, PAIRS, policy).status.tolist() == [Status.REJECTED_ENTRY] * 6
    stopped = run(INFER, PAIRS, policy, start=int(Status.TRAP_UNREACHABLE))
    assert stopped.status.tolist() == [Status.TRAP_UNREACHABLE] * 6
    unready = msgspec.structs.replace(INFER, initialize=("init", "bad_init"))
    outcome = run(unready, PAIRS, policy, Level.FULL)
    assert outcome.status.tolist() == [Status.TRAP_UNREACHABLE] * 6
    beyond = msgspec.structs.replace(INFER, output=Buffer(AtAddress(65530), 16))
    assert run(beyond, PAIRS, policy).status.tolist() == [Status.REJECTED_ENTRY] * 6
    memoryless = msgspec.structs.replace(INFER, memory=None)
    assert run(memoryless, PAIRS, policy).status.tolist() == [Status.REJECTED_ENTRY] * 6


@pytest.mark.parametrize("rule", ["invalid", "unsupported", "limit"])
def test_a_refusal_to_compile_settles_every_row(rule: str) -> None:
    outcome = run(INFER, PAIRS, refuse=rule)
    assert outcome.status.tolist() == [Status.REJECTED_COMPILE] * 6
    assert outcome.details[0] == f"{rule}: as it was told to"


def test_a_bug_in_an_engine_file_is_a_breach_and_not_an_outcome() -> None:
    for fault in ("TypeError", "MemoryError"):
        gone = run(INFER, PAIRS[:1], fault=fault)
        assert gone.status.tolist() == [Status.BROKE_PROTOCOL]
        assert gone.details[0].startswith("exited status 1")
        assert fault in gone.details[0]
        assert "bad-command" not in gone.details[0]


@pytest.fixture
def pool() -> Iterator[Pool]:
    launch = toy_launch()
    with Pool([(Node(launch.engine), launch)], limits=LIMITS) as pool:
        load = {"module": "m", "settings": {}, "cpu": "native", "memory_pages": 4}
        assert "error" not in pool.ask(0, "load", load, [b"{}"]).header
        fields = {"module": "m", "instance": "i", "call": msgspec.to_builtins(INFER)}
        assert "error" not in pool.ask(0, "open_instance", fields).header
        yield pool


def refusal(pool: Pool, command: str, fields: dict[str, Any], *blobs: bytes) -> tuple[str, str]:
    error = pool.ask(0, command, fields, list(blobs)).header["error"]
    return error["stage"], error["rule"]


def test_peek_and_poke_reach_a_named_instance(pool: Pool) -> None:
    place = {"instance": "i", "address": 65530}
    assert "error" not in pool.ask(0, "poke", place, [b"weave!"]).header
    assert pool.ask(0, "peek", {**place, "size": 6}).blobs == [b"weave!"]
    for address, size in ((65531, 6), (-1, 1), (0, -1), (1 << 70, 1)):
        fields = {"instance": "i", "address": address, "size": size}
        assert refusal(pool, "peek", fields) == ("memory", "out-of-bounds")
    assert refusal(pool, "poke", {"instance": "i", "address": 65531}, b"weave!") == (
        "memory",
        "out-of-bounds",
    )


def test_what_is_dropped_is_not_there_any_more(pool: Pool) -> None:
    place = {"instance": "i", "address": 0, "size": 1}
    assert pool.ask(0, "peek", place).blobs == [b"\0"]
    pool.ask(0, "drop", {"instance": "i"})
    assert refusal(pool, "peek", place) == ("protocol", "unknown-instance")
    fields = {"module": "m", "instance": "i", "call": msgspec.to_builtins(INFER)}
    pool.ask(0, "drop", {"module": "m"})
    assert refusal(pool, "open_instance", fields) == ("protocol", "unknown-module")


def test_commands_that_make_no_sense_are_refused_and_the_worker_lives(pool: Pool) -> None:
    assert refusal(pool, "sing", {}) == ("protocol", "unknown-command")
    assert refusal(pool, "peek", {}) == ("protocol", "bad-command")
    assert refusal(pool, "load", {"module": "m"}) == ("protocol", "bad-command")
    assert refusal(pool, "poke", {"instance": "i", "address": 0}) == ("protocol", "bad-command")
    call = {"module": "m", "call": msgspec.to_builtins(INFER), "level": "result", "count": 1}
    at = {"progress": 0, "input": 64, "status": 128, "output": 192}
    bad = {**call, "policy": "reuse(0)", "fuel": None, "at": at}
    assert refusal(pool, "call", bad) == ("protocol", "bad-command")
    assert pool.seats[0].restarts == 0


def test_bye_ends_a_worker_with_status_zero() -> None:
    launch = toy_launch()
    with Pool([(Node(launch.engine), launch)], limits=LIMITS) as pool:
        pool.identities()
        worker = pool.seats[0].worker
        assert worker is not None
        assert pool.ask(0, "bye", {}).header["ok"] is True
        assert worker.cell.process.wait(timeout=20) == 0


def test_a_worker_does_not_run_without_assertions() -> None:
    launch = toy_launch()
    argv = [launch.argv[0], "-O", *launch.argv[1:], "3", "4", "5"]
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    assert done.returncode == 3
    assert "python -O" in done.stderr
