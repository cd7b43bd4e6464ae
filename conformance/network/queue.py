"""
The one queue of events of a simulation.

Time is counted in ticks, which nothing measures. Events of one tick happen in the order in which
they were scheduled, so that a run depends on its seed alone.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

Event = TypeVar("Event")


class EventQueue(Generic[Event]):
    """
    Events that are still to happen, the earliest first.
    """

    def __init__(self) -> None:
        """
        Begin at tick 0 with nothing to happen.
        """
        self.now = 0
        """Tick of the event that was taken last."""
        self._heap: list[tuple[int, int, Event]] = []
        self._scheduled = 0

    def schedule(self, delay: int, event: Event) -> None:
        """
        Let an event happen *delay* ticks from now; nothing happens in the past.
        """
        if delay < 0:
            message = f"an event {delay} ticks from now would lie in the past"
            raise ValueError(message)
        # The running number settles ties, so that events themselves are never compared.
        heapq.heappush(self._heap, (self.now + delay, self._scheduled, event))
        self._scheduled += 1

    def take(self) -> Event | None:
        """
        Move time to the next event and return it; None when nothing is left.
        """
        if not self._heap:
            return None
        self.now, _, event = heapq.heappop(self._heap)
        return event
