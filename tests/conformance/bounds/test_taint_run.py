from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
import wasmtime
from taint_modules import CALL, INPUT_BYTES, ShapeMaker

from conformance.bounds.heights import Step
from conformance.bounds.shadow import Shadow
from conformance.bounds.taint import NoTaintRunError, tainted
from conformance.bounds.taint_run import TaintResult, taint_run
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.load import gas_model
from conformance.gas.metering import metered
from conformance.manifest.calls import build_calls
from conformance.manifest.read import read_manifest
from conformance.wasm.decode import validated
from conformance.wasm.encode_items import instruction
from conformance.wasm.module import Module
from runners.blocks import CaseBlock
from runners.catalog import Catalog
from runners.environments import Environments
from runners.pool import Pool
from runners.records import (
    AtAddress,
    Budget,
    Buffer,
    ByAllocator,
    ByExport,
    Call,
    Level,
    Node,
    Slot,
)
from runners.status import Status

pytestmark = pytest.mark.engines
VECTORS = Path(__file__).parents[3] / "vectors"
FUEL = gas_model("wasmtime-fuel")
HOME = gas_model("cosmwasm-vm")
NEAR = gas_model("near")


FEW = 25
"""Modules for one worker, which keeps files open for each."""


@contextmanager
def opened(*names: str) -> Iterator[Pool]:
    catalog = Catalog.load()
    environments = Environments(catalog)
    engines = [catalog.resolve(text) for text in names]
    with Pool([(Node(engine), environments.launch(engine)) for engine in engines]) as found:
        found.identities()
        yield found


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with opened("wasmtime", "wasmer/singlepass") as found:
        yield found


def module(text: str) -> Module:
    return validated(bytes(wasmtime.wat2wasm(f"(module {text})")))


def scalar(
    pool: Pool, body: str, more: str = '(memory (export "memory") 1 2)', given: int = 5
) -> TaintResult:
    """
    A taint run of a function of one i32.
    """
    found = module(f'{more} (func (export "f") (param $x i32) (result i32) (local $y i32) {body})')
    shown = next((e.name for e in found.exports if e.kind == "memory"), None)
    call = Call("f", (Slot(0, "i32"),), ("i32",), memory=shown)
    return taint_run(pool, 0, found, call, FUEL, given.to_bytes(8, "little"))


def gas_of(pool: Pool, found: Module, call: Call, rows: np.ndarray) -> list[int]:
    """
    Gas of many inputs; -1 less the gas for those that do not return.
    """
    counting = metered(found, NEAR, [call.entry])
    counted = msgspec.structs.replace(
        call, entry=counting.entries[call.entry], globals=counting.counters, memory=counting.memory
    )
    digest = hashlib.sha256(counting.binary).hexdigest()
    pool.add_module(digest, counting.binary)
    ids = np.arange(len(rows), dtype=np.uint64)
    pool.submit(0, digest, CaseBlock(counted, Budget(), Level.STATE, ids, rows))
    (done,) = pool.drain()
    assert done.outcome.globals is not None
    gas = done.outcome.globals.view("<u8")[:, 0].tolist()
    returned = (done.outcome.status == Status.RETURNED).tolist()
    return [g if ok else -g - 1 for g, ok in zip(gas, returned, strict=True)]


# ------------------------------------------------------------------- one site of each kind


