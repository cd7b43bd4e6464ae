"""
The questions that other rooms ask of a decoded module.
"""

from __future__ import annotations

import pytest
from wasm_samples import HEADER, samples, section, wat

from conformance.wasm.decode import decode
from conformance.wasm.errors import UnknownIndexError
from conformance.wasm.items import FunctionType
from conformance.wasm.module import ExportedGlobal, Module
from conformance.wasm.opcodes import PROPOSALS


def module(text: str) -> Module:
    """
    Assemble and decode.
    """
    return decode(wat(text))


@pytest.mark.parametrize("name", PROPOSALS)
def test_a_sample_of_a_proposal_needs_it(name: str) -> None:
    found = decode(samples()[name])
    assert name in found.proposals
    assert set(found.proposals) <= {name, "bulk-memory"}
    assert 8 <= found.needs[name] < len(found.binary)


@pytest.mark.parametrize("name", ["empty", "mvp", "floats", "imports", "names"])
def test_a_sample_of_the_mvp_needs_nothing(name: str) -> None:
    assert decode(samples()[name]).proposals == ()


@pytest.mark.parametrize(
    ("text", "proposal"),
    [
        ('(module (import "a" "g" (global (mut i32))))', "mutable-global"),
        ("(module (func (result i32 i32) unreachable))", "multi-value"),
        ("(module (func (block (param i32) drop) (drop)))", "multi-value"),
        ("(module (func (param v128)))", "simd"),
        ("(module (func (local v128)))", "simd"),
        ("(module (func (drop (block (result v128) unreachable))))", "simd"),
        ("(module (global v128 (v128.const i64x2 0 0)))", "simd"),
        ("(module (func (local externref)))", "reference-types"),
        ("(module (func (drop (block (result funcref) unreachable))))", "reference-types"),
        ("(module (table 1 funcref) (table 1 funcref))", "reference-types"),
        ('(module (import "a" "t" (table 1 externref)))', "reference-types"),
        ("(module (global funcref (ref.null func)))", "reference-types"),
        ("(module (func $f) (elem declare func $f))", "reference-types"),
        ('(module (data "a"))', "bulk-memory"),
        ("(module (func $f) (elem func $f))", "bulk-memory"),
        ("(module (func (drop (select (result i32) (unreachable)))))", "reference-types"),
    ],
)
def test_each_way_to_need_a_proposal(text: str, proposal: str) -> None:
    assert proposal in module(text).proposals


def test_a_private_mutable_global_needs_nothing() -> None:
    assert module("(module (global (mut i32) (i32.const 0)))").proposals == ()


def test_a_table_index_of_five_bytes_needs_reference_types() -> None:
    def calls(table: bytes) -> Module:
        entry = b"\0\x41\0\x11\0" + table + b"\x0b"
        return decode(
            HEADER
            + section(1, b"\1\x60\0\0")
            + section(3, b"\1\0")
            + section(4, b"\1\x70\0\1")
            + section(10, b"\1" + bytes([len(entry)]) + entry)
        )

    assert calls(b"\0").proposals == ()
    assert calls(b"\x80\x80\x80\x80\0").proposals == ("reference-types",)


def test_data_count_alone_needs_bulk_memory() -> None:
    found = decode(HEADER + section(12, b"\0") + section(11, b"\0"))
    assert found.needs == {"bulk-memory": 8}


# ---------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("text", "grows"),
    [
        ("(module)", False),
        ("(module (memory 1))", False),
        ("(module (memory 1) (func (drop (memory.grow (i32.const 1)))))", True),
        ('(module (import "a" "m" (memory 1)))', True),
        ('(module (import "a" "f" (func)) (memory 1))', True),
        ('(module (import "a" "g" (global i32)) (memory 1))', False),
    ],
)
def test_growth(text: str, grows: bool) -> None:  # noqa: FBT001 - a table
    assert module(text).grows is grows


@pytest.mark.parametrize(
    ("text", "stateful"),
    [
        ("(func)", False),
        ('(global i32 (i32.const 1)) (func (export "f"))', False),
        ("(table 2 funcref) (func (call_indirect (i32.const 0)))", False),
        ("(memory 0)", True),
        ("(global (mut i32) (i32.const 1))", True),
        ("(table 2 funcref) (func (table.set (i32.const 0) (ref.null func)))", True),
        ("(table 2 funcref) (elem func) (func (elem.drop 0))", True),
        ('(import "m" "f" (func))', True),
    ],
)
def test_what_can_keep_something_between_calls(text: str, stateful: bool) -> None:  # noqa: FBT001 - a table
    assert module(text).stateful is stateful


