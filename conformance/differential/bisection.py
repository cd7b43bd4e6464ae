"""
The first operator that gave two nodes different values, found by checkpoints.

The values of every operator that computes, loads or calls are hashed in order. Two runs of each
node say in which stretch the hashes part, a third writes that stretch down. Where the values agree
and only the end differs, the instruction that one node did not get past is named instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, Literal

from msgspec import Struct

from conformance.wasm.module import Module
from conformance.wasm.rewrite.checkpoints import Checkpoint, Instrumented, Row, checkpointed
from conformance.wasm.rewrite.nans import NanRewrite
from conformance.wasm.rewrite.points import computing, every
from runners.bits import format_bits
from runners.records import Call

BUFFER_PAGES: Final = 16
_ROW_BYTES: Final = 24
"""Of the rows of most operators: number, hash, one value."""
_MOST_PASSES: Final = 12


@dataclass(frozen=True, slots=True)
class Run:
    """
    What one node did with an instrumented module.
    """

    buffer: bytes | None
    """The rows; None if the call did not return."""
    end: int
    """How it ended: equal numbers for equal ends."""
    hits: int
    hash: int


Ask = Callable[[int, Instrumented], Run | None]
"""Runs an instrumented module on node 0 or 1; None where the node cannot show it."""


Nans = tuple[NanRewrite | None, NanRewrite | None]


class FirstDifference(Struct, frozen=True, kw_only=True):
    """
    Where two nodes part.
    """

    function: int
    """Index of the function, imported ones counted first."""
    name: str
    """What the module calls the function."""
    number: int
    """Of the instruction in its body, from 0."""
    offset: int
    """Of the instruction in the module's file, in bytes."""
    operator: str
    hit: int
    """How many values the nodes had computed before, all alike."""
    how: Literal["values", "end", "path"]
    """`values`: it gave different ones. `end`: one node did not get past it. `path`: the nodes
    computed different things next, so that something that gives no value differed before."""
    values: tuple[tuple[str, ...], ...]
    """What it gave on each of the two nodes, as typed bits; empty for a node that did not get to
    it."""

    def __str__(self) -> str:
        """
        One line for reports.
        """
        place = f"instruction {self.number} of {self.name}"
        where = f"{self.operator} at byte {self.offset:#x} ({place})"
        if self.how == "end":
            return f"{where}: one node does not get past it, after {self.hit} equal values"
        shown = " against ".join(", ".join(bits) or "nothing" for bits in self.values)
        return f"{where}: {shown}, after {self.hit} equal values"


@dataclass(frozen=True, slots=True)
class _Search:
    module: Module
    call: Call
    nans: Nans
    ask: Ask
    points: tuple[tuple[int, int], ...]
    buffer_pages: int

    def made(self, node: int, **window: Any) -> Instrumented:
        """
        The module with its results noted, for a node and a window.
        """
        return checkpointed(
            self.module,
            self.points,
            call=self.call,
            observes="results",
            nans=self.nans[node],
            buffer_pages=self.buffer_pages,
            **window,
        )

    def both(self, **window: Any) -> tuple[Instrumented, tuple[Run, Run]] | None:
        """
        The module with its results noted, and what both nodes did with it.
        """
        made = self.made(0, **window)
        one, two = self.ask(0, made), self.ask(1, self.made(1, **window))
        return None if one is None or two is None else (made, (one, two))


def first_difference(
    module: Module,
    call: Call,
    ask: Ask,
    *,
    nans: Nans = (None, None),
    buffer_pages: int = BUFFER_PAGES,
) -> FirstDifference | None:
    """
    The first operator that differs between the nodes 0 and 1 that *ask* runs modules on.

    *nans*: the canonicalising rewrite that the run gave each of them. None where every operator
    gave the same values on both, or where a node shows no globals or memory.
    """
    points = computing(module)
    if not points:
        return None
    search = _Search(module, call, nans, ask, points, buffer_pages)
    whole = search.both()
    if whole is None:
        return None
    _, ends = whole
    stop = min(run.hits for run in ends)
    trapped = [run.buffer is None for run in ends]
    if ends[0].hits == ends[1].hits and ends[0].hash == ends[1].hash:
        return _unfinished(search, trapped, stop) if ends[0].end != ends[1].end else None
    return _between(search, stop) or _unfinished(search, trapped, stop)


