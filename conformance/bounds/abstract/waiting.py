"""
States that wait for others to come to the same point, and which of them become one.

Structured control orders all points totally: the least is always executed first, so all that can
come to a point has come when it is its turn. States meet when they are put here, so a loop leaves
one memory behind and not one for each iteration.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from conformance.bounds.abstract.state import Point, State


@dataclass(slots=True)
class _Group:
    """
    States at one point, kept apart by what their live scalars are.
    """

    states: dict[tuple[int | None, ...], State] = field(default_factory=dict)
    crowded: bool = False
    """Whether there were too many, and all became one."""
    begun: bool = False
    """Whether one of them was taken."""


@dataclass(slots=True)
class Waiting:
    """
    All states but the one that is executed.
    """

    cap: int
    """Most states at one point."""
    merged: int = 0
    forced: int = 0
    """Points at which scalars were given up because there were too many states."""
    most: int = 0
    """States at one point, at most."""
    _groups: dict[Point, _Group] = field(default_factory=dict)
    _order: list[Point] = field(default_factory=list)

    @property
    def least(self) -> Point | None:
        """
        The point whose turn it is.
        """
        return self._order[0] if self._order else None

    def put(self, state: State, last: int) -> None:
        """
        Let a state wait at point *last* of its newest activation.
        """
        point = state.point(last)
        group = self._groups.get(point)
        if group is None:
            group = self._groups[point] = _Group()
            heapq.heappush(self._order, point)
        scalars = (state.pages,) if group.crowded else state.scalars(last)
        other = group.states.get(scalars)
        if other is not None:
            self.merged += 1
            other.merge(state, last)
            return
        group.states[scalars] = state
        self.most = max(self.most, len(group.states))
        if len(group.states) > self.cap:
            self._crowd(group, last)

    def _crowd(self, group: _Group, last: int) -> None:
        """
        Make one of all states at a point whose memories have one size.
        """
        self.forced += 1
        kept: dict[tuple[int | None, ...], State] = {}
        for state in group.states.values():
            other = kept.setdefault((state.pages,), state)
            if other is not state:
                other.merge(state, last)
        group.states, group.crowded = kept, True

    def take(self) -> tuple[State, list[State]]:
        """
        A state whose turn it is; and all at its point, if it is the first of them, else none.
        """
        point = self._order[0]
        group = self._groups[point]
        together = [] if group.begun else list(group.states.values())
        group.begun = True
        scalars = next(iter(group.states))
        state = group.states.pop(scalars)
        if not group.states:
            del self._groups[point]
            heapq.heappop(self._order)
        return state, together
