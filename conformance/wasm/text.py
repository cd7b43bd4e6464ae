"""
Prints modules in the text format, flat, a line for each instruction.

What it prints assembles to the same items and instructions, NaN payloads included. Not kept is
how numbers were encoded; custom sections are comments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from conformance.wasm.body import Function
from conformance.wasm.instructions import BlockType, Instruction, Labels, MemArg
from conformance.wasm.items import (
    Data,
    Element,
    Export,
    Expression,
    FunctionImport,
    FunctionType,
    GlobalType,
    Import,
    Limits,
    LocalRun,
    MemoryType,
    TableType,
)
from conformance.wasm.literals import float_literal, string, vector_literal
from conformance.wasm.module import Module

_DEEPEST: Final = 24
"""Blocks beyond this depth are indented no further: nesting must not make text quadratic."""
_CHUNK: Final = 2048
"""Bytes of a data segment on one line."""


def wat(module: Module) -> str:
    """
    The whole of a valid *module* as one text.
    """
    return "\n".join(lines(module)) + "\n"


def lines(module: Module) -> Iterator[str]:
    """
    The lines of the text, made one by one: the text is several times as large as the binary.
    """
    yield "(module"
    for index, item in enumerate(module.types):
        yield f"  (type (;{index};) (func{_signature(item.type)}))"
    yield from _imports(module)
    yield from _own(module)
    for export in module.exports:
        yield f"  {_export(export)}"
    if module.start is not None:
        yield f"  (start {module.start.function})"
    for index, segment in enumerate(module.elements):
        yield f"  {_element(index, segment)}"
    for function in module.functions:
        yield from function_lines(module, function, "  ")
    for index, data in enumerate(module.data):
        yield from _data(index, data, module.binary)
    for custom in module.customs:
        name = string(custom.name.encode())
        yield f"  ;; custom section {name}, {custom.content.size} bytes"
    yield ")"


def function_lines(module: Module, function: Function, indent: str = "") -> Iterator[str]:
    """
    One function with its instructions, those inside blocks indented further.
    """
    own = module.function_type(function.index)
    head = f"{indent}(func (;{function.index};) (type {function.type_index}){_signature(own)}"
    yield head + _note(module, function.index)
    runs = [run for run in function.body.locals if run.count]
    if runs:
        yield f"{indent}  {' '.join(map(_locals, runs))}"
    depth = 0
    last = len(function.body) - 1
    for place, instruction in enumerate(function.body):
        name = instruction.opcode.name
        if place == last:
            break
        depth -= name in ("end", "else")
        note = ""
        if name == "call":
            note = _note(module, cast("int", instruction.immediates[0]))
        margin = "  " * min(depth, _DEEPEST)
        yield f"{indent}  {margin}{instruction_text(instruction)}{note}"
        depth += name in ("block", "loop", "if", "else")
    yield f"{indent})"


def _note(module: Module, function: int) -> str:
    """
    A comment with a function's name; in ASCII, because assemblers refuse some other characters.
    """
    _, _, name = module.function_name(function).partition(" (")
    return f" ;; {string(name.removesuffix(')').encode())[1:-1]}" if name else ""


# --------------------------------------------------------------------------------- instructions


def instruction_text(instruction: Instruction) -> str:
    """
    One instruction in the flat form, labels and indices as numbers: `f64.const 0x1.8p+0`.
    """
    name = instruction.opcode.name
    parts = [_NAMES.get(name, name)]
    values = list(instruction.immediates)
    if name == "call_indirect":
        values.reverse()
    if name in ("table.init", "memory.init"):
        values = values[::-1] if name == "table.init" else values[:1]
    for kind, value in zip(_KINDS.get(name, instruction.opcode.immediates), values, strict=True):
        text = _immediate(kind, value, instruction)
        if text:
            parts.append(text)
    return " ".join(parts)


_NAMES: Final = {"select_t": "select"}
_KINDS: Final = {
    "call_indirect": ("table", "type"),
    "table.init": ("table", "element"),
    "memory.init": ("data",),
}
"""Immediates in the order of the text, where it is another than that of the binary."""

_WRITE: Final[dict[str, Callable[[Any], str]]] = {
    "f32": lambda value: float_literal(value, "f32"),
    "f64": lambda value: float_literal(value, "f64"),
    "v128": vector_literal,
    "memory": lambda _: "",
    "type": lambda value: f"(type {value})",
    "heap": lambda value: value.removesuffix("ref"),
    "types": lambda value: f"(result {' '.join(value)})",
    "lanes": lambda value: " ".join(map(str, value)),
}


def _immediate(kind: str, value: Any, instruction: Instruction) -> str:
    """
    One immediate; empty where the text format has nothing.
    """
    if kind == "block":
        return _block(value)
    if kind == "memarg":
        return _memarg(value, instruction.opcode.alignment)
    if kind == "labels":
        labels: Labels = value
        return " ".join(map(str, (*labels.labels, labels.default)))
    return _WRITE.get(kind, str)(value)


def _block(block: BlockType) -> str:
    if isinstance(block, int):
        return f"(type {block})"
    return "" if block == "empty" else f"(result {block})"


def _memarg(access: MemArg, natural: int | None) -> str:
    parts = [f"offset={access.offset}"] if access.offset else []
    if access.alignment != natural:
        parts.append(f"align={1 << access.alignment}")
    return " ".join(parts)


# ---------------------------------------------------------------------------------------- items


def _signature(described: FunctionType) -> str:
    parts = [("param", described.parameters), ("result", described.results)]
    return "".join(f" ({word} {' '.join(types)})" for word, types in parts if types)


def _locals(run: LocalRun) -> str:
    return f"(local {' '.join([run.type] * run.count)})"


def _limits(described: Limits) -> str:
    most = "" if described.maximum is None else f" {described.maximum}"
    return f"{described.minimum}{most}"


def _table(described: TableType) -> str:
    return f"{_limits(described.limits)} {described.element}"


def _global(described: GlobalType) -> str:
    return f"(mut {described.type})" if described.mutable else described.type


def _expression(expression: Expression) -> str:
    return " ".join(map(instruction_text, expression.instructions))


def _imports(module: Module) -> Iterator[str]:
    counts = {"function": 0, "table": 0, "memory": 0, "global": 0}
    for item in module.imports:
        index = counts[item.kind]
        counts[item.kind] += 1
        names = f"{string(item.module.encode())} {string(item.name.encode())}"
        yield f"  (import {names} {_extern(item, index)})"


def _own(module: Module) -> Iterator[str]:
    """
    Tables, memories and globals that are not imported.
    """
    for index, table in enumerate(module.tables, len(module.table_types) - len(module.tables)):
        yield f"  (table (;{index};) {_table(table.type)})"
    for index, memory in enumerate(
        module.memories, len(module.memory_types) - len(module.memories)
    ):
        yield f"  (memory (;{index};) {_limits(memory.type.limits)})"
    for index, own in enumerate(module.globals, len(module.global_types) - len(module.globals)):
        yield f"  (global (;{index};) {_global(own.type)} {_expression(own.initialiser)})"


def _extern(item: Import, index: int) -> str:
    match item.type:
        case FunctionImport(type_index):
            return f"(func (;{index};) (type {type_index}))"
        case TableType() as table:
            return f"(table (;{index};) {_table(table)})"
        case MemoryType(limits):
            return f"(memory (;{index};) {_limits(limits)})"
        case GlobalType() as found:
            return f"(global (;{index};) {_global(found)})"


def _export(export: Export) -> str:
    kind = "func" if export.kind == "function" else export.kind
    return f"(export {string(export.name.encode())} ({kind} {export.index}))"


def _element(index: int, segment: Element) -> str:
    parts = [f"(elem (;{index};)"]
    if segment.mode == "declarative":
        parts.append("declare")
    if segment.offset is not None:
        if segment.table or segment.flags & 2:
            parts.append(f"(table {segment.table})")
        parts.append(f"(offset {_expression(segment.offset)})")
    if segment.flags & 4:
        parts.append(segment.type)
        parts += [f"(item {_expression(item)})" for item in segment.expressions]
    else:
        parts += ["func", *map(str, segment.functions)]
    return " ".join(parts) + ")"


def _data(index: int, segment: Data, binary: bytes) -> Iterator[str]:
    head = f"  (data (;{index};)"
    if segment.offset is not None:
        memory = f" (memory {segment.memory})" if segment.memory else ""
        head += f"{memory} (offset {_expression(segment.offset)})"
    yield head
    for start in range(segment.content.start, segment.content.end, _CHUNK):
        yield f"    {string(binary[start : min(start + _CHUNK, segment.content.end)])}"
    yield "  )"
