"""
Validation: every rule has a module that breaks it, and wasmtime gives the same verdicts.
"""

from __future__ import annotations

from collections import Counter

import pytest
from wasm_mutants import body_mutants, file_mutants
from wasm_samples import (
    HEADER,
    INVALID_TEXTS,
    body_module,
    invalid_bytes,
    leb,
    samples,
    section,
    wasmtime_accepts,
    wat,
)

from conformance.wasm.decode import decode, validated
from conformance.wasm.errors import BadModuleError
from conformance.wasm.validate import validate


def verdict(data: bytes) -> str:
    """
    The rule that *data* breaks, or `valid`; any other exception escapes.
    """
    try:
        validated(data)
    except BadModuleError as error:
        return error.rule if error.offset <= max(len(data), 1) else "offset beyond the file"
    return "valid"


@pytest.mark.parametrize("name", sorted(samples()))
def test_samples_are_valid(name: str) -> None:
    data = samples()[name]
    assert wasmtime_accepts(data)
    assert verdict(data) == "valid"


def test_each_of_the_21_invalid_forms_breaks_its_rule() -> None:
    forms = {name: wat(text) for name, text in INVALID_TEXTS.items()}
    forms |= {name: data for name, data, _ in invalid_bytes()}
    assert {name: verdict(data) for name, data in forms.items()} == {
        "type-mismatch": "type-mismatch",
        "stack-underflow": "stack-underflow",
        "leftover-values": "leftover-values",
        "unknown-local": "unknown-local",
        "unknown-function": "unknown-function",
        "unknown-label": "unknown-label",
        "ill-typed-call": "type-mismatch",
        "no-memory": "unknown-memory",
        "over-aligned": "over-aligned",
        "immutable-global": "immutable-global",
        "duplicate-export": "duplicate-export",
        "too-many-pages": "too-many-pages",
        "minimum-over-maximum": "bad-limits",
        "start-with-parameters": "start-type",
        "non-constant-initialiser": "constant-expression",
        "if-without-else": "if-without-else",
        "mixed-select": "type-mismatch",
        "trailing byte": "truncated",
        "wrong version": "wrong-version",
        "truncation": "truncated",
        "overlong LEB": "leb-too-long",
    }
    assert not any(wasmtime_accepts(data) for data in forms.values())


_ZEROS = "(i32.const 0) (i32.const 0) (i32.const 0)"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("(table 3 2 funcref)", "bad-limits"),
        ("(memory 1 65537)", "too-many-pages"),
        ("(memory 1) (memory 1)", "proposal-multi-memory"),
        ('(export "a" (func 0))', "unknown-function"),
        ('(export "a" (memory 0))', "unknown-memory"),
        ("(start 0)", "unknown-function"),
        ("(func (result i32) i32.const 0) (start 0)", "start-type"),
        ("(func (type 4))", "unknown-type"),
        ('(import "a" "f" (func (type 4)))', "unknown-type"),
        ("(global i32 (i64.const 1))", "initialiser-type"),
        ("(global i32)", "initialiser-type"),
        ("(global i32 (i32.const 1) (i32.const 1))", "initialiser-type"),
        ("(global i32 (i32.const 1)) (global i32 (global.get 0))", "constant-expression"),
        ('(import "a" "g" (global (mut i32))) (global i32 (global.get 0))', "constant-expression"),
        ('(import "a" "g" (global i64)) (global i32 (global.get 0))', "initialiser-type"),
        ("(global funcref (ref.func 3))", "unknown-function"),
        ("(global funcref (ref.null extern))", "initialiser-type"),
        ("(elem (i32.const 0) func)", "unknown-table"),
        ("(table 1 externref) (func) (elem (i32.const 0) func 0)", "segment-type"),
        ("(table 1 funcref) (elem (i32.const 0) func 7)", "unknown-function"),
        ("(table 1 funcref) (elem (i64.const 0) func)", "initialiser-type"),
        ("(elem funcref (ref.null extern))", "initialiser-type"),
        ('(data (i32.const 0) "")', "unknown-memory"),
        ('(memory 1) (data (f32.const 0) "")', "initialiser-type"),
        ("(func call_indirect (type 0))", "unknown-table"),
        ("(table 1 externref) (func i32.const 0 call_indirect (type 0))", "type-mismatch"),
        ("(func (drop (ref.func 0)))", "undeclared-reference"),
        ("(func (drop (ref.func 9)))", "unknown-function"),
        ("(func global.get 0 drop)", "unknown-global"),
        ("(func (drop (ref.is_null (i32.const 0))))", "type-mismatch"),
        ("(func (drop (select (ref.null func) (ref.null func) (i32.const 0))))", "type-mismatch"),
        ("(func (block (type 5) nop))", "unknown-type"),
        ("(func elem.drop 0)", "unknown-element"),
        ('(memory 1) (data "") (func data.drop 1)', "unknown-data"),
        (f"(table 1 funcref) (table 1 externref) (func {_ZEROS} table.copy 0 1)", "type-mismatch"),
        (f"(table 1 externref) (elem func) (func {_ZEROS} table.init 0 0)", "type-mismatch"),
        ("(func (drop (i64x2.extract_lane 2 (v128.const i64x2 0 0))))", "unknown-lane"),
        ("(func (result i32) (block (br_table 0 1 (i32.const 0))) (i32.const 1))", "type-mismatch"),
    ],
)  # fmt: skip
def test_each_rule_has_a_module_that_breaks_it(text: str, rule: str) -> None:
    data = wat(f"(module {text})")
    assert verdict(data) == rule
    assert not wasmtime_accepts(data)


