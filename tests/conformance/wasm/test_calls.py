"""
Call graphs: direct, through tables, recursion, and what the host can reach.
"""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from wasm_samples import wat

from conformance.wasm.calls import CallGraph, call_graph
from conformance.wasm.components import components
from conformance.wasm.decode import validated
from conformance.wasm.immediates import unsigned_at, uses


def graph_of(text: str) -> CallGraph:
    """
    The call graph of a valid module in text.
    """
    return call_graph(validated(wat(text)))


_MIXED = """(module
  (type $unary (func (param f64) (result f64))) (type $none (func))
  (import "env" "log" (func $log))
  (func $main (export "main") (call $even) (drop (call_indirect (type $unary)
    (f64.const 1) (i32.const 0))))
  (func $even (call $odd)) (func $odd (call $even) (call $log))
  (func $square (type $unary) (f64.mul (local.get 0) (local.get 0)))
  (func $other (type $none)) (func $alone (type $unary) (local.get 0))
  (table 3 funcref) (elem (i32.const 0) $square $other))"""


def test_direct_calls_have_caller_callee_and_byte() -> None:
    graph = graph_of(_MIXED)
    direct = graph.direct
    pairs = list(zip(direct.caller.tolist(), direct.callee.tolist(), strict=True))
    assert pairs == [(1, 2), (2, 3), (3, 2), (3, 0)]
    assert direct.place.tolist() == [0, 0, 0, 1]
    assert {graph.module.binary[offset] for offset in direct.offset.tolist()} == {0x10}


def test_indirect_calls_reach_the_entries_of_the_right_type() -> None:
    graph = graph_of(_MIXED)
    (call,) = graph.indirect
    assert (call.caller, call.place, call.table) == (1, 3, 0)
    assert graph.module.binary[call.offset] == 0x11
    (group,) = graph.groups
    assert (group.functions, group.open) == ((4,), None)
    assert graph.callees(1) == (2, 4)


def test_recursion_and_order() -> None:
    graph = graph_of(_MIXED)
    assert graph.recursive == ((2, 3),)
    places = {function: place for place, group in enumerate(graph.order) for function in group}
    assert places[0] < places[2] == places[3] < places[1]
    assert places[4] < places[1]
    assert sorted(places) == list(range(7))


def test_imports_and_functions_that_nobody_reaches() -> None:
    graph = graph_of(_MIXED)
    assert graph.imports_reached(1) == (0,)
    assert graph.imports_reached(4) == ()
    assert graph.entries == (1,)
    assert graph.unreached == (5, 6)  # in the table, but of another type; nowhere


def test_a_function_can_recurse_through_a_table_alone() -> None:
    graph = graph_of("""(module (table 1 funcref) (elem (i32.const 0) 0)
        (func (export "f") (call_indirect (i32.const 0))) (func call 1))""")
    assert graph.recursive == ((0,), (1,))


def test_types_are_compared_by_structure() -> None:
    graph = graph_of("""(module (type (func)) (type (func)) (table 1 funcref)
        (elem (i32.const 0) 1) (func (call_indirect (type 1) (i32.const 0))) (func (type 0)))""")
    assert graph.groups[0].functions == (1,)


_ZEROS = "(i32.const 0) (i32.const 0) (i32.const 1)"
_CONTENTS = {
    "active": ("(table 2 funcref) (elem (i32.const 0) $a)", (0,), None),
    "passive, unused": ("(table 2 funcref) (elem func $a)", (), None),
    "table.init": (
        f"(table 2 funcref) (elem func $a) (func (table.init 0 {_ZEROS}))", (0,), None,
    ),
    "table.copy": (
        f"""(table 2 funcref) (table 2 funcref) (elem (table 1) (i32.const 0) func $b)
        (func (table.copy 0 1 {_ZEROS}))""", (1,), None,
    ),
    "table.set": (
        """(table 2 funcref) (elem declare func $b)
        (func (table.set 0 (i32.const 0) (ref.func $b)))""", (1,), None,
    ),
    "table.grow": (
        """(table 2 funcref) (global $g funcref (ref.func $a))
        (func (drop (table.grow 0 (global.get $g) (i32.const 1))))""", (0,), None,
    ),
    "exported": ('(table (export "t") 2 funcref)', (), "it is exported as 't'"),
    "parameter": (
        """(table 2 funcref) (func (export "set") (param funcref)
        (table.set 0 (i32.const 0) (local.get 0)))""", (), "the export 'set' takes a reference",
    ),
    "copied from the host's": (
        f"""(table 2 funcref) (table (export "other") 2 funcref)
        (func (table.copy 0 1 {_ZEROS}))""", (), "it is exported as 'other'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _CONTENTS)
def test_what_can_stand_in_a_table(case: str) -> None:
    items, functions, reason = _CONTENTS[case]
    graph = graph_of(f"(module (func $a) (func $b) {items})")
    assert (graph.tables[0].functions, graph.tables[0].open) == (functions, reason)


def test_an_imported_table_is_open_and_its_functions_are_entries() -> None:
    graph = graph_of("""(module (import "env" "t" (table 1 funcref)) (elem (i32.const 0) 1)
        (func (call_indirect (i32.const 0))) (func (param i32)))""")
    assert graph.groups[0].open == "it is imported as 'env.t'"
    assert graph.entries == (1,)


# ------------------------------------------------------------------------------- their parts


def test_components_are_those_of_mutual_reachability() -> None:
    for seed in range(200):
        draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
        count = draw.randrange(1, 9)
        nodes = [sorted(draw.sample(range(count), draw.randrange(min(3, count + 1))))
                 for _ in range(count)]  # fmt: skip
        reach = [[a == b or b in nodes[a] for b in range(count)] for a in range(count)]
        for k, a, b in product(range(count), repeat=3):
            reach[a][b] = reach[a][b] or (reach[a][k] and reach[k][b])
        found = list(components(nodes))
        for a, b in product(range(count), repeat=2):
            together = any(a in one and b in one for one in found)
            assert together is (reach[a][b] and reach[b][a])
        order = {node: place for place, one in enumerate(found) for node in one}
        assert all(order[b] <= order[a] for a in range(count) for b in nodes[a])


def test_a_long_chain_of_calls_is_no_recursion() -> None:
    count = 200_000
    assert len(list(components([[node + 1] for node in range(count)] + [[]]))) == count + 1


def test_numbers_of_all_lengths_are_read_at_once() -> None:
    values = [0, 127, 128, 16_383, 16_384, 2**21, 2**28, 2**32 - 1]
    raw, starts = b"", []
    for value in values:
        starts.append(len(raw))
        out, rest = [], value
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        raw += bytes([*out, rest])
    found, ends = unsigned_at(np.frombuffer(raw, np.uint8), np.array(starts, np.int64))
    assert found.tolist() == values
    assert ends.tolist() == [*starts[1:], len(raw)]


def test_uses_are_those_of_the_decoder() -> None:
    module = validated(wat(_MIXED))
    for operator in ("call", "call_indirect", "local.get"):
        _, columns = uses(module, operator)
        wanted = [i.immediates for f in module.functions for i in f.body
                  if i.opcode.name == operator]  # fmt: skip
        assert list(zip(*columns.tolist(), strict=True)) == wanted
    with pytest.raises(ValueError, match="not all indices"):
        uses(module, "f64.const")
