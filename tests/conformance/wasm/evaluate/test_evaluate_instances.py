"""
Instantiation, imports, the start function, and what is refused.
"""

from __future__ import annotations

import pytest
from evaluate_samples import assembled, end_of, instance, program

from conformance.wasm.errors import BadModuleError
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.program import Program
from conformance.wasm.evaluate.stops import (
    BadCallError,
    ExhaustedError,
    LinkError,
    TrappedError,
)
from conformance.wasm.evaluate.store import GlobalCell, HostFunction, Limits, Memory, Table
from conformance.wasm.items import FunctionType, GlobalType, MemoryType, TableType
from conformance.wasm.items import Limits as Sizes

PARTS = """(module
  (import "a" "f" (func $f (param i32 i64) (result i64)))
  (import "a" "g" (global $g i32)) (import "a" "m" (memory 1 3)) (import "a" "t" (table 1 funcref))
  (global (export "copied") i32 (global.get $g))
  (global (export "ref") funcref (ref.func $own))
  (elem (global.get $g) func $own)
  (data (global.get $g) "xy")
  (func $own (export "own") (result i64) (call $f (i32.const 5) (i64.const -1)))
  (func (export "indirect") (param i32) (result i64) (call_indirect (result i64) (local.get 0))))"""


def given(**changes: object) -> dict[tuple[str, str], object]:
    """
    What PARTS imports, with changes.
    """
    kind = FunctionType(("i32", "i64"), ("i64",))
    found = {
        "f": HostFunction(kind, lambda _, left, right: (left + (right & 0xFF),)),
        "g": GlobalCell(GlobalType("i32", mutable=False), 1),
        "m": Memory(MemoryType(Sizes(1, 2)), Limits()),
        "t": Table(TableType("funcref", Sizes(3, None)), Limits()),
    }
    return {("a", name): item for name, item in {**found, **changes}.items()}


def test_imports_are_used_and_shared() -> None:
    imports = given()
    evaluation = Instance(program(PARTS), imports)  # type: ignore[arg-type]
    assert evaluation.cell("copied").value == 1
    assert imports["a", "m"].data[:4] == b"\0xy\0"  # type: ignore[attr-defined]
    assert end_of(evaluation, "own") == (5 + 0xFF,)
    assert end_of(evaluation, "indirect", 1) == (5 + 0xFF,)
    assert end_of(evaluation, "indirect", 0) == "trap: indirect call to null"
    assert evaluation.cell("ref").value is evaluation.function("own")


@pytest.mark.parametrize(("changes", "said"), [
    ({"f": None}, "'a.f', a function, is missing"),
    ({"f": HostFunction(FunctionType((), ()), lambda _: ())}, "has another type"),
    ({"f": GlobalCell(GlobalType("i32", mutable=False), 1)}, "has another type"),
    ({"g": GlobalCell(GlobalType("i32", mutable=True), 1)}, "'a.g', a global, has another"),
    ({"g": GlobalCell(GlobalType("i64", mutable=False), 1)}, "has another type"),
    ({"m": Memory(MemoryType(Sizes(0, 2)), Limits())}, "'a.m', a memory, has another"),
    ({"m": Memory(MemoryType(Sizes(1, 4)), Limits())}, "has another type"),
    ({"m": Memory(MemoryType(Sizes(1, None)), Limits())}, "has another type"),
    ({"t": Table(TableType("externref", Sizes(3, None)), Limits())}, "'a.t', a table"),
    ({"t": Table(TableType("funcref", Sizes(0, None)), Limits())}, "has another type"),
])  # fmt: skip
def test_imports_that_do_not_fit_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(LinkError, match=said):
        Instance(program(PARTS), given(**changes))  # type: ignore[arg-type]


def test_a_memory_that_grew_satisfies_a_larger_minimum() -> None:
    memory = Memory(MemoryType(Sizes(0, 3)), Limits())
    assert memory.grow(1) == 0
    assert Instance(program(PARTS), given(m=memory))  # type: ignore[arg-type]


def test_functions_of_another_instance_run_in_their_own() -> None:
    inner = instance("""(module (memory 1) (global $g (mut i32) (i32.const 40))
      (data (i32.const 0) "\\02")
      (func (export "f") (result i32) (global.set $g (i32.add (global.get $g)
        (i32.load8_u (i32.const 0)))) (global.get $g)))""")
    outer = instance(
        """(module (import "in" "f" (func $f (result i32))) (memory 1)
          (data (i32.const 0) "\\07") (table 1 funcref) (elem (i32.const 0) func $f)
          (func (export "f") (result i32 i32 i32)
            (call $f) (i32.load8_u (i32.const 0)) (call_indirect (result i32) (i32.const 0))))""",
        {("in", "f"): inner.function("f")},
    )
    assert end_of(outer, "f") == (42, 7, 44)


def test_the_start_function_runs_once_and_its_trap_ends_instantiation() -> None:
    counted = """(module (global $g (export "g") (mut i32) (i32.const 1))
      (func $s (global.set $g (i32.add (global.get $g) (i32.const 1)))) (start $s))"""
    assert instance(counted).cell("g").value == 2
    with pytest.raises(TrappedError, match="unreachable"):
        instance("(module (func $s unreachable) (start $s))")
    with pytest.raises(ExhaustedError, match="fuel"):
        instance("(module (func $s (loop (br 0))) (start $s))", fuel=100)


def test_hosts_may_call_back_but_not_for_ever() -> None:
    text = """(module (import "h" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (if (result i32) (local.get 0) (then (call $f (local.get 0))) (else i32.const 7))))"""

    def host(caller: Instance, count: int) -> tuple[int, ...]:
        return caller.call("run", count - 1)

    kind = FunctionType(("i32",), ("i32",))
    evaluation = instance(text, {("h", "f"): HostFunction(kind, host)})
    before = evaluation.fuel
    assert end_of(evaluation, "run", 3) == (7,)
    # local.get, if, local.get, call three times, then local.get, if, i32.const.
    assert before - evaluation.fuel == 3 * 4 + 3
    assert end_of(evaluation, "run", 100_000) == "exhausted: stack"
    assert end_of(evaluation, "run", 1) == (7,)


def test_calls_that_cannot_be_made() -> None:
    evaluation = instance('(module (func (export "f") (param i32)) (memory (export "m") 1))')
    for name, arguments, said in (
        ("g", (), "no function 'g'"), ("m", (), "no function 'm'"), ("f", (), "takes 1 arguments"),
        ("f", (-1,), "unsigned integer"), ("f", (1 << 32,), "unsigned integer"),
    ):  # fmt: skip
        with pytest.raises(BadCallError, match=said):
            evaluation.call(name, *arguments)
    for look in (evaluation.memory, evaluation.table, evaluation.cell):
        with pytest.raises(BadCallError):
            look("f")


@pytest.mark.parametrize("text", [
    "(module (func (param v128)))", "(module (func (local v128)))",
    "(module (func (v128.const i64x2 0 0) drop))", "(module (global v128 (v128.const i64x2 0 0)))",
    "(module (func (block (result v128) unreachable) drop))",
])  # fmt: skip
def test_vectors_are_refused_as_unsupported(text: str) -> None:
    with pytest.raises(BadModuleError) as caught:
        program(text)
    assert caught.value.rule == "proposal-simd"


def test_invalid_modules_are_refused() -> None:
    with pytest.raises(BadModuleError) as caught:
        program("(module (func (result i32) i64.const 1))")
    assert caught.value.rule == "type-mismatch"
    with pytest.raises(BadModuleError) as caught:
        Program.load(assembled("(module (func))")[:-1])
    assert caught.value.rule == "truncated"
