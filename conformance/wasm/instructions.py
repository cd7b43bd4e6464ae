"""
One instruction with its immediates, read with care: every refusal has its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from conformance.wasm.errors import BadModuleError, unsupported
from conformance.wasm.opcodes import OPCODES, REFUSED, Opcode, ValType
from conformance.wasm.reader import Reader

VALUE_TYPES: Final[dict[int, ValType]] = {
    0x7F: "i32",
    0x7E: "i64",
    0x7D: "f32",
    0x7C: "f64",
    0x7B: "v128",
    0x70: "funcref",
    0x6F: "externref",
}
_REFUSED_TYPES: Final = {
    **dict.fromkeys((0x78, 0x77, 0x73, 0x72, 0x71, 0x6E, 0x6D, 0x6C, 0x6B, 0x6A), "gc"),
    **dict.fromkeys((0x74, 0x69), "exceptions"),
    **dict.fromkeys((0x75, 0x68), "stack-switching"),
    **dict.fromkeys((0x64, 0x63), "function-references"),
}

BlockType = Literal["empty"] | ValType | int
"""Of a block, loop or if: no result, one result, or the index of a function type."""


class MemArg(NamedTuple):
    """
    Where an access goes: log2 of its promised alignment, and what is added to the address.
    """

    alignment: int
    offset: int


class Labels(NamedTuple):
    """
    Targets of a `br_table`: for each index below the length, then for all others.
    """

    labels: tuple[int, ...]
    default: int


ImmediateValue = int | str | MemArg | Labels | tuple[int, ...] | tuple[ValType, ...]
"""Integers are signed as encoded; floats and v128 are bit patterns; block and value types text."""


class Instruction(NamedTuple):
    """
    One instruction: byte offset in the file, opcode, immediates in the order of its encoding.
    """

    offset: int
    opcode: Opcode
    immediates: tuple[ImmediateValue, ...]


def read_value_type(reader: Reader, what: str) -> ValType:
    """
    One value type; those of other proposals are refused by name.
    """
    offset = reader.position
    byte = reader.byte(what)
    found = VALUE_TYPES.get(byte)
    if found is None:
        raise _bad_type(byte, offset, what)
    return found


def read_reference_type(reader: Reader, what: str) -> ValType:
    """
    `funcref` or `externref`.
    """
    offset = reader.position
    found = read_value_type(reader, what)
    if found not in ("funcref", "externref"):
        message = f"{what} is {found}, where only funcref or externref can stand"
        raise BadModuleError("bad-type", offset, message)
    return found


def _bad_type(byte: int, offset: int, what: str) -> BadModuleError:
    if byte in _REFUSED_TYPES:
        return unsupported(_REFUSED_TYPES[byte], offset, f"{what} {byte:#04x}")
    return BadModuleError("bad-type", offset, f"{what} is {byte:#04x}, which is no value type")


# ------------------------------------------------------------------------ immediates, with care


def _block(reader: Reader) -> BlockType:
    offset = reader.position
    value = reader.signed("a block type", 33)
    if value >= 0:
        return value
    byte = reader.data[offset]
    if reader.position != offset + 1:
        message = "a block type is a negative number of more than one byte"
        raise BadModuleError("bad-block-type", offset, message)
    if byte == 0x40:  # noqa: PLR2004 - the format's code for "no result"
        return "empty"
    found = VALUE_TYPES.get(byte)
    if found is None:
        raise _bad_type(byte, offset, "the block type")
    return found


def _labels(reader: Reader) -> Labels:
    count = reader.count("labels of br_table", 1)
    labels = tuple([reader.u32("a label") for _ in range(count)])
    return Labels(labels, reader.u32("the default label"))


def _memarg(reader: Reader) -> MemArg:
    offset = reader.position
    alignment = reader.u32("an alignment")
    if 0x40 <= alignment < 0x80:  # noqa: PLR2004 - bit 6 says that a memory index follows
        raise unsupported("multi-memory", offset, "a memory index in a load or store")
    if alignment >= 0x80:  # noqa: PLR2004 - no flag is known beyond bit 6
        message = f"the alignment 2^{alignment} cannot be"
        raise BadModuleError("bad-alignment", offset, message)
    return MemArg(alignment, reader.u32("a memory offset"))


def _memory(reader: Reader) -> int:
    offset = reader.position
    byte = reader.byte("a memory index")
    if byte:
        raise unsupported("multi-memory", offset, "a memory index other than the byte 0")
    return 0


def _types(reader: Reader) -> tuple[ValType, ...]:
    count = reader.count("types of select", 1)
    return tuple([read_value_type(reader, "the type of select") for _ in range(count)])


def _index(what: str) -> Callable[[Reader], int]:
    def read(reader: Reader) -> int:
        return reader.u32(what)

    return read


def _bits(size: int, what: str) -> Callable[[Reader], int]:
    def read(reader: Reader) -> int:
        return int.from_bytes(reader.take(size, what), "little")

    return read


_READ: Final[dict[str, Callable[[Reader], ImmediateValue]]] = {
    "block": _block,
    "label": _index("a label"),
    "labels": _labels,
    "function": _index("a function index"),
    "type": _index("a type index"),
    "table": _index("a table index"),
    "local": _index("a local index"),
    "global": _index("a global index"),
    "data": _index("a data segment index"),
    "element": _index("an element segment index"),
    "i32": lambda reader: reader.signed("an i32 constant", 32),
    "i64": lambda reader: reader.signed("an i64 constant", 64),
    "f32": _bits(4, "an f32 constant"),
    "f64": _bits(8, "an f64 constant"),
    "v128": _bits(16, "a v128 constant"),
    "memarg": _memarg,
    "memory": _memory,
    "lane": lambda reader: reader.byte("a lane index"),
    "lanes": lambda reader: tuple(reader.take(16, "the lanes of a shuffle")),
    "heap": lambda reader: read_reference_type(reader, "the type of ref.null"),
    "types": _types,
}
_READERS: Final = {
    code: tuple(_READ[kind] for kind in opcode.immediates) for code, opcode in OPCODES.items()
}
_INDICES: Final = frozenset({"label", "function", "table", "local", "global", "data", "element"})
_ONE_INDEX: Final = frozenset(
    code
    for code, opcode in OPCODES.items()
    if len(opcode.immediates) == 1 and opcode.immediates[0] in _INDICES
)
_PREFIXES: Final = (0xFC, 0xFD)


def read_opcode(reader: Reader) -> Opcode:
    """
    The next opcode; one that is not in the table is refused, if possible by its proposal's name.
    """
    offset = reader.position
    code = reader.byte("an instruction")
    number = 0
    if code in _PREFIXES:
        number = reader.u32("an opcode")
        code = code << 8 | number if number <= 0xFF else -1  # noqa: PLR2004 - beyond the table
    opcode = OPCODES.get(code)
    if opcode is not None:
        return opcode
    first = reader.data[offset]
    if code in REFUSED:
        raise unsupported(REFUSED[code], offset, f"the instruction {code:#04x}")
    if first == 0xFD and 0x100 <= number < 0x130:  # noqa: PLR2004 - range of that proposal
        raise unsupported("relaxed-simd", offset, f"the instruction 0xfd {number:#x}")
    spelt = f"{first:#04x} {number:#x}" if first in _PREFIXES else f"{first:#04x}"
    raise BadModuleError("unknown-opcode", offset, f"{spelt} is not an instruction")


def read_instruction(reader: Reader) -> Instruction:
    """
    The next instruction with its immediates.
    """
    offset = reader.position
    opcode = read_opcode(reader)
    return Instruction(offset, opcode, tuple([read(reader) for read in _READERS[opcode.code]]))


def iterate(data: bytes, offsets: list[int], codes: list[int], end: int) -> Iterator[Instruction]:
    """
    The instructions at known *offsets* with known *codes*, the last of which ends at *end*.
    """
    reader = Reader(data, 0, end, "a function body")
    readers, opcodes, one_index, more = _READERS, OPCODES, _ONE_INDEX, 0x80
    for offset, code in zip(offsets, codes, strict=True):
        reads = readers[code]
        if not reads:
            yield Instruction(offset, opcodes[code], ())
            continue
        start = offset + 1
        if code > 0xFF:  # noqa: PLR2004 - a prefix, then a number of one or more bytes
            while data[start] >= more:
                start += 1
            start += 1
        if code in one_index and data[start] < more:
            yield Instruction(offset, opcodes[code], (data[start],))
            continue
        reader.position = start
        yield Instruction(offset, opcodes[code], tuple([read(reader) for read in reads]))
