"""
All that is known of the runs that are at one point: activations, globals, memory, gas so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.bounds.abstract.code import Code
from conformance.bounds.abstract.domain import Value, join
from conformance.bounds.abstract.memory import Memory

Point = tuple[int, ...]
"""
Where control is, in the order in which it is executed: for each activation the loops that it is in,
each with its iteration, then the point in the body; behind that of a call the function called.
"""


@dataclass(slots=True)
class Frame:
    """
    One activation.
    """

    code: Code
    locals: list[Value]
    before: Point
    """Points of the activations below it."""
    arguments: tuple[Value, ...]
    entry: int = 0
    """Next entry of its code."""
    calling: int = 0
    """Place of the call that it waits for."""
    stack: list[Value] = field(default_factory=list)
    trail: list[int] = field(default_factory=list)
    """For each loop around: twice its place, iteration."""

    def fork(self) -> Frame:
        """
        The same activation of a second state.
        """
        return Frame(
            self.code, self.locals[:], self.before, self.arguments, self.entry, self.calling,
            self.stack[:], self.trail[:],
        )  # fmt: skip


@dataclass(slots=True)
class State:
    """
    A set of runs at one point.
    """

    frames: list[Frame]
    globals: list[Value]
    memory: Memory
    pages: int
    lo: list[int]
    """Least gas so far, by number of the model."""
    hi: list[int]

    def fork(self) -> State:
        """
        A second state that is like this one.
        """
        return State(
            [frame.fork() for frame in self.frames], self.globals[:], self.memory.fork(),
            self.pages, self.lo[:], self.hi[:],
        )  # fmt: skip

    def point(self, last: int) -> Point:
        """
        Where the state is, when the newest activation is at point *last* of its body.
        """
        frame = self.frames[-1]
        return (*frame.before, *frame.trail, last)

    def scalars(self, last: int) -> tuple[int | None, ...]:
        """
        What distinguishes states at one point: live integers that are known, others as None.
        """
        found: list[Value] = [self.pages, *self.globals]
        top = self.frames[-1]
        for frame in self.frames:
            place = (last + 1) // 2 if frame is top else frame.calling + 1
            locals_ = frame.locals
            found += [locals_[k] for k in frame.code.read_from(place)[1]]
            found += frame.stack
        return tuple([value if type(value) is int else None for value in found])

    def merge(self, other: State, last: int) -> None:
        """
        Let this state be all that it or *other*, at the same point, can be.
        """
        top = self.frames[-1]
        for one, two in zip(self.frames, other.frames, strict=True):
            place = (last + 1) // 2 if one is top else one.calling + 1
            live = one.code.live[place]
            here = one.locals
            for k, value in enumerate(two.locals):
                if here[k] is not value and here[k] != value:
                    here[k] = join(here[k], value) if live >> k & 1 else None
            one.stack = [join(a, b) for a, b in zip(one.stack, two.stack, strict=True)]
            if one.arguments != two.arguments:
                pairs = zip(one.arguments, two.arguments, strict=True)
                one.arguments = tuple(join(a, b) for a, b in pairs)
        self.globals = [join(a, b) for a, b in zip(self.globals, other.globals, strict=True)]
        if self.memory is not other.memory:
            self.memory.merge(other.memory)
        self.lo = list(map(min, self.lo, other.lo))
        self.hi = list(map(max, self.hi, other.hi))

    def like(self, other: State) -> bool:
        """
        Whether the same is known of what is still read, gas apart.
        """
        if self.pages != other.pages or self.globals != other.globals:
            return False
        for one, two in zip(self.frames, other.frames, strict=True):
            if one.stack != two.stack:
                return False
            live = one.code.read_from(one.calling + 1)[0]
            here, there = one.locals, two.locals
            if any(here[k] != there[k] for k in live):
                return False
        return self.memory.alike(other.memory)
