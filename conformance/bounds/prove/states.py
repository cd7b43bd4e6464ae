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

    def copy(self) -> State:
        """
        A state that can be changed apart from this one.
        """
        return replace(self, locals=self.locals[:], stack=self.stack[:], globals=self.globals[:])


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
