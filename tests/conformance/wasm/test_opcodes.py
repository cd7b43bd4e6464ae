"""
The opcode table against an assembler and a validator that know nothing of it.
"""

from __future__ import annotations

import pytest
from wasm_samples import engine, wasmtime_accepts, wat

from conformance.wasm.decode import decode
from conformance.wasm.opcodes import BY_NAME, OPCODES, PROPOSALS, REFUSED, Opcode

_LANES = {"i8x16": 16, "i16x8": 8, "i32x4": 4, "f32x4": 4, "i64x2": 2, "f64x2": 2}
_CONTEXT = """(memory 1) (table $t 1 funcref) (global $g (mut i32) (i32.const 0)) (type $t (func))
(data $d "") (elem $e func) (elem declare func $f) (func $f (export "f"))"""
_CONTROL = {"block", "loop", "if", "else", "end"}


def _immediates(opcode: Opcode, alignment: int | None) -> str:
    texts = {
        "label": "0", "labels": "0 0", "function": "$f", "type": "(type $t)", "table": "$t",
        "local": "0", "global": "$g", "data": "$d", "element": "$e", "memory": "", "lane": "0",
        "i32": "-7", "i64": "-7", "f32": "-0x1p-149", "f64": "-0x1p-1074", "heap": "func",
        "v128": "i64x2 -1 5", "lanes": "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
        "types": "(result i32)",
    }  # fmt: skip
    if opcode.name == "call_indirect":
        return "$t (type $t)"
    kinds = opcode.immediates
    if kinds == ("element", "table"):
        kinds = ("table", "element")
    words = []
    for kind in kinds:
        if kind == "memarg":
            words.append(f"offset=3 align={1 << (alignment or 0)}")
        else:
            words.append(texts[kind])
    return " ".join(words)


def _module(opcode: Opcode, *, alignment: int | None, results: tuple[str, ...]) -> bytes:
    assert opcode.signature is not None
    parameters = opcode.signature.parameters
    gets = " ".join(f"local.get {place}" for place in range(len(parameters)))
    line = f"{opcode.name} {_immediates(opcode, alignment)}"
    return wat(
        f"(module {_CONTEXT} (func (param {' '.join(parameters)}) (result {' '.join(results)})"
        f" {gets} {line}))"
    )


TYPED = [opcode for opcode in OPCODES.values() if opcode.signature is not None]
CONTEXTUAL = [
    opcode
    for opcode in OPCODES.values()
    if opcode.signature is None and opcode.name not in _CONTROL
]


def test_the_table_has_every_instruction_of_the_admitted_proposals() -> None:
    counts = dict.fromkeys(("mvp", *PROPOSALS), 0)
    for opcode in OPCODES.values():
        counts[opcode.proposal] += 1
    assert counts == {
        "mvp": 172, "mutable-global": 0, "sign-extension": 5, "saturating-conversion": 8,
        "bulk-memory": 7, "multi-value": 0, "reference-types": 9, "simd": 236,
    }  # fmt: skip
    assert len(BY_NAME) == len(OPCODES)
    assert not set(REFUSED) & set(OPCODES)
    assert list(OPCODES) == sorted(OPCODES)


def test_an_assembler_writes_the_code_of_every_instruction() -> None:
    for opcode in [*TYPED, *CONTEXTUAL]:
        name = opcode.name.removesuffix("_t")
        line = f"{name} {_immediates(opcode, opcode.alignment)}"
        data = wat(f"(module {_CONTEXT} (func (local i32) unreachable {line} unreachable))")
        first, found, last, end = decode(data).functions[-1].body
        assert first.opcode.name == last.opcode.name == "unreachable"
        assert end.opcode.name == "end"
        assert found.opcode is opcode, opcode.name
        assert data[found.offset :].startswith(opcode.encoding), opcode.name
        assert len(found.immediates) == len(opcode.immediates)


def test_control_instructions_have_their_codes() -> None:
    data = wat("(module (func block loop i32.const 1 if else end end end))")
    names = [found.opcode.name for found in decode(data).functions[0].body]
    assert names == ["block", "loop", "i32.const", "if", "else", "end", "end", "end", "end"]


def test_a_validator_agrees_with_every_signature() -> None:
    for opcode in TYPED:
        assert opcode.signature is not None
        results = opcode.signature.results
        assert wasmtime_accepts(_module(opcode, alignment=opcode.alignment, results=results)), (
            opcode.name
        )
        other = tuple("i64" if kind != "i64" else "i32" for kind in results) or ("i64",)
        assert not wasmtime_accepts(_module(opcode, alignment=opcode.alignment, results=other)), (
            opcode.name
        )


def test_a_validator_agrees_with_every_alignment() -> None:
    accesses = [opcode for opcode in TYPED if opcode.alignment is not None]
    assert len(accesses) == 23 + 22
    for opcode in accesses:
        assert opcode.alignment is not None
        assert opcode.signature is not None
        results = opcode.signature.results
        beyond = _module(opcode, alignment=opcode.alignment + 1, results=results)
        assert not wasmtime_accepts(beyond), opcode.name


@pytest.mark.parametrize(
    ("name", "computes"),
    [
        ("f64.add", True), ("f32.lt", True), ("i32.trunc_f64_s", True), ("f64.promote_f32", True),
        ("f32x4.pmin", True), ("i32x4.trunc_sat_f64x2_u_zero", True), ("f64.load", False),
        ("f64.const", False), ("i64.reinterpret_f64", False), ("f32.reinterpret_i32", False),
        ("f32x4.splat", False), ("f64x2.replace_lane", False), ("i32.add", False),
        ("v128.load32_lane", False), ("i64x2.add", False),
    ],
)  # fmt: skip
def test_float_computation_is_told_from_moves(name: str, computes: bool) -> None:  # noqa: FBT001 - a table
    assert BY_NAME[name].computes_floats is computes


def test_the_engine_of_these_tests_refuses_other_proposals() -> None:
    assert engine() is engine()
    assert not wasmtime_accepts(wat("(module (func $f return_call $f))"))
    assert not wasmtime_accepts(wat("(module (memory 1) (memory 1))"))
