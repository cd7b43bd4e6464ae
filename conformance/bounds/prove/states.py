"""
What is known at a place of a function, and what happens in the loop-free code behind a cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from conformance.bounds.check.semantics.layout import Edge
from conformance.bounds.prove.terms import Term

EXIT: Final = -2
"""Where a segment ends that returns."""
TRAP: Final = -3


@dataclass(frozen=True, slots=True)
class Cell:
    """
    *size* bytes of a frame, *offset* from the stack pointer that the function finds (negative).
    """

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Frame:
    """
    Where a function keeps locals in memory.
    """

    pointer: int
    """The global that holds the stack pointer."""
    size: int
    """Bytes below the stack pointer at entry."""
    fixed: Mapping[int, Term]
    """Locals that keep one value, over `param` and `entry-global`."""
    cells: tuple[Cell, ...] = ()


@dataclass(slots=True)
class State:
    """
    All that a path knows.
    """

    guard: Term
    locals: list[Term]
    stack: list[Term]
    globals: list[Term]
    pages: Term
    stored: bool = False
    """Whether memory may differ from what it was at the cut."""
    cells: list[Term] = field(default_factory=list)
    """What the cells of the function's frame hold, in their order."""

    def copy(self) -> State:
        """
        A state that can be changed apart from this one.
        """
        return replace(
            self, locals=self.locals[:], stack=self.stack[:], globals=self.globals[:],
            cells=self.cells[:],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Access:
    """
    A load or a write of memory: *size* bytes, or up to *end* for instructions with a length.
    """

    at: int
    guard: Term
    start: Term
    """40 bits."""
    end: Term
    address: Term | None = None
    """Of a store: 32 bits, wrapped where the machine would trap."""
    size: int = 0
    """Of a store, in bytes."""
    followed: bool = False
    """Whether it is a store at a known distance from the function's cells."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    A load and what it gave.
    """

    at: int
    guard: Term
    address: Term
    """32 bits; wrapped where the machine would trap."""
    size: int
    value: Term
    integer: bool = True
    """Whether it gives an integer."""


@dataclass(frozen=True, slots=True)
class Called:
    """
    One function that may be called at one place.
    """

    at: int
    guard: Term
    """The call happens and goes to this function."""
    function: int
    before: State
    arguments: tuple[Term, ...]
    after: State
    results: tuple[Term, ...]
    reentered: bool = False
    """Whether a host calls it, which is called at this place itself."""


@dataclass(frozen=True, slots=True)
class Grown:
    """
    A `memory.grow`: where *granted*, memory has *after* pages (40 bits).
    """

    at: int
    granted: Term
    after: Term


@dataclass(frozen=True, slots=True)
class Assigned:
    """
    A value given to a global.
    """

    at: int
    guard: Term
    index: int
    value: Term


@dataclass(slots=True)
class Region:
    """
    What was found behind one cut.
    """

    cut: int
    start: State
    ends: list[tuple[int, State]] = field(default_factory=list)
    """Cut, EXIT or TRAP, and the state there."""
    edges: dict[Edge, Term] = field(default_factory=dict)
    """Edge -> when it is passed."""
    writes: list[Access] = field(default_factory=list)
    loads: list[Loaded] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    growths: list[Grown] = field(default_factory=list)
    assigned: list[Assigned] = field(default_factory=list)
    results: dict[int, tuple[Term, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reads:
    """
    Loads that read constants: instruction -> (start of the region, table of it).
    """

    tables: Mapping[int, tuple[int, int, str]] = field(default_factory=dict)
    """Instruction -> first address, bytes of the region, name of the byte-indexed table."""
