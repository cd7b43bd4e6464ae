"""
What a path of symbolic execution knows, and what must hold on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from conformance.bounds.check.semantics.memory import Node
from conformance.bounds.check.semantics.terms import Value

EXIT: Final = -2
"""Where a segment ends that returns."""
TRAP: Final = -3
"""Where a segment ends that does not return."""


@dataclass(slots=True)
class State:
    """
    All that a path knows.
    """

    guard: Value
    locals: list[Value]
    stack: list[Value]
    globals: list[Value]
    pages: Value
    memory: Node | None
    counts: list[Value]
    """What each flow fact has counted since the cut."""

    def copy(self) -> State:
        """
        A state that can be changed apart from this one.
        """
        return replace(self, locals=self.locals[:], stack=self.stack[:],
                       globals=self.globals[:], counts=self.counts[:])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Goal:
    """
    Something that must hold wherever *guard* does; `place` is the instruction.
    """

    what: str
    place: int
    guard: Value
    formula: Value
