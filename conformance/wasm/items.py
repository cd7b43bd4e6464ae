"""
What a module is made of: one frozen record per item, each with its span in the file.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from conformance.wasm.instructions import Instruction
from conformance.wasm.opcodes import ValType

ExternKind = Literal["function", "table", "memory", "global"]


class Span(Struct, frozen=True):
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


class Section(Struct, frozen=True):
    """
    One section; `span` takes in the identifier and the size, `payload` what follows them.
    """

    number: int
    name: str
    """`type`, `import`, ..., `custom`."""
    span: Span
    payload: Span


class Custom(Struct, frozen=True):
    """
    A custom section: bytes that no engine has to read.
    """

    name: str
    content: Span
    """What follows the name."""
    span: Span
    after: int
    """Number of the sections before it."""


class FunctionType(Struct, frozen=True):
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


class TypeItem(Struct, frozen=True):
    """
    One entry of the type section.
    """

    type: FunctionType
    span: Span


class Limits(Struct, frozen=True):
    """
    Smallest and greatest size: pages of 64 KiB for a memory, elements for a table.
    """

    minimum: int
    maximum: int | None


class FunctionImport(Struct, frozen=True):
    """
    A function of this type index.
    """

    type_index: int


class TableType(Struct, frozen=True):
    """
    A table of references.
    """

    element: ValType
    limits: Limits


class MemoryType(Struct, frozen=True):
    """
    A linear memory; limits in pages.
    """

    limits: Limits


class GlobalType(Struct, frozen=True):
    """
    A global.
    """

    type: ValType
    mutable: bool


ImportType = FunctionImport | TableType | MemoryType | GlobalType


class Import(Struct, frozen=True):
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


class Expression(Struct, frozen=True):
    """
    An initialiser: constant instructions, without the final `end`.
    """

    instructions: tuple[Instruction, ...]
    span: Span
    """With the final `end`."""


class Table(Struct, frozen=True):
    """
    A table of the module's own.
    """

    type: TableType
    span: Span


class Memory(Struct, frozen=True):
    """
    A memory of the module's own.
    """

    type: MemoryType
    span: Span


class Global(Struct, frozen=True):
    """
    A global of the module's own.
    """

    type: GlobalType
    initialiser: Expression
    span: Span


class Export(Struct, frozen=True):
    """
    What the module shows under a name; `index` counts imports first.
    """

    name: str
    kind: ExternKind
    index: int
    span: Span


class Start(Struct, frozen=True):
    """
    The function that runs at instantiation.
    """

    function: int
    span: Span


class Element(Struct, frozen=True):
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


class Data(Struct, frozen=True):
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
