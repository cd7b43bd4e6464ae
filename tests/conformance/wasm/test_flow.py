"""
Control-flow graphs, held against runs of the same bodies that know no graph.
"""

from __future__ import annotations

import random

import pytest
from control_trees import Run, encode, tree
from wasm_samples import body_module, leb, wat

from conformance.wasm.body import Body
from conformance.wasm.code_entry import BLOCK, ELSE, END, LOOP
from conformance.wasm.decode import decode, validated
from conformance.wasm.errors import BadModuleError
from conformance.wasm.flow import FlowGraph, flow

_MARKERS = (BLOCK, LOOP, ELSE, END)


def graph_of(text: str) -> FlowGraph:
    """
    The graph of the first function of a module in text.
    """
    return flow(decode(wat(text)).functions[0].body)


def edges(graph: FlowGraph) -> list[tuple[int, int, str]]:
    """
    (source, target, kind) of each edge.
    """
    return [(edge.source, edge.target, edge.kind) for edge in graph.edges]


def test_an_if_splits_and_joins_behind_its_end() -> None:
    graph = graph_of("(module (func (if (i32.const 1) (then nop) (else nop nop)) nop))")
    # 0 i32.const, 1 if | 2 nop, 3 else | 4 nop, 5 nop, 6 end | 7 nop, 8 end
    assert [(block.start, block.end) for block in graph.blocks] == [(0, 2), (2, 4), (4, 7), (7, 9)]
    assert edges(graph) == [
        (0, 1, "then"), (0, 2, "else"), (1, 3, "jump"), (2, 3, "next"), (3, 4, "next"),
    ]  # fmt: skip
    assert graph.exit == 4
    assert graph.block_at(5) == 2


def test_a_branch_to_a_loop_goes_behind_the_loop_and_is_marked() -> None:
    graph = graph_of("(module (func (loop nop (br_if 0 (i32.const 1)) (br_if 1 (i32.const 1)))))")
    assert [(b.start, b.end) for b in graph.blocks] == [(0, 1), (1, 4), (4, 6), (6, 8)]
    assert edges(graph) == [
        (0, 1, "next"), (1, 1, "taken"), (1, 2, "untaken"), (2, 4, "taken"), (2, 3, "untaken"),
        (3, 4, "next"),
    ]  # fmt: skip
    assert [edge.back for edge in graph.edges] == [False, True, False, False, False, False]
    assert [edge.kind for edge in graph.predecessors[graph.exit]] == ["taken", "next"]


def test_a_table_has_one_edge_for_each_label_with_its_indices() -> None:
    graph = graph_of("(module (func (block (block (br_table 0 1 0 1 2 (i32.const 1)))) nop))")
    table = graph.successors[0]
    assert [(edge.kind, edge.cases) for edge in table] == [
        ("case", (0, 2)), ("case", (1, 3)), ("default", ()),
    ]  # fmt: skip
    assert table[2].target == graph.exit


def test_what_follows_return_and_unreachable_is_not_reached() -> None:
    graph = graph_of("(module (func (block unreachable) nop return nop))")
    assert [block.reachable for block in graph.blocks] == [True, False, False]
    assert not graph.successors[0]
    assert graph.successors[1][0].kind == "return"


def test_a_label_that_is_not_there_is_refused_with_its_byte() -> None:
    module = decode(body_module(b"\1\x0c\7\x0b"))
    with pytest.raises(BadModuleError, match="no label 7") as caught:
        flow(module.functions[0].body)
    assert module.binary[caught.value.offset] == 0x0C


def walk(graph: FlowGraph, body: Body, decisions: random.Random, most: int) -> list[int]:
    """
    Places that a walk along the edges passes, markers left out.
    """
    trace: list[int] = []
    block = 0
    while block != graph.exit:
        own = graph.blocks[block]
        trace += [p for p in range(own.start, own.end) if body.codes[p] not in _MARKERS]
        if len(trace) >= most:
            break
        leaving = {edge.kind: edge for edge in graph.successors[block]}
        if "default" in leaving:
            count = sum(len(edge.cases) for edge in graph.successors[block])
            index = decisions.randrange(count + 1)
            hits = [edge for edge in graph.successors[block] if index in edge.cases]
            edge = (hits or [leaving["default"]])[0]
        elif "untaken" in leaving:
            edge = leaving["taken" if decisions.randrange(2) else "untaken"]
        elif "then" in leaving:
            edge = leaving["then" if decisions.randrange(2) else "else"]
        elif not leaving:
            break
        else:
            (edge,) = graph.successors[block]
        block = edge.target
    return trace[:most]


def _compared(seeds: range, *, shifted: int = 0) -> int:
    """
    How many bodies of *seeds* have a walk that differs from the run of the rules.
    """
    differing = 0
    for seed in seeds:
        draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
        made = tree(draw, 4)
        body = validated(encode(made)).functions[0].body
        graph = flow(body)
        for run in range(3):
            one, two = random.Random(run), random.Random(run + shifted)  # noqa: S311 - as above
            differing += Run(one, 60).start(made) != walk(graph, body, two, 60)
    return differing


def test_walks_along_the_graph_are_the_runs_of_the_rules() -> None:
    assert _compared(range(400)) == 0


def test_the_comparison_notices_other_decisions() -> None:
    assert _compared(range(100), shifted=50) > 50


def test_blocks_cover_every_instruction_once() -> None:
    for seed in range(100):
        body = decode(encode(tree(random.Random(seed), 4))).functions[0].body  # noqa: S311 - as above
        graph = flow(body)
        places = [place for block in graph.blocks for place in range(block.start, block.end)]
        assert places == list(range(len(body)))


def test_a_table_of_many_targets_takes_linear_room() -> None:
    count = 300_000
    labels = b"\0" * count
    nested = b"\2\x40\x41\0\x0e" + leb(count) + labels + b"\0\x0b\x0b"
    graph = flow(decode(body_module(nested)).functions[0].body)
    assert [len(edge.cases) for edge in graph.successors[0]] == [count, 0]
