"""
What a scenario gets: the module and its manifest, the nodes, and a way to open instances on them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from conformance.manifest.records import RunPart
from runners.blocks import BlockOutcome, CaseBlock
from runners.hosts.host import HostMaker
from runners.hosts.setting import HostSetting
from runners.records import Budget, Call, Node


class OpenInstance(Protocol):
    """
    An instance that stays open between calls; `runners.held.HeldInstance` is one.
    """

    def run(self, block: CaseBlock, /) -> BlockOutcome:
        """
        Run cases in it.
        """

    def memory(self) -> bytes:
        """
        All of its linear memory.
        """


class NodeLostError(Exception):
    """
    A node's worker died while it was attacked.
    """


class NodeUnableError(Exception):
    """
    A node cannot do what a scenario needs; it goes on running.
    """


class Opener(Protocol):
    """
    Opens an instance on a node, given by its place, for calls of an entry: with its meter, if it
    has one. Whatever is done with it may raise NodeLostError or NodeUnableError.
    """

    def __call__(
        self, place: int, call: Call, host: HostMaker | None = None, /
    ) -> AbstractContextManager[OpenInstance]:
        """
        *host* answers its imports; without one the node's own does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """
    One entry, and what its input rows hold.
    """

    call: Call
    columns: tuple[tuple[int, str, int], ...]
    """(byte offset in the row, element type, number of elements)."""
    rows: tuple[bytes, bytes]
    """Two legal input rows without a pattern: the secret, and the one that follows it."""


@dataclass(frozen=True, slots=True)
class Bench:
    """
    Everything that a scenario may touch.
    """

    run: RunPart
    """Of the manifest: instance policy, reset, limits."""
    budget: Budget
    stateful: bool
    """Whether the module can keep anything between calls, as its sections tell."""
    targets: tuple[Target, ...]
    nodes: tuple[Node, ...]
    open: Opener
    imports: tuple[str, ...] = ()
    """Functions that the module imports, `module.name`, each once."""

    @property
    def host(self) -> HostSetting:
        """
        What answers them by the manifest.
        """
        return self.run.host
