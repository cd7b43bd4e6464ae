"""
Drawings of control-flow graphs: every block, edge and loop is there, and nothing runs through text.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise, product

import pytest
import wasmtime

from conformance.wasm.decode import validated
from conformance.wasm.flow import FlowGraph, flow
from conformance.wasm.loops import loop_forest
from conformance.wasm.module import Module
from reports.flow_layout import Box, Layout, Wire, lay_out
from reports.flow_svg import MOST_BLOCKS, flow_svg

_SVG = "{http://www.w3.org/2000/svg}"
_TANGLED = """(module (func $<"&amp;> (param i32) (result i32)
  (block $a (block $b (block $c (loop $l (br_table $c $b $a $l $c $b (local.get 0)))
    ) (return (i32.const 4)))
    (if (local.get 0) (then (br $a)) (else (unreachable))) (nop))
  (loop $x (br_if $x (i32.const 1))
    (loop $y (br_if $x (local.get 0)) (br_if $y (local.get 0)) (br $x)))
  (i32.const 5)))"""


def module(text: str) -> Module:
    """
    A valid module in text.
    """
    return validated(bytes(wasmtime.wat2wasm(text)))


def tangled() -> tuple[Module, FlowGraph]:
    """
    A function with every kind of edge.
    """
    found = module(_TANGLED.replace('$<"&amp;>', ""))
    return found, flow(found.functions[0].body)


def laid_out(graph: FlowGraph) -> Layout:
    """
    Placed with three lines in each block.
    """
    count = len(graph.blocks) + 1
    return lay_out(graph, [["one", "two", "three"]] * count, [0] * count)


def test_every_block_edge_and_loop_is_drawn() -> None:
    found, graph = tangled()
    root = ET.fromstring(flow_svg(found, found.functions[0]))  # noqa: S314 - of our own making
    boxes = [r for r in root.iter(f"{_SVG}rect") if r.get("class", "").startswith("box")]
    wires = [p for p in root.iter(f"{_SVG}path") if p.get("class", "").startswith("wire")]
    texts = [text.text or "" for text in root.iter(f"{_SVG}text")]
    assert len(boxes) == len(graph.blocks) + 1
    assert len(wires) == len(graph.edges)
    assert sum("dead" in (box.get("class") or "") for box in boxes) == sum(
        not block.reachable for block in graph.blocks
    )
    assert [t for t in texts if "loop 1, depth 1" in t]
    assert "br_table 1 2 3 0 1 2" in texts
    assert "case 0, 4" in texts
    coloured = {w.get("style") for w in wires if w.get("style")}
    assert len(coloured) == len(loop_forest(graph).loops) == 3


def test_a_hostile_name_is_text_and_no_markup() -> None:
    found = module('(module (func (export "</title><script>x</script>\\1b[31m") nop))')
    drawn = flow_svg(found, found.functions[0])
    ET.fromstring(drawn)  # noqa: S314 - of our own making
    assert "<script>" not in drawn
    assert "\x1b" not in drawn


def test_the_same_function_is_the_same_drawing() -> None:
    found, _ = tangled()
    assert flow_svg(found, found.functions[0]) == flow_svg(found, found.functions[0])


def test_a_function_of_too_many_blocks_is_refused() -> None:
    ifs = "(if (i32.const 0) (then nop))" * (MOST_BLOCKS // 2 + 1)
    found = module(f"(module (func {ifs}))")
    with pytest.raises(ValueError, match=f"at most {MOST_BLOCKS}"):
        flow_svg(found, found.functions[0])


def _cuts(wire: Wire, box: Box) -> bool:
    """
    Whether a line has a point inside a box.
    """
    for (x1, y1), (x2, y2) in pairwise(wire.corners):
        left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if left < box.x + box.width and right > box.x and top < box.bottom and bottom > box.y:
            return True
    return False


def test_no_edge_runs_through_a_block_and_blocks_are_apart() -> None:
    _, graph = tangled()
    layout = laid_out(graph)
    assert not any(_cuts(wire, box) for wire, box in product(layout.wires, layout.boxes))
    assert all(above.bottom < below.y for above, below in pairwise(layout.boxes))
    for wire in layout.wires:
        assert all(0 < x < layout.width and 0 < y < layout.height for x, y in wire.corners)


def test_the_check_notices_a_line_through_a_block() -> None:
    _, graph = tangled()
    layout = laid_out(graph)
    box = layout.boxes[3]
    middle = (box.x + box.width / 2, box.y + box.height / 2)
    wire = Wire(graph.edges[0], ((0.0, middle[1]), (layout.width, middle[1])), middle, joined=False)
    assert _cuts(wire, box)


def test_lanes_of_different_targets_do_not_overlap() -> None:
    _, graph = tangled()
    columns: dict[float, list[tuple[float, float, int]]] = {}
    for wire in laid_out(graph).wires:
        if len(wire.corners) == 4:
            (_, (x, top), (_, bottom), _) = wire.corners
            low, high = min(top, bottom), max(top, bottom)
            columns.setdefault(x, []).append((low, high, wire.edge.target))
    assert len(columns) > 3
    for spans in columns.values():
        for (low, high, target), (other_low, other_high, other) in product(spans, spans):
            assert target == other or high < other_low or other_high < low
