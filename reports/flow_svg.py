"""
Draws the control-flow graph of one function as SVG: self-contained, light and dark, no script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from conformance.wasm.body import Body, Function
from conformance.wasm.flow import BasicBlock, Edge, FlowGraph, flow
from conformance.wasm.loops import LoopForest, loop_forest
from conformance.wasm.module import Module
from conformance.wasm.text import instruction_text
from reports.escapes import shortened, visible
from reports.flow_layout import LINE, STRIPE, Box, Layout, Wire, lay_out

MOST_BLOCKS: Final = 1_500
"""Beyond this a drawing is a wall that nobody reads."""
_HEAD, _TAIL = 7, 3
"""Instructions shown at the start and the end of a long block."""
_COLUMNS: Final = 46
_CASES: Final = 4
_COLOURS: Final = 6

_STYLE: Final = """
svg { --bg: #faf9f6; --card: #ffffff; --ink: #1d2126; --soft: #59616b; --line: #c9c5ba;
  --wire: #6b7580; --yes: #176a3a; --no: #a3241c;
  --loop0: #22577a; --loop1: #b5651d; --loop2: #7a3e9d; --loop3: #1b7f79; --loop4: #b3325a;
  --loop5: #6a7a18; }
@media (prefers-color-scheme: dark) {
  svg { --bg: #14171a; --card: #1b1f23; --ink: #e7e4dd; --soft: #a5adb6; --line: #454d55;
    --wire: #98a2ac; --yes: #7fd1a0; --no: #ff9d94;
    --loop0: #8cc3e8; --loop1: #f0b072; --loop2: #d3a4ee; --loop3: #7fd8d1; --loop4: #f2a0bb;
    --loop5: #c8d870; } }
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: var(--ink);
  white-space: pre; }
.title { font-size: 15px; font-weight: 600; } .head { fill: var(--soft); }
.label { font-size: 10.5px; fill: var(--soft); }
.box { fill: var(--card); stroke: var(--line); } .dead { stroke-dasharray: 5 4; opacity: .6; }
.wire { fill: none; stroke: var(--wire); stroke-width: 1.5; }
.yes { stroke: var(--yes); } .no { stroke: var(--no); }
"""


def flow_svg(module: Module, function: Function) -> str:
    """
    The drawing; ValueError for a function of more than `MOST_BLOCKS` basic blocks.
    """
    graph = flow(function.body)
    if len(graph.blocks) > MOST_BLOCKS:
        message = (
            f"{visible(module.function_name(function.index))} has {len(graph.blocks)} basic blocks,"
            f" a drawing has at most {MOST_BLOCKS}"
        )
        raise ValueError(message)
    forest = loop_forest(graph)
    chains = [_chain(forest, block) for block in range(len(graph.blocks))]
    texts = [_lines(function.body, n, block, forest) for n, block in enumerate(graph.blocks)]
    texts.append(["exit: the function returns"])
    layout = lay_out(graph, texts, [*map(len, chains), 0])
    title = (
        f"{shortened(module.function_name(function.index), _COLUMNS)}: "
        f"{len(graph.blocks)} basic blocks, {len(graph.edges)} edges, {len(forest.loops)} loops"
    )
    width = max(layout.width, 60 + 9.2 * len(title))
    return "\n".join(_page(layout, width, title, graph, texts, chains)) + "\n"


def _chain(forest: LoopForest, block: int) -> list[int]:
    """
    Loops that a block is in, outer ones first.
    """
    found = []
    loop = forest.innermost[block]
    while loop is not None:
        found.append(loop)
        loop = forest.loops[loop].parent
    return found[::-1]


def _lines(body: Body, number: int, block: BasicBlock, forest: LoopForest) -> list[str]:
    """
    What a block shows: number and byte offset, the loop that it is the header of, instructions.
    """
    head = f"{number}  at byte {int(body.offsets[block.start]):#x}"
    for loop, found in enumerate(forest.loops):
        if found.header == number:
            head += f"  loop {loop}, depth {found.depth}"
    if not block.reachable:
        head += "  not reached"
    count = block.end - block.start
    places: list[int | None] = list(range(block.start, block.end))
    if count > _HEAD + _TAIL + 1:
        places[_HEAD : count - _TAIL] = [None]
    hidden = count - _HEAD - _TAIL
    texts = [
        f"... {hidden} more instructions" if place is None else instruction_text(body[place])
        for place in places
    ]
    return [
        head,
        *(text if len(text) <= _COLUMNS else text[: _COLUMNS - 3] + "..." for text in texts),
    ]


# -------------------------------------------------------------------------------------- drawing


def _page(
    layout: Layout,
    width: float,
    title: str,
    graph: FlowGraph,
    texts: Sequence[Sequence[str]],
    chains: Sequence[Sequence[int]],
) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{layout.height:g}" '
        f'viewBox="0 0 {width:g} {layout.height:g}" role="img">'
    )
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    yield (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0.5 8 4 0 7.5z" fill="context-stroke"/>'
        "</marker></defs>"
    )
    yield f'<rect width="{width:g}" height="{layout.height:g}" style="fill: var(--bg)"/>'
    yield f'<text class="title" x="24" y="28">{escape(title)}</text>'
    for wire in layout.wires:
        yield from _wire(wire, chains)
    for number, (box, lines) in enumerate(zip(layout.boxes, texts, strict=True)):
        dead = number < len(graph.blocks) and not graph.blocks[number].reachable
        yield from _box(box, lines, dead=dead)
        if number < len(chains):
            below = chains[number + 1] if number + 1 < len(chains) else ()
            foot = layout.boxes[number + 1].y
            yield from _stripes(box, chains[number], below, foot)
    yield "</svg>"


def _colour(loop: int) -> str:
    return f"var(--loop{loop % _COLOURS})"


def _box(box: Box, lines: Sequence[str], *, dead: bool) -> Iterator[str]:
    state = " dead" if dead else ""
    yield (
        f'<rect class="box{state}" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" '
        f'height="{box.height:g}" rx="4"/>'
    )
    for row, line in enumerate(lines):
        head = ' class="head"' if row == 0 else ""
        y = box.y + (row + 1) * LINE
        yield f'<text{head} x="{box.text_x:g}" y="{y:g}">{escape(line)}</text>'


def _stripes(box: Box, chain: Sequence[int], below: Sequence[int], foot: float) -> Iterator[str]:
    """
    A mark for each loop, down to the next block if that is in the loop as well.
    """
    for column, loop in enumerate(chain):
        end = foot if list(below[: column + 1]) == list(chain[: column + 1]) else box.bottom
        yield (
            f'<rect x="{box.x + 2 + column * STRIPE:g}" y="{box.y:g}" width="{STRIPE - 2:g}" '
            f'height="{end - box.y:g}" style="fill: {_colour(loop)}"/>'
        )


def _wire(wire: Wire, chains: Sequence[Sequence[int]]) -> Iterator[str]:
    edge = wire.edge
    style, kind = (
        "",
        {"taken": " yes", "then": " yes", "untaken": " no", "else": " no"}.get(edge.kind, ""),
    )
    if edge.back:
        style = f' style="stroke: {_colour(chains[edge.target][-1])}; stroke-width: 2"'
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in wire.corners)
    head = "" if wire.joined else ' marker-end="url(#head)"'
    yield f'<path class="wire{kind}" d="{path}"{style}{head}/>'
    label = _label(edge)
    if label:
        x, y = wire.label
        yield f'<text class="label" x="{x:g}" y="{y:g}">{label}</text>'


def _label(edge: Edge) -> str:
    if edge.kind == "case":
        shown = ", ".join(map(str, edge.cases[:_CASES]))
        return f"case {shown}" + (", ..." if len(edge.cases) > _CASES else "")
    return "" if edge.kind in ("next", "jump") or edge.back else edge.kind
