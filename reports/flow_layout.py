"""
Where basic blocks and edges of a control-flow graph go on a page.

Blocks stand below each other in the order of their instructions, so a drawing reads like the code.
Edges to the next block go straight down; all others run in lanes beside the blocks, forward ones
on the right and those that go back on the left, one lane for each target. Lanes never cross a
block, and the time taken is in proportion to blocks times lanes.

No library does this: graphviz is a program of its own, grandalf rests since 2023, and the layered
layouts in compiled code would be installed for one drawing. Control flow of WebAssembly is always
nested, so the order of the code needs no search for a better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from conformance.wasm.flow import Edge, FlowGraph

LINE: Final = 16.0
"""Height of a line of text, in pixels as all lengths here."""
CHARACTER: Final = 7.25
"""Width of a character of the monospaced font."""
PORT: Final = 14.0
"""Distance between the places at which edges leave a block on one side."""
STRIPE: Final = 7.0
"""Width of the mark of one loop."""
_PADDING: Final = 10.0
_GAP: Final = 30.0
_LANE: Final = 13.0
_MARGIN: Final = 24.0
_LABEL: Final = 78.0
"""Room between a block and the first lane on its right, for labels of edges."""
_TITLE: Final = 46.0


@dataclass(frozen=True, slots=True)
class Box:
    """
    A basic block, or the exit.
    """

    x: float
    y: float
    width: float
    height: float
    stripes: int
    """Marks of loops on its left, inside."""

    @property
    def bottom(self) -> float:
        """
        Its lower edge.
        """
        return self.y + self.height

    @property
    def text_x(self) -> float:
        """
        Where its lines begin.
        """
        return self.x + _PADDING + self.stripes * STRIPE


@dataclass(frozen=True, slots=True)
class Wire:
    """
    An edge as a line of corners; the last one has the arrowhead.
    """

    edge: Edge
    corners: tuple[tuple[float, float], ...]
    label: tuple[float, float]
    """Where its label begins."""
    joined: bool
    """Whether another wire of its lane has the arrowhead."""


@dataclass(frozen=True, slots=True)
class Layout:
    """
    A whole drawing.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    """The last one is the exit."""
    wires: tuple[Wire, ...]


def lay_out(graph: FlowGraph, texts: Sequence[Sequence[str]], stripes: Sequence[int]) -> Layout:
    """
    Place *graph*; *texts* are the lines in each block and in the exit, *stripes* its loop marks.
    """
    lanes = {
        side: _lanes([edge for edge in graph.edges if _side(edge) == side])
        for side in ("left", "right")
    }
    left = _MARGIN + _LANE * (1 + max(lanes["left"].values(), default=-1)) + _LANE
    boxes = _boxes(graph, texts, stripes, left)
    right = max(box.x + box.width for box in boxes) + _LABEL
    wires = tuple(_wires(graph, boxes, lanes, left, right))
    width = right + _LANE * (1 + max(lanes["right"].values(), default=-1)) + _MARGIN
    return Layout(width, boxes[-1].bottom + _MARGIN, boxes, wires)


def _side(edge: Edge) -> str:
    """
    `down` to the next block; else the side of the lane.
    """
    if edge.target <= edge.source:
        return "left"
    return "down" if edge.target == edge.source + 1 else "right"


def _lanes(edges: Sequence[Edge]) -> dict[int, int]:
    """
    Target -> lane, counted outwards; lanes of the same number do not meet.
    """
    spans: dict[int, tuple[int, int]] = {}
    for edge in edges:
        low, high = spans.get(edge.target, (edge.target, edge.target))
        spans[edge.target] = (min(low, edge.source), max(high, edge.source))
    taken: list[list[tuple[int, int]]] = []
    found = {}
    for target, (low, high) in sorted(spans.items(), key=lambda row: (row[1][1] - row[1][0], row)):
        free = (
            lane
            for lane, others in enumerate(taken)
            if all(high < start or end < low for start, end in others)
        )
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((low, high))
        found[target] = lane
    return found


def _boxes(
    graph: FlowGraph, texts: Sequence[Sequence[str]], stripes: Sequence[int], left: float
) -> tuple[Box, ...]:
    widest = max(
        len(line) * CHARACTER + 2 * _PADDING + count * STRIPE
        for lines, count in zip(texts, stripes, strict=True)
        for line in lines
    )
    leaving = [0] * len(texts)
    for edge in graph.edges:
        leaving[edge.source] += _side(edge) == "right"
    boxes = []
    y = _TITLE
    for lines, count, ports in zip(texts, stripes, leaving, strict=True):
        height = max(len(lines) * LINE + _PADDING, 28.0 + ports * PORT)
        boxes.append(Box(left, y, widest, height, count))
        y += height + _GAP
    return tuple(boxes)


def _wires(
    graph: FlowGraph,
    boxes: tuple[Box, ...],
    lanes: dict[str, dict[int, int]],
    left: float,
    right: float,
) -> list[Wire]:
    """
    Corners of every edge.
    """
    wires = []
    headed: set[tuple[str, int]] = set()
    ports = [0] * len(boxes)
    downs = [0] * len(boxes)
    for edge in graph.edges:
        source, target = boxes[edge.source], boxes[edge.target]
        side = _side(edge)
        if side == "down":
            x = source.x + 60.0 + 90.0 * downs[edge.source]
            downs[edge.source] += 1
            corners: tuple[tuple[float, float], ...] = ((x, source.bottom), (x, target.y))
            wires.append(Wire(edge, corners, (x + 6, source.bottom + 15), joined=False))
            continue
        if side == "left":
            lane = left - _LANE * (1.5 + lanes[side][edge.target])
            y, into, at = source.bottom - 9, target.y + 12, (source.x, target.x)
            label = (lane, source.bottom + 13)
        else:
            lane = right + _LANE * lanes[side][edge.target]
            y = source.bottom - 9 - PORT * ports[edge.source]
            ports[edge.source] += 1
            into, at = target.y + 12, (source.x + source.width, target.x + target.width)
            label = (at[0] + 6, y - 4)
        corners = ((at[0], y), (lane, y), (lane, into), (at[1], into))
        wires.append(Wire(edge, corners, label, joined=(side, edge.target) in headed))
        headed.add((side, edge.target))
    return wires
