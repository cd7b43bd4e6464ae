"""
One function under construction: locals, code, and expressions of any type.

Whatever is chosen, the code is valid: an expression leaves exactly one value of the type asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from conformance.differential.edges import EDGES
from conformance.generate.choices import Choices, between, one_of, part, rarely
from conformance.generate.operators import ALL, CALM, LOADS, SCALARS, WIDTHS, Access, Operator
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.instructions import MemArg
from conformance.wasm.opcodes import ValType

PAGE_BYTES: Final = 65_536
_UNITS: Final = {
    "i32": (0, 1, 3, 8), "i64": (0, 1, 3, 8),
    "f32": (0, 0x3F800000, 0x3F000000, 0xC0490FDB),
    "f64": (0, 0x3FF0000000000000, 0x3FE0000000000000, 0xC00921FB54442D18),
}  # fmt: skip
"""Constants of everyday code."""


@dataclass(frozen=True, slots=True)
class Callee:
    """
    A function that a body may call.
    """

    index: int
    type_index: int
    parameters: tuple[ValType, ...]
    result: ValType


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a body may use of its module.
    """

    callees: tuple[Callee, ...]
    globals: dict[ValType, int]
    """One mutable global of each type."""
    fuel: int
    """Global (i32) that loops count down."""
    table: tuple[Callee, ...]
    """What the table holds, in order; the slots behind are null."""
    weights: int
    """Address of the table of weights."""
    weight_bytes: int