@pytest.mark.parametrize(
    ("body", "operator", "role"),
    [
        ("(if (local.get $x) (then nop)) (i32.const 1)", "if", "branch"),
        ("(block (br_if 0 (local.get $x))) (i32.const 1)", "br_if", "branch"),
        ("(block (br_table 0 0 (local.get $x))) (i32.const 1)", "br_table", "branch"),
        ("(call_indirect (type $t) (i32.const 3) (i32.and (local.get $x) (i32.const 1)))",
         "call_indirect", "target"),
        ("(memory.grow (local.get $x))", "memory.grow", "growth"),
        ("(i32.store8 (local.get $x) (i32.const 1)) (i32.const 1)", "i32.store8", "address"),
        ("(memory.fill (i32.const 0) (i32.const 1) (local.get $x)) (i32.const 1)", "memory.fill",
         "length"),
        ("(memory.copy (local.get $x) (i32.const 1) (i32.const 2)) (i32.const 1)", "memory.copy",
         "address"),
        ("(ref.is_null (table.get 0 (i32.and (local.get $x) (i32.const 1))))", "table.get",
         "table"),
        # What is tainted comes a long way: through memory, a global, a call, a select, a branch.
        (("(i32.store (i32.const 64) (local.get $x)) (if (i32.load8_u (i32.const 65)) (then nop))"
         "(i32.const 1)"), "if", "branch"),
        ("(global.set $g (local.get $x)) (if (global.get $g) (then nop)) (i32.const 1)", "if",
         "branch"),
        ("(if (call $same (local.get $x)) (then nop)) (i32.const 1)", "if", "branch"),
        ("(if (select (i32.const 1) (i32.const 2) (local.get $x)) (then nop)) (i32.const 1)", "if",
         "branch"),
        ("(if (i32.load (i32.and (local.get $x) (i32.const 4))) (then nop)) (i32.const 1)", "if",
         "branch"),
        (("(if (block (result i32) (i32.const 9) (i32.const 0) (br 0 (local.get $x)))"
         " (then nop)) (i32.const 1)"), "if", "branch"),
        (("(memory.copy (i32.const 80) (i32.const 64) (i32.const 4)) (if (i32.load"
         " (i32.const 80)) (then nop)) (i32.const 1)"), None, ""),
        (("(i32.store (i32.const 64) (local.get $x)) (memory.copy (i32.const 80) (i32.const 64)"
         "(i32.const 4)) (if (i32.load (i32.const 80)) (then nop)) (i32.const 1)"), "if", "branch"),
        (("(memory.fill (i32.const 80) (local.get $x) (i32.const 4)) (if (i32.load8_u"
         " (i32.const 83)) (then nop)) (i32.const 1)"), "if", "branch"),
        ("(call $return (local.get $x)) (if (then nop)) (i32.const 1)", "if", "branch"),
        (("(i64.store (i32.const 64) (i64.extend_i32_u (local.get $x))) (if (i32.load16_u"
         "(i32.const 70)) (then nop)) (i32.const 1)"), "if", "branch"),
        (("(v128.store (i32.const 64) (i32x4.splat (local.get $x))) (if (i32.load8_u"
         "(i32.const 79)) (then nop)) (i32.const 1)"), "if", "branch"),
    ],
)  # fmt: skip
def test_what_steers_is_found(pool: Pool, body: str, operator: str | None, role: str) -> None:
    more = """(type $t (func (param i32) (result i32))) (table 2 4 funcref)
      (elem (i32.const 0) func $same $same) (memory (export "memory") 1 2)
      (global $g (mut i32) (i32.const 0)) (func $same (param i32) (result i32) (local.get 0))
      (func $return (param i32) (result i32) (i32.const 5) (return (local.get 0)))"""
    result = scalar(pool, body, more)
    if operator is None:
        assert result.independent
        return
    assert not result.independent
    assert (operator, role) in {(one.operator, one.role) for one in result.decisions}
    assert not result.exact


@pytest.mark.parametrize(
    "body",
    [
        "(i32.add (local.get $x) (i32.const 1))",
        ("(local.set $y (i32.const 9)) (loop (br_if 0 (local.tee $y (i32.sub (local.get $y)"
        " (i32.const 1))))) (local.get $x)"),
        # Written over, it is clean again.
        "(local.set $x (i32.const 3)) (if (local.get $x) (then nop)) (i32.const 1)",
        ("(i32.store (i32.const 64) (local.get $x)) (i32.store (i32.const 64) (i32.const 1))"
        " (if (i32.load (i32.const 64)) (then nop)) (i32.const 1)"),
        "(memory.grow (i32.const 1)) (drop) (if (memory.size) (then nop)) (local.get $x)",
        ("(i32.store (i32.const 64) (local.get $x)) (if (i32.load8_u (i32.const 68)) (then nop))"
        " (i32.const 1)"),
    ],
)  # fmt: skip
def test_what_does_not_steer_is_exact(pool: Pool, body: str) -> None:
    result = scalar(pool, body)
    assert result.exact
    for given in (0, 1, 77, 0xFFFFFFFF):
        assert scalar(pool, body, given=given).gas == result.gas


