"""
Host calls of PROTOCOL.md, spoken by hand with every worker that claims `hosts`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
import wasmtime
from worker_wire import Wire, word

from runners.catalog import order
from runners.environments import Environments
from runners.records import EngineId

pytestmark = pytest.mark.engines

ENVIRONMENTS = Environments()
INSTALLED = [
    line.engine
    for line in ENVIRONMENTS.status()
    if line.installed and "hosts" in ENVIRONMENTS.catalog.capabilities(line.engine)
]
IMPORTS: list[dict[str, Any]] = [
    {
        "module": "env",
        "name": "mixed",
        "parameters": ["i32", "f64", "i64", "f32"],
        "results": ["f64"],
    },
    {"module": "env", "name": "narrow", "parameters": ["f32"], "results": ["f32"]},
    {"module": "env", "name": "step", "parameters": ["i32"], "results": ["i32"]},
    {"module": "env", "name": "tell", "parameters": [], "results": []},
    {"module": "log", "name": "step", "parameters": ["i64"], "results": ["i64"]},
]
MODULE = bytes(
    wasmtime.wat2wasm(
        """
    (module
      (import "env" "mixed" (func $mixed (param i32 f64 i64 f32) (result f64)))
      (import "env" "narrow" (func $narrow (param f32) (result f32)))
      (import "env" "step" (func $step (param i32) (result i32)))
      (import "env" "tell" (func $tell))
      (import "log" "step" (func $wide (param i64) (result i64)))
      (memory (export "memory") 1 4)
      (global $calls (export "calls") (mut i32) (i32.const 0))
      (data (i32.const 64) "weave")
      (func $again (export "again") (call $again))
      (func $count
        (global.set $calls (i32.add (global.get $calls) (i32.const 1))))
      (func (export "mixed") (param i32 f64 i64 f32) (result f64)
        (call $mixed (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
      (func (export "narrow") (param f32) (result f32) (call $narrow (local.get 0)))
      (func (export "wide") (param i64) (result i64) (call $wide (local.get 0)))
      (func (export "tell") (result i32) (call $tell) (i32.load8_u (i32.const 64)))
      (func (export "greet") (call $tell))
      (func (export "step") (param i32) (result i32)
        (call $count)
        (i32.add (call $step (local.get 0)) (global.get $calls)))
      (func (export "spread") (param i32 i64 f64) (result f64)
        (local i32 i64 f64)
        (local.set 3 (i32.mul (local.get 0) (i32.const 3)))
        (local.set 4 (i64.mul (local.get 1) (i64.const 5)))
        (local.set 5 (f64.mul (local.get 2) (f64.const 7)))
        (f64.add
          (f64.add (f64.convert_i32_s (local.get 3)) (f64.convert_i64_s (local.get 4)))
          (f64.add (local.get 5) (f64.convert_i32_s (call $step (local.get 0))))))
      (func (export "sum") (param i32 i64 f64) (result i32)
        (local $a i64) (local $b i64) (local $c i64) (local $d i64)
        (local.set $a (local.get 1)) (local.set $b (i64.add (local.get $a) (i64.const 1)))
        (local.set $c (i64.add (local.get $b) (i64.const 1)))
        (local.set $d (i64.add (local.get $c) (i64.const 1)))
        (i32.add (local.get 0)
          (i32.wrap_i64 (i64.add (i64.add (local.get $a) (local.get $b))
            (i64.add (local.get $c) (local.get $d))))))
      (func (export "trap") (unreachable))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "after") (param i32) (result i32)
        (drop (call $step (local.get 0)))
        (i32.store (i32.const 65540) (i32.const 0x12345678))
        (i32.load (local.get 0))))
        """
    )
)
STARTING = bytes(
    wasmtime.wat2wasm(
        """
    (module
      (import "env" "step" (func $step (param i32) (result i32)))
      (memory (export "memory") 1)
      (global $calls (export "calls") (mut i32) (i32.const 0))
      (func $start (global.set $calls (call $step (i32.const 7))))
      (start $start)
      (func (export "read") (result i32) (global.get $calls)))
        """
    )
)
SNAN = 0x7FF0000000000001
SNAN32 = 0x7FA00001
STEP: dict[str, Any] = {"parameters": ("i32",), "results": ("i32",)}


def answered(*bits: int) -> tuple[dict[str, Any], list[bytes]]:
    """
    The host returns.
    """
    return {"turn": "host_return"}, [b"".join(map(word, bits))]


def trapped(text: str = "enough") -> tuple[dict[str, Any], list[bytes]]:
    """
    The host ends the case.
    """
    return {"turn": "host_trap", "text": text}, []


def peek(address: int, size: int) -> tuple[dict[str, Any], list[bytes]]:
    """
    The host reads memory.
    """
    return {"turn": "peek", "address": address, "size": size}, []


def poke(address: int, data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """
    The host writes memory.
    """
    return {"turn": "poke", "address": address}, [data]


def grow(pages: int) -> tuple[dict[str, Any], list[bytes]]:
    """
    The host grows memory.
    """
    return {"turn": "grow", "pages": pages}, []


def reenter(
    export: str, parameters: tuple[str, ...] = (), results: tuple[str, ...] = (), *bits: int
) -> tuple[dict[str, Any], list[bytes]]:
    """
    The host calls an export.
    """
    header = {"turn": "reenter", "export": export, "parameters": parameters, "results": results}
    return header, [b"".join(map(word, bits))]


@pytest.fixture(scope="module", params=INSTALLED, ids=str)
def engine(request: pytest.FixtureRequest) -> EngineId:
    """
    Every installed engine that claims hosts.
    """
    found: EngineId = request.param
    return found


@pytest.fixture(scope="module")
def started(engine: EngineId) -> Iterator[Wire]:
    """
    A running worker.
    """
    wire = Wire(ENVIRONMENTS.launch(engine))
    assert "error" not in wire.load(MODULE, engine.compiler, imports=IMPORTS)
    assert "error" not in wire.load(STARTING, engine.compiler, "starting", imports=IMPORTS[2:3])
    yield wire
    wire.close()
    assert wire.process.returncode == 0


@pytest.fixture
def wire(started: Wire) -> Iterator[Wire]:
    """
    The worker, with a host that has said all it was to say when the test is over.
    """
    started.turns, started.heard = [], []
    yield started
    assert started.turns == []


def carries_f32(engine: EngineId, *, mixed: bool) -> bool:
    """
    Whether an f32 comes through bit by bit: not through the public API of old wheels, and not in
    singlepass where an integer follows a float.
    """
    if engine.name == "wasmtime":
        return order(engine.version) >= order("45")
    return not (mixed and engine.compiler == "singlepass")


def test_arguments_and_results_keep_order_and_bits(wire: Wire, engine: EngineId) -> None:
    types = ("i32", "f64", "i64", "f32")
    sent = (0xFFFFFFFE, SNAN, 1 << 63, SNAN32)
    wire.turns = [answered(0xFFF4000000000003)]
    row = b"".join(map(word, sent))
    _, status, outputs = wire.call("mixed", [row], parameters=types, results=("f64",))
    assert (status, outputs) == ([1], [word(0xFFF4000000000003)])
    ((header, blobs),) = wire.heard
    assert {key: header[key] for key in ("turn", "module", "name", "row")} == {
        "turn": "host_call", "module": "env", "name": "mixed", "row": 0,
    }  # fmt: skip
    quieted = SNAN32 if carries_f32(engine, mixed=True) else SNAN32 | 1 << 22
    assert struct.unpack("<4Q", blobs[0]) == (*sent[:3], quieted)


def test_f32_keeps_its_bits_both_ways(wire: Wire, engine: EngineId) -> None:
    if not carries_f32(engine, mixed=False):
        pytest.skip("wheels before 45 are called through their public API, which quiets f32")
    for there, back in ((SNAN32, 0xFF800001), (0x80000000, 0x00000001), (0x7FC00000, SNAN32)):
        wire.turns = [answered(back)]
        _, _, outputs = wire.call("narrow", [word(there)], parameters=("f32",), results=("f32",))
        assert outputs == [word(back)]
        assert wire.heard.pop()[1] == [word(there)]


def test_one_name_of_two_modules_is_two_imports(wire: Wire) -> None:
    wire.turns = [answered((1 << 64) - 1), answered(3)]
    wide = {"parameters": ("i64",), "results": ("i64",)}
    assert wire.call("wide", [word(1 << 40)], **wide)[2] == [word((1 << 64) - 1)]  # type: ignore[arg-type]
    assert wire.call("step", [word(5)], **STEP)[2] == [word(4)]
    assert [heard[0]["module"] for heard in wire.heard] == ["log", "env"]


def test_a_call_without_arguments_and_results(wire: Wire) -> None:
    wire.turns = [answered(), answered()]
    reply, status, outputs = wire.call("tell", [b"", b""], results=("i32",))
    assert (status, outputs) == ([1, 1], [word(ord("w"))] * 2)
    assert [heard[0]["row"] for heard in wire.heard] == [0, 1]
    assert reply["details"] == {}


def test_a_host_trap_ends_the_case_with_its_reason_and_the_next_is_clean(wire: Wire) -> None:
    wire.turns = [answered(10), trapped("no more of this"), answered(20)]
    reply, status, outputs = wire.call("step", [word(n) for n in (1, 2, 3)], **STEP)
    assert status == [1, 26, 1]
    assert outputs == [word(11), word(0), word(21)]
    assert reply["details"] == {"1": "no more of this"}


def test_reuse_loses_its_instance_with_a_host_trap(wire: Wire) -> None:
    wire.turns = [answered(0), answered(0), trapped(), answered(0), answered(0)]
    rows = [word(0)] * 5
    _, status, outputs = wire.call("step", rows, policy="reuse(5)", level="state", **STEP)
    assert status == [1, 1, 26, 1, 1]
    assert outputs == [word(number) for number in (1, 2, 0, 1, 2)]
    assert [wire.at("globals", 8, row) for row in range(5)] == [
        word(number) for number in (1, 2, 3, 1, 2)
    ]


def test_memory_is_read_and_written_while_the_guest_waits(wire: Wire) -> None:
    wire.turns = [peek(63, 7), poke(64, b"W"), peek(65536, 0), answered()]
    _, _, outputs = wire.call("tell", [b""], results=("i32",))
    assert outputs == [word(ord("W"))]
    assert wire.heard[1][1] == [b"\0weave\0"]
    assert [heard[0]["turn"] for heard in wire.heard] == ["host_call", "peek", "poke", "peek"]
    assert all(heard[0]["ok"] for heard in wire.heard[1:])


def test_beyond_memory_is_refused_and_the_case_goes_on(wire: Wire) -> None:
    places = [peek(65535, 2), poke(65536, b"x"), peek(-1, 1), peek(1 << 40, 1)]
    wire.turns = [*places, answered()]
    assert wire.call("tell", [b""], results=("i32",))[1] == [1]
    for header, blobs in wire.heard[1:]:
        assert (header["error"]["stage"], header["error"]["rule"]) == ("memory", "out-of-bounds")
        assert blobs == []


def test_a_reentered_export_leaves_the_waiting_one_alone(wire: Wire) -> None:
    into = reenter("sum", ("i32", "i64", "f64"), ("i32",), 1, 1 << 33, SNAN)
    wire.turns = [into, into, answered(1000)]
    row = word(2) + word(3) + word(0x4010000000000000)
    types = {"parameters": ("i32", "i64", "f64"), "results": ("f64",)}
    _, status, outputs = wire.call("spread", [row], **types)  # type: ignore[arg-type]
    assert status == [1]
    assert outputs == [struct.pack("<d", 2 * 3 + 3 * 5 + 4 * 7 + 1000)]
    assert [heard[1] for heard in wire.heard[1:]] == [[word(7)]] * 2


def test_hosts_within_hosts(wire: Wire) -> None:
    into = reenter("step", ("i32",), ("i32",), 40)
    wire.turns = [into, into, answered(1), answered(100), answered(1000)]
    _, status, outputs = wire.call("step", [word(7)], **STEP)
    assert (status, outputs) == ([1], [word(1003)])
    turns = [(heard[0]["turn"], *heard[1]) for heard in wire.heard]
    assert turns == [
        ("host_call", word(7)),
        ("host_call", word(40)),
        ("host_call", word(40)),
        ("reenter", word(4)),
        ("reenter", word(103)),
    ]


@pytest.mark.parametrize(("export", "statuses"), [("trap", (16, 24)), ("again", (48,))])
def test_what_stops_a_reentered_export_stops_the_case(
    wire: Wire, export: str, statuses: tuple[int, ...]
) -> None:
    wire.turns = [reenter(export), trapped("the export failed"), answered(1)]
    reply, status, outputs = wire.call("step", [word(0), word(0)], **STEP)
    error = wire.heard[1][0]["error"]
    assert error["stage"] == "trap"
    assert error["rule"] in [f"status-{status}" for status in statuses]
    assert status == [48 if export == "again" else 26, 1]
    assert outputs == [word(0), word(2)]
    if export == "trap":
        assert reply["details"] == {"0": "the export failed"}


def test_what_cannot_be_reentered_is_refused_and_the_case_goes_on(wire: Wire) -> None:
    wire.turns = [reenter("none"), reenter("grow", ("i64",), ("i32",), 0), answered(1)]
    assert wire.call("step", [word(0)], **STEP)[1] == [1]
    assert [heard[0]["error"]["stage"] for heard in wire.heard[1:]] == ["entry", "entry"]


def test_memory_that_grows_in_a_reentry_is_seen_by_host_and_guest(wire: Wire) -> None:
    data = struct.pack("<I", 0xCAFE)
    wire.turns = [
        peek(65536, 4),
        reenter("grow", ("i32",), ("i32",), 1),
        peek(65536, 4),
        poke(131068, data),
        answered(0),
    ]
    _, status, outputs = wire.call("after", [word(131068)], level="state", **STEP)
    assert (status, outputs) == ([1], [word(0xCAFE)])
    assert "error" in wire.heard[1][0]
    assert wire.heard[3][1] == [bytes(4)]
    assert wire.at("pages", 4, 0) == struct.pack("<I", 2)


def test_memory_that_its_host_grows_is_seen_by_host_and_guest(wire: Wire, engine: EngineId) -> None:
    if "hosts:grow" not in ENVIRONMENTS.catalog.capabilities(engine):
        pytest.skip("claims no growth by the host")
    wire.turns = [grow(1), poke(131068, struct.pack("<I", 0xCAFE)), grow(0), grow(9), answered(0)]
    _, status, outputs = wire.call("after", [word(131068)], grows=False, level="state", **STEP)
    assert (status, outputs) == ([1], [word(0xCAFE)])
    grown = [heard[1][0] for heard in wire.heard if heard[0]["turn"] == "grow"]
    assert grown == [word(1), word(2), word(0xFFFFFFFF)]
    assert wire.at("pages", 4, 0) == struct.pack("<I", 2)


def test_growth_by_the_host_does_not_leave_a_stale_view(wire: Wire, engine: EngineId) -> None:
    if "hosts:grow" not in ENVIRONMENTS.catalog.capabilities(engine):
        pytest.skip("claims no growth by the host")
    place = {"place": {"type": "address", "address": 64}, "size_bytes": 8}
    wire.turns = [grow(2), answered(), answered(), trapped()]
    rows = [b"abcdefgh", b"ijklmnop", b"qrstuvwx"]
    _, status, outputs = wire.call(
        "greet", rows, input=place, output=place, grows=False, policy="reuse(3)"
    )
    assert (status, outputs) == ([1, 1, 26], [*rows[:2], bytes(8)])


def test_a_start_function_calls_its_host_before_there_is_an_instance(wire: Wire) -> None:
    wire.turns = [peek(0, 1), poke(0, b"x"), grow(1), reenter("read", (), ("i32",))]
    wire.turns += [answered(9), answered(8)]
    rows = [b"", b"", b""]
    _, status, outputs = wire.call(
        "read", rows, results=("i32",), module="starting", policy="reuse(2)"
    )
    assert (status, outputs) == ([1] * 3, [word(number) for number in (9, 9, 8)])
    assert [heard[0]["row"] for heard in (wire.heard[0], wire.heard[5])] == [0, 2]
    assert [heard[0]["error"]["rule"] for heard in wire.heard[1:5]] == ["none"] * 4


def test_a_host_trap_in_a_start_function_is_the_outcome_of_its_instance(wire: Wire) -> None:
    wire.turns = [trapped("not now"), answered(8)]
    reply, status, _ = wire.call(
        "read", [b""] * 3, results=("i32",), module="starting", policy="reuse(2)"
    )
    assert status == [26, 26, 1]
    assert reply["details"] == {"0": "not now", "1": "not now"}


def test_initialisers_and_pointers_call_their_host(wire: Wire) -> None:
    place = {"place": {"type": "allocator", "name": "step"}, "size_bytes": 8}
    row = word(4) + bytes(8)
    slot = [{"type": "slot", "index": 0, "value_type": "i32"}]
    fields: dict[str, Any] = {"input": place, "arguments": slot, "initialize": ["greet"]}
    wire.turns = [poke(0, b"x"), answered(), answered(256), answered(0)]
    _, status, outputs = wire.call("step", [row], results=("i32",), **fields)
    assert (status, outputs) == ([1], [word(2)])
    calls = [(heard[0]["row"], *heard[1]) for heard in wire.heard if "row" in heard[0]]
    assert calls == [(0, b""), (0, word(8)), (0, word(4))]
    wire.turns = [trapped("not yet")]
    reply, status, _ = wire.call("step", [row, row], results=("i32",), policy="reuse(2)", **fields)
    assert (status, reply["details"]) == ([26, 26], {"0": "not yet", "1": "not yet"})


def test_a_command_sent_ahead_waits_for_its_turn(wire: Wire) -> None:
    plan = {"entry": "tell", "arguments": [], "results": ["i32"], "memory": "memory"}
    wire.turns = [peek(64, 5), answered()]
    fields = {"module": "m", "call": plan, "policy": "fresh", "level": "result", "fuel": None}
    at = {"progress": 0, "status": 64, "input": 1024, "output": 8192}
    wire.send("call", count=1, at=at, **fields)
    wire.send("hello")
    wire.send("dance")
    first = wire.next - 3
    assert wire.answer(first)[0]["ok"]
    assert wire.answer(first + 1)[0]["protocol"] == 1
    assert wire.answer(first + 2)[0]["error"]["rule"] == "unknown-command"
    assert wire.heard[1][1] == [b"weave"]


def test_named_instances_call_their_host(wire: Wire) -> None:
    plan = {"entry": "read", "arguments": [], "results": ["i32"], "memory": "memory"}
    wire.turns = [answered(5)]
    assert wire.ask("open_instance", module="starting", instance="s", call=plan)[0]["ok"]
    assert wire.heard.pop()[0]["row"] is None
    assert wire.call("read", [b""], results=("i32",), instance="s")[2] == [word(5)]
    wire.turns = [trapped("closed")]
    error = wire.ask("open_instance", module="starting", instance="t", call=plan)[0]["error"]
    assert (error["stage"], error["text"]) == ("instantiate", "closed")
    held = {"entry": "tell", "arguments": [], "results": ["i32"], "memory": "memory"}
    assert wire.ask("open_instance", module="m", instance="m", call=held)[0]["ok"]
    wire.turns = [poke(64, b"x"), answered(), trapped("over")]
    assert wire.call("tell", [b""], results=("i32",), instance="m")[2] == [word(ord("x"))]
    _, status, _ = wire.call("tell", [b"", b""], results=("i32",), instance="m")
    assert status == [26, 26]
    assert wire.ask("peek", instance="m", address=64, size=5)[1] == [b"xeave"]
    for name in "sm":
        assert wire.ask("drop", instance=name)[0]["ok"]


def test_an_import_that_no_host_gives_is_rejected_when_an_instance_is_opened(
    wire: Wire, engine: EngineId
) -> None:
    texts = ['(import "env" "memory" (memory 1))', '(import "env" "other" (func (param i32)))']
    texts += ['(import "env" "step" (func (param i64)))']
    for text in texts:
        wasm = wasmtime.wat2wasm(f'(module {text} (func (export "f")))')
        assert "error" not in wire.load(bytes(wasm), engine.compiler, "x", imports=IMPORTS[2:3])
        reply, status, _ = wire.call("f", [b""], module="x", memory=None, globals=[])
        assert status == [65], text
        assert reply["details"]["0"]
    assert wire.heard == []


def test_an_import_of_several_results(wire: Wire, engine: EngineId) -> None:
    if "proposal:multi-value" not in ENVIRONMENTS.catalog.capabilities(engine):
        pytest.skip("claims no multi-value")
    kinds = "i64 f64 i32"
    text = f'(module (import "env" "three" (func $f (param i32) (result {kinds})))'
    text += f'(func (export "f") (param i32) (result {kinds}) (call $f (local.get 0))))'
    imports = [{"module": "env", "name": "three", "parameters": ["i32"], "results": kinds.split()}]
    wasm = bytes(wasmtime.wat2wasm(text))
    assert "error" not in wire.load(wasm, engine.compiler, "x", imports=imports)
    wire.turns = [answered(1 << 63, SNAN, 0xFFFFFFFF)]
    _, status, outputs = wire.call(
        "f", [word(1)], module="x", memory=None, globals=[],
        parameters=("i32",), results=tuple(kinds.split()),
    )  # fmt: skip
    assert (status, outputs) == ([1], [word(1 << 63) + word(SNAN) + word(0xFFFFFFFF)])


def test_hosts_are_claimed_by_the_worker_too(wire: Wire) -> None:
    assert "hosts" in wire.ask("hello")[0]["capabilities"]
