"""
The survey of a module, counted by hand on a small one.
"""

from __future__ import annotations

import msgspec
from wasm_samples import wat

from conformance.wasm.decode import validated
from conformance.wasm.survey import LoopFact, SpaceFact, Survey, survey

_TEXT = """(module
  (import "env" "log" (func $log (param f64)))
  (import "env" "base" (global i32))
  (memory (export "memory") 2 10) (table 2 funcref) (elem (i32.const 0) $scale)
  (global (mut f64) (f64.const 0))
  (func $scale (param f64) (result f64) (f64.mul (local.get 0) (f64.const 2)))
  (func $main (export "main") (local i32 i32)
    (loop $outer
      (loop $inner (br_if $inner (local.get 0)) (nop))
      (br_if $outer (local.get 1)))
    (loop nop)
    (call $log (call_indirect (param f64) (result f64) (f64.const 1) (i32.const 0))))
  (func $self (call $self))
  (start $self)
  (data (i32.const 0) "abcdef"))"""


def found() -> Survey:
    """
    The survey of the module above.
    """
    return survey(validated(wat(_TEXT)))


def test_items_have_types_and_places() -> None:
    seen = found()
    assert [(i.name, i.kind, i.index, i.type) for i in seen.imports] == [
        ("env.log", "function", 0, "(f64) -> ()"),
        ("env.base", "global", 0, "i32"),
    ]
    assert [(e.name, e.kind, e.type) for e in seen.exports] == [
        ("memory", "memory", "2 pages, at most 10"),
        ("main", "function", "() -> ()"),
    ]
    assert seen.spaces == (
        SpaceFact("memory", 0, "2 pages, at most 10", imported=False),
        SpaceFact("table", 0, "funcref, 2 elements, no maximum", imported=False),
        SpaceFact("global", 0, "i32", imported=True),
        SpaceFact("global", 1, "mutable f64", imported=False),
    )
    assert (seen.start, seen.data_bytes) == (3, 6)


def test_sections_fill_the_file() -> None:
    seen = found()
    assert 8 + sum(section.size_bytes for section in seen.sections) == seen.size_bytes
    assert seen.sections[-1].name == "custom: name"


def test_calls_and_recursion() -> None:
    calls = found().calls
    assert (calls.functions, calls.imported, calls.direct_sites) == (3, 1, 2)
    (group,) = calls.indirect
    assert (group.type, group.sites, group.functions) == ("(f64) -> (f64)", 1, (1,))
    assert calls.recursive == ((3,),)
    assert calls.callees == {2: (0,), 3: (3,)}
    assert calls.unreached == ()


def test_loops_by_function_with_sizes() -> None:
    seen = found()
    (flow,) = seen.flow
    assert (flow.index, flow.loops_that_run_once) == (2, 1)
    outer, inner = flow.loops
    # outer: loop | local.get br_if | nop end local.get br_if; the first loop's operator is outside
    assert inner == LoopFact(inner.offset, 2, 1, 1, 2, None)
    assert outer == LoopFact(outer.offset, 1, 1, 1, 7, None)
    data = wat(_TEXT)
    assert data[outer.offset] == data[inner.offset] == 0x03


def test_operators_proposals_names() -> None:
    seen = found()
    assert [(o.name, o.count) for o in seen.float_operators] == [("f64.mul", 1)]
    assert seen.proposals == {}
    assert seen.names is not None
    assert seen.names.functions[1] == "scale"
    assert seen.largest[0].index == 2
    assert seen.largest[0].locals == 2


def test_progress_is_told_for_each_function() -> None:
    told: list[int] = []
    survey(validated(wat(_TEXT)), told.append)
    assert told == [1, 2, 3]


def test_a_survey_goes_through_json() -> None:
    seen = found()
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Survey) == seen
