"""
What an instance holds: functions, tables, memories, globals, and the limits they keep to.

Source: core specification, section "Store" and "Growing memories" / "Growing tables".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from conformance.wasm.evaluate.stops import TrappedError
from conformance.wasm.items import FunctionType, GlobalType, MemoryType, TableType

if TYPE_CHECKING:
    from conformance.wasm.evaluate.instance import Instance

PAGE_BYTES: Final = 65_536

Value = Any
"""A number as the unsigned integer of its bits; a reference: a function, a host's object, None."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What an evaluation may use; the specification leaves these to the implementation.
    """

    pages: int = 65_536
    """Ceiling of every memory."""
    elements: int = 10_000_000
    """Ceiling of every table."""
    frames: int = 10_000
    """Deepest nesting of guest calls."""
    slots: int = 1_000_000
    """Locals and operands of all open calls together."""


@dataclass(frozen=True, slots=True, eq=False)
class GuestFunction:
    """
    A function of a module, closed over its instance.
    """

    type: FunctionType
    instance: Instance
    place: int
    """Its place among the module's own functions."""


@dataclass(frozen=True, slots=True, eq=False)
class HostFunction:
    """
    A function that the embedder gives: called with the calling instance and the arguments.
    """

    type: FunctionType
    call: Callable[..., Sequence[Value]]


Function = GuestFunction | HostFunction


@dataclass(slots=True, eq=False)
class GlobalCell:
    """
    A global and its present value.
    """

    type: GlobalType
    value: Value


class Memory:
    """
    A linear memory; `data` is grown in place, never replaced.
    """

    __slots__ = ("ceiling", "data", "type")

    def __init__(self, described: MemoryType, limits: Limits) -> None:
        """
        All zero, of the least size.
        """
        maximum = described.limits.maximum
        self.type = described
        self.ceiling = min(limits.pages, limits.pages if maximum is None else maximum)
        self.data = bytearray(described.limits.minimum * PAGE_BYTES)

    @property
    def pages(self) -> int:
        """
        Present size.
        """
        return len(self.data) // PAGE_BYTES

    def grow(self, pages: int) -> int:
        """
        Add *pages*; the size before, or -1 as an unsigned i32 where there is no room.
        """
        before = self.pages
        if before + pages > self.ceiling:
            return 0xFFFFFFFF
        try:
            self.data.extend(bytes(pages * PAGE_BYTES))
        except MemoryError:
            return 0xFFFFFFFF
        return before

    def span(self, start: int, size: int) -> slice:
        """
        Where *size* bytes from *start* lie; traps unless all of them are there.
        """
        if start + size > len(self.data):
            raise TrappedError("memory out of bounds")
        return slice(start, start + size)


class Table:
    """
    A table of references.
    """

    __slots__ = ("ceiling", "items", "type")

    def __init__(self, described: TableType, limits: Limits) -> None:
        """
        All null, of the least size.
        """
        maximum = described.limits.maximum
        self.type = described
        self.ceiling = min(limits.elements, limits.elements if maximum is None else maximum)
        self.items: list[Value] = [None] * described.limits.minimum

    def grow(self, count: int, value: Value) -> int:
        """
        Add *count* times *value*; the size before, or -1 as an unsigned i32 without room.
        """
        before = len(self.items)
        if before + count > self.ceiling:
            return 0xFFFFFFFF
        self.items.extend([value] * count)
        return before

    def span(self, start: int, size: int) -> slice:
        """
        Where *size* elements from *start* lie; traps unless all of them are there.
        """
        if start + size > len(self.items):
            raise TrappedError("table out of bounds")
        return slice(start, start + size)


Extern = Function | Table | Memory | GlobalCell
"""What can be imported and exported."""
