"""
What a module is made of: one frozen record per item, each with its span in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from conformance.wasm.instructions import Instruction
from conformance.wasm.opcodes import ValType

ExternKind = Literal["function", "table", "memory", "global"]


@dataclass(frozen=True, slots=True)
class Span:
    """
    Bytes `start` up to, not including, `end` of the file.
    """

    start: int
    end: int

    @property
    def size(self) -> int:
        """
        Number of bytes.
        """
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Section:
    """
    One section; `span` takes in the identifier and the size, `payload` what follows them.
    """

    number: int
    name: str
    """`type`, `import`, ..., `custom`."""
    span: Span
    payload: Span


@dataclass(frozen=True, slots=True)
class Custom:
    """
    A custom section: bytes that no engine has to read.
    """

    name: str
    content: Span
    """What follows the name."""
    span: Span
    after: int
    """Number of the sections before it."""


@dataclass(frozen=True, slots=True)
class LocalRun:
    """
    *count* locals of one type, as one entry of the declaration.
    """

    count: int
    type: ValType
    span: Span


@dataclass(frozen=True, slots=True)
class FunctionType:
    """
    Parameters and results.
    """

    parameters: tuple[ValType, ...]
    results: tuple[ValType, ...]

    def __str__(self) -> str:
        """
        For messages: `(i32, i32) -> (f64)`.
        """
        return f"({', '.join(self.parameters)}) -> ({', '.join(self.results)})"


@dataclass(frozen=True, slots=True)
class TypeItem:
    """
    One entry of the type section.
    """

    type: FunctionType
    span: Span


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Smallest and greatest size: pages of 64 KiB for a memory, elements for a table.
    """

    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class FunctionImport:
    """
    A function of this type index.
    """

    type_index: int


@dataclass(frozen=True, slots=True)
class TableType:
    """
    A table of references.
    """

    element: ValType
    limits: Limits


@dataclass(frozen=True, slots=True)
class MemoryType:
    """
    A linear memory; limits in pages.
    """

    limits: Limits


@dataclass(frozen=True, slots=True)
class GlobalType:
    """
    A global.
    """

    type: ValType
    mutable: bool


ImportType = FunctionImport | TableType | MemoryType | GlobalType


@dataclass(frozen=True, slots=True)
class Import:
    """
    What the module asks of its host.
    """

    module: str
    name: str
    type: ImportType
    span: Span

    @property
    def key(self) -> str:
        """
        `module.name`, as manifests write it.
        """
        return f"{self.module}.{self.name}"

    @property
    def kind(self) -> ExternKind:
        """
        What is imported.
        """
        match self.type:
            case FunctionImport():
                return "function"
            case TableType():
                return "table"
            case MemoryType():
                return "memory"
            case GlobalType():
                return "global"


@dataclass(frozen=True, slots=True)
class Expression:
    """
    An initialiser: constant instructions, without the final `end`.
    """

    instructions: tuple[Instruction, ...]
    span: Span
    """With the final `end`."""


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table of the module's own.
    """

    type: TableType
    span: Span


@dataclass(frozen=True, slots=True)
class Memory:
    """
    A memory of the module's own.
    """

    type: MemoryType
    span: Span


@dataclass(frozen=True, slots=True)
class Global:
    """
    A global of the module's own.
    """

    type: GlobalType
    initialiser: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Export:
    """
    What the module shows under a name; `index` counts imports first.
    """

    name: str
    kind: ExternKind
    index: int
    span: Span


@dataclass(frozen=True, slots=True)
class Start:
    """
    The function that runs at instantiation.
    """

    function: int
    span: Span


@dataclass(frozen=True, slots=True)
class Element:
    """
    An element segment: references for a table.
    """

    mode: Literal["active", "passive", "declarative"]
    table: int
    """Active segments only; otherwise 0."""
    offset: Expression | None
    type: ValType
    functions: tuple[int, ...]
    """Function indices; empty when the items are expressions."""
    expressions: tuple[Expression, ...]
    span: Span
    flags: int
    """As encoded, 0 to 7."""

    def __len__(self) -> int:
        """
        Number of references.
        """
        return len(self.functions) or len(self.expressions)


@dataclass(frozen=True, slots=True)
class Data:
    """
    A data segment: bytes for the memory.
    """

    mode: Literal["active", "passive"]
    memory: int
    offset: Expression | None
    content: Span
    span: Span
    flags: int
    """As encoded, 0 to 2."""
