"""
A part of linear memory that the module cannot see: behind all it may ever have.

The module's memory begins as large as it may become, with the hidden part above. What it sees is
counted in a global: `memory.size` reads it, `memory.grow` raises it, and whatever would touch a
byte beyond it gets the address 2^32 - 1 instead, which is out of bounds of any memory here, so that
it traps as it would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from conformance.wasm import encode_items
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.instructions import Instruction, MemArg
from conformance.wasm.items import Limits, MemoryType
from conformance.wasm.module import Module
from conformance.wasm.rewrite.additions import add_export, add_global, add_type
from conformance.wasm.rewrite.errors import CannotRewriteError
from conformance.wasm.rewrite.scratch import Scratch

PAGE_BYTES: Final = 65_536
EXPORT: Final = "weavegate.memory"
_LAST: Final = op("i32.const", -1)
_BULK: Final = {"memory.fill": (True, False), "memory.copy": (True, True),
                "memory.init": (True, False)}  # fmt: skip
"""Whether the first and the second operand are addresses of memory; the third is a length."""


@dataclass(frozen=True, slots=True)
class HiddenMemory:
    """
    Where the hidden part lies, and how the module's own instructions are kept out of it.
    """

    start: int
    """Its first byte."""
    size: int
    """In bytes, a whole number of pages."""
    export: str
    """Name under which the memory is exported."""
    pages: int
    """Global (i32) that counts the pages that the module sees."""
    ceiling: int
    """Most pages that the module may see."""
    grow: int | None
    """Index of the function that takes the place of `memory.grow`, where the module has any."""

    @property
    def end(self) -> int:
        """
        Behind its last byte.
        """
        return self.start + self.size

    def instead(self, instruction: Instruction, scratch: Scratch) -> list[bytes] | None:
        """
        What stands for an instruction that has to do with memory; None for any other.
        """
        name = instruction.opcode.name
        if name == "memory.size":
            return [op("global.get", self.pages)]
        if name == "memory.grow" and self.grow is not None:
            return [op("call", self.grow)]
        if name in _BULK:
            return self._bulk(instruction, scratch)
        if instruction.opcode.alignment is not None:
            return self._access(instruction, scratch)
        return None

    def _access(self, instruction: Instruction, scratch: Scratch) -> list[bytes]:
        """
        A load or store: the value aside, the address checked, the value back.
        """
        opcode = instruction.opcode
        assert opcode.signature is not None  # noqa: S101 - accesses have their types in the table
        assert opcode.alignment is not None  # noqa: S101 - asked by the caller
        _, *values = opcode.signature.parameters
        memarg = cast("MemArg", instruction.immediates[0])
        reach = memarg.offset + (1 << opcode.alignment)
        out = [scratch.set(kind, 3) for kind in reversed(values)]
        out += [scratch.set("i32", 0), *self._kept_out(scratch, 0, op("i64.const", reach))]
        out += [scratch.get(kind, 3) for kind in values]
        return [*out, encode_items.instructions([instruction])]

    def _bulk(self, instruction: Instruction, scratch: Scratch) -> list[bytes]:
        first, second = _BULK[instruction.opcode.name]
        length = scratch.get("i32", 2) + op("i64.extend_i32_u")
        out = [scratch.set("i32", number) for number in (2, 1, 0)]
        for number, address in enumerate((first, second)):
            out += self._kept_out(scratch, number, length) if address else [
                scratch.get("i32", number)
            ]  # fmt: skip
        return [*out, scratch.get("i32", 2), encode_items.instructions([instruction])]

    def _kept_out(self, scratch: Scratch, number: int, reach: bytes) -> list[bytes]:
        """
        The address in a scratch local, or 2^32 - 1 if *reach* (i64) bytes from there are not seen.
        """
        return [
            _LAST,
            scratch.get("i32", number),
            scratch.get("i32", number) + op("i64.extend_i32_u") + reach + op("i64.add"),
            op("global.get", self.pages) + op("i64.extend_i32_u"),
            op("i64.const", 16) + op("i64.shl") + op("i64.gt_u"),
            op("select"),
        ]


def hide_memory(rewrite: Rewrite, pages: int, ceiling: int) -> HiddenMemory:
    """
    Set *pages* of hidden memory up; the module may see at most *ceiling* pages.

    A module without memory sees none afterwards either. Raises CannotRewriteError.
    """
    module = rewrite.module
    own = _own_limits(module)
    seen = min(ceiling, ceiling if own.maximum is None else own.maximum)
    seen = max(seen, own.minimum)
    if "memory.grow" not in module.operators:
        seen = own.minimum
    total = seen + pages
    if total >= PAGE_BYTES:
        message = f"{total} pages are more than a memory can have with room for a check"
        raise CannotRewriteError(message)
    memory = encode_items.memory_type(MemoryType(Limits(total, total)))
    rewrite.replace_section("memory", encode_items.vector([memory]))
    counter = add_global(rewrite, "i32", own.minimum)
    grow = _add_grow(rewrite, counter, seen) if "memory.grow" in module.operators else None
    start, size = seen * PAGE_BYTES, pages * PAGE_BYTES
    return HiddenMemory(start, size, _exported(rewrite), counter, seen, grow)


def _own_limits(module: Module) -> Limits:
    if len(module.memory_types) > len(module.memories):
        message = "the module imports its memory, of which no part can be hidden from it"
        raise CannotRewriteError(message)
    if not module.memories:
        return Limits(0, 0)
    own = module.memories[0].type.limits
    for item in module.data:
        if item.offset is None:
            continue
        (at,) = item.offset.instructions
        if at.opcode.name != "i32.const":
            message = "a data segment lies where an imported global says, which is not known here"
            raise CannotRewriteError(message)
        start = cast("int", at.immediates[0]) & 0xFFFFFFFF
        if start + item.content.size > own.minimum * PAGE_BYTES:
            message = f"the data segment at byte {item.span.start:#x} does not fit into memory"
            raise CannotRewriteError(message)
    return own


def _exported(rewrite: Rewrite) -> str:
    module = rewrite.module
    for export in module.exports:
        if export.kind == "memory":
            return export.name
    add_export(rewrite, EXPORT, "memory", 0)
    return EXPORT


def _add_grow(rewrite: Rewrite, counter: int, ceiling: int) -> int:
    """
    `memory.grow` over the counted pages: the old number, or -1 where there is no room.
    """
    wanted = op("local.get", 0) + op("i64.extend_i32_u")
    seen = op("global.get", counter)
    body = [
        wanted + seen + op("i64.extend_i32_u") + op("i64.add"),
        op("i64.const", ceiling) + op("i64.gt_u"),
        op("if", "empty") + _LAST + op("return") + op("end"),
        seen + seen + op("local.get", 0) + op("i32.add") + op("global.set", counter) + END,
    ]
    return rewrite.append_function(add_type(rewrite, ("i32",), ("i32",)), body)
