"""
Places where two correct engines may differ: found where they are, and only there.
"""

from __future__ import annotations

import pytest
from wasm_samples import wat

from conformance.wasm.calls import call_graph
from conformance.wasm.decode import validated
from conformance.wasm.opcodes import BY_NAME, OPCODES
from conformance.wasm.open_choices import CONVERSIONS, NAN_MAKERS, OpenChoice, open_choices


def choices(text: str) -> tuple[OpenChoice, ...]:
    """
    Of a module in text.
    """
    module = validated(wat(f"(module {text})"))
    return open_choices(module, call_graph(module))


def kinds(text: str) -> list[tuple[str, str]]:
    """
    (kind, what) of each.
    """
    return [(choice.kind, choice.what) for choice in choices(text)]


@pytest.mark.parametrize(
    "text",
    [
        '(func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))',
        "(memory 1) (func (param f64) (f64.store (i32.const 0) (f64.neg (local.get 0))))",
        "(func (param f64) (result i32) (f64.lt (local.get 0) (f64.const 1)))",
        "(func (param f64) (result i64) (i64.reinterpret_f64 (f64.abs (local.get 0))))",
    ],
)
def test_bit_operations_leave_nothing_open(text: str) -> None:
    assert kinds(text) == []


def test_a_nan_that_is_made_and_where_it_is_shown() -> None:
    found = choices("""(memory 1) (func (export "f") (param f64) (result f64)
        (f64.store (i32.const 0) (f64.add (local.get 0) (f64.const 1)))
        (f64.sqrt (f64.add (local.get 0) (local.get 0))))""")
    assert [(choice.kind, choice.what, choice.count) for choice in found] == [
        ("nan-made", "f64.add", 2),
        ("nan-made", "f64.sqrt", 1),
        ("nan-shown", "f64.store", 1),
        ("nan-shown", "f", 1),
    ]
    module = validated(
        wat("""(module (memory 1) (func (export "f") (param f64) (result f64)
        (f64.store (i32.const 0) (f64.add (local.get 0) (f64.const 1)))
        (f64.sqrt (f64.add (local.get 0) (local.get 0)))))""")
    )
    first = found[0].first_offset
    assert first is not None
    assert module.binary[first] == BY_NAME["f64.add"].code


def test_conversions_growth_hosts_and_depth() -> None:
    found = kinds("""(import "env" "f" (func (param f64))) (memory 1)
        (func $a (param f64) (call 0 (f64.promote_f32 (f32.demote_f64 (local.get 0)))))
        (func (drop (memory.grow (i32.const 1))))
        (func $r (call $r))""")
    assert found == [
        ("nan-shown", "env.f"),
        ("conversion-between-floats", "f32.demote_f64"),
        ("conversion-between-floats", "f64.promote_f32"),
        ("growth", "memory.grow"),
        ("host", "env.f"),
        ("call-depth", "function 3 (r)"),
    ]


def test_the_operators_are_those_that_compute_and_give_floats() -> None:
    """
    By another way than the list: results that are floats, from float operands, no bit operation.
    """
    exact = {"abs", "neg", "copysign", "pmin", "pmax"}
    wanted = set()
    for opcode in OPCODES.values():
        shape, _, operation = opcode.name.partition(".")
        if not opcode.computes_floats or shape not in ("f32", "f64", "f32x4", "f64x2"):
            continue
        compares = operation in {"eq", "ne", "lt", "gt", "le", "ge"}
        from_integer = "convert" in operation
        if not compares and not from_integer and operation not in exact:
            wanted.add(opcode.name)
    assert wanted == NAN_MAKERS | CONVERSIONS
