"""
What is particular to one engine, and what its adapter does about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest
import wasmtime
from worker_wire import Wire, word

from runners.environments import Environments, MissingEngineError

pytestmark = pytest.mark.engines

ENVIRONMENTS = Environments()
Starter = Callable[[str, str], Wire]

DATA = """
(module (memory (export "memory") 1) (data (i32.const 8) "\\07") (table 1 funcref)
  (elem (i32.const 0) $load)
  (func $load (result i32) (i32.load (i32.const 8)))
  (func (export "f") (result i32) (call_indirect (result i32) (i32.const 0))))
"""
START = """
(module (memory (export "memory") 1) (global $x (mut i32) (i32.const 1))
  (func $begin (global.set $x (i32.const 9))) (start $begin)
  (func (export "f") (result i32) (global.get $x)))
"""
START_TRAPS = """
(module (memory (export "memory") 1) (func $begin (unreachable)) (start $begin)
  (func (export "f") (result i32) (i32.const 1)))
"""
TABLE = """
(module (memory (export "memory") 1) (table 2 funcref) (elem (i32.const 0) $id)
  (type $none (func)) (type $id (func (param i32) (result i32)))
  (func $id (type $id) (local.get 0))
  (func (export "f") (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (call_indirect (type $none) (i32.const 1))))
    (if (i32.eq (local.get 0) (i32.const 1)) (then (call_indirect (type $none) (i32.const 9))))
    (if (i32.eq (local.get 0) (i32.const 2)) (then (call_indirect (type $none) (i32.const 0))))
    (i32.trunc_f64_s (f64.div (f64.const 0) (f64.const 0)))))
"""
OVERFLOW = '(module (memory (export "memory") 1) (func $f (export "f") (call $f)))'
BIG = '(module (memory (export "memory") 20) (func (export "f")))'
WHOLE = """
(module (memory (export "memory") 65536)
  (func (export "f") (i32.store8 (i32.const -1) (i32.const 77))))
"""
EMPTY = '(module (memory (export "memory") 0) (func (export "f")))'
BEYOND_2_GIB = """
(module (memory (export "memory") 32769)
  (func (export "f") (i32.store8 (i32.const 0x8000ffff) (i32.const 77))))
"""
CAPPED = """
(module (memory (export "memory") 1) (func (export "f") (result i32) (memory.grow (i32.const 9))))
"""
TAIL = """
(module (func $g (result i32) (i32.const 3)) (func (export "f") (result i32) (return_call $g)))
"""
TWO_RESULTS = """
(module (memory (export "memory") 1)
  (func (export "f") (param i32) (result i32 f32) (local.get 0) (f32.const nan:0x200000)))
"""
IMPORTS = """
(module (import "env" "now" (func (result i32))) (memory (export "memory") 1)
  (func (export "f") (result i32) (i32.const 1)))
