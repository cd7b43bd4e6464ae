"""
What was seen at entries of functions and at loop heads: a guide for the proof, no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from conformance.bounds.abstract.domain import Value, ends, join
from conformance.bounds.abstract.state import State
from conformance.bounds.certificate import ENTRY

Place = tuple[int, int]
"""Function, and the place of a `loop` or ENTRY."""
Row = tuple[Value, ...]
_BUFFER: Final = 2048
_MOST: Final = 256
"""Locals of one function that are noted."""
_KEPT: Final = 256
"""Rows that are kept from the beginning; as many are kept from the end."""


@dataclass(slots=True)
class Cut:
    """
    All states that came to one place.
    """

    names: tuple[tuple[str, int], ...]
    """
    Kind and index of each column, as in the language of certificates: locals, globals, arguments
    of the activation, operands on the stack.
    """
    count: int = 0
    first: list[Row] = field(default_factory=list)
    last: list[Row] = field(default_factory=list)
    _whole: list[Value] = field(default_factory=list)
    _folded: bool = False

    def add(self, row: Row) -> None:
        """
        One more state.
        """
        self.count += 1
        if len(self.first) < _KEPT:
            self.first.append(row)
        self.last.append(row)
        if len(self.last) >= _BUFFER:
            self._fold()
            del self.last[:-_KEPT]

    def _fold(self) -> None:
        columns = [_together(column) for column in zip(*self.last, strict=True)]
        if self._folded:
            columns = [join(a, b) for a, b in zip(self._whole, columns, strict=True)]
        self._whole, self._folded = columns, True

    @property
    def whole(self) -> dict[tuple[str, int], Value]:
        """
        For each variable all that it can be here.
        """
        if self.last:
            self._fold()
        return dict(zip(self.names, self._whole, strict=True))

    @property
    def rows(self) -> list[dict[tuple[str, int], int]]:
        """
        Some of the states: variables that were one number there.
        """
        kept = self.first + [row for row in self.last[-_KEPT:] if self.count > 2 * _KEPT]
        if _KEPT < self.count <= 2 * _KEPT:
            kept = self.first + self.last[_KEPT - self.count :]
        return [
            {name: value for name, value in zip(self.names, row, strict=True) if type(value) is int}
            for row in kept
        ]


def _together(column: tuple[Value, ...]) -> Value:
    """
    All that a column can be.
    """
    different = set(column)
    if None in different:
        return None
    found = [ends(value, 64) for value in different]
    if all(low == high for low, high in found):
        whole: Value = next(iter(different))
        for value in different:
            whole = join(whole, value)
        return whole
    return min(low for low, _ in found), max(high for _, high in found)


@dataclass(slots=True)
class Seen:
    """
    All places.
    """

    cuts: dict[Place, Cut] = field(default_factory=dict)
    visits: dict[Place, int] = field(default_factory=dict)
    """Loop -> how often its head was passed at most, for one entry from above."""

    def note(self, state: State, place: int) -> None:
        """
        A state is at *place* of its newest activation.
        """
        frame = state.frames[-1]
        key = (frame.code.function, place)
        cut = self.cuts.get(key)
        stack = frame.stack if place != ENTRY else ()
        if cut is None:
            cut = self.cuts[key] = _cut(state, len(stack))
        cut.add((*frame.locals[:_MOST], *state.globals, *frame.arguments, *stack))
        if place != ENTRY:
            passed = frame.trail[-1] + 1
            if passed > self.visits.get(key, 0):
                self.visits[key] = passed


def _cut(state: State, operands: int) -> Cut:
    code = state.frames[-1].code
    globals_ = len(state.globals)
    names = [("local", k) for k in range(min(len(code.widths), _MOST))]
    names += [("global", k) for k in range(globals_)]
    names += [("param", k) for k in range(code.parameters)]
    names += [("stack", k) for k in range(operands)]
    return Cut(tuple(names))
