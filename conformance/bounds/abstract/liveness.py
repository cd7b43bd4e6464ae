"""
Which locals may still be read, for each place of a body.

Source: the backward data-flow problem of A. Aho, M. Lam, R. Sethi, J. Ullman, "Compilers:
Principles, Techniques, and Tools", 2nd edition, section 9.2.5.
"""

from __future__ import annotations

from typing import cast

from conformance.wasm.body import Body
from conformance.wasm.flow import FlowGraph, flow

_READS = "local.get"
_WRITES = ("local.set", "local.tee")


def live_locals(body: Body) -> tuple[int, ...]:
    """
    For each instruction, and behind the last, the locals that are live before it: bit k is local k.
    """
    graph = flow(body)
    touched: list[tuple[bool, int] | None] = [None] * len(body)
    for place, instruction in enumerate(body):
        name = instruction.opcode.name
        if name == _READS or name in _WRITES:
            touched[place] = (name == _READS, 1 << cast("int", instruction.immediates[0]))
    entering = _at_entries(graph, touched)
    found = [0] * (len(body) + 1)
    for number, block in enumerate(graph.blocks):
        live = _leaving(graph, number, entering)
        for place in range(block.end - 1, block.start - 1, -1):
            live = _before(touched[place], live)
            found[place] = live
    return tuple(found)


def _before(touched: tuple[bool, int] | None, live: int) -> int:
    if touched is None:
        return live
    reads, bit = touched
    return live | bit if reads else live & ~bit


def _leaving(graph: FlowGraph, number: int, entering: list[int]) -> int:
    live = 0
    for edge in graph.successors[number]:
        if edge.target != graph.exit:
            live |= entering[edge.target]
    return live


def _at_entries(graph: FlowGraph, touched: list[tuple[bool, int] | None]) -> list[int]:
    """
    Locals that are live at the entry of each basic block: the least solution.
    """
    used, set_ = [], []
    for block in graph.blocks:
        uses = sets = 0
        for place in range(block.start, block.end):
            item = touched[place]
            if item is not None and item[0]:
                uses |= item[1] & ~sets
            elif item is not None:
                sets |= item[1]
        used.append(uses)
        set_.append(sets)
    entering = [0] * len(graph.blocks)
    todo = list(range(len(graph.blocks)))
    waiting = set(todo)
    while todo:
        number = todo.pop()
        waiting.discard(number)
        live = used[number] | (_leaving(graph, number, entering) & ~set_[number])
        if live == entering[number]:
            continue
        entering[number] = live
        for edge in graph.predecessors[number]:
            if edge.source not in waiting:
                waiting.add(edge.source)
                todo.append(edge.source)
    return entering