def _between(search: _Search, stop: int) -> FirstDifference | None:
    """
    The first of the first *stop* hits that differs.
    """
    first, stride = 0, 1
    for _ in range(_MOST_PASSES):
        window = search.both(first=first, every=stride, stop=stop)
        if window is None:
            return None
        made, runs = window
        if runs[0].buffer is None or runs[1].buffer is None:
            return None
        rows = [list(made.rows(run.buffer or b"")) for run in runs]
        at = _parting(rows[0], rows[1], whole=stride == 1)
        shown = min(len(rows[0]), len(rows[1]))
        if stride == 1:
            if at is not None:
                return _told(search.module, made, rows, at, first + at)
            first += shown
        else:
            # The hash of a row covers what was before it: the difference is before row `at`.
            first += (shown if at is None else at) * stride - stride
        if first >= stop or not shown:
            return None
        left = -(-(stop - first) * _ROW_BYTES // made.size_bytes)
        stride = max(1, left) if stride == 1 else 1
    return None


def _parting(one: Sequence[Row], two: Sequence[Row], *, whole: bool) -> int | None:
    """
    Number of the first row that differs; of its hash alone unless rows are *whole*.
    """
    for at, (left, right) in enumerate(zip_longest(one, two)):
        if left is None or right is None:
            return None
        if left.hash != right.hash or (whole and left != right):
            return at
    return None


def _told(
    module: Module, made: Instrumented, rows: Sequence[Sequence[Row]], at: int, hit: int
) -> FirstDifference:
    """
    The difference at row *at*, whose *hit* it is.
    """
    left, right = rows[0][at], rows[1][at]
    point = made.checkpoints[left.point]
    same = left.point == right.point
    values = tuple(_bits(made.checkpoints[row.point], row) for row in (left, right))
    return _at(module, point, hit, "values" if same else "path", values)


def _bits(point: Checkpoint, row: Row) -> tuple[str, ...]:
    """
    The values of a row as typed bits.
    """
    found: list[str] = []
    left = list(row.values)
    for word in point.words:
        if word.type == "v128":
            low, high = left.pop(0), left.pop(0)
            found.append(f"v128:{high:016x}{low:016x}")
        elif word.type in ("i32", "i64", "f32", "f64"):
            found.append(format_bits(word.type, left.pop(0)))
        else:
            found.append("null" if left.pop(0) else "a reference")
    return tuple(found)


def _unfinished(search: _Search, trapped: Sequence[bool], stop: int) -> FirstDifference | None:
    """
    The instruction that the node which trapped, or trapped first, did not get past.
    """
    node = 0 if trapped[0] else 1
    if not trapped[node]:
        return None
    points = every(search.module)
    counted = checkpointed(
        search.module, points, call=search.call, nans=search.nans[node], buffer_pages=1
    )
    end = search.ask(node, counted)
    if end is None or not end.hits:
        return None
    made = checkpointed(
        search.module,
        points,
        call=search.call,
        first=end.hits - 1,
        stop=end.hits,
        nans=search.nans[node],
        buffer_pages=BUFFER_PAGES,
    )
    run = search.ask(node, made)
    rows = [] if run is None or run.buffer is None else list(made.rows(run.buffer))
    if not rows:
        return None
    return _at(search.module, made.checkpoints[rows[0].point], stop, "end", ())


def _at(
    module: Module,
    point: Checkpoint,
    hit: int,
    how: Literal["values", "end", "path"],
    values: tuple[tuple[str, ...], ...],
) -> FirstDifference:
    function = module.functions[point.place].index
    return FirstDifference(
        function=function,
        name=module.function_name(function),
        number=point.number,
        offset=point.offset,
        operator=point.operator,
        hit=hit,
        how=how,
        values=values,
    )
