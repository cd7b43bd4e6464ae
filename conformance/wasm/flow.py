"""
The control-flow graph of a body: basic blocks over places of instructions, and edges with kinds.

A branch to a loop goes on after the `loop`, and one to any other block after its `end`: so a
`loop` and an `end` belong to the path that falls through them, as gas models count them. Calls
and instructions that may trap end no basic block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple, cast

import numpy as np

from conformance.wasm.body import Body, code_table
from conformance.wasm.errors import BadModuleError
from conformance.wasm.instructions import Instruction, Labels, iterate
from conformance.wasm.opcodes import BY_NAME
from conformance.wasm.structure import Block, Structure, structure

EdgeKind = Literal[
    "next",  # falls through to the next instruction, or off the final `end`
    "jump",  # `br`, or past the `else` part from the end of the first part
    "taken",  # `br_if`, condition not zero
    "untaken",  # `br_if`, condition zero
    "then",  # `if`, condition not zero
    "else",  # `if`, condition zero
    "case",  # `br_table`, by index
    "default",  # `br_table`, index beyond the labels
    "return",
]

_CONTROL: Final = {
    BY_NAME[name].code: name
    for name in (
        "block", "loop", "if", "else", "end", "br", "br_if", "br_table", "return", "unreachable",
    )
}  # fmt: skip
_CODES: Final = code_table(_CONTROL)


@dataclass(frozen=True, slots=True)
class Edge:
    """
    From the end of one basic block to the start of another, or to the exit.
    """

    source: int
    target: int
    """A basic block, or `FlowGraph.exit`."""
    kind: EdgeKind
    back: bool
    """Whether it is a branch to the label of a loop."""
    cases: tuple[int, ...] = ()
    """`case` only: the indices that lead here, ascending."""


@dataclass(frozen=True, slots=True)
class BasicBlock:
    """
    Instructions `start` up to, not including, `end`: entered at the first, left after the last.
    """

    start: int
    end: int
    reachable: bool
    """Whether a path of edges leads here from the first instruction."""


@dataclass(frozen=True, eq=False)
class FlowGraph:
    """
    Basic blocks in the order of their instructions; number 0 is the entry.
    """

    structure: Structure
    blocks: tuple[BasicBlock, ...]
    edges: tuple[Edge, ...]
    """Ordered by source, and for one source as listed in `EdgeKind`."""

    @property
    def exit(self) -> int:
        """
        Number of the place behind the body, which is no basic block: where the function returns.
        """
        return len(self.blocks)

    @cached_property
    def successors(self) -> tuple[tuple[Edge, ...], ...]:
        """
        Edges that leave each basic block; none after `unreachable`.
        """
        return self._grouped(len(self.blocks), "source")

    @cached_property
    def predecessors(self) -> tuple[tuple[Edge, ...], ...]:
        """
        Edges that enter each basic block; the last entry is for the exit.
        """
        return self._grouped(len(self.blocks) + 1, "target")

    def _grouped(self, count: int, key: str) -> tuple[tuple[Edge, ...], ...]:
        groups: list[list[Edge]] = [[] for _ in range(count)]
        for edge in self.edges:
            groups[getattr(edge, key)].append(edge)
        return tuple([tuple(group) for group in groups])

    @cached_property
    def _starts(self) -> list[int]:
        return [block.start for block in self.blocks]

    def block_at(self, place: int) -> int:
        """
        The basic block that holds instruction number *place*.
        """
        return int(np.searchsorted(self._starts, place, side="right")) - 1


class _Leap(NamedTuple):
    """
    An edge before basic blocks have numbers: it goes to a place.
    """

    target: int
    kind: EdgeKind
    back: bool = False
    cases: tuple[int, ...] = ()


def flow(body: Body) -> FlowGraph:
    """
    The control-flow graph of *body*; raises BadModuleError for a label that does not exist.
    """
    tree = structure(body)
    last = len(body)
    leaps = dict(_leaps(body, tree))
    leaders = {0, *(tree.blocks[number].start + 1 for number in tree.loops)}
    for place, found in leaps.items():
        leaders.add(place + 1)
        leaders.update(leap.target for leap in found)
    starts = sorted(leader for leader in leaders if leader < last)
    number = {start: block for block, start in enumerate(starts)}
    number[last] = len(starts)
    edges = []
    for block, end in enumerate([*starts[1:], last]):
        found = leaps.get(end - 1, (_Leap(end, "next"),))
        edges += [Edge(block, number[to], kind, back, cases) for to, kind, back, cases in found]
    reached = _reached(len(starts), edges)
    ends = [*starts[1:], last]
    blocks = [BasicBlock(*row) for row in zip(starts, ends, reached, strict=False)]
    return FlowGraph(tree, tuple(blocks), tuple(edges))


def _reached(count: int, edges: list[Edge]) -> list[bool]:
    """
    Which blocks can be reached; the exit is the last entry.
    """
    targets: list[list[int]] = [[] for _ in range(count + 1)]
    for edge in edges:
        targets[edge.source].append(edge.target)
    reached = [False] * (count + 1)
    reached[0] = True
    todo = [0]
    while todo:
        for target in targets[todo.pop()]:
            if not reached[target]:
                reached[target] = True
                todo.append(target)
    return reached


def _leaps(body: Body, tree: Structure) -> Iterator[tuple[int, tuple[_Leap, ...]]]:
    """
    Place of each instruction after which the next one does not simply follow -> where it goes.
    """
    places = np.flatnonzero(_CODES[body.codes]).tolist()
    offsets, codes = body.offsets[places].tolist(), body.codes[places].tolist()
    blocks = tree.blocks
    opened = [0]
    count = 1
    controls = iterate(body.binary, offsets, codes, body.span.end)
    for place, instruction in zip(places, controls, strict=True):
        name = _CONTROL[instruction.opcode.code]
        if name in ("block", "loop", "if"):
            if name == "if":
                other = blocks[count].otherwise
                zero = blocks[count].end if other is None else other
                yield place, (_Leap(place + 1, "then"), _Leap(zero + 1, "else"))
            opened.append(count)
            count += 1
        elif name == "end":
            opened.pop()
        elif name == "else":
            yield place, (_Leap(blocks[opened[-1]].end + 1, "jump"),)
        elif name == "unreachable":
            yield place, ()
        elif name == "return":
            yield place, (_Leap(len(body), "return"),)
        else:
            yield place, tuple(_branches(place, instruction, blocks, opened))


def _branches(
    place: int, instruction: Instruction, blocks: tuple[Block, ...], opened: list[int]
) -> Iterator[_Leap]:
    """
    Where `br`, `br_if` or `br_table` goes; *opened* are the numbers of the open blocks.
    """

    def leap(depth: int, kind: EdgeKind, cases: tuple[int, ...] = ()) -> _Leap:
        if depth >= len(opened):
            message = f"there is no label {depth}, {len(opened)} are open"
            raise BadModuleError("unknown-label", instruction.offset, message)
        block = blocks[opened[-1 - depth]]
        return _Leap(block.continuation, kind, block.kind == "loop", cases)

    name = instruction.opcode.name
    if name == "br_table":
        labels = cast("Labels", instruction.immediates[0])
        cases: dict[int, list[int]] = {}
        for index, depth in enumerate(labels.labels):
            cases.setdefault(depth, []).append(index)
        for depth, indices in cases.items():
            yield leap(depth, "case", tuple(indices))
        yield leap(labels.default, "default")
        return
    depth = cast("int", instruction.immediates[0])
    yield leap(depth, "jump" if name == "br" else "taken")
    if name == "br_if":
        yield _Leap(place + 1, "untaken")