"""


@pytest.fixture
def start() -> Iterator[Starter]:
    """
    Starts a worker of an engine with a module loaded, or skips.
    """
    running: list[Wire] = []

    def started(name: str, text: str) -> Wire:
        engine = ENVIRONMENTS.catalog.resolve(name)
        try:
            launch = ENVIRONMENTS.launch(engine)
        except MissingEngineError as missing:
            pytest.skip(str(missing))
        wire = Wire(launch)
        running.append(wire)
        reply = wire.load(bytes(wasmtime.wat2wasm(text)), engine.compiler)
        assert "error" not in reply, reply
        return wire

    yield started
    for wire in running:
        wire.close()


OURS = [
    "wasmer/cranelift",
    "wasmer/singlepass",
    "wasmer/llvm",
    "pywasm",
    "pywasm@1.0.8",
    "wasm3",
    "v8",
]


@pytest.mark.parametrize("name", OURS)
def test_each_fresh_instance_has_the_module_s_data(start: Starter, name: str) -> None:
    wire = start(name, DATA)
    _, status, outputs = wire.call("f", [b""] * 3, results=("i32",), globals=[])
    assert (status, outputs) == ([1, 1, 1], [word(7)] * 3)


@pytest.mark.parametrize("name", OURS)
def test_start_functions_run_once_per_instance(start: Starter, name: str) -> None:
    assert start(name, START).call("f", [b""] * 2, results=("i32",))[2] == [word(9)] * 2
    status = start(name, START_TRAPS).call("f", [b""] * 3, results=("i32",))[1]
    assert status in ([16] * 3, [24] * 3)


@pytest.mark.parametrize("name", OURS)
def test_imports_without_a_host_are_rejected(start: Starter, name: str) -> None:
    assert start(name, IMPORTS).call("f", [b""], results=("i32",))[1] == [65]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wasmer/cranelift", [21, 22, 23, 20]),
        ("wasmer/singlepass", [21, 22, 23, 20]),
        ("wasmer/llvm", [21, 22, 23, 20]),
        ("wasm3", [25, 25, 23, 20]),
        ("v8", [24, 22, 24, 24]),
        ("pywasm", [24, 22, 24, 20]),
    ],
)
def test_kinds_of_traps_are_told_as_far_as_the_engine_tells_them(
    start: Starter, name: str, expected: list[int]
) -> None:
    rows = [word(kind) for kind in range(4)]
    wire = start(name, TABLE)
    assert wire.call("f", rows, parameters=("i32",), results=("i32",))[1] == expected


@pytest.mark.parametrize("name", OURS)
def test_overflows_flood_nothing(start: Starter, name: str) -> None:
    wire = start(name, OVERFLOW)
    # wasmer walks 260 000 frames for its backtrace: a quarter of a second for each overflow.
    count = 2 if name.startswith("wasmer") else 20
    assert wire.call("f", [b""] * count)[1] == [48] * count


def pages_after(wire: Wire) -> int:
    """
    Pages that the worker reports after `f`; the memory itself is not hashed.
    """
    reply, status, _ = wire.call("f", [b""], level="state", globals=[], observed=("pages",))
    assert (status, reply["filled"]) == ([1], ["pages"])
    return int.from_bytes(wire.at("pages", 4, 0), "little")


@pytest.mark.parametrize("name", ["wasmer/cranelift", "wasmer/singlepass", "wasmer/llvm", "v8"])
def test_a_memory_of_four_gib_is_seen_whole(start: Starter, name: str) -> None:
    wire = start(name, WHOLE)
    assert pages_after(wire) == 65536
    plan: dict[str, object] = {"entry": "f", "memory": "memory"}
    assert "error" not in wire.ask("open_instance", module="m", instance="i", call=plan)[0]
    last = {"instance": "i", "address": 0xFFFFFFFF}
    wire.ask("poke", b"\x4d", **last)
    assert wire.ask("peek", **last, size=1)[1] == [b"\x4d"]
    assert wire.ask("peek", **last, size=2)[0]["error"]["rule"] == "out-of-bounds"


@pytest.mark.parametrize("name", ["wasmer/cranelift", "wasmer/singlepass", "wasmer/llvm", "v8"])
def test_a_memory_without_pages_is_empty(start: Starter, name: str) -> None:
    wire = start(name, EMPTY)
    assert pages_after(wire) == 0
    assert wire.call("f", [b""], level="state", globals=[])[1] == [1]
    assert wire.at("memory", 32, 0) == hashlib.sha256(b"").digest()


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("name", ["wasmer/singlepass", "v8"])
def test_a_memory_beyond_two_gib_is_hashed_whole(start: Starter, name: str) -> None:
    expected = hashlib.sha256()
    for _ in range(32769 - 1):
        expected.update(bytes(65536))
    expected.update(bytes(65535) + b"\x4d")
    wire = start(name, BEYOND_2_GIB)
    assert wire.call("f", [b""], level="state", globals=[])[1] == [1]
    assert wire.at("memory", 32, 0) == expected.digest()


def test_a_fault_of_v8_s_worker_ends_it_and_is_no_outcome(start: Starter) -> None:
    wire = start("v8", TABLE)
    slot = {"type": "slot", "index": 0, "value_type": "i32"}
    plan = {"entry": "f", "arguments": [slot], "results": ["i32"]}
    fields = {"module": "m", "call": plan, "policy": "fresh", "level": "result", "count": 1}
    # Without the place of its inputs the worker's own read throws, a RangeError at that.
    at = {"progress": 0, "status": 64, "output": 8192}
    with pytest.raises(AssertionError, match="closed its replies"):
        wire.ask("call", at=at, fuel=None, **fields)
    assert wire.process.wait(timeout=20) == 1
    assert wire.at("progress", 8, 0) == word(1)
    assert wire.at("status", 1, 0) == b"\0"


@pytest.mark.parametrize("name", ["pywasm", "pywasm@1.0.8"])
def test_pywasm_keeps_memory_below_its_ceiling(start: Starter, name: str) -> None:
    assert start(name, CAPPED).call("f", [b""], results=("i32",))[2] == [word(0xFFFFFFFF)]
    assert start(name, BIG).call("f", [b""])[1] == [50]


@pytest.mark.parametrize("name", ["wasmer/cranelift", "wasmer/llvm", "pywasm", "wasm3", "v8"])
def test_two_results_keep_their_bits(start: Starter, name: str) -> None:
    wire = start(name, TWO_RESULTS)
    _, status, outputs = wire.call(
        "f", [word(0xFFFFFFFE)], parameters=("i32",), results=("i32", "f32")
    )
    assert (status, outputs) == ([1], [word(0xFFFFFFFE) + word(0x7FA00000)])


@pytest.mark.parametrize("name", ["wasmer/cranelift", "wasmer/singlepass", "wasmer/llvm", "pywasm"])
def test_a_missing_feature_is_unsupported_not_invalid(name: str, start: Starter) -> None:
    wire = start(name, OVERFLOW)
    compiler = ENVIRONMENTS.catalog.resolve(name).compiler
    error = wire.load(bytes(wasmtime.wat2wasm(TAIL)), compiler, "tail")["error"]
    assert (error["stage"], error["rule"]) == ("compile", "unsupported")


@pytest.mark.parametrize("name", ["wasmer", "pywasm", "wasm3", "v8"])
def test_text_other_cpus_and_settings_are_refused(name: str, start: Starter) -> None:
    wire = start(name, OVERFLOW)
    assert wire.load(b"(module)", "", "text")["error"]["rule"] == "invalid"
    data = bytes(wasmtime.wat2wasm(OVERFLOW))
    for fields in (
        {"cpu": "baseline", "settings": {}},
        {"cpu": "native", "settings": {"nan": "x"}},
    ):
        error = wire.ask("load", data, module="x", memory_pages=8, **fields)[0]["error"]
        assert (error["stage"], error["rule"]) == ("compile", "unsupported")


@pytest.mark.parametrize("name", ["wasmer/singlepass", "wasm3", "v8"])
def test_instances_are_let_go(name: str, start: Starter) -> None:
    wire = start(name, START)

    def resident() -> int:
        with open(f"/proc/{wire.process.pid}/statm", encoding="ascii") as text:  # noqa: PTH123
            return int(text.read().split()[1])

    for _ in range(2):
        wire.call("f", [b""] * 500, results=("i32",))
    before = resident()
    for _ in range(4):
        wire.call("f", [b""] * 500, results=("i32",))
    # 2000 leaked memories of a touched page and a stack would be 100 MiB; V8 collects when it will.
    assert resident() - before < (40 << 20) // 4096
