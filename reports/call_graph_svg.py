"""
Draws a call graph coloured by share of gas: callers left, callees right, the dearest on top.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from reports.bound_view import BoundView, CallView, FunctionView
from reports.escapes import shortened

MOST_ROWS: Final = 14
"""Functions of one column; those with less gas are left to the table."""
MOST_COLUMNS: Final = 9
_WIDTH, _HEIGHT = 232, 62
_ACROSS, _DOWN = 84, 20
_EDGE: Final = 12
_LABELLED: Final = 3
"""Lines into one box that are labelled; with more, the labels would lie on each other."""
_LETTERS: Final = 27


@dataclass(frozen=True, slots=True)
class _Node:
    view: FunctionView
    x: int
    y: int


def call_graph_svg(view: BoundView) -> Markup:
    """
    The drawing, in the colours of the page around it; empty where no function has a share.
    """
    nodes = _placed(view.functions, view.calls)
    if not nodes:
        return Markup("")
    width = max(node.x for node in nodes.values()) + _WIDTH + _EDGE
    height = max(node.y for node in nodes.values()) + _HEIGHT + _EDGE
    hidden = len(view.functions) - len(nodes)
    words = ", ".join(
        f"{shortened(node.view.title)} {node.view.share:.1f} percent"
        for node in list(nodes.values())[:12]
    )
    rest = f"; {hidden} more in the table" if hidden else ""
    parts = [
        Markup(
            '<svg class="graph" width="{}" height="{}" viewBox="0 0 {} {}" role="img"'
            ' aria-label="Call graph by share of gas: {}{}">'
        ).format(width, height, width, height, words, rest)
    ]
    parts += _wires(nodes, view.calls)
    for node in nodes.values():
        parts += _box(node)
    return Markup("\n").join([*parts, Markup("</svg>")])


def _placed(
    functions: Sequence[FunctionView], calls: Sequence[CallView]
) -> dict[int, _Node]:  # fmt: skip
    """
    Function -> where it is drawn: the column is the longest way from a caller of all.
    """
    columns = dict.fromkeys((view.function for view in functions), 0)
    for _ in range(MOST_COLUMNS - 1):
        for call in calls:
            if call.caller in columns and call.callee in columns and call.caller != call.callee:
                deeper = min(columns[call.caller] + 1, MOST_COLUMNS - 1)
                columns[call.callee] = max(columns[call.callee], deeper)
    found: dict[int, _Node] = {}
    rows: dict[int, int] = {}
    for view in sorted(functions, key=lambda item: (-item.share, item.function)):
        column = columns[view.function]
        row = rows.get(column, 0)
        if row < MOST_ROWS:
            rows[column] = row + 1
            x = _EDGE + column * (_WIDTH + _ACROSS)
            found[view.function] = _Node(view, x, _EDGE + row * (_HEIGHT + _DOWN))
    return found


def _wires(nodes: dict[int, _Node], calls: Sequence[CallView]) -> Iterator[Markup]:
    """
    Calls as lines that arrive at a box one below the other, so that their numbers can be read.
    """
    arriving: dict[int, list[CallView]] = {}
    for call in calls:
        if call.caller in nodes and call.callee in nodes and call.caller != call.callee:
            arriving.setdefault(call.callee, []).append(call)
    for callee, found in arriving.items():
        found.sort(key=lambda call: (nodes[call.caller].y, call.caller))
        for number, call in enumerate(found, 1):
            start, end = nodes[call.caller], nodes[callee]
            x, y = start.x + _WIDTH, start.y + _HEIGHT / 2
            to_x, to_y = end.x, round(end.y + _HEIGHT * number / (len(found) + 1), 1)
            bend = max(30.0, (to_x - x) / 2)
            yield Markup(
                '<path class="wire" d="M{:g} {:g}C{:g} {:g} {:g} {:g} {:g} {:g}"/>'
            ).format(x, y, x + bend, y, to_x - bend, to_y, to_x - 5, to_y)
            yield Markup('<path class="tip" d="M{:g} {:g}l-8 -4v8z"/>').format(to_x, to_y)
            if len(found) <= _LABELLED:
                yield Markup(
                    '<text class="times" x="{:g}" y="{:g}" text-anchor="end">{}</text>'
                ).format(to_x - 11, to_y - 4, f"{call.calls} times")


def _box(node: _Node) -> Iterator[Markup]:
    view, x, y = node.view, node.x, node.y
    yield Markup("<g><title>{}: {:.2f} % of the gas, {} calls</title>").format(
        shortened(view.title), view.share, view.calls
    )
    mix = round(min(view.share, 100.0) * 0.6, 1)
    yield Markup(
        '<rect class="heat" style="--p: {:g}%" x="{}" y="{}" width="{}" height="{}" rx="8"/>'
    ).format(mix, x, y, _WIDTH, _HEIGHT)
    yield Markup('<text class="name" x="{}" y="{}">{}</text>').format(
        x + 12, y + 22, shortened(view.title, _LETTERS)
    )
    long = round((_WIDTH - 24) * min(view.share, 100.0) / 100, 1)
    yield Markup('<rect class="track" x="{}" y="{}" width="{}" height="5" rx="2.5"/>').format(
        x + 12, y + _HEIGHT - 13, _WIDTH - 24
    )
    yield Markup('<rect class="part" x="{}" y="{}" width="{:g}" height="5" rx="2.5"/>').format(
        x + 12, y + _HEIGHT - 13, long
    )
    yield Markup('<text class="share" x="{}" y="{}">{:.1f} %</text>').format(
        x + 12, y + 42, view.share
    )
    yield Markup('<text class="share" x="{}" y="{}" text-anchor="end">{}</text></g>').format(
        x + _WIDTH - 12, y + 42, shortened(f"{view.own} gas", 24)
    )
