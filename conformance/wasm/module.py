"""
A decoded module, and the questions that other rooms ask of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from msgspec import Struct

from conformance.wasm.body import CodeIndex, Function
from conformance.wasm.features import needs
from conformance.wasm.opcodes import BY_NAME, OPCODES, Opcode
from conformance.wasm.parts import Parts
from runners.bits import ValueType

_EMPTY_INDEX = CodeIndex(np.zeros(0, np.uint32), np.zeros(0, np.uint16))

_KEEPING = frozenset(
    {"table.set", "table.grow", "table.fill", "table.copy", "table.init", "elem.drop"}
)


class OperatorUse(Struct, frozen=True):
    """
    How often function bodies use one instruction, and where first.
    """

    opcode: Opcode
    count: int
    first_offset: int


class ExportedGlobal(Struct, frozen=True):
    """
    A global that an observer outside can read, as bits.
    """

    name: str
    type: ValueType
    mutable: bool


@dataclass(frozen=True, eq=False, repr=False)
class Module(Parts):
    """
    A well-formed module; `binary` is the whole file, every span points into it.
    """

    functions: tuple[Function, ...]
    """The module's own; `functions[k].index` counts imported functions first."""

    @cached_property
    def exported_globals(self) -> tuple[ExportedGlobal, ...]:
        """
        Exported globals in the order of exports, without references and v128.
        """
        found = []
        for export in self.exports:
            if export.kind == "global" and export.index < len(self.global_types):
                described = self.global_types[export.index]
                value_type = described.type
                if value_type in ("i32", "i64", "f32", "f64"):
                    found.append(ExportedGlobal(export.name, value_type, described.mutable))
        return tuple(found)

    @property
    def grows(self) -> bool:
        """
        Whether memory may grow during a call: by an instruction, or by a host that was called.
        """
        own_memory = bool(self.memories) or not self.memory_types
        return "memory.grow" in self.operators or not own_memory or self.imported_functions > 0

    @property
    def stateful(self) -> bool:
        """
        Whether an instance can keep anything between calls: memory, a global or a table it writes.

        Dropped segments count as well: an initialisation from one traps the second time.
        """
        return (
            bool(self.memory_types)
            or any(described.mutable for described in self.global_types)
            or bool(_KEEPING & set(self.operators))
            or self.imported_functions > 0
        )

    # ------------------------------------------------------------------------- instructions

    @property
    def code(self) -> CodeIndex:
        """
        Offsets and codes of all instructions of all bodies, in file order.
        """
        return self.functions[0].body.index if self.functions else _EMPTY_INDEX

    @cached_property
    def operators(self) -> Mapping[str, OperatorUse]:
        """
        Name of each instruction used in a body -> its use, in ascending order of code.
        """
        codes, first, counts = np.unique(self.code.codes, return_index=True, return_counts=True)
        offsets = self.code.offsets[first]
        return {
            OPCODES[code].name: OperatorUse(OPCODES[code], count, offset)
            for code, count, offset in zip(
                codes.tolist(), counts.tolist(), offsets.tolist(), strict=True
            )
        }

    @property
    def float_operators(self) -> tuple[str, ...]:
        """
        Instructions in use that compute or compare floats, in ascending order of code.
        """
        return tuple(name for name, use in self.operators.items() if use.opcode.computes_floats)

    def float_constants(
        self, value_type: Literal["f32", "f64"], *, lanes: bool = False
    ) -> set[int]:
        """
        Bit patterns of all constants of *value_type* in bodies and initialisers of globals.

        With *lanes*, those that a v128 constant would have when read as lanes of that type.
        """
        width = 4 if value_type == "f32" else 8
        binary = self.binary
        starts = [at + 1 for at in self._constants(f"{value_type}.const")]
        for at in self._constants("v128.const") if lanes else ():
            first = at + 2
            while binary[first - 1] & 0x80:
                first += 1
            starts.extend(range(first, first + 16, width))
        return {int.from_bytes(binary[at : at + width], "little") for at in starts}

    def _constants(self, name: str) -> list[int]:
        """
        Offsets of the instruction *name* in bodies and in initialisers of globals.
        """
        hits = self.code.offsets[self.code.codes == BY_NAME[name].code]
        own = (at for item in self.globals for at in item.initialiser.instructions)
        found: list[int] = hits.tolist()
        return found + [at.offset for at in own if at.opcode.name == name]

    # ----------------------------------------------------------------------------- proposals

    @cached_property
    def needs(self) -> Mapping[str, int]:
        """
        Each proposal that the module needs -> byte offset of the first need.
        """
        return needs(self)

    @property
    def proposals(self) -> tuple[str, ...]:
        """
        Proposals that the module needs, in the order of the worker protocol.
        """
        return tuple(self.needs)
