"""
The engine file of wasmtime drives recent wheels through private names: these must stay right.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import wasmtime
from pool_samples import LIMITS

from runners.blocks import BlockOutcome, CaseBlock
from runners.launch import Launch
from runners.pack import pack
from runners.pool import Pool
from runners.records import (
    AtAddress,
    Budget,
    Buffer,
    ByExport,
    Call,
    EngineId,
    Families,
    InputPointer,
    Level,
    Node,
    OutputPointer,
    Slot,
)
from runners.status import Status

SCALE = """
(module
  (memory (export "memory") 1)
  (global $calls (export "calls") (mut i64) (i64.const 0))
  (func (export "in_ptr") (result i32) (i32.const 1024))
  (func (export "out_ptr") (result i32) (i32.const 2048))
  (func (export "infer") (param $in i32) (param $out i32)
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (if (f64.eq (f64.load (local.get $in)) (f64.const 7)) (then (unreachable)))
    (f64.store (local.get $out) (f64.mul (f64.load (local.get $in)) (f64.const 3)))
    (i64.store offset=8 (local.get $out) (global.get $calls))))
"""
CALL = Call(
    entry="infer",
    arguments=(InputPointer(), OutputPointer()),
    input=Buffer(ByExport("in_ptr"), 8),
    output=Buffer(ByExport("out_ptr"), 16),
    memory="memory",
    globals=("calls",),
    grows=False,
)
EMPTY = Call(entry="f")

Run = Callable[..., BlockOutcome]


@pytest.fixture(scope="module", params=["cranelift", "winch", "pulley"])
def launch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    packed = pack("wasmtime", tmp_path_factory.mktemp("worker"))
    return Launch(
        engine=EngineId("wasmtime", version("wasmtime"), request.param),
        families=Families(generator=request.param, runtime="wasmtime"),
        argv=(sys.executable, "-I", "-B", str(packed.path)),
        worker_sha256=packed.sha256,
        artifact_sha256="",
    )


@pytest.fixture
def run(launch: Launch) -> Run:
    def running(
        text: str,
        call: Call = CALL,
        first: tuple[float, ...] = (1.0,),
        policy: str = "fresh",
        level: Level = Level.RESULT,
        budget: Budget | None = None,
    ) -> BlockOutcome:
        wasm = bytes(wasmtime.wat2wasm(text))
        rows = np.array(first, "<f8").reshape(-1, 1).view(np.uint8)[:, : call.input_bytes]
        ids = np.arange(len(first), dtype=np.uint64)
        block = CaseBlock(call, budget or Budget(), level, ids, np.ascontiguousarray(rows))
        sha256 = hashlib.sha256(wasm).hexdigest()
        with Pool([(Node(launch.engine, policy=policy), launch)], limits=LIMITS) as pool:
            pool.add_module(sha256, wasm)
            return pool.run(0, sha256, block)

    return running


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(("policy", "calls"), [("fresh", [1] * 5), ("reuse(3)", [1, 2, 0, 1, 2])])
def test_instances_are_opened_where_the_policy_says(
    run: Run, level: Level, policy: str, calls: list[int]
) -> None:
    calls = calls if policy != "fresh" else [1, 1, 0, 1, 1]
    outcome = run(SCALE, CALL, (1.0, 2.0, 7.0, 4.0, 5.0), policy, level)
    assert outcome.status.tolist() == [1, 1, Status.TRAP_UNREACHABLE, 1, 1]
    assert outcome.outputs[:, :8].view("<f8")[:, 0].tolist() == [3.0, 6.0, 0.0, 12.0, 15.0]
    assert outcome.outputs[:, 8:].view("<u8")[:, 0].tolist() == calls
    if level is not Level.RESULT:
        assert outcome.globals is not None
        before = 3 if policy != "fresh" else 1
        seen = [before if call == 0 else call for call in calls]
        assert outcome.globals.view("<u8")[:, 0].tolist() == seen


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (
            '(module (import "env" "g" (global i32)) (func (export "f")))',
            Status.REJECTED_INSTANTIATE,
        ),
        (
            '(module (func (export "f")) (func $s (unreachable)) (start $s))',
            Status.TRAP_UNREACHABLE,
        ),
        ('(module (memory 9) (func (export "f")))', Status.EXHAUSTED_MEMORY),
        (
            '(module (memory 1) (data (i32.const 65535) "ab") (func (export "f")))',
            Status.TRAP_MEMORY_OUT_OF_BOUNDS,
        ),
        ('(module (func (export "f") (param i32)))', Status.REJECTED_ENTRY),
        ('(module (func (export "f") (result i32) (i32.const 1)))', Status.REJECTED_ENTRY),
        ('(module (memory (export "f") 1))', Status.REJECTED_ENTRY),
        ('(module (func (export "g")))', Status.REJECTED_ENTRY),
        ('(module (func (export "f")))', Status.RETURNED),
    ],
    ids=[
        "import",
        "start",
        "memory",
        "data",
        "parameter",
        "result",
        "kind",
        "missing",
        "none",
    ],
)
def test_what_goes_wrong_at_opening_is_told_apart(run: Run, text: str, status: Status) -> None:
    outcome = run(text, EMPTY, (0.0, 0.0), budget=Budget(memory_pages=8))
    assert outcome.status.tolist() == [status] * 2


def test_an_export_of_another_kind_is_no_memory(run: Run) -> None:
    call = Call(
        entry="f",
        arguments=(),
        input=Buffer(AtAddress(0), 8),
        output=Buffer(AtAddress(0), 8),
        memory="f",
    )
    assert run('(module (func (export "f")))', call).status.tolist() == [Status.REJECTED_ENTRY]


def test_arguments_and_results_share_no_more_than_their_cells(run: Run) -> None:
    text = """
    (module (func (export "f") (param i64) (result i64)
      (i64.xor (local.get 0) (i64.const -1))))
    """
    call = Call(entry="f", arguments=(Slot(0, "i64"),), results=("i64",))
    outcome = run(text, call, (1.5, 2.5, 1.5), "reuse(3)")
    inputs = np.array([1.5, 2.5, 1.5]).view("<u8")
    assert outcome.outputs.view("<u8")[:, 0].tolist() == (~inputs).tolist()


def test_memory_that_grows_is_seen_at_its_new_size(run: Run) -> None:
    text = """
    (module (memory (export "memory") 1)
      (func (export "f") (drop (memory.grow (i32.const 1)))
        (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))
          (memory.size))))
    """
    call = Call(
        entry="f",
        input=Buffer(AtAddress(0), 8),
        output=Buffer(AtAddress(8), 8),
        memory="memory",
    )
    budget = Budget(memory_pages=3)
    outcome = run(text, call, (0.0,) * 3, "reuse(3)", Level.STATE, budget)
    assert outcome.pages is not None
    assert outcome.pages.tolist() == [2, 3, 3]


def test_instances_that_are_closed_give_their_memory_back(launch: Launch) -> None:
    wasm = bytes(wasmtime.wat2wasm(SCALE))
    ids = np.arange(400, dtype=np.uint64)
    inputs = np.ones((400, 1), "<f8").view(np.uint8)
    block = CaseBlock(CALL, Budget(), Level.RESULT, ids, inputs)
    with Pool([(Node(launch.engine), launch)], limits=LIMITS) as pool:
        pool.add_module("m", wasm)
        pool.run(0, "m", block)
        worker = pool.seats[0].worker
        assert worker is not None
        table = Path(f"/proc/{worker.cell.process.pid}/statm")
        before = int(table.read_text().split()[1])
        for _ in range(5):
            pool.run(0, "m", block)
        grown = int(table.read_text().split()[1]) - before
    assert grown * os.sysconf("SC_PAGE_SIZE") < 2_000_000
