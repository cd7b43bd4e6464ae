"""
A decoded module's items and index spaces, whatever form its function bodies have.

Standard library only: the validator and the reference evaluator's worker see modules as this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from conformance.wasm.errors import UnknownIndexError
from conformance.wasm.instructions import Instruction
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
    LocalRun,
    Memory,
    MemoryType,
    Section,
    Span,
    Start,
    Table,
    TableType,
    TypeItem,
)
from conformance.wasm.names import function_names


class CodeBody(Protocol):
    """
    One entry of the code section, in whatever form its instructions are kept.
    """

    @property
    def locals(self) -> tuple[LocalRun, ...]:
        """
        Declared locals; parameters are not among them.
        """

    @property
    def entry(self) -> Span:
        """
        With the size field in front.
        """

    @property
    def span(self) -> Span:
        """
        Declaration of locals and instructions.
        """

    @property
    def local_count(self) -> int:
        """
        Number of declared locals.
        """

    def __len__(self) -> int:
        """
        Number of instructions, the final `end` included.
        """

    def __iter__(self) -> Iterator[Instruction]:
        """
        The instructions in order.
        """


class DefinedFunction(Protocol):
    """
    A function of the module's own.
    """

    @property
    def index(self) -> int:
        """
        Imported functions are counted first.
        """

    @property
    def type_index(self) -> int:
        """
        Of its type in the type section.
        """

    @property
    def declared(self) -> Span:
        """
        Its entry in the function section.
        """

    @property
    def body(self) -> CodeBody:
        """
        Its entry in the code section.
        """


@dataclass(frozen=True, eq=False, repr=False)
class Parts:
    """
    A well-formed module; `binary` is the whole file, every span points into it.
    """

    binary: bytes
    sections: tuple[Section, ...]
    """In file order, custom sections included."""
    types: tuple[TypeItem, ...]
    imports: tuple[Import, ...]
    functions: tuple[DefinedFunction, ...]
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

    def function_title(self, index: int) -> str:
        """
        The bare name of a function, from the name section, import or export; empty without one.
        """
        return self._function_names.get(index, "")

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
