"""
Watches how long a worker takes for the command that it owes an answer to.
"""

from __future__ import annotations

import time

from runners.answers import check_size
from runners.arena import Arena
from runners.flight import ForBatch, ForProbe
from runners.frames import ProtocolBreachError


class Watch:
    """
    Time since the last sign of progress on the oldest unanswered command.
    """

    def __init__(self) -> None:
        """
        Start now.
        """
        self.progress = 0
        """The progress word as it was last seen; 0 before the first case."""
        self._since_ns = self._began_ns = time.monotonic_ns()

    def restart(self) -> int:
        """
        Another command is the oldest now; returns the nanoseconds that the last one took.

        All of them, not those since its last sign of progress, which are for the deadline alone.
        """
        now = time.monotonic_ns()
        busy_ns = now - self._began_ns
        self._since_ns, self._began_ns, self.progress = now, now, 0
        return busy_ns

    def look(self, arena: Arena, purpose: ForBatch | ForProbe, count: int) -> None:
        """
        Note the progress word of a batch of `count` cases.

        Raises ProtocolBreachError if it moved as it must not, or if the arena changed its size.
        """
        check_size(arena)
        progress = arena.progress(purpose.progress_at)
        if not self.progress <= progress <= count + 1:
            rule = "progress"
            raise ProtocolBreachError(rule, f"from {self.progress} to {progress} of {count + 1}")
        if progress != self.progress:
            self.progress, self._since_ns = progress, time.monotonic_ns()

    def beyond(self, limit_ms: int) -> bool:
        """
        Whether more time has passed than is allowed.
        """
        return time.monotonic_ns() - self._since_ns > limit_ms * 1_000_000
