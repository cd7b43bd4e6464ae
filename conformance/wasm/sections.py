"""
Reads the content of each section but the code section.

Source: core specification 2.0, section 5.5 (modules), 5.3 (types).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from conformance.wasm.errors import BadModuleError, unsupported
from conformance.wasm.instructions import (
    Instruction,
    read_instruction,
    read_reference_type,
    read_value_type,
)
from conformance.wasm.items import (
    Data,
    Element,
    Export,
    Expression,
    ExternKind,
    FunctionImport,
    FunctionType,
    Global,
    GlobalType,
    Import,
    ImportType,
    Limits,
    Memory,
    MemoryType,
    Span,
    Start,
    Table,
    TableType,
    TypeItem,
)
from conformance.wasm.opcodes import ValType
from conformance.wasm.reader import Reader

_Item = TypeVar("_Item")

_KINDS: tuple[ExternKind, ...] = ("function", "table", "memory", "global")
_CONSTANT = frozenset(f"{name}.const" for name in ("i32", "i64", "f32", "f64", "v128")) | {
    "ref.null",
    "ref.func",
    "global.get",
}
_EXTENDED = frozenset(f"{t}.{op}" for t in ("i32", "i64") for op in ("add", "sub", "mul"))


def whole(reader: Reader, read: Callable[[Reader], _Item]) -> _Item:
    """
    What *read* makes of a section; raises BadModuleError when bytes are left over.
    """
    result = read(reader)
    if reader.left:
        left = f"{reader.left} byte{'' if reader.left == 1 else 's'}"
        message = f"{reader.place} has {left} after its last item"
        raise BadModuleError("section-size", reader.position, message)
    return result


def vector(
    reader: Reader, what: str, item_bytes: int, read: Callable[[Reader], _Item]
) -> tuple[_Item, ...]:
    """
    A count and that many items, none of which is shorter than *item_bytes*.
    """
    return tuple([read(reader) for _ in range(reader.count(what, item_bytes))])


# ---------------------------------------------------------------------------------------- types

_COMPOSITE = {0x5F: "gc", 0x5E: "gc", 0x50: "gc", 0x4F: "gc", 0x4E: "gc", 0x5D: "stack-switching"}


def read_types(reader: Reader) -> tuple[TypeItem, ...]:
    """
    The type section.
    """
    return vector(reader, "types", 3, _type)


def _type(reader: Reader) -> TypeItem:
    start = reader.position
    form = reader.byte("the form of a type")
    if form in _COMPOSITE:
        raise unsupported(_COMPOSITE[form], start, f"the type form {form:#04x}")
    if form != 0x60:  # noqa: PLR2004 - the format's mark of a function type
        message = f"a type begins with {form:#04x}, where a function type has 0x60"
        raise BadModuleError("bad-type-form", start, message)
    parameters = vector(reader, "parameters", 1, lambda r: read_value_type(r, "a parameter type"))
    results = vector(reader, "results", 1, lambda r: read_value_type(r, "a result type"))
    return TypeItem(FunctionType(parameters, results), Span(start, reader.position))


def _limits(reader: Reader, what: str) -> Limits:
    offset = reader.position
    flags = reader.byte(f"the limits of {what}")
    if flags > 1:
        for bit, proposal in ((2, "threads"), (4, "memory64"), (8, "custom-page-sizes")):
            if flags & bit and flags < 0x10:  # noqa: PLR2004 - no proposal uses the higher bits
                raise unsupported(proposal, offset, f"the flag {bit} in the limits of {what}")
        message = f"the limits of {what} begin with {flags:#04x}, not with 0 or 1"
        raise BadModuleError("bad-limits", offset, message)
    minimum = reader.u32(f"the minimum of {what}")
    return Limits(minimum, reader.u32(f"the maximum of {what}") if flags else None)


def _table_type(reader: Reader) -> TableType:
    if reader.left and reader.data[reader.position] == 0x40:  # noqa: PLR2004 - format's mark
        raise unsupported("function-references", reader.position, "a table with an initialiser")
    element = read_reference_type(reader, "the element type of a table")
    return TableType(element, _limits(reader, "a table"))


def _memory_type(reader: Reader) -> MemoryType:
    return MemoryType(_limits(reader, "a memory"))


def _global_type(reader: Reader) -> GlobalType:
    value_type = read_value_type(reader, "the type of a global")
    offset = reader.position
    flag = reader.byte("the mutability of a global")
    if flag in (2, 3):
        raise unsupported("threads", offset, "a shared global")
    if flag > 1:
        message = f"the mutability of a global is {flag:#04x}, not 0 or 1"
        raise BadModuleError("bad-mutability", offset, message)
    return GlobalType(value_type, bool(flag))


# ------------------------------------------------------------------------------ what is visible


def read_imports(reader: Reader) -> tuple[Import, ...]:
    """
    The import section.
    """
    return vector(reader, "imports", 4, _import)


def _kind(reader: Reader, what: str) -> ExternKind:
    offset = reader.position
    byte = reader.byte(what)
    if byte < len(_KINDS):
        return _KINDS[byte]
    if byte == len(_KINDS):
        raise unsupported("exceptions", offset, "a tag")
    raise BadModuleError("bad-kind", offset, f"{what} is {byte:#04x}, not 0, 1, 2 or 3")


def _import(reader: Reader) -> Import:
    start = reader.position
    module = reader.name("the module of an import")
    name = reader.name("the name of an import")
    kind = _kind(reader, "the kind of an import")
    described: ImportType
    if kind == "function":
        described = FunctionImport(reader.u32("a type index"))
    elif kind == "table":
        described = _table_type(reader)
    elif kind == "memory":
        described = _memory_type(reader)
    else:
        described = _global_type(reader)
    return Import(module, name, described, Span(start, reader.position))


def read_exports(reader: Reader) -> tuple[Export, ...]:
    """
    The export section.
    """
    return vector(reader, "exports", 3, _export)


def _export(reader: Reader) -> Export:
    start = reader.position
    name = reader.name("the name of an export")
    kind = _kind(reader, "the kind of an export")
    index = reader.u32("the index of an export")
    return Export(name, kind, index, Span(start, reader.position))


def read_start(reader: Reader) -> Start:
    """
    The start section.
    """
    start = reader.position
    return Start(reader.u32("the start function"), Span(start, reader.position))


# -------------------------------------------------- functions, tables, memories and globals


def read_functions(reader: Reader) -> tuple[tuple[int, Span], ...]:
    """
    The function section: a type index for each function, and where it stands.
    """
    return vector(reader, "functions", 1, _function)


def _function(reader: Reader) -> tuple[int, Span]:
    start = reader.position
    return reader.u32("a type index"), Span(start, reader.position)


def read_tables(reader: Reader) -> tuple[Table, ...]:
    """
    The table section.
    """
    return vector(reader, "tables", 3, _table)


def _table(reader: Reader) -> Table:
    start = reader.position
    return Table(_table_type(reader), Span(start, reader.position))


def read_memories(reader: Reader) -> tuple[Memory, ...]:
    """
    The memory section.
    """
    return vector(reader, "memories", 2, _memory)


def _memory(reader: Reader) -> Memory:
    start = reader.position
    return Memory(_memory_type(reader), Span(start, reader.position))


def read_globals(reader: Reader) -> tuple[Global, ...]:
    """
    The global section.
    """
    return vector(reader, "globals", 3, _global)


def _global(reader: Reader) -> Global:
    start = reader.position
    described = _global_type(reader)
    initialiser = _expression(reader)
    return Global(described, initialiser, Span(start, reader.position))


def _expression(reader: Reader) -> Expression:
    start = reader.position
    found: list[Instruction] = []
    while (instruction := read_instruction(reader)).opcode.name != "end":
        name = instruction.opcode.name
        if name in _EXTENDED:
            raise unsupported("extended-const", instruction.offset, f"{name} in an initialiser")
        if name not in _CONSTANT:
            message = f"{name} cannot stand in an initialiser, which holds constants only"
            raise BadModuleError("constant-expression", instruction.offset, message)
        found.append(instruction)
    return Expression(tuple(found), Span(start, reader.position))


# ------------------------------------------------------------------------------------ segments

# Bits of an element segment's flags.
_NOT_ACTIVE = 1
_EXPLICIT = 2
_EXPRESSIONS = 4


def read_elements(reader: Reader) -> tuple[Element, ...]:
    """
    The element section.
    """
    return vector(reader, "element segments", 3, _element)


def _element(reader: Reader) -> Element:
    start = reader.position
    flags = reader.u32("the flags of an element segment")
    if flags > (_NOT_ACTIVE | _EXPLICIT | _EXPRESSIONS):
        message = f"an element segment has the flags {flags:#x}, which are not in 0..7"
        raise BadModuleError("bad-segment-flags", start, message)
    table, offset = 0, None
    if not flags & _NOT_ACTIVE:
        table = reader.u32("a table index") if flags & _EXPLICIT else 0
        offset = _expression(reader)
    element_type: ValType = "funcref"
    if flags & (_NOT_ACTIVE | _EXPLICIT):
        element_type = _element_type(reader, flags)
    functions: tuple[int, ...] = ()
    expressions: tuple[Expression, ...] = ()
    if flags & _EXPRESSIONS:
        expressions = vector(reader, "references", 2, _expression)
    else:
        functions = vector(reader, "references", 1, lambda r: r.u32("a function index"))
    inactive = "declarative" if flags & _EXPLICIT else "passive"
    return Element(
        inactive if flags & _NOT_ACTIVE else "active",  # type: ignore[arg-type]
        table,
        offset,
        element_type,
        functions,
        expressions,
        Span(start, reader.position),
        flags,
    )


def _element_type(reader: Reader, flags: int) -> ValType:
    if flags & _EXPRESSIONS:
        return read_reference_type(reader, "the type of an element segment")
    offset = reader.position
    kind = reader.byte("the kind of an element segment")
    if kind:
        message = f"an element segment has the kind {kind:#04x}, where only 0 (funcref) can be"
        raise BadModuleError("bad-kind", offset, message)
    return "funcref"


def read_data(reader: Reader) -> tuple[Data, ...]:
    """
    The data section.
    """
    return vector(reader, "data segments", 2, _data)


def _data(reader: Reader) -> Data:
    start = reader.position
    flags = reader.u32("the flags of a data segment")
    if flags > _EXPLICIT:
        message = f"a data segment has the flags {flags:#x}, which are not in 0..2"
        raise BadModuleError("bad-segment-flags", start, message)
    memory, offset = 0, None
    if flags != _NOT_ACTIVE:
        memory = reader.u32("a memory index") if flags == _EXPLICIT else 0
        offset = _expression(reader)
    size = reader.count("bytes of a data segment", 1)
    content = Span(reader.position, reader.position + size)
    reader.position = content.end
    mode = "passive" if flags == _NOT_ACTIVE else "active"
    return Data(mode, memory, offset, content, Span(start, content.end), flags)  # type: ignore[arg-type]
