"""
Writes one item or instruction of the binary format, every number in its shortest form.

Source: core specification 2.0, chapter 5 (binary format). The counterpart of `sections` and
`instructions`; what was read in a longer form is kept by copying its bytes (see `encode`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from conformance.wasm.instructions import VALUE_TYPES, BlockType, ImmediateValue, Instruction
from conformance.wasm.items import (
    Data,
    Element,
    Export,
    Expression,
    FunctionImport,
    FunctionType,
    Global,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    TableType,
)
from conformance.wasm.opcodes import BY_NAME, ValType


class EncodingError(ValueError):
    """
    A value does not fit where it should be written.
    """


_TYPE_BYTES: Final = {name: bytes([code]) for code, name in VALUE_TYPES.items()}
_KINDS: Final = {"function": b"\0", "table": b"\1", "memory": b"\2", "global": b"\3"}
END: Final = b"\x0b"
_BYTES: Final = tuple([bytes([value]) for value in range(0x80)])


def unsigned(value: int, bits: int = 32) -> bytes:
    """
    Shortest unsigned LEB128 of a number below 2^bits.
    """
    if not 0 <= value < 1 << bits:
        message = f"{value} does not fit in {bits} bits without a sign"
        raise EncodingError(message)
    if value < 0x80:  # noqa: PLR2004 - seven bits to a byte
        return _BYTES[value]
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - see above
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def signed(value: int, bits: int) -> bytes:
    """
    Shortest signed LEB128 of a number of *bits* bits.
    """
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        message = f"{value} does not fit in {bits} bits with a sign"
        raise EncodingError(message)
    out = bytearray()
    while not -0x40 <= value < 0x40:  # noqa: PLR2004 - seven bits to a byte, one is the sign
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value & 0x7F])


def vector(items: Sequence[bytes]) -> bytes:
    """
    A count and the items.
    """
    return unsigned(len(items)) + b"".join(items)


def name(text: str) -> bytes:
    """
    A name in UTF-8 with its length.
    """
    raw = text.encode()
    return unsigned(len(raw)) + raw


# --------------------------------------------------------------------------------- instructions


def _block(block: BlockType) -> bytes:
    if isinstance(block, int):
        if block < 0:
            message = f"the block type {block} is no index"
            raise EncodingError(message)
        return signed(block, 33)
    return b"\x40" if block == "empty" else _TYPE_BYTES[block]


def _bits(size: int) -> Callable[[Any], bytes]:
    def write(value: Any) -> bytes:
        if not 0 <= value < 1 << (8 * size):
            message = f"{value:#x} is no pattern of {8 * size} bits"
            raise EncodingError(message)
        return int(value).to_bytes(size, "little")

    return write


def _labels(value: Any) -> bytes:
    return vector([unsigned(label) for label in value.labels]) + unsigned(value.default)


def _lanes(value: Any) -> bytes:
    if len(value) != 16:  # noqa: PLR2004 - lanes of a vector
        message = f"a shuffle names 16 lanes, not {len(value)}"
        raise EncodingError(message)
    return bytes(value)


_WRITE: Final[dict[str, Callable[[Any], bytes]]] = {
    "block": _block,
    "labels": _labels,
    "i32": lambda value: signed(value, 32),
    "i64": lambda value: signed(value, 64),
    "f32": _bits(4),
    "f64": _bits(8),
    "v128": _bits(16),
    "memarg": lambda value: unsigned(value.alignment) + unsigned(value.offset),
    "lane": _bits(1),
    "lanes": _lanes,
    "heap": lambda value: _TYPE_BYTES[value],
    "types": lambda value: vector([_TYPE_BYTES[kind] for kind in value]),
}
_INSTRUCTIONS: Final = {
    operator: (opcode.encoding, tuple([_WRITE.get(kind, unsigned) for kind in opcode.immediates]))
    for operator, opcode in BY_NAME.items()
}
"""Name -> the opcode's bytes and what writes each of its immediates."""


