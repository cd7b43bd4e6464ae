"""
Speaks PROTOCOL.md by hand, frame by frame, with every worker that is installed.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from worker_wire import Wire, word

from runners.catalog import order
from runners.environments import Environments
from runners.records import EngineId

pytestmark = pytest.mark.engines

ENVIRONMENTS = Environments()
INSTALLED = [line.engine for line in ENVIRONMENTS.status() if line.installed]
MODULE = bytes(
    wasmtime.wat2wasm(
        """
    (module
      (memory (export "memory") 1 4)
      (global $calls (export "calls") (mut i32) (i32.const 0))
      (global (export "third") f64 (f64.const 0x1.5555555555555p-2))
      (global (export "quiet") f32 (f32.const nan:0x200001))
      (data (i32.const 64) "weave")
      (func $again (export "again") (call $again))
      (func (export "buffer") (result i32) (i32.const 256))
      (func (export "scale") (param $at i32) (param $factor f64) (result f64)
        (local $sum f64)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (local.set $sum (f64.mul (f64.load (local.get $at)) (local.get $factor)))
        (f64.store (i32.const 512) (local.get $sum))
        (local.get $sum))
      (func (export "pass") (param i32 i64 f32 f64) (result f32) (local.get 2))
      (func (export "mixed") (param f32 f64 i32 i64) (result f32) (local.get 0))
      (func (export "pass64") (param f64) (result f64) (local.get 0))
      (func (export "trap") (param $kind i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.eq (local.get $kind) (i32.const 1)) (then (unreachable)))
        (if (i32.eq (local.get $kind) (i32.const 2))
          (then (drop (i32.load (i32.const 0x7ffffff0)))))
        (if (i32.eq (local.get $kind) (i32.const 3))
          (then (drop (i32.div_s (i32.const 1) (i32.const 0)))))
        (if (i32.eq (local.get $kind) (i32.const 4)) (then (call $again)))
        (i32.add (local.get $kind) (global.get $calls)))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
        """
    )
)
INVALID = bytes.fromhex("0061736d010000000105016000017f03020100070501016600000a040102000b")
"""A function that should give an i32 and gives nothing."""


@pytest.fixture(scope="module", params=INSTALLED, ids=str)
def engine(request: pytest.FixtureRequest) -> EngineId:
    """
    Every installed engine, with each compiler.
    """
    found: EngineId = request.param
    return found


@pytest.fixture(scope="module")
def wire(engine: EngineId) -> Iterator[Wire]:
    """
    A running worker with MODULE loaded.
    """
    started = Wire(ENVIRONMENTS.launch(engine))
    assert "error" not in started.load(MODULE, engine.compiler)
    yield started
    started.close()
    assert started.process.returncode == 0


def test_hello_tells_who_it_is(wire: Wire, engine: EngineId) -> None:
    reply, _ = wire.ask("hello")
    assert reply["protocol"] == 1
    assert reply["engine"] == engine.name
    assert reply["package_version"] == engine.version
    assert len(bytes.fromhex(reply["library_sha256"])) == 32
    (line,) = ENVIRONMENTS.status((engine,))
    assert reply["core_version"] in ("", line.core_version)
    assert line.core_version


def test_hello_claims_no_less_than_the_catalogue(wire: Wire, engine: EngineId) -> None:
    claimed = set(wire.ask("hello")[0]["capabilities"])
    assert set(ENVIRONMENTS.catalog.capabilities(engine)) <= claimed


def test_library_digest_is_that_of_the_environment(wire: Wire, engine: EngineId) -> None:
    marker = ENVIRONMENTS.marker(engine)
    expected = marker.library_sha256 if marker else ENVIRONMENTS.launch(engine).artifact_sha256
    assert wire.ask("hello")[0]["library_sha256"] == expected


def test_a_call_returns_bits_and_reads_its_buffer(wire: Wire) -> None:
    row = word(256) + word(0x4008000000000000) + struct.pack("<d", 2.5)
    buffer = {"place": {"type": "export", "name": "buffer"}, "size_bytes": 8}
    after = {"place": {"type": "address", "address": 512}, "size_bytes": 8}
    plan = [{"type": "input-pointer"}, {"type": "slot", "index": 1, "value_type": "f64"}]
    _, status, outputs = wire.call(
        "scale", [row, row], results=("f64",), input=buffer, output=after, arguments=plan
    )
    assert status == [1, 1]
    assert outputs == [struct.pack("<dd", 7.5, 7.5)] * 2


def carries_f32(engine: EngineId) -> bool:
    """
    Whether the worker has a way around its binding, which makes a double of each f32.
    """
    return engine.name != "wasmtime" or order(engine.version) >= order("45")


def test_signalling_nans_pass_unchanged(wire: Wire, engine: EngineId) -> None:
    if not carries_f32(engine):
        pytest.skip("wheels before 45 are called through their public API, which quiets f32")
    row = word(0xFFFFFFFF) + word(1 << 63) + word(0xFFA00001) + word(0xFFF0000000000001)
    types = ("i32", "i64", "f32", "f64")
    _, status, outputs = wire.call("pass", [row], parameters=types, results=("f32",))
    assert (status, outputs) == ([1], [word(0xFFA00001)])
    row = word(0x7FF0000000000001)
    assert wire.call("pass64", [row], parameters=("f64",), results=("f64",))[2] == [row]


def test_mixed_parameters_keep_their_order(wire: Wire) -> None:
    row = word(0x40600000) + word(0x4012000000000000) + word(11) + word(22)
    types = ("f32", "f64", "i32", "i64")
    assert wire.call("mixed", [row], parameters=types, results=("f32",))[2] == [word(0x40600000)]


def test_traps_have_their_bytes_and_the_next_case_is_clean(wire: Wire) -> None:
    rows = [word(kind) for kind in (0, 1, 2, 3, 4, 0)]
    reply, status, outputs = wire.call("trap", rows, parameters=("i32",), results=("i32",))
    assert status[0] == status[5] == 1
    assert status[1] in (16, 24)
    assert status[2] in (17, 24)
    assert status[3] == 18
    assert status[4] == 48
    assert outputs == [word(1), word(0), word(0), word(0), word(0), word(1)]
    assert set(reply["details"]) == {"1", "2", "3", "4"}


def test_state_after_return_and_after_a_trap(wire: Wire) -> None:
    fields: dict[str, Any] = {"parameters": ("i32",), "results": ("i32",), "level": "state"}
    reply, status, _ = wire.call("trap", [word(0), word(3)], **fields)
    memory = bytearray(65536)
    memory[64:69] = b"weave"
    digest = hashlib.sha256(memory).digest()
    assert status == [1, 18]
    assert sorted(reply["filled"]) == ["globals", "memory", "pages"]
    assert [wire.at("memory", 32, row) for row in (0, 1)] == [digest, digest]
    assert [wire.at("globals", 8, row) for row in (0, 1)] == [word(1), word(1)]
    assert wire.at("pages", 4, 0) == struct.pack("<I", 1)


def test_globals_keep_their_bits(wire: Wire, engine: EngineId) -> None:
    if not carries_f32(engine):
        pytest.skip("wheels before 45 are called through their public API, which quiets f32")
    names = ["third", "quiet"]
    wire.call("buffer", [b""], results=("i32",), level="state", globals=names)
    assert wire.at("globals", 16, 0) == word(0x3FD5555555555555) + word(0x7FA00001)


def test_growth_is_seen(wire: Wire) -> None:
    rows = [word(2), word(4)]
    fields: dict[str, Any] = {"parameters": ("i32",), "results": ("i32",), "level": "state"}
    _, status, outputs = wire.call("grow", rows, **fields)
    assert status == [1, 1]
    assert outputs == [word(1), word(0xFFFFFFFF)]
    assert wire.at("pages", 4, 0) == struct.pack("<I", 3)
    assert wire.at("memory", 32, 0) != wire.at("memory", 32, 1)


def test_reuse_keeps_an_instance_for_so_many_cases(wire: Wire) -> None:
    fields: dict[str, Any] = {"parameters": ("i32",), "results": ("i32",)}
    rows = [word(0)] * 5
    assert wire.call("trap", rows, policy="reuse(2)", **fields)[2] == [
        word(number) for number in (1, 2, 1, 2, 1)
    ]
    assert wire.call("trap", rows, **fields)[2] == [word(1)] * 5
    trapped = [word(0), word(1), word(0), word(0)]
    assert wire.call("trap", trapped, policy="reuse(4)", **fields)[2] == [
        word(number) for number in (1, 0, 1, 2)
    ]


def test_a_missing_entry_and_a_wrong_type_are_rejected(wire: Wire) -> None:
    assert wire.call("absent", [b"", b""])[1] == [66, 66]
    assert wire.call("grow", [word(0)], parameters=("i64",), results=("i32",))[1] == [66]
    assert wire.call("memory", [b""])[1] == [66]


def test_peek_and_poke_one_open_instance(wire: Wire) -> None:
    plan = {"entry": "buffer", "arguments": [], "results": ["i32"], "memory": "memory"}
    assert wire.ask("open_instance", module="m", instance="i", call=plan)[0]["ok"]
    assert wire.ask("peek", instance="i", address=64, size=5)[1] == [b"weave"]
    assert wire.ask("poke", b"WE", instance="i", address=64)[0]["ok"]
    assert wire.ask("peek", instance="i", address=63, size=7)[1] == [b"\0WEave\0"]
    for address, size in ((65535, 2), (-1, 1), (1 << 33, 1)):
        error = wire.ask("peek", instance="i", address=address, size=size)[0]["error"]
        assert (error["stage"], error["rule"]) == ("memory", "out-of-bounds")
    assert wire.ask("drop", instance="i")[0]["ok"]
    assert "error" in wire.ask("peek", instance="i", address=0, size=1)[0]


def test_a_named_instance_is_called_and_stays_open(wire: Wire) -> None:
    plan = {"entry": "buffer", "arguments": [], "results": ["i32"], "memory": "memory"}
    assert wire.ask("open_instance", module="m", instance="n", call=plan)[0]["ok"]
    scale = {"parameters": ("i32", "f64"), "results": ("f64",), "level": "state"}
    two = word(256) + word(0x4000000000000000)
    for earlier in (0, 2):
        # f64 1.5 in the buffer that the instance itself holds: a new one would have zero there.
        assert wire.ask("poke", struct.pack("<d", 1.5), instance="n", address=256)[0]["ok"]
        _, status, outputs = wire.call("scale", [two, two], instance="n", **scale)  # type: ignore[arg-type]
        assert status == [1, 1]
        assert outputs == [struct.pack("<d", 3.0)] * 2
        assert [wire.at("globals", 8, row) for row in (0, 1)] == [
            word(earlier + 1),
            word(earlier + 2),
        ]
    assert wire.ask("peek", instance="n", address=512, size=8)[1] == [struct.pack("<d", 3.0)]
    assert wire.call("scale", [two], **scale)[2] == [word(0)]  # type: ignore[arg-type]
    _, status, outputs = wire.call(
        "grow", [word(2)], parameters=("i32",), results=("i32",), instance="n", level="state"
    )
    assert (status, outputs, wire.at("pages", 4, 0)) == ([1], [word(1)], struct.pack("<I", 3))
    _, _, outputs = wire.call("scale", [two], instance="n", **scale)  # type: ignore[arg-type]
    assert outputs == [struct.pack("<d", 3.0)]
    assert wire.ask("peek", instance="n", address=131072, size=1)[0]["memory_bytes"] == 196608
    assert wire.ask("drop", instance="n")[0]["ok"]


def test_a_case_that_stops_spends_a_named_instance(wire: Wire) -> None:
    plan = {"entry": "buffer", "arguments": [], "results": ["i32"], "memory": "memory"}
    assert wire.ask("open_instance", module="m", instance="n", call=plan)[0]["ok"]
    kinds = {"parameters": ("i32",), "results": ("i32",)}
    _, status, _ = wire.call("trap", [word(0), word(1), word(0)], instance="n", **kinds)  # type: ignore[arg-type]
    assert status[0] == 1
    assert status[1] == status[2]
    assert status[1] in (16, 24)
    fields = {"module": "m", "call": plan, "policy": "fresh", "level": "result", "count": 0}
    fields |= {"at": {"progress": 0, "input": 64, "status": 128, "output": 192}}
    error = wire.ask("call", instance="n", fuel=None, **fields)[0]["error"]
    assert (error["stage"], error["rule"]) == ("protocol", "spent-instance")
    assert wire.ask("peek", instance="n", address=64, size=5)[1] == [b"weave"]
    assert wire.call("absent", [b""])[1] == [66]
    assert wire.ask("drop", instance="n")[0]["ok"]
    error = wire.ask("call", instance="n", fuel=None, **fields)[0]["error"]
    assert (error["stage"], error["rule"]) == ("protocol", "unknown-instance")


def test_bad_modules_are_refused_at_compile(wire: Wire, engine: EngineId) -> None:
    cases: list[bytes] = [MODULE[:-3], b"", b"\0asm\2\0\0\0"]
    # The one engine that validates nothing takes an ill-typed module.
    cases += [] if engine.name == "pywasm" else [INVALID]
    for wasm in cases:
        error = wire.load(wasm, engine.compiler, "bad").get("error", {})
        assert error.get("stage") == "compile", wasm[:20]
        assert error["rule"] in ("invalid", "unsupported")


def test_unknown_commands_and_unknown_modules_are_refused(wire: Wire) -> None:
    error = wire.ask("dance")[0]["error"]
    assert (error["stage"], error["rule"]) == ("protocol", "unknown-command")
    plan = {"entry": "buffer", "arguments": [], "results": ["i32"], "memory": None}
    assert "error" in wire.ask("open_instance", module="none", instance="i", call=plan)[0]


def test_bye_is_answered_and_ends_the_worker(engine: EngineId) -> None:
    wire = Wire(ENVIRONMENTS.launch(engine))
    assert wire.ask("bye")[0]["ok"]
    assert wire.process.wait(timeout=20) == 0
    wire.close()


def test_optimised_python_is_refused(engine: EngineId, tmp_path: Path) -> None:
    launch = ENVIRONMENTS.launch(engine)
    if engine.name == "v8":
        pytest.skip("no Python worker")
    done = subprocess.run(
        [launch.argv[0], "-O", *launch.argv[1:], "3", "4", "5"],
        capture_output=True, check=False, cwd=tmp_path, timeout=30,
    )  # fmt: skip
    assert done.returncode == 3
    assert b"-O" in done.stderr or engine.name == "wasm3"


def test_something_is_installed() -> None:
    if not INSTALLED:
        pytest.skip("no engine is installed: run `weavegate engines install`")
    assert ENVIRONMENTS.catalog.core_version(INSTALLED[0])