def test_a_tainted_divisor_or_load_may_trap_and_nothing_more(pool: Pool) -> None:
    for body in ("(i32.div_u (i32.const 7) (local.get $x))", "(i32.load (local.get $x))"):
        result = scalar(pool, body)
        assert result.independent
        assert not result.exact
        assert [one.role for one in result.traps] in (["trap"], ["trap", "trap"])
    saturating = "(i32.trunc_sat_f64_s (f64.convert_i32_s (local.get $x)))"
    assert scalar(pool, saturating).exact
    assert not scalar(pool, saturating.replace("_sat", "")).exact


def test_offsets_point_at_the_instruction(pool: Pool) -> None:
    more = '(memory (export "memory") 1)'
    body = "nop nop (if (local.get $x) (then nop)) (i32.const 1)"
    (one,) = scalar(pool, body, more).decisions
    found = module(f'{more} (func (export "f") (param $x i32) (result i32) (local $y i32) {body})')
    assert one.offset == int(found.functions[0].body.offsets[3])
    assert found.binary[one.offset] == 0x04


def test_growth_ends_at_the_same_limit_as_in_the_module(pool: Pool) -> None:
    body = "(drop (memory.grow (i32.const 1))) (memory.grow (i32.const 1))"
    assert scalar(pool, body, '(memory (export "memory") 1 2)').exact
    assert scalar(pool, body, '(memory (export "memory") 1)').exact


# ------------------------------------------------------------------------------- refusals


def test_a_call_that_traps_says_nothing_about_others(pool: Pool) -> None:
    with pytest.raises(NoTaintRunError, match="did not return"):
        scalar(pool, "(i32.div_u (i32.const 7) (local.get $x))", given=0)


