"""
Whether a well-formed module is valid: types, indices, limits, initialisers, bodies.

Source: core specification 2.0, chapter 3 (validation).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.wasm.check_body import check_body
from conformance.wasm.checker import Context
from conformance.wasm.errors import BadModuleError, unsupported
from conformance.wasm.items import (
    Element,
    Expression,
    FunctionImport,
    GlobalType,
    Limits,
    MemoryType,
    TableType,
)
from conformance.wasm.limits import MOST_PAGES, check_limits
from conformance.wasm.opcodes import ValType
from conformance.wasm.parts import Parts

_CONSTANT_TYPES: Final[dict[str, ValType]] = {
    "i32.const": "i32",
    "i64.const": "i64",
    "f32.const": "f32",
    "f64.const": "f64",
    "v128.const": "v128",
    "ref.func": "funcref",
}


def validate(module: Parts) -> None:
    """
    Raise BadModuleError for the first rule of validation that *module* breaks.

    Sizes that the specification allows and engines refuse have rules that begin with `limit-`.
    """
    check_limits(module)
    _check_types(module)
    _check_sizes(module)
    _check_globals(module)
    _check_exports(module)
    _check_start(module)
    _check_elements(module)
    _check_data(module)
    context = Context(module, frozenset(_declared(module)))
    for function in module.functions:
        check_body(context, function)


def _unknown(what: str, index: int, count: int, offset: int) -> BadModuleError:
    message = f"there is no {what} {index}, the module has {count}"
    return BadModuleError(f"unknown-{what.replace(' ', '-')}", offset, message)


def _check_types(module: Parts) -> None:
    uses = [
        (item.type.type_index, item.span.start)
        for item in module.imports
        if isinstance(item.type, FunctionImport)
    ]
    uses += [(function.type_index, function.declared.start) for function in module.functions]
    for index, offset in uses:
        if index >= len(module.types):
            raise _unknown("type", index, len(module.types), offset)


def _check_sizes(module: Parts) -> None:
    sized = [(item.type, item.span) for item in module.imports]
    sized += [(table.type, table.span) for table in module.tables]
    sized += [(memory.type, memory.span) for memory in module.memories]
    memories = 0
    for described, span in sized:
        if isinstance(described, TableType):
            _check_limits(described.limits, "table", span.start)
        elif isinstance(described, MemoryType):
            memories += 1
            if memories > 1:
                raise unsupported("multi-memory", span.start, "a second memory")
            _check_limits(described.limits, "memory", span.start)


def _check_limits(limits: Limits, what: str, offset: int) -> None:
    minimum, maximum = limits.minimum, limits.maximum
    if maximum is not None and minimum > maximum:
        message = f"the {what}'s minimum {minimum} is greater than its maximum {maximum}"
        raise BadModuleError("bad-limits", offset, message)
    most = max(minimum, maximum or 0)
    if what == "memory" and most > MOST_PAGES:
        message = f"the memory may have {most} pages, more than the {MOST_PAGES} of 4 GiB"
        raise BadModuleError("too-many-pages", offset, message)


# ---------------------------------------------------------------------------------- initialisers


def _check_constant(module: Parts, expression: Expression, wanted: ValType) -> None:
    """
    Exactly one constant instruction, of the type *wanted*.
    """
    if len(expression.instructions) != 1:
        count = len(expression.instructions)
        message = f"an initialiser holds {count} constants, where it must hold one"
        raise BadModuleError("initialiser-type", expression.span.start, message)
    (instruction,) = expression.instructions
    name, value = instruction.opcode.name, instruction.immediates[0]
    found = _CONSTANT_TYPES.get(name)
    if name == "ref.null":
        found = "externref" if value == "externref" else "funcref"
    elif name == "global.get" and isinstance(value, int):
        found = _constant_global(module, value, instruction.offset).type
    elif name == "ref.func" and isinstance(value, int) and value >= len(module.function_types):
        raise _unknown("function", value, len(module.function_types), instruction.offset)
    if found != wanted:
        message = f"an initialiser gives {found}, where {wanted} is wanted"
        raise BadModuleError("initialiser-type", instruction.offset, message)


def _constant_global(module: Parts, index: int, offset: int) -> GlobalType:
    imported = len(module.global_types) - len(module.globals)
    if index >= imported:
        message = (
            f"an initialiser reads global {index}; it may read imported globals, "
            f"of which there are {imported}"
        )
        raise BadModuleError("constant-expression", offset, message)
    found = module.global_types[index]
    if found.mutable:
        message = f"an initialiser reads global {index}, which is mutable"
        raise BadModuleError("constant-expression", offset, message)
    return found


def _check_globals(module: Parts) -> None:
    for own in module.globals:
        _check_constant(module, own.initialiser, own.type.type)


# ------------------------------------------------------------------------------- exports, start


def _check_exports(module: Parts) -> None:
    counts = {
        "function": len(module.function_types),
        "table": len(module.table_types),
        "memory": len(module.memory_types),
        "global": len(module.global_types),
    }
    seen: set[str] = set()
    for export in module.exports:
        if export.name in seen:
            message = f"a second export is called {export.name!r}"
            raise BadModuleError("duplicate-export", export.span.start, message)
        seen.add(export.name)
        if export.index >= counts[export.kind]:
            raise _unknown(export.kind, export.index, counts[export.kind], export.span.start)


def _check_start(module: Parts) -> None:
    start = module.start
    if start is None:
        return
    count = len(module.function_types)
    if start.function >= count:
        raise _unknown("function", start.function, count, start.span.start)
    found = module.function_type(start.function)
    if found.parameters or found.results:
        name = module.function_name(start.function)
        message = f"the start {name} has the type {found}, it must have () -> ()"
        raise BadModuleError("start-type", start.span.start, message)


# -------------------------------------------------------------------------------------- segments


def _check_elements(module: Parts) -> None:
    for segment in module.elements:
        if segment.offset is not None:
            _check_active(module, segment, segment.offset)
        for index in segment.functions:
            if index >= len(module.function_types):
                raise _unknown("function", index, len(module.function_types), segment.span.start)
        for expression in segment.expressions:
            _check_constant(module, expression, segment.type)


def _check_active(module: Parts, segment: Element, offset: Expression) -> None:
    tables = module.table_types
    if segment.table >= len(tables):
        raise _unknown("table", segment.table, len(tables), segment.span.start)
    if tables[segment.table].element != segment.type:
        message = (
            f"a segment of {segment.type} is for table {segment.table}, "
            f"which holds {tables[segment.table].element}"
        )
        raise BadModuleError("segment-type", segment.span.start, message)
    _check_constant(module, offset, "i32")


def _check_data(module: Parts) -> None:
    for segment in module.data:
        if segment.offset is not None:
            if segment.memory >= len(module.memory_types):
                count = len(module.memory_types)
                raise _unknown("memory", segment.memory, count, segment.span.start)
            _check_constant(module, segment.offset, "i32")


def _declared(module: Parts) -> Iterator[int]:
    """
    Functions that occur outside of bodies: only to them may a body take a reference.
    """
    expressions = [own.initialiser for own in module.globals]
    for segment in module.elements:
        yield from segment.functions
        expressions += segment.expressions
    for export in module.exports:
        if export.kind == "function":
            yield export.index
    for expression in expressions:
        for instruction in expression.instructions:
            value = instruction.immediates[0]
            if instruction.opcode.name == "ref.func" and isinstance(value, int):
                yield value
