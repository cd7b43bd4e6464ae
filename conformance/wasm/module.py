"""
A decoded module, and the questions that other rooms ask of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from msgspec import Struct

from conformance.wasm.body import CodeIndex, Function
from conformance.wasm.errors import UnknownIndexError
from conformance.wasm.features import needs
from conformance.wasm.items import (
    Custom,
    Data,
    Element,
    Export,
    FunctionImport,
    FunctionType,
    Global,
    GlobalType,
    Import,
    Memory,
    MemoryType,
    Section,
    Start,
    Table,
    TableType,
    TypeItem,
)
from conformance.wasm.names import function_names
from conformance.wasm.opcodes import BY_NAME, OPCODES, Opcode
from runners.bits import ValueType

_EMPTY_INDEX = CodeIndex(np.zeros(0, np.uint32), np.zeros(0, np.uint16))


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
class Module:
    """
    A well-formed module; `binary` is the whole file, every span points into it.
    """

    binary: bytes
    sections: tuple[Section, ...]
    """In file order, custom sections included."""
    types: tuple[TypeItem, ...]
    imports: tuple[Import, ...]
    functions: tuple[Function, ...]
    """The module's own; `functions[k].index` counts imported functions first."""
    tables: tuple[Table, ...]
    memories: tuple[Memory, ...]
    globals: tuple[Global, ...]
    exports: tuple[Export, ...]
    start: Start | None
    elements: tuple[Element, ...]
    data_count: int | None
    data: tuple[Data, ...]
    customs: tuple[Custom, ...]

    @cached_property
    def sha256(self) -> str:
        """
        The module's name: SHA-256 of its bytes, in hexadecimal.
        """
        return hashlib.sha256(self.binary).hexdigest()

    # ------------------------------------------------------------------------ index spaces

    @cached_property
    def function_types(self) -> tuple[int, ...]:
        """
        Type index of each function, imported ones first.
        """
        imported = [i.type.type_index for i in self.imports if isinstance(i.type, FunctionImport)]
        return (*imported, *(function.type_index for function in self.functions))

    @cached_property
    def table_types(self) -> tuple[TableType, ...]:
        """
        Type of each table, imported ones first.
        """
        imported = [i.type for i in self.imports if isinstance(i.type, TableType)]
        return (*imported, *(table.type for table in self.tables))

    @cached_property
    def memory_types(self) -> tuple[MemoryType, ...]:
        """
        Type of each memory, imported ones first.
        """
        imported = [i.type for i in self.imports if isinstance(i.type, MemoryType)]
        return (*imported, *(memory.type for memory in self.memories))

    @cached_property
    def global_types(self) -> tuple[GlobalType, ...]:
        """
        Type of each global, imported ones first.
        """
        imported = [i.type for i in self.imports if isinstance(i.type, GlobalType)]
        return (*imported, *(own.type for own in self.globals))

    def function_type(self, index: int) -> FunctionType:
        """
        Type of function *index*; raises UnknownIndexError beyond the last.
        """
        if not 0 <= index < len(self.function_types):
            message = f"there is no function {index}, the module has {len(self.function_types)}"
            raise UnknownIndexError(message)
        type_index = self.function_types[index]
        if type_index >= len(self.types):
            message = f"function {index} has the type {type_index}, which does not exist"
            raise UnknownIndexError(message)
        return self.types[type_index].type

    # -------------------------------------------------------------------- what the host sees

    @property
    def imported_functions(self) -> int:
        """
        How many functions are imported.
        """
        return len(self.function_types) - len(self.functions)

    @cached_property
    def _exports_by_name(self) -> dict[str, Export]:
        return {export.name: export for export in reversed(self.exports)}

    def exported(self, name: str) -> Export | None:
        """
        The export called *name*, if there is one.
        """
        return self._exports_by_name.get(name)

    @cached_property
    def _function_names(self) -> dict[int, str]:
        names = {e.index: e.name for e in reversed(self.exports) if e.kind == "function"}
        imported = [i for i in self.imports if isinstance(i.type, FunctionImport)]
        names.update((index, item.key) for index, item in enumerate(imported))
        names.update(function_names(self.binary, self.customs))
        return names

    def function_name(self, index: int) -> str:
        """
        What to call function *index* in a message: from the name section, import or export.
        """
        name = self._function_names.get(index)
        return f"function {index} ({name})" if name else f"function {index}"

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

    # ------------------------------------------------------------------------------- memory

    @property
    def memory_limits(self) -> tuple[int, int | None] | None:
        """
        Minimum and maximum of the memory in pages of 64 KiB; None without a memory.
        """
        if not self.memory_types:
            return None
        limits = self.memory_types[0].limits
        return limits.minimum, limits.maximum

    @property
    def grows(self) -> bool:
        """
        Whether memory may grow during a call: by an instruction, or by a host that was called.
        """
        own_memory = bool(self.memories) or not self.memory_types
        return "memory.grow" in self.operators or not own_memory or self.imported_functions > 0

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
