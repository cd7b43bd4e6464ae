"""
Host calls end to end: real engines, the pool, and hosts and modules that look for trouble.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import wasmtime
from host_samples import Maker, block_of, seat

from runners.blocks import BlockOutcome, CaseBlock
from runners.environments import Environments
from runners.held import HeldInstance, InstanceRefusedError
from runners.hosting import MOST_CALLS, MOST_REENTRIES, Hosting
from runners.hosts.host import Answer, HostCall, HostStopError, Peek, Poke, Reenter
from runners.pool import Pool
from runners.records import Budget, Call, EngineId, Level
from runners.status import Status

pytestmark = pytest.mark.engines

ENVIRONMENTS = Environments()
INSTALLED = [
    line.engine
    for line in ENVIRONMENTS.status()
    if line.installed and "hosts" in ENVIRONMENTS.catalog.capabilities(line.engine)
]
WASM = bytes(
    wasmtime.wat2wasm(
        """
    (module
      (import "env" "read" (func $read (param i32 i32) (result i32)))
      (import "env" "cherry" (func $cherry (param i32) (result i32)))
      (import "env" "tick" (func $tick (result i64)))
      (import "env" "mix" (func $mix (param i32 f64 i64) (result f64)))
      (memory (export "memory") 1 2)
      (func (export "read") (param i32 i32) (result i32)
        (call $read (local.get 0) (local.get 1)))
      (func $pie (export "pie") (param i32) (result i32)
        (call $cherry (i32.add (local.get 0) (i32.const 1))))
      (func (export "ticks") (param i32) (result i64) (local $sum i64)
        (loop $more
          (local.set $sum (i64.add (local.get $sum) (call $tick)))
          (br_if $more (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get $sum))
      (func (export "mix") (param i32 f64 i64) (result f64)
        (call $mix (local.get 0) (local.get 1) (local.get 2))))
        """
    )
)
PLAIN = bytes(
    wasmtime.wat2wasm('(module (func (export "f") (param i32) (result i32) (local.get 0)))')
)
SNAN = 0x7FF0000000000001


def answer(call: HostCall) -> Answer:
    """
    What the imports do.
    """
    if call.name == "read":
        yield Poke(4, b"mark")
        data = yield Peek(*call.arguments)
        assert isinstance(data, bytes)
        return (sum(data),)
    if call.name == "cherry":
        found = yield Reenter("pie", call.arguments)
        assert isinstance(found, tuple)
        return found
    if call.name == "tick":
        return (2,)
    if call.arguments[0] == 5:
        message = "five is refused"
        raise HostStopError(message)
    return (call.arguments[1],)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """
    All installed engines, each with the same host.
    """
    maker = Maker(answer)
    seats = [seat(ENVIRONMENTS.launch(engine), maker) for engine in INSTALLED]
    with Pool(seats, hosts=dict.fromkeys(range(len(seats)), maker)) as started:
        started.add_module("m", WASM)
        started.add_module("plain", PLAIN)
        yield started


def everywhere(pool: Pool, block: CaseBlock, module: str = "m") -> dict[EngineId, BlockOutcome]:
    """
    The outcomes of all engines.
    """
    tickets = {pool.submit(index, module, block): index for index in range(len(INSTALLED))}
    return {INSTALLED[tickets[done.ticket]]: done.outcome for done in pool.drain()}


def test_all_engines_ask_the_same_and_get_the_same(pool: Pool) -> None:
    rows = [[1, SNAN, 1 << 63], [5, 0, 0], [0xFFFFFFFF, 0xFFF0000000000003, 7]]
    block = block_of("mix", ("i32", "f64", "i64"), ("f64",), rows, Level.FULL)
    found = everywhere(pool, block)
    assert len(found) == len(INSTALLED)
    for engine, outcome in found.items():
        assert outcome.status.tolist() == [1, Status.TRAP_HOST, 1], engine
        assert outcome.outputs.view("<u8")[:, 0].tolist() == [rows[0][1], 0, rows[2][1]], engine
        assert outcome.details == {1: "env.mix: five is refused"}, engine
    logs = [outcome.host_calls for outcome in found.values() if outcome.host_calls is not None]
    assert len(logs) == len(INSTALLED)
    assert len({log.tobytes() for log in logs}) == 1


def test_a_pointer_outside_memory_ends_the_case_alone(pool: Pool) -> None:
    rows = [[4, 4], [65533, 4], [0xFFFFFFFF, 1], [0, 0xFFFFFFFF], [65536, 0]]
    for engine, outcome in everywhere(
        pool, block_of("read", ("i32", "i32"), ("i32",), rows)
    ).items():
        assert outcome.status.tolist() == [1, 26, 26, 26, 1], engine
        assert outcome.outputs.view("<u8")[0, 0] == sum(b"mark")
        assert outcome.details[1].startswith("env.read: "), engine
        assert not outcome.unstable


def test_calls_within_calls_end_at_a_depth_that_all_share(pool: Pool) -> None:
    found = everywhere(pool, block_of("pie", ("i32",), ("i32",), [[0]], Level.FULL))
    for engine, outcome in found.items():
        assert outcome.status.tolist() == [Status.TRAP_HOST], engine
        assert f"more than {MOST_REENTRIES} deep" in outcome.details[0], engine
        assert outcome.host_log is not None
        assert [call.call.arguments[0] for call in outcome.host_log] == list(
            range(1, MOST_REENTRIES + 2)
        ), engine


def test_too_many_calls_end_the_case_and_not_the_run(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Hosting.__init__.__kwdefaults__ or {}, "most_calls", 100)
    block = block_of("ticks", ("i32",), ("i64",), [[100], [101], [1_000_000], [1]])
    for engine, outcome in everywhere(pool, block).items():
        assert outcome.status.tolist() == [1, 26, 26, 1], engine
        assert outcome.outputs.view("<u8")[:, 0].tolist() == [200, 0, 0, 2], engine
        assert outcome.details[2] == "env.tick: more than 100 host calls", engine


@pytest.mark.nightly
def test_a_million_host_calls_are_cut_at_the_limit(pool: Pool) -> None:
    block = block_of("ticks", ("i32",), ("i64",), [[1_000_000], [3]])
    outcome = pool.run(0, "m", block)
    assert outcome.status.tolist() == [Status.TRAP_HOST, Status.RETURNED]
    assert outcome.details[0] == f"env.tick: more than {MOST_CALLS:,} host calls"


def test_host_calls_lie_within_the_deadline(pool: Pool) -> None:
    block = block_of("ticks", ("i32",), ("i64",), [[1_000_000], [3]], deadline_ms=50)
    outcome = pool.run(0, "m", block)
    assert outcome.status.tolist() == [Status.TIMED_OUT, Status.RETURNED]


def test_modules_without_imports_are_not_asked_about_hosts(pool: Pool) -> None:
    block = block_of("f", ("i32",), ("i32",), [[7]], Level.FULL)
    call = Call(entry="f", arguments=block.call.arguments, results=("i32",))
    plain = CaseBlock(call, block.budget, block.level, block.ids, block.inputs)
    for outcome in everywhere(pool, plain, "plain").values():
        assert outcome.status.tolist() == [Status.RETURNED]
        assert outcome.host_calls is None
        assert outcome.host_log is None


# ---------------------------------------------------------------------------- held instances


def test_a_held_instance_asks_its_own_host_or_the_nodes(pool: Pool) -> None:
    def seven(call: HostCall) -> Answer:
        yield Peek(0, 0)
        return (call.arguments[1] ^ 7,)

    block = block_of("mix", ("i32", "f64", "i64"), ("f64",), [[1, 64, 0], [1, 128, 0]], Level.FULL)
    for index, engine in enumerate(INSTALLED):
        seen = []
        for number, host in enumerate((None, Maker(seven))):
            name = f"held{number}"
            with HeldInstance(
                pool, index, "m", block.call, name=name, budget=Budget(), host=host
            ) as held:
                outcome = held.run(block)
                seen.append(outcome.outputs.view("<u8")[:, 0].tolist())
                assert outcome.host_calls is not None
                assert np.unique(outcome.host_calls, axis=0).shape == (2, 32)
        assert seen == [[64, 128], [64 ^ 7, 128 ^ 7]], engine


def test_a_host_that_ends_a_case_spends_a_held_instance(pool: Pool) -> None:
    block = block_of("mix", ("i32", "f64", "i64"), ("f64",), [[1, 64, 0], [5, 0, 0], [1, 1, 1]])
    held = HeldInstance(pool, 0, "m", block.call, name="spent", budget=Budget())
    outcome = held.run(block)
    assert outcome.status.tolist() == [1, Status.TRAP_HOST, Status.TRAP_HOST]
    assert outcome.details[1] == "env.mix: five is refused"
    with pytest.raises(InstanceRefusedError, match="spent-instance"):
        held.run(block)
    held.drop()