@pytest.mark.parametrize(
    ("text", "call", "told"),
    [
        ('(import "e" "g" (func)) (func (export "f"))', Call("f"), "imports e.g"),
        ('(func (export "f"))', Call("g"), "no function 'g'"),
        ('(memory (export "m") 900) (func (export "f"))', Call("f", memory="m"), "900 pages"),
        (('(memory (export "m") 1) (func (export "at") (param i32) (result i32) (i32.const 8))'
         '(func (export "f"))'),
         Call("f", input=Buffer(ByAllocator("at"), 8), memory="m"), "asked twice"),
        (('(memory (export "m") 1) (global $g (mut i32) (i32.const 8)) (func (export "at")'
         "(result i32) (global.set $g (i32.const 16)) (global.get $g))"
         '(func (export "f"))'),
         Call("f", input=Buffer(ByExport("at"), 8), memory="m"), "asked twice"),
        ('(func (export "f"))', Call("f", input=Buffer(AtAddress(0), 8)), "no memory"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused(text: str, call: Call, told: str) -> None:
    with pytest.raises(NoTaintRunError, match=told):
        tainted(module(text), call, 512)


def test_a_model_that_refuses_the_module_is_no_result(pool: Pool) -> None:
    found = module('(func (export "f") (param f64) (result f64) (f64.sqrt (local.get 0)))')
    call = Call("f", (Slot(0, "f64"),), ("f64",))
    with pytest.raises(RefusedOperatorError):
        taint_run(pool, 0, found, call, gas_model("stylus"), bytes(8))


# --------------------------------------------------------------------- models that we ship


@pytest.mark.parametrize(
    ("name", "independent"),
    [("digits-logistic", True), ("diabetes-ridge", True), ("digits-cnn", True),
     ("cancer-tree", False), ("digits-forest", False), ("digits-mlp-tanh", False)],
)  # fmt: skip
def test_shipped_models(pool: Pool, name: str, *, independent: bool) -> None:
    folder = VECTORS / "models" / name
    found = validated((folder / "model.wasm").read_bytes())
    memory = next(export.name for export in found.exports if export.kind == "memory")
    (call,) = build_calls(read_manifest(folder / "model.toml"), (), memory, grows=found.grows)
    result = taint_run(pool, 0, found, call, HOME, bytes(call.input_bytes))
    assert result.independent == independent
    assert bool(result.decisions) == (not independent)
    assert taint_run(pool, 1, found, call, HOME, bytes(call.input_bytes)) == result
    draw = np.random.default_rng(3)
    rows = draw.integers(0, 256, (40, call.input_bytes), dtype=np.uint8)
    rows[0] = 0
    gas = gas_of(pool, found, call, rows)
    if independent:
        assert len(set(gas)) == 1


# ------------------------------------------------------------------- differential fuzzing


def fuzz(seeds: range, inputs: int = 24) -> Counter[str]:
    """
    Random modules: what a taint run calls independent must show one gas on many inputs.
    """
    seen: Counter[str] = Counter()
    for first in range(seeds.start, seeds.stop, FEW):
        with opened("wasmtime") as pool:
            for seed in range(first, min(first + FEW, seeds.stop)):
                seen[judged(pool, seed, inputs)] += 1
    return seen


def judged(pool: Pool, seed: int, inputs: int) -> str:
    found = validated(bytes(wasmtime.wat2wasm(ShapeMaker(seed).module())))
    draw = np.random.default_rng(seed)
    rows = draw.integers(0, 256, (inputs, INPUT_BYTES), dtype=np.uint8)
    rows[0], rows[1] = 0, 255
    rows[2:6].view("<f8")[:] = draw.standard_normal((4, INPUT_BYTES // 8))
    gas = gas_of(pool, found, CALL, rows)
    first = next((k for k, one in enumerate(gas) if one >= 0), None)
    if first is None:
        return "never returned"
    result = taint_run(pool, 0, found, CALL, NEAR, rows[first].tobytes())
    assert result.gas == gas[first]
    differ = any(one >= 0 and one != result.gas for one in gas)
    if not result.independent:
        return "depends, and shows it" if differ else "may depend"
    stopped = [-one - 1 for one in gas if one < 0]
    escaped = differ or any(paid > result.gas for paid in stopped)
    return "escaped" if escaped or (stopped and not result.traps) else "independent"


def test_independent_modules_show_one_gas() -> None:
    seen = fuzz(range(50))
    assert not seen["escaped"]
    assert seen["independent"] > 10
    assert seen["depends, and shows it"] > 5


@pytest.mark.nightly
@pytest.mark.parametrize("share", range(10))
def test_taint_fuzzing(share: int) -> None:
    seen = fuzz(range(1_000 + 200 * share, 1_200 + 200 * share), 64)
    print(f"share {share}: {dict(seen)}")  # noqa: T201 - a campaign's count
    assert not seen["escaped"]


def forgetful(lost: str) -> object:
    """
    A piece of the shadow code that forgets taint, in place of the right one.
    """
    kept = getattr(Shadow, lost)

    def never(*_: object, **__: object) -> bytes:
        return b"\x41\x00"

    def half(shadow: Shadow, step: Step) -> tuple[bytes, bytes]:
        before, after = kept(shadow, step)
        if lost == "_call":
            return b"", after
        if lost == "_load":
            return before, b"\x41\x00" + instruction("local.set", shadow._stack(step.height - 1))
        return (b"" if lost in ("_global_set", "_local_set") else before), b""

    return never if lost == "_any" else half


@pytest.mark.parametrize("lost", ["_any", "_load"])
def test_fuzzing_notices_taint_that_is_lost(monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    monkeypatch.setattr(Shadow, lost, forgetful(lost))
    assert fuzz(range(50), 12)["escaped"]


@pytest.mark.nightly
@pytest.mark.parametrize("lost", ["_local_set", "_store", "_call", "_global_set"])
def test_taint_fuzzing_notices_rarer_losses(monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    monkeypatch.setattr(Shadow, lost, forgetful(lost))
    assert fuzz(range(600), 12)["escaped"]
