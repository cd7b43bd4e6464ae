"""
Loop forests, held against natural loops by dominators.
"""

from __future__ import annotations

import random

from control_trees import encode, tree
from wasm_samples import body_module, wat

from conformance.wasm.decode import decode
from conformance.wasm.flow import FlowGraph, flow
from conformance.wasm.loops import Loop, LoopForest, loop_forest


def forest_of(text: str) -> LoopForest:
    """
    The loops of the first function of a module in text.
    """
    return loop_forest(flow(decode(wat(text)).functions[0].body))


def test_nested_loops_have_parents_latches_and_exits() -> None:
    forest = forest_of("""(module (func (loop (loop (br_if 0 (i32.const 1)) (br_if 2 (i32.const 1)))
        (br_if 0 (i32.const 1)))))""")
    outer, inner = forest.loops
    # 0 loop | 1 loop | 2 const, br_if | 4 const, br_if | 6 end, const, br_if | 9 end, end
    assert outer == Loop(1, 1, None, 1, (4,), 2)
    assert inner == Loop(2, 2, 0, 2, (2,), 1)
    assert (forest.blocks(0), forest.blocks(1)) == ((1, 2, 3, 4), (2,))
    assert forest.innermost == (None, 0, 1, 0, 0, None)
    assert [edge.kind for edge in forest.exits(0)] == ["taken", "untaken"]
    assert forest.children == ((1,), ())


def test_a_loop_to_which_nothing_branches_runs_once() -> None:
    forest = forest_of("(module (func (loop nop) (loop (br 0)) (loop (br 0))))")
    assert [loop.block for loop in forest.loops] == [2]
    assert forest.straight == (1, 3)  # the third cannot be reached
    assert forest.loops[0].exits == 0
    assert forest.loops[0].iterations is None


def test_what_never_comes_back_is_no_part_of_the_loop() -> None:
    forest = forest_of("(module (func (loop (br_if 0 (i32.const 1)) nop nop)))")
    assert forest.blocks(0) == (1,)
    assert forest.graph.block_at(5) == 2


# ------------------------------------------------------------------------ natural loops, slowly


def dominators(graph: FlowGraph) -> dict[int, set[int]]:
    """
    Of each reachable block, by iteration of the definition.
    """
    nodes = [number for number, block in enumerate(graph.blocks) if block.reachable]
    found = {node: set(nodes) for node in nodes}
    found[0] = {0}
    changed = True
    while changed:
        changed = False
        for node in nodes[1:]:
            sources = [e.source for e in graph.predecessors[node] if e.source in found]
            new = {node}.union(set.intersection(*(found[source] for source in sources)))
            changed = changed or new != found[node]
            found[node] = new
    return found


def natural_loops(graph: FlowGraph) -> dict[int, set[int]]:
    """
    Header -> members, for every edge whose target dominates its source.
    """
    over = dominators(graph)
    loops: dict[int, set[int]] = {}
    for edge in graph.edges:
        if edge.source in over and edge.target in over[edge.source]:
            members = loops.setdefault(edge.target, {edge.target})
            todo = [edge.source]
            while todo:
                node = todo.pop()
                if node not in members:
                    members.add(node)
                    todo += [e.source for e in graph.predecessors[node] if e.source in over]
    return loops


def test_forests_are_the_natural_loops_of_dominators() -> None:
    nested = 0
    for seed in range(1500):
        draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
        graph = flow(decode(encode(tree(draw, 5))).functions[0].body)
        forest = loop_forest(graph)
        wanted = natural_loops(graph)
        found = {loop.header: set(forest.blocks(n)) for n, loop in enumerate(forest.loops)}
        assert found == wanted
        for number, loop in enumerate(forest.loops):
            around = [header for header, members in wanted.items() if loop.header in members]
            assert loop.depth == len(around)
            assert loop.exits == len(forest.exits(number))
            nested += loop.depth > 1
        for block, loop_number in enumerate(forest.innermost):
            sizes = [len(members) for members in wanted.values() if block in members]
            inner = None if loop_number is None else len(forest.blocks(loop_number))
            assert inner == min(sizes, default=None)
    assert nested > 100


def test_edges_that_go_back_are_those_into_dominators() -> None:
    for seed in range(100):
        draw = random.Random(seed)  # noqa: S311 - as above
        graph = flow(decode(encode(tree(draw, 4))).functions[0].body)
        over = dominators(graph)
        for edge in graph.edges:
            if edge.source in over:
                assert edge.back is (edge.target in over[edge.source])


def test_deep_loops_are_neither_recursion_nor_quadratic() -> None:
    depth = 30_000
    body = b"\3\x40" * depth + b"\x41\1\x0d\0\x0b" * depth + b"\x0b"
    forest = loop_forest(flow(decode(body_module(body)).functions[0].body))
    assert len(forest.loops) == depth
    assert forest.loops[-1].depth == depth
    assert {loop.exits for loop in forest.loops} == {1}
