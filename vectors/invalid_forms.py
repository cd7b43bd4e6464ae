"""
The 21 forms of invalid modules that engines have been seen to take, as bytes of our own encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance.wasm import encode_items as write
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.instructions import MemArg
from conformance.wasm.items import FunctionType, GlobalType, Limits, MemoryType
from conformance.wasm.opcodes import ValType
from conformance.wasm.outline import MAGIC, SECTIONS, VERSION

_NUMBERS: Final = {name: number for number, name in SECTIONS.items()}
_ONE_PAGE: Final = write.memory_type(MemoryType(Limits(1, None)))
END: Final = write.END


def module(sections: Mapping[str, list[bytes]]) -> bytes:
    """
    A file of these sections, by name a list of items each.
    """
    parts = [MAGIC, VERSION]
    for name in SECTIONS.values():
        items = sections.get(name)
        if items is not None:
            payload = items[0] if name == "start" else write.vector(items)
            parts.append(bytes([_NUMBERS[name]]) + write.unsigned(len(payload)) + payload)
    return b"".join(parts)


def function(
    *code: bytes,
    parameters: tuple[ValType, ...] = (),
    results: tuple[ValType, ...] = (),
    sections: Mapping[str, list[bytes]] | None = None,
) -> bytes:
    """
    A module whose one function has this type and body, and whatever else is given.
    """
    described = write.function_type(FunctionType(parameters, results))
    body = write.body([], [*code, END])
    own = {"type": [described], "function": [write.unsigned(0)], "code": [body]}
    return module({**own, **(sections or {})})


def _good() -> bytes:
    """
    A valid module, whose bytes the last four forms damage.
    """
    return function(
        op("f64.const", 0x3FF8 << 48),
        results=("f64",),
        sections={"memory": [_ONE_PAGE], "export": [write.name("f") + b"\0\0"]},
    )


def _ill_typed_call() -> bytes:
    types = [write.function_type(FunctionType(kinds, ())) for kinds in ((), ("f64",))]
    bodies = [write.body([], [op("i32.const", 1), op("call", 1), END]), write.body([], [END])]
    return module(
        {"type": types, "function": [write.unsigned(0), write.unsigned(1)], "code": bodies}
    )


def _global(kind: GlobalType, *code: bytes) -> bytes:
    return write.global_type(kind) + b"".join(code) + END


_CONSTANT: Final = GlobalType("i32", mutable=False)
_EXPORT: Final = write.name("a") + b"\0\0"

FORMS: Final[dict[str, tuple[bytes, str]]] = {
    "result of another type": (
        function(op("i64.const", 1), results=("i32",)),
        "type-mismatch",
    ),
    "operand missing": (function(op("i32.add"), op("drop")), "stack-underflow"),
    "value left over": (function(op("i32.const", 1)), "leftover-values"),
    "unknown local": (function(op("local.get", 3), op("drop")), "unknown-local"),
    "unknown function": (function(op("call", 7)), "unknown-function"),
    "unknown label": (function(op("br", 4)), "unknown-label"),
    "call with another type": (_ill_typed_call(), "type-mismatch"),
    "load without memory": (
        function(op("i32.const", 0), op("i32.load", MemArg(2, 0)), op("drop")),
        "unknown-memory",
    ),
    "over-aligned load": (
        function(
            op("i32.const", 0),
            op("i32.load", MemArg(3, 0)),
            op("drop"),
            sections={"memory": [_ONE_PAGE]},
        ),
        "over-aligned",
    ),
    "write to a constant global": (
        function(
            op("i32.const", 2),
            op("global.set", 0),
            sections={"global": [_global(_CONSTANT, op("i32.const", 1))]},
        ),
        "immutable-global",
    ),
    "two exports of one name": (
        function(sections={"export": [_EXPORT, _EXPORT]}),
        "duplicate-export",
    ),
    "65,537 pages": (
        module({"memory": [write.memory_type(MemoryType(Limits(65_537, None)))]}),
        "too-many-pages",
    ),
    "minimum over maximum": (
        module({"memory": [write.memory_type(MemoryType(Limits(3, 2)))]}),
        "bad-limits",
    ),
    "start with a parameter": (
        function(parameters=("i32",), sections={"start": [write.unsigned(0)]}),
        "start-type",
    ),
    "initialiser that computes": (
        module({"global": [_global(_CONSTANT, op("i32.const", 1), op("i32.popcnt"))]}),
        "constant-expression",
    ),
    "if without else": (
        function(op("i32.const", 1), op("if", "i32"), op("i32.const", 2), END, results=("i32",)),
        "if-without-else",
    ),
    "select of two types": (
        function(
            op("i32.const", 1), op("i64.const", 2), op("i32.const", 0), op("select"), op("drop")
        ),
        "type-mismatch",
    ),
    "byte after the end": (_good() + b"\0", "truncated"),
    "version 2": (_good()[:4] + b"\2" + _good()[5:], "wrong-version"),
    "cut off": (_good()[:-3], "truncated"),
    "LEB128 of six bytes": (
        MAGIC + VERSION + b"\1\x84\x80\x80\x80\x80\0\1\x60\0\0",
        "leb-too-long",
    ),
}
"""Form -> bytes, and the rule that they break."""