def test_memory_limits() -> None:
    assert module("(module)").memory_limits is None
    assert module("(module (memory 3))").memory_limits == (3, None)
    assert module('(module (import "a" "m" (memory 1 9)))').memory_limits == (1, 9)


# --------------------------------------------------------------------------------- instructions


def test_float_constants_are_bits() -> None:
    found = decode(samples()["floats"])
    assert found.float_constants("f64") == {0x7FF8000000000001, 1, 0x7FF0000000000000}
    assert found.float_constants("f32") == {0x80000000, 0x7FA00000, 0x3F800000}


def test_lanes_of_v128_constants_are_asked_for() -> None:
    found = decode(samples()["simd"])
    assert found.float_constants("f64") == set()
    assert found.float_constants("f64", lanes=True) == {
        7, 9, 0x3FF8000000000000, 0xC000000000000000, 0x200000001, 0x400000003,
    }  # fmt: skip
    assert {1, 2, 3, 4, 7, 9, 0, 0x3FF80000} <= found.float_constants("f32", lanes=True)


def test_operators_are_counted() -> None:
    found = decode(samples()["floats"])
    assert found.float_operators == ("f32.lt", "f32.sqrt", "f64.add")
    assert {name: use.count for name, use in found.operators.items()} == {
        "end": 3, "f32.const": 3, "f64.const": 2, "f32.lt": 1, "f32.sqrt": 1, "f64.add": 1,
    }  # fmt: skip
    use = found.operators["f64.add"]
    assert found.binary[use.first_offset] == use.opcode.code
    assert decode(samples()["empty"]).operators == {}


# ------------------------------------------------------------------------------ names and indices


def test_functions_are_called_by_their_best_name() -> None:
    found = decode(samples()["names"])
    assert found.function_name(0) == "function 0 (alpha)"
    found = module('(module (import "a" "f" (func)) (func) (func (export "e")))')
    assert [found.function_name(index) for index in range(4)] == [
        "function 0 (a.f)", "function 1", "function 2 (e)", "function 3",
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"\1\x05\1\0", b"\1\4\1\0\1\xff", b"\1\xff", b"\1\2\x7f\0"])
def test_a_spoilt_name_section_is_no_fault(content: bytes) -> None:
    base = wat('(module (func (export "e")))')
    found = decode(base + section(0, b"\4name" + content))
    assert found.function_name(0) == "function 0 (e)"


def test_indices_beyond_the_last_have_an_error_of_their_own() -> None:
    found = decode(HEADER + section(1, b"\1\x60\0\0") + section(2, b"\1\1a\1b\0\x05"))
    with pytest.raises(UnknownIndexError, match="type 5"):
        found.function_type(0)
    for index in (1, -1):
        with pytest.raises(UnknownIndexError, match="no function"):
            found.function_type(index)
    assert module("(module (func (param f32)))").function_type(0) == FunctionType(("f32",), ())


def test_exports_are_found_by_name() -> None:
    found = module('(module (func) (func (export "a")) (memory (export "b") 1))')
    exported = found.exported("a")
    assert exported is not None
    assert (exported.kind, exported.index) == ("function", 1)
    assert found.exported("c") is None


def test_exported_globals_are_those_that_show_as_bits() -> None:
    found = module("""(module (global (export "a") i32 (i32.const 1))
        (global (export "b") (mut f64) (f64.const 1))
        (global (export "c") v128 (v128.const i64x2 0 0))
        (global (export "d") funcref (ref.null func)) (global (mut i64) (i64.const 1)))""")
    assert found.exported_globals == (
        ExportedGlobal("a", "i32", mutable=False),
        ExportedGlobal("b", "f64", mutable=True),
    )


def test_a_module_is_named_by_its_bytes() -> None:
    assert decode(HEADER).sha256 == (
        "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476"
    )
    assert decode(HEADER + section(0, b"\0")).sha256 != decode(HEADER).sha256