def instruction(operator: str, *immediates: ImmediateValue) -> bytes:
    """
    The instruction *operator* (a name of the opcode table) with its immediates.

    They are as `instructions.Instruction` holds them: signed integers, bit patterns of floats.
    Raises EncodingError.
    """
    known = _INSTRUCTIONS.get(operator)
    if known is None:
        message = f"no instruction is called {operator!r}"
        raise EncodingError(message)
    code, writers = known
    if len(immediates) != len(writers):
        message = f"{operator} has {len(writers)} immediates, not {len(immediates)}"
        raise EncodingError(message)
    for write, value in zip(writers, immediates, strict=True):
        code += write(value)
    return code


def instructions(items: Iterable[Instruction | bytes]) -> bytes:
    """
    Instructions one after the other; bytes are taken as they are.
    """
    return b"".join(
        item if isinstance(item, bytes) else instruction(item.opcode.name, *item.immediates)
        for item in items
    )


def body(locals_: Iterable[tuple[int, ValType]], items: Iterable[Instruction | bytes]) -> bytes:
    """
    An entry of the code section: size, runs of locals, instructions with their final `end`.
    """
    runs = [unsigned(count) + _TYPE_BYTES[kind] for count, kind in locals_]
    content = vector(runs) + instructions(items)
    return unsigned(len(content)) + content


# ----------------------------------------------------------------------------------------- items


def function_type(described: FunctionType) -> bytes:
    """
    An entry of the type section.
    """
    parameters = vector([_TYPE_BYTES[kind] for kind in described.parameters])
    return b"\x60" + parameters + vector([_TYPE_BYTES[kind] for kind in described.results])


def limits(described: Limits) -> bytes:
    """
    Limits of a memory or table.
    """
    if described.maximum is None:
        return b"\0" + unsigned(described.minimum)
    return b"\1" + unsigned(described.minimum) + unsigned(described.maximum)


def table_type(described: TableType) -> bytes:
    """
    An entry of the table section.
    """
    return _TYPE_BYTES[described.element] + limits(described.limits)


def memory_type(described: MemoryType) -> bytes:
    """
    An entry of the memory section.
    """
    return limits(described.limits)


def global_type(described: GlobalType) -> bytes:
    """
    Type and mutability of a global.
    """
    return _TYPE_BYTES[described.type] + bytes([described.mutable])


def expression(described: Expression) -> bytes:
    """
    An initialiser.
    """
    return instructions(described.instructions) + END


def global_(described: Global) -> bytes:
    """
    An entry of the global section.
    """
    return global_type(described.type) + expression(described.initialiser)


def import_(described: Import) -> bytes:
    """
    An entry of the import section.
    """
    match described.type:
        case FunctionImport(type_index):
            rest = unsigned(type_index)
        case TableType() as table:
            rest = table_type(table)
        case MemoryType() as memory:
            rest = memory_type(memory)
        case GlobalType() as found:
            rest = global_type(found)
    return name(described.module) + name(described.name) + _KINDS[described.kind] + rest


def export(described: Export) -> bytes:
    """
    An entry of the export section.
    """
    return name(described.name) + _KINDS[described.kind] + unsigned(described.index)


def element(described: Element) -> bytes:
    """
    An entry of the element section, in the form that its flags name.
    """
    flags = described.flags
    parts = [unsigned(flags)]
    if described.offset is not None:
        if flags & 2:
            parts.append(unsigned(described.table))
        parts.append(expression(described.offset))
    if flags & 3:
        parts.append(_TYPE_BYTES[described.type] if flags & 4 else b"\0")
    if flags & 4:
        parts.append(vector([expression(item) for item in described.expressions]))
    else:
        parts.append(vector([unsigned(index) for index in described.functions]))
    return b"".join(parts)


def data(described: Data, content: bytes) -> bytes:
    """
    An entry of the data section with *content*.
    """
    parts = [unsigned(described.flags)]
    if described.offset is not None:
        if described.flags == 2:  # noqa: PLR2004 - the form that names its memory
            parts.append(unsigned(described.memory))
        parts.append(expression(described.offset))
    return b"".join([*parts, unsigned(len(content)), content])
