"""
Counts the calls that the host of a node ended: of these an attack learns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from runners.blocks import BlockOutcome
from runners.status import Status


@dataclass(slots=True)
class HostEnds:
    """
    Calls with the manifest's host, and how many of them that host ended.
    """

    asked: int = 0
    ended: int = 0
    words: str = ""
    """What the host said first; empty if it ended nothing, or said nothing."""

    def note(self, outcome: BlockOutcome) -> None:
        """
        Count the only case of a block.
        """
        self.asked += 1
        if outcome.status[0] == Status.TRAP_HOST:
            self.ended += 1
            self.words = self.words or outcome.details.get(0, "")

    def add(self, other: HostEnds) -> None:
        """
        Count what another has counted.
        """
        self.asked += other.asked
        self.ended += other.ended
        self.words = self.words or other.words
