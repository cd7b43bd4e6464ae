"""
The text of a module assembles to the same module, by another assembler.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest
from wasm_mutants import body_mutants
from wasm_samples import body_module, samples, section, wat

from conformance.wasm.decode import decode, validated
from conformance.wasm.encode_items import instruction
from conformance.wasm.errors import BadModuleError
from conformance.wasm.items import Expression
from conformance.wasm.literals import float_literal, string
from conformance.wasm.module import Module
from conformance.wasm.opcodes import BY_NAME, OPCODES
from conformance.wasm.text import instruction_text, lines
from conformance.wasm.text import wat as text_of

_ROOT = Path(__file__).parents[3]
_SHIPPED = sorted(path.relative_to(_ROOT) for path in (_ROOT / "vectors").rglob("*.wasm"))


def _expression(expression: Expression | None) -> list[Any] | None:
    if expression is None:
        return None
    return [(i.opcode.name, i.immediates) for i in expression.instructions]


def meaning(module: Module) -> dict[str, Any]:
    """
    All that engines see of a module, however its numbers are encoded.
    """
    binary = module.binary
    return {
        "types": [item.type for item in module.types],
        "imports": [(item.module, item.name, item.type) for item in module.imports],
        "functions": [function.type_index for function in module.functions],
        "tables": [table.type for table in module.tables],
        "memories": [memory.type for memory in module.memories],
        "globals": [(own.type, _expression(own.initialiser)) for own in module.globals],
        "exports": [(export.name, export.kind, export.index) for export in module.exports],
        "start": module.start and module.start.function,
        "elements": [
            (s.mode, s.table, _expression(s.offset), s.type, s.functions,
             list(map(_expression, s.expressions)))
            for s in module.elements
        ],
        "data": [
            (s.mode, s.memory, _expression(s.offset), binary[s.content.start : s.content.end])
            for s in module.data
        ],
        "locals": [
            [run.type for run in function.body.locals for _ in range(run.count)]
            for function in module.functions
        ],
        "code": [[(i.opcode.code, i.immediates) for i in f.body] for f in module.functions],
    }  # fmt: skip


def _same(data: bytes) -> bool:
    module = validated(data)
    again = decode(wat(text_of(module)))
    return meaning(module) == meaning(again)


@pytest.mark.parametrize("name", sorted(samples()))
def test_samples_come_back(name: str) -> None:
    assert _same(samples()[name])


@pytest.mark.parametrize("path", _SHIPPED, ids=str)
def test_shipped_modules_come_back(path: Path) -> None:
    assert _same((_ROOT / path).read_bytes())


def test_made_bodies_come_back() -> None:
    valid = []
    for data in body_mutants(11, 600):
        try:
            validated(data)
        except BadModuleError:
            continue
        valid.append(data)
    assert len(valid) > 150
    assert all(map(_same, valid))


def test_the_comparison_notices_one_bit() -> None:
    module = validated(body_module(instruction("f64.const", 0x7FF8000000000001) + b"\x1a\x0b"))
    text = text_of(module).replace("nan:0x8000000000001", "nan:0x8000000000002")
    assert meaning(decode(wat(text))) != meaning(module)


_SPECIAL = (
    0x7FF8 << 48, 0xFFF8 << 48, (0x7FF0 << 48) + 1, (1 << 64) - 1, 1, 1 << 63, 0x7FF0 << 48,
    0xFFF0 << 48, 0x000F_FFFF_FFFF_FFFF, 0x0010_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF,
)  # fmt: skip


def test_every_float_keeps_its_bits() -> None:
    draw = random.Random(7)  # noqa: S311 - a reproducible choice, no secret
    doubles = [*_SPECIAL, *(draw.getrandbits(64) for _ in range(500))]
    singles = [bits >> 32 for bits in doubles] + [0x7FC00000, 0x7F800001, 0xFFC00000, 1]
    code = b"".join(
        [instruction("f64.const", bits) + b"\x1a" for bits in doubles]
        + [instruction("f32.const", bits) + b"\x1a" for bits in singles]
    )
    assert _same(body_module(code + b"\x0b"))


def test_floats_are_hexadecimal_and_nans_have_payloads() -> None:
    half = struct.unpack("<Q", struct.pack("<d", -0.5))[0]
    assert float_literal(half, "f64") == "-0x1.0000000000000p-1"
    assert float_literal(0x7FF8 << 48, "f64") == "nan"
    assert float_literal(0xFFC0_0001, "f32") == "-nan:0x400001"
    assert float_literal(0x7F80_0001, "f32") == "nan:0x1"
    assert float_literal(0xFF80_0000, "f32") == "-inf"


def test_strings_are_ascii_whatever_their_bytes() -> None:
    assert string(b'a"b\\\x00\xff\n') == '"a\\22b\\5c\\00\\ff\\0a"'
    data = b"\0asm\1\0\0\0" + section(5, b"\1\0\0") + section(
        7, b"\1" + bytes([4]) + "\u202e;".encode() + b"\2\0"
    )  # fmt: skip
    assert text_of(validated(data)).isascii()
    assert _same(data)


def test_every_operator_has_its_name_in_the_assembler() -> None:
    """
    Also where immediates stand in another order than in the binary.
    """
    sample = {
        "label": 0, "function": 0, "type": 0, "table": 0, "local": 0, "global": 0, "data": 0,
        "element": 0, "i32": -5, "i64": 1 << 40, "f32": 1, "f64": 2, "v128": 3, "memory": 0,
        "lane": 1, "lanes": tuple(range(16)), "heap": "externref", "types": ("f64",),
    }  # fmt: skip
    skipped = {"block", "loop", "if", "else", "end", "br_table"}
    simple = [o for o in OPCODES.values() if o.name not in skipped and "memarg" not in o.immediates]
    for opcode in simple:
        raw = instruction(opcode.name, *(sample[kind] for kind in opcode.immediates))  # type: ignore[arg-type]
        (made, *_) = decode(body_module(raw + b"\x0b")).functions[0].body if opcode.name not in (
            "memory.init", "data.drop"
        ) else _with_count(raw).functions[0].body  # fmt: skip
        text = f"(module (type (func)) (func {instruction_text(made)}))"
        if opcode.name in ("memory.init", "data.drop"):
            text = f'(module (type (func)) (func {instruction_text(made)}) (data ""))'
        again = decode(wat(text)).functions[0].body[0]
        assert (again.opcode, again.immediates) == (made.opcode, made.immediates)


def _with_count(raw: bytes) -> Module:
    head, _, code = body_module(raw + b"\x0b").partition(b"\3\2\1\0")
    return decode(head + b"\3\2\1\0" + section(12, b"\1") + code + section(11, b"\1\1\0"))


def test_text_of_deep_nesting_is_not_quadratic() -> None:
    depth = 20_000
    module = decode(body_module(b"\2\x40" * depth + b"\x0b" * (depth + 1)))
    assert max(map(len, lines(module))) < 100


def test_calls_and_functions_bear_their_names() -> None:
    text = text_of(validated(wat('(module (func (export "f") call $g) (func $g))')))
    assert "(func (;0;) (type 0) ;; f" in text
    assert "call 1 ;; g" in text
    assert BY_NAME["select_t"].name not in text
