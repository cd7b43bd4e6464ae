"""
What the proof answers: a certificate to be checked, or why there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from conformance.bounds.certificate import Certificate, Summary

ReasonClass = Literal[
    "no decreasing measure",
    "exit depends on input bytes",
    "address unknown at a store",
    "recursion",
    "missing contract",
    "solver limit",
    "no solver",
    "not modelled",
    "contradiction",
    "refused by the checker",
    "stopped",
    "unbounded growth",
    "analyses disagree",
]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """
    One thing that stands between a call and a bound.
    """

    reason: ReasonClass
    function: int
    title: str
    """Name of the function."""
    place: int
    """Number of the instruction; -1 for the whole function."""
    offset: int
    """Of the instruction, in bytes from the start of the file."""
    sentence: str
    candidate: str = ""
    """The best measure that failed, in the language of certificates."""
    state: tuple[str, ...] = ()
    """A state in which it fails."""
    repair: str = ""
    """The precondition that would do, where one was found."""
    line: str = ""
    """Source line, where the module tells it."""


@dataclass(frozen=True, slots=True)
class LoopBound:
    """
    What was proved of a loop.
    """

    function: int
    place: int
    offset: int
    least: str
    """Repetitions per entry, as a rational number; empty where nothing but 0 was proved."""
    most: str
    title: str = ""
    """Name of the function."""
    line: str = ""
    """Source line, where the module tells it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    The end of a proof.
    """

    certificate: Certificate | None
    obstacles: tuple[Obstacle, ...] = ()
    loops: tuple[LoopBound, ...] = ()
    questions: int = 0
    """Put to the solver."""
    scripts: dict[str, str] = field(default_factory=dict)
    """Obligations as SMT-LIB by file name, where they were asked for."""
    parts: tuple[Summary, ...] = ()
    """
    Without a certificate: functions all loops of which have facts, as all their callees have; none
    of it is confirmed.
    """
