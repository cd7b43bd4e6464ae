"""
What a worker holds: batches in flight, and what each unanswered command was sent for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runners.hosting import Hosting
from runners.job import Span


@dataclass(slots=True, eq=False)
class Flight:
    """
    A span that a worker holds, and where it lies in the arena.
    """

    span: Span
    slot: int
    at: dict[str, int]
    probes: list[dict[str, int]] = field(default_factory=list)
    """Where the probes before and after it lie."""
    hosting: Hosting | None = None
    """Answers its cases' host calls; None for a module that has none to make."""


@dataclass(frozen=True, slots=True)
class ForHello:
    """
    Sent to learn who the worker is.
    """


@dataclass(frozen=True, slots=True)
class ForLoad:
    """
    Sent to have a module compiled.
    """

    module: str
    memory_pages: int


@dataclass(frozen=True, slots=True)
class ForBatch:
    """
    Sent to have a span's cases run.
    """

    flight: Flight

    @property
    def progress_at(self) -> int:
        """
        Where its progress word lies in the arena.
        """
        return self.flight.at["progress"]


@dataclass(frozen=True, slots=True)
class ForProbe:
    """
    Sent to see whether the worker still computes as it should.
    """

    flight: Flight
    which: int
    """0 before the batch, 1 after it."""

    @property
    def progress_at(self) -> int:
        """
        Where its progress word lies in the arena.
        """
        return self.flight.probes[self.which]["progress"]


@dataclass(frozen=True, slots=True)
class ForAsker:
    """
    Sent for a caller of the pool, who waits for the answer.
    """

    deadline_ms: int | None = None
    """How long it may take; None: as long as a worker may take to start."""
    hosting: Hosting | None = None
    progress_at: int | None = None
    """Where the progress word of a batch lies in the arena; None for a command that is none."""


Purpose = ForHello | ForLoad | ForBatch | ForProbe | ForAsker