@pytest.mark.parametrize(
    "text",
    [
        '(import "a" "g" (global i64)) (global i64 (global.get 0))',
        '(func (export "f") (drop (ref.func 0)))',
        "(func) (global funcref (ref.func 0)) (func (drop (ref.func 0)))",
        "(func (drop (select (unreachable) (i64.const 0) (i32.const 0))))",
        "(func unreachable select drop)",
        "(func unreachable ref.is_null drop)",
        "(func (result i32) unreachable i64.add drop)",
        "(func (result f64) (return (f64.const 1)))",
        "(func loop br 0 end)",
        "(func (result i32) (loop (param) (result i32) i32.const 1))",
        "(func (br_table 0 0 0 (i32.const 1)))",
        "(memory 65536 65536)",
        "(table 0 0xffffffff funcref)",
    ],
)
def test_valid_corners_are_valid(text: str) -> None:
    data = wat(f"(module {text})")
    assert wasmtime_accepts(data)
    assert verdict(data) == "valid"


def test_a_refusal_names_function_operands_and_byte() -> None:
    data = wat('(module (func (export "sum") (param f64) (result i32) local.get 0))')
    with pytest.raises(BadModuleError) as caught:
        validated(data)
    assert caught.value.sentence == ("end in function 0 (sum): i32 is wanted, f64 is on the stack")
    assert data[caught.value.offset] == 0x0B


@pytest.mark.slow
def test_nesting_is_no_recursion() -> None:
    depth = 50_000
    validate(decode(body_module(b"\2\x40" * depth + b"\x0b" * (depth + 1))))


# ---------------------------------------------------------------------------------------- limits


def _locals(count: int) -> bytes:
    return body_module(b"\x0b", b"\1" + leb(count) + b"\x7c")


def _signature(parameters: int, results: int) -> bytes:
    form = b"\x60" + leb(parameters) + b"\x7f" * parameters + leb(results) + b"\x7f" * results
    return HEADER + section(1, b"\1" + form)


def _tables(count: int) -> bytes:
    return HEADER + section(4, leb(count) + b"\x70\0\0" * count)


def _export(size: int) -> bytes:
    return HEADER + section(5, b"\1\0\0") + section(7, b"\1" + leb(size) + b"n" * size + b"\2\0")


def _body(size: int) -> bytes:
    constants = b"\xfd\x0c" + b"\0" * 16 + b"\x1a"
    nops = b"\1" * ((size - 2) % len(constants))
    return body_module(constants * ((size - 2) // len(constants)) + nops + b"\x0b")


@pytest.mark.parametrize(
    ("at", "beyond", "rule"),
    [
        (_locals(50_000), _locals(50_001), "limit-locals"),
        (_signature(1000, 0), _signature(1001, 0), "limit-parameters"),
        (_signature(0, 1000), _signature(0, 1001), "limit-results"),
        (_tables(100), _tables(101), "limit-items"),
        (_export(100_000), _export(100_001), "limit-name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_limits_of_engines_are_met_exactly(at: bytes, beyond: bytes, rule: str) -> None:
    assert (verdict(at), wasmtime_accepts(at)) == ("valid", True)
    assert (verdict(beyond), wasmtime_accepts(beyond)) == (rule, False)


@pytest.mark.slow
def test_a_body_beyond_the_limit_is_refused() -> None:
    at, beyond = _body(7_654_321), _body(7_654_322)
    decode(at)
    assert wasmtime_accepts(at)
    assert verdict(beyond) == "limit-body"
    assert not wasmtime_accepts(beyond)


# ----------------------------------------------------------------------- against another validator


def _compare(modules: list[bytes]) -> Counter[str]:
    """
    Rules by frequency; fails where wasmtime's verdict is another.
    """
    rules: Counter[str] = Counter()
    for data in modules:
        rule = verdict(data)
        if rule != "proposal-extended-const":
            assert (rule == "valid") is wasmtime_accepts(data), (rule, data.hex())
        rules[rule] += 1
    return rules


@pytest.mark.slow
def test_verdicts_on_mutated_files_are_those_of_wasmtime() -> None:
    rules = _compare(file_mutants(3, 3000))
    assert rules["valid"] > 300
    assert len(rules) > 40


@pytest.mark.slow
def test_verdicts_on_mutated_bodies_are_those_of_wasmtime() -> None:
    rules = _compare(body_mutants(5, 2000))
    assert rules["valid"] > 400
    assert min(rules["type-mismatch"], rules["stack-underflow"], rules["unknown-lane"]) > 30


def test_the_comparison_notices_a_validator_that_only_decodes() -> None:
    differing = 0
    for data in body_mutants(5, 200):
        try:
            decode(data)
        except BadModuleError:
            continue
        differing += not wasmtime_accepts(data)
    assert differing > 20
