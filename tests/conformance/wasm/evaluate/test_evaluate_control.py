"""
Blocks, branches, calls and locals: expectations follow from the specification's rules by hand.

Source: core specification 2.0, section 4.4.8 (control instructions), 4.4.9 (blocks), 4.4.10
(function calls). The comment above each module names the rule that decides it.
"""

from __future__ import annotations

import sys

import pytest
from evaluate_samples import end_of, instance, program

from conformance.wasm.evaluate.flat import Kind
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.store import Limits

ONES = 0xFFFFFFFF

CASES: dict[str, tuple[str, list[tuple[tuple[int, ...], tuple[int, ...] | str]]]] = {
    # A branch drops what the blocks it leaves hold below the values it carries.
    "a branch out of a block drops the operands below": (
        """(func (export "f") (param i32) (result i32)
          (i32.add (i32.const 100) (block (result i32)
            i32.const 7 i32.const 8 (br 0 (local.get 0)))))""",
        [((5,), (105,))],
    ),
    # br_if pops its condition and leaves its operands when it does not branch.
    "br_if keeps its operand when it falls through": (
        """(func (export "f") (param i32) (result i32)
          (block (result i32) (br_if 0 (i32.const 11) (local.get 0)) drop i32.const 22))""",
        [((0,), (22,)), ((1,), (11,)), ((0x80000000,), (11,))],
    ),
    # The label of a loop is its start: its arity is that of the parameters.
    "a branch to a loop carries its parameters": (
        """(func (export "f") (param i32) (result i32) (local $n i32)
          (local.set $n (local.get 0))
          i32.const 1
          (loop (param i32) (result i32)
            local.get $n i32.mul
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if 0 (i32.gt_s (local.get $n) (i32.const 0)))))""",
        [((1,), (1,)), ((5,), (120,)), ((10,), (3628800,))],
    ),
    # An else-less if whose condition is 0 does nothing.
    "an if without else": (
        """(func (export "f") (param i32) (result i32) (local i32)
          (local.set 1 (i32.const 1))
          (if (local.get 0) (then (local.set 1 (i32.const 2))))
          local.get 1)""",
        [((0,), (1,)), ((1,), (2,)), ((ONES,), (2,))],
    ),
    "an if takes parameters and gives results on both sides": (
        """(func (export "f") (param i32) (result i32 i32)
          i32.const 10
          (if (param i32) (result i32 i32) (local.get 0)
            (then i32.const 1) (else i32.const 2 i32.add i32.const 3)))""",
        [((1,), (10, 1)), ((0,), (12, 3))],
    ),
    "a branch out of the then side skips the else side": (
        """(func (export "f") (param i32) (result i32)
          (if (result i32) (local.get 0)
            (then (br 0 (i32.const 5)))
            (else (if (result i32) (i32.const 0) (then i32.const 6) (else i32.const 7)))))""",
        [((1,), (5,)), ((0,), (7,))],
    ),
    # Beyond the vector, the default label is taken; the index is unsigned.
    "br_table": (
        """(func (export "f") (param i32) (result i32)
          (block (block (block (br_table 0 1 0 2 (local.get 0)))
            (return (i32.const 100)))
            (return (i32.const 101)))
          i32.const 102)""",
        [((0,), (100,)), ((1,), (101,)), ((2,), (100,)), ((3,), (102,)), ((ONES,), (102,))],
    ),
    "br_table with values and no labels but the default": (
        """(func (export "f") (param i32) (result i32)
          (block (result i32) (br_table 0 (i32.const 9) (local.get 0))))""",
        [((0,), (9,)), ((77,), (9,))],
    ),
    # return is a branch to the outermost label, wherever it stands.
    "return from the depth of blocks": (
        """(func (export "f") (param i32) (result i32 i64)
          (loop (block (if (local.get 0) (then
            i64.const 1 (return (i32.const 3) (i64.const 4))))))
          i32.const 5 i64.const 6)""",
        [((1,), (3, 4)), ((0,), (5, 6))],
    ),
    "code behind a branch is never executed": (
        """(func (export "f") (result i32)
          (block (result i32)
            (br 0 (i32.const 1)) (block unreachable) (if (i32.const 1) (then) (else unreachable))
            i32.div_u unreachable))""",
        [((), (1,))],
    ),
    "an end behind dead code can still be reached by a branch": (
        """(func (export "f") (param i32) (result i32)
          (block (br_if 0 (local.get 0)) (return (i32.const 1)))
          i32.const 2)""",
        [((0,), (1,)), ((1,), (2,))],
    ),
    "dead blocks with an else inside live ones": (
        """(func (export "f") (param i32) (result i32)
          (if (result i32) (local.get 0)
            (then (return (i32.const 1)) (if (i32.const 0) (then) (else)))
            (else (block (br 0) (loop)) i32.const 3)))""",
        [((0,), (3,)), ((1,), (1,))],
    ),
    "declared locals begin at zero, in every call anew": (
        """(func $g (export "f") (param i32) (result i32 i64 i32 i32) (local i64 f64 f32 i32)
          (if (local.get 0) (then
            (local.set 1 (i64.const 7)) (local.set 4 (i32.const 8))
            (call $g (i32.const 0)) return))
          local.get 4 local.get 1
          (i32.reinterpret_f32 (local.get 3))
          (i32.wrap_i64 (i64.reinterpret_f64 (local.get 2))))""",
        [((1,), (0, 0, 0, 0))],
    ),
    "tee keeps its operand": (
        """(func (export "f") (param i32) (result i32)
          (i32.add (local.tee 0 (i32.const 4)) (local.get 0)))""",
        [((1,), (8,))],
    ),
    # select gives its first operand unless the condition is 0.
    "select": (
        """(func (export "f") (param i32) (result i64 i32)
          (select (i64.const 1) (i64.const 2) (local.get 0))
          (select (result i32) (i32.const 3) (i32.const 4) (local.get 0)))""",
        [((0,), (2, 4)), ((2,), (1, 3))],
    ),
    "results come in order and arguments go in order": (
        """(func $swap (param i32 i64) (result i64 i32) local.get 1 local.get 0)
        (func (export "f") (param i32 i64) (result i64 i32)
          local.get 0 local.get 1 call $swap)""",
        [((1, 2), (2, 1))],
    ),
    "the caller's operands survive a call": (
        """(func $noise (param i32) (result i32) i32.const 8 i32.const 9 local.get 0 return)
        (func (export "f") (result i32)
          i32.const 1 i32.const 2 (call $noise (i32.const 3)) i32.add i32.mul)""",
        [((), (5,))],
    ),
    "mutual recursion": (
        """(func $even (export "f") (param i32) (result i32)
          (if (result i32) (i32.eqz (local.get 0)) (then i32.const 1)
            (else (call $odd (i32.sub (local.get 0) (i32.const 1))))))
        (func $odd (param i32) (result i32)
          (if (result i32) (i32.eqz (local.get 0)) (then i32.const 0)
            (else (call $even (i32.sub (local.get 0) (i32.const 1))))))""",
        [((0,), (1,)), ((7,), (0,)), ((2000,), (1,))],
    ),
    "unreachable traps": (
        """(func (export "f") (param i32) (if (local.get 0) (then unreachable)))""",
        [((0,), ()), ((1,), "trap: unreachable")],
    ),
    "globals keep what was written before a trap": (
        """(global $g (mut i64) (i64.const -1))
        (func (export "f") (param i32) (result i64)
          (if (i32.eq (local.get 0) (i32.const 1)) (then
            (global.set $g (i64.const 5)) unreachable))
          global.get $g)""",
        [((0,), ((1 << 64) - 1,)), ((1,), "trap: unreachable"), ((0,), (5,))],
    ),
    "constants keep all of their bits": (
        """(func (export "f") (result i32 i64 i32 i64)
          i32.const -1 i64.const -2
          (i32.reinterpret_f32 (f32.const -nan:0x200001))
          (i64.reinterpret_f64 (f64.const nan:0x4000000000001)))""",
        [((), (ONES, (1 << 64) - 2, 0xFFA00001, 0x7FF4000000000001))],
    ),
    "signalling NaNs pass through locals, select and calls unchanged": (
        """(func $id (param f32) (result f32) local.get 0)
        (func (export "f") (param f32) (result f32)
          (select (call $id (local.get 0)) (f32.const 0) (i32.const 1)))""",
        [((0x7FA00001,), (0x7FA00001,))],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_control(name: str) -> None:
    text, calls = CASES[name]
    evaluation = instance(f"(module {text})")
    for arguments, expected in calls:
        assert end_of(evaluation, "f", *arguments) == expected


RECURSION = """(module
  (func $down (export "down") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then i32.const 0)
      (else (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))))
  (func $forever (export "forever") (call $forever))
  (func $wide (export "wide") (local i64 i64 i64 i64 i64 i64) (call $wide)))"""


def test_guest_recursion_is_deeper_than_python_recursion() -> None:
    depth = 5 * sys.getrecursionlimit()
    assert end_of(instance(RECURSION), "down", depth) == (depth,)


def test_endless_recursion_exhausts_the_stack_and_the_instance_lives_on() -> None:
    evaluation = instance(RECURSION)
    assert end_of(evaluation, "forever") == "exhausted: stack"
    assert end_of(evaluation, "down", 3) == (3,)


def test_both_limits_of_the_stack_bind() -> None:
    few = instance(RECURSION, limits=Limits(frames=10))
    # The outermost call counts too.
    assert end_of(few, "down", 9) == (9,)
    assert end_of(few, "down", 10) == "exhausted: stack"
    narrow = instance(RECURSION, limits=Limits(slots=50))
    assert end_of(narrow, "wide") == "exhausted: stack"
    assert end_of(narrow, "down", 2) == (2,)


METERED = """(module
  (func (export "straight") (result i32) (i32.add (i32.const 1) (i32.const 2)))
  (func (export "empty"))
  (func (export "blocks") nop (block (loop nop)))
  (func (export "choice") (param i32)
    (if (local.get 0) (then nop nop) (else nop)))
  (func (export "count") (param i32)
    (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func $callee nop)
  (func (export "calls") (call $callee) (call $callee))
  (func (export "leaves") (return) (unreachable)))"""


@pytest.mark.parametrize(("name", "arguments", "count"), [
    ("straight", (), 3), ("empty", (), 0), ("blocks", (), 4),
    # local.get, if, and the side that is taken; `else` and `end` are no instructions.
    ("choice", (1,), 4), ("choice", (0,), 3),
    # A branch to a loop executes the loop again: six instructions a turn.
    ("count", (1,), 6), ("count", (10,), 60), ("calls", (), 4), ("leaves", (), 1),
])  # fmt: skip
def test_fuel_counts_executed_instructions(
    name: str, arguments: tuple[int, ...], count: int
) -> None:
    evaluation = instance(METERED)
    before = evaluation.fuel
    evaluation.call(name, *arguments)
    assert before - evaluation.fuel == count
    exact = instance(METERED, fuel=count)
    assert not isinstance(end_of(exact, name, *arguments), str)
    assert exact.fuel == 0
    if count:
        short = instance(METERED, fuel=count - 1)
        assert end_of(short, name, *arguments) == "exhausted: fuel"
        assert short.fuel == 0


def test_an_endless_loop_ends_with_its_fuel() -> None:
    evaluation = instance('(module (func (export "f") (loop (br 0))))', fuel=1000)
    assert end_of(evaluation, "f") == "exhausted: fuel"


def test_a_function_is_compiled_once_for_all_instances_and_dead_code_is_left_out() -> None:
    loaded = program('(module (func (export "f") (return) i32.const 1 drop))')
    first = loaded.code(0)
    Instance(loaded).call("f")
    Instance(loaded).call("f")
    assert loaded.code(0) is first
    assert [kind for kind, _, _ in first.entries] == [Kind.BRANCH, Kind.FINISH]