@dataclass(slots=True)
class Body:
    """
    A function under construction.
    """

    choices: Choices
    around: Surroundings
    parameters: tuple[ValType, ...]
    trapping: bool
    """Whether operators that may trap are used."""
    added: list[ValType] = field(default_factory=list)
    code: list[bytes] = field(default_factory=list)
    operators: int = 0
    """Instructions so far that compute, load, store or call."""
    patterns: list[str] = field(default_factory=list)
    room: int = 400
    """Instructions that may still be made; beyond, expressions become leaves."""

    def emit(self, name: str, *immediates: int | MemArg | str) -> None:
        """
        Append an instruction.
        """
        self.code.append(op(name, *immediates))
        self.room -= 1
        if (name[0] in "ifm" and "const" not in name and name != "if") or name.startswith("call"):
            self.operators += 1

    def local(self, kind: ValType) -> int:
        """
        A new local.
        """
        self.added.append(kind)
        return len(self.parameters) + len(self.added) - 1

    def locals_of(self, kind: ValType) -> list[int]:
        """
        Parameters and locals of a type.
        """
        both = (*self.parameters, *self.added)
        return [index for index, one in enumerate(both) if one == kind]

    # -------------------------------------------------------------------------- expressions

    def value(self, kind: ValType, depth: int) -> None:
        """
        Code that leaves a value of *kind*, nested at most *depth* deep.
        """
        with part(self.choices):
            self._value(kind, depth)

    def _value(self, kind: ValType, depth: int) -> None:
        if depth <= 0 or self.room <= 0:
            self.leaf(kind)
            return
        shape = self.choices.below(12)
        if shape == 0:
            self.leaf(kind)
        elif shape <= 7:  # noqa: PLR2004 - of twelve
            self.operator(kind, depth)
        elif shape == 8:  # noqa: PLR2004
            self.load(kind, depth)
        elif shape == 9:  # noqa: PLR2004
            self.value(kind, depth - 1)
            self.value(kind, depth - 1)
            self.value("i32", depth - 2)
            self.emit("select")
        elif shape == 10:  # noqa: PLR2004
            self.chosen(kind, depth)
        else:
            self.call(kind, depth)

    def leaf(self, kind: ValType) -> None:
        """
        A local, a constant, or the global of this type.
        """
        held = self.locals_of(kind)
        place = self.choices.below(len(held) + 2)
        if place < len(held):
            self.emit("local.get", held[place])
        elif place == len(held):
            self.constant(kind)
        else:
            self.emit("global.get", self.around.globals[kind])

    def constant(self, kind: ValType) -> None:
        """
        A constant: usual ones, edges, anything.
        """
        style = self.choices.below(6)
        if style <= 1:
            bits = one_of(self.choices, _UNITS[kind])
        elif style <= 4:  # noqa: PLR2004 - edges are where things happen
            bits = one_of(self.choices, EDGES[kind])
        else:
            bits = self.choices.below(1 << WIDTHS[kind])
        self.bits(kind, bits)

    def bits(self, kind: ValType, bits: int) -> None:
        """
        The constant with these bits.
        """
        half = 1 << (WIDTHS[kind] - 1)
        signed = bits - 2 * half if kind[0] == "i" and bits >= half else bits
        self.emit(f"{kind}.const", signed)

    def pools(self, kind: ValType) -> tuple[tuple[Operator, ...], tuple[Access, ...]]:
        """
        Operators and loads that give *kind*.
        """
        return (ALL if self.trapping else CALM)[kind], LOADS[kind]

    def operator(self, kind: ValType, depth: int) -> None:
        """
        A scalar operator; now and then with one value as both operands.
        """
        chosen = one_of(self.choices, self.pools(kind)[0])
        first, *rest = chosen.parameters
        self.value(first, depth - 1)
        if rest and rest[0] == first and rarely(self.choices, 6):
            twice = self.local(first)
            self.emit("local.tee", twice)
            self.emit("local.get", twice)
            self.patterns.append("operand = itself")
        elif rest:
            self.value(rest[0], depth - 1)
        self.emit(chosen.name)

    def load(self, kind: ValType, depth: int) -> None:
        """
        A load from an address that lies in memory.
        """
        access = one_of(self.choices, LOADS[kind])
        self.access(access, self.address(access.width, depth - 1))

    def access(self, access: Access, offset: int) -> None:
        """
        The load or store itself.
        """
        self.emit(access.name, MemArg(self.choices.below(access.alignment + 1), offset))

    def address(self, width: int, depth: int) -> int:
        """
        Code for an address at which *width* bytes lie in memory; returns the offset to add.
        """
        style = self.choices.below(4)
        if style == 0:
            self.emit("i32.const", self.choices.below(4096 // width) * width)
            return 0
        if style == 1:
            return self.last_bytes(width, depth)
        if style == 2:  # noqa: PLR2004 - of four
            return self.shifted(depth)
        offset = self.choices.below(3) * width
        self.value("i32", depth)
        self.emit("i32.const", 0x7FFF)
        self.emit("i32.and")
        return offset

    def last_bytes(self, width: int, depth: int) -> int:
        """
        An address in the last bytes of the first page; with one page, of memory itself.
        """
        self.patterns.append("last bytes")
        split = self.choices.below(3)
        last = PAGE_BYTES - width
        if split == 0:
            self.emit("i32.const", last)
            return 0
        self.value("i32", depth)
        self.emit("i32.const", 7)
        self.emit("i32.and")
        if split == 1:
            self.emit("i32.const", last - 7)
            self.emit("i32.add")
            return 0
        return last - 7

    def shifted(self, depth: int) -> int:
        """
        An address shifted to the left: as an index into a table, or so that its top falls out.
        """
        amount = between(self.choices, 1, 3)
        offset = self.choices.below(3) * 8
        self.value("i32", depth)
        if self.choices.below(2) == 0:
            self.emit("i32.const", 0x0FFF)
            self.emit("i32.and")
            self.patterns.append("shifted address")
        else:
            # All bits but those that stay within memory are shifted out: 2^32 is wrapped around.
            high = (1 << 32) - (1 << (32 - amount))
            self.emit("i32.const", (high | 0x0FFF) - (1 << 32))
            self.emit("i32.and")
            self.patterns.append("wrapped address")
        self.emit("i32.const", amount)
        self.emit("i32.shl")
        return offset

    def chosen(self, kind: ValType, depth: int) -> None:
        """
        An `if` that gives a value.
        """
        self.value("i32", depth - 1)
        self.emit("if", kind)
        self.value(kind, depth - 1)
        self.emit("else")
        self.value(kind, depth - 1)
        self.emit("end")

    def call(self, kind: ValType, depth: int) -> None:
        """
        A call of an earlier function that gives *kind*, directly or through the table.
        """
        fitting = [one for one in self.around.callees if one.result == kind]
        if not fitting:
            self.operator(kind, depth)
            return
        callee = one_of(self.choices, fitting)
        for parameter in callee.parameters:
            self.value(parameter, depth - 2)
        slots = [at for at, one in enumerate(self.around.table) if one == callee]
        if slots and self.choices.below(2):
            self.emit("i32.const", slots[0])
            if rarely(self.choices, 8):
                self.emit("global.get", self.around.globals["i32"])
                self.emit("i32.const", 3)
                self.emit("i32.and")
                self.emit("i32.or")
            self.emit("call_indirect", callee.type_index, 0)
            self.patterns.append("call_indirect")
        else:
            self.emit("call", callee.index)

    def any_kind(self) -> ValType:
        """
        A type; f64 is the simplest here.
        """
        return one_of(self.choices, tuple(reversed(SCALARS)))
