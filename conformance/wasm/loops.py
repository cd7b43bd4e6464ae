"""
The loop forest of a body: which basic blocks repeat, around which header, and how loops nest.

Branches of WebAssembly go forward except to the label of a loop, so every cycle passes the start
of a `loop`: the graph is reducible, and natural loops can be read off, inner ones first, each
collapsed into its header (R. Tarjan, "Testing flow graph reducibility", 1974). Time and memory are
in proportion to the graph, however deep loops nest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from conformance.wasm.flow import BasicBlock, Edge, FlowGraph


@dataclass(frozen=True, slots=True)
class Loop:
    """
    A natural loop: all basic blocks from which its header is reached again without leaving.

    What lies between `loop` and `end` but never comes back is no part of it.
    """

    block: int
    """Number in `Structure.blocks`, whose `start` is the place of the `loop`."""
    header: int
    """Basic block that begins after the `loop`, the only way in."""
    parent: int | None
    """Number of the smallest loop around it."""
    depth: int
    """1 for a loop that is in no other."""
    latches: tuple[int, ...]
    """Basic blocks that branch back to the header."""
    exits: int
    """How many edges leave it, those that leave outer loops as well included."""
    iterations: int | None = None
    """How often the header can run per entry; None: not known from the graph alone."""


@dataclass(frozen=True, eq=False)
class LoopForest:
    """
    Loops in the order of their `loop` instructions, so an outer one comes before its inner ones.
    """

    graph: FlowGraph
    loops: tuple[Loop, ...]
    innermost: tuple[int | None, ...]
    """For each basic block the smallest loop that it is part of."""
    straight: tuple[int, ...]
    """Blocks of kind `loop` to which nothing that can be reached branches: they run once."""

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """
        For each loop those directly inside it.
        """
        found: list[list[int]] = [[] for _ in self.loops]
        for number, loop in enumerate(self.loops):
            if loop.parent is not None:
                found[loop.parent].append(number)
        return tuple([tuple(inner) for inner in found])

    @cached_property
    def _own(self) -> tuple[tuple[int, ...], ...]:
        found: list[list[int]] = [[] for _ in self.loops]
        for block, loop in enumerate(self.innermost):
            if loop is not None:
                found[loop].append(block)
        return tuple([tuple(blocks) for blocks in found])

    def blocks(self, number: int) -> tuple[int, ...]:
        """
        Basic blocks of loop *number*, those of inner loops included, ascending.
        """
        found: list[int] = []
        todo = [number]
        while todo:
            loop = todo.pop()
            found += self._own[loop]
            todo += self.children[loop]
        return tuple(sorted(found))

    def exits(self, number: int) -> tuple[Edge, ...]:
        """
        Edges that leave loop *number*.
        """
        members = frozenset(self.blocks(number))
        edges = (edge for block in sorted(members) for edge in self.graph.successors[block])
        return tuple(edge for edge in edges if edge.target not in members)


def loop_forest(graph: FlowGraph) -> LoopForest:
    """
    The loop forest of what can be reached in *graph*.
    """
    finder = _Finder(graph)
    starts = {block.start: number for number, block in enumerate(graph.blocks)}
    heads = [(block, starts[graph.structure.blocks[block].start + 1])
             for block in graph.structure.loops]  # fmt: skip
    found = [(block, header) for block, header in reversed(heads) if finder.collapse(header)]
    found.reverse()
    repeated = {block for block, _ in found}
    number = {header: loop for loop, (_, header) in enumerate(found)}
    parents = [_number(finder.around[header], number) for _, header in found]
    innermost = [
        number.get(block, _number(around, number)) for block, around in enumerate(finder.around)
    ]
    exits = _exit_counts(graph, parents, innermost)
    loops: list[Loop] = []
    for (block, header), parent, count in zip(found, parents, exits, strict=True):
        depth = 1 if parent is None else loops[parent].depth + 1
        loops.append(Loop(block, header, parent, depth, finder.latches(header), count))
    straight = tuple(block for block, _ in heads if block not in repeated)
    return LoopForest(graph, tuple(loops), tuple(innermost), straight)


def _number(header: int, number: dict[int, int]) -> int | None:
    return None if header < 0 else number[header]


class _Finder:
    """
    Collapses loops, inner ones first, and remembers around which header a block was collapsed.
    """

    def __init__(self, graph: FlowGraph) -> None:
        self.graph = graph
        self.around = [-1] * len(graph.blocks)
        """Header of the smallest loop around a block, which is not its own header."""
        self.root = list(range(len(graph.blocks)))

    def find(self, block: int) -> int:
        """
        Header of the greatest loop so far that *block* was collapsed into.
        """
        root = self.root
        top = block
        while root[top] != top:
            top = root[top]
        while root[block] != top:
            root[block], block = top, root[block]
        return top

    def entering(self, block: int, *, back: bool) -> Iterator[int]:
        """
        Reachable sources of the edges into *block*, those that branch back or the others.
        """
        blocks: tuple[BasicBlock, ...] = self.graph.blocks
        for edge in self.graph.predecessors[block]:
            if edge.back == back and blocks[edge.source].reachable:
                yield edge.source

    def latches(self, header: int) -> tuple[int, ...]:
        """
        Blocks that branch back to *header*, each once.
        """
        return tuple(dict.fromkeys(self.entering(header, back=True)))

    def collapse(self, header: int) -> bool:
        """
        Collapse the loop around *header*; False when nothing branches back to it.
        """
        latches = self.latches(header)
        todo = [self.find(latch) for latch in latches]
        while todo:
            block = self.find(todo.pop())
            if block == header:
                continue
            self.root[block] = header
            self.around[block] = header
            todo += [self.find(source) for source in self.entering(block, back=False)]
        return bool(latches)


def _exit_counts(
    graph: FlowGraph, parents: list[int | None], innermost: list[int | None]
) -> list[int]:
    """
    Number of edges that leave each loop, summed up from the inside.
    """
    first, last = _intervals(parents)

    def holds(outer: int | None, inner: int | None) -> bool:
        if outer is None or inner is None:
            return outer is None
        return first[outer] <= first[inner] <= last[outer]

    counts = [0] * len(parents)
    for edge in graph.edges:
        source = innermost[edge.source]
        if source is None:
            continue
        target = None if edge.target == graph.exit else innermost[edge.target]
        while not holds(target, source):
            # An edge into a loop: the loop around that is what both are in.
            target = None if target is None else parents[target]
        counts[source] += 1
        if target is not None:
            counts[target] -= 1
    for number in range(len(parents) - 1, -1, -1):
        parent = parents[number]
        if parent is not None:
            counts[parent] += counts[number]
    return counts


def _intervals(parents: list[int | None]) -> tuple[list[int], list[int]]:
    """
    First and last number in a walk of the forest: outer loops hold the intervals of inner ones.
    """
    sizes = [1] * len(parents)
    for number in range(len(parents) - 1, -1, -1):
        parent = parents[number]
        if parent is not None:
            sizes[parent] += sizes[number]
    first = [0] * len(parents)
    free = [0] * len(parents)
    top = 0
    for number, parent in enumerate(parents):
        if parent is None:
            first[number] = top
            top += sizes[number]
        else:
            first[number] = free[parent]
            free[parent] += sizes[number]
        free[number] = first[number] + 1
    return first, [start + size - 1 for start, size in zip(first, sizes, strict=True)]
