"""
Tables, references and indirect calls, from the specification's rules.

Source: core specification 2.0, section 4.4.3 (references), 4.4.6 (tables), 4.4.8.11
(`call_indirect`) and 4.5.4 (instantiation).
"""

from __future__ import annotations

import pytest
from evaluate_samples import end_of, instance

from conformance.wasm.evaluate.stops import ExhaustedError, TrappedError
from conformance.wasm.evaluate.store import Limits

OUT = "trap: table out of bounds"
NULL = "trap: indirect call to null"

INDIRECT = """(module
  (type $i (func (result i32))) (type $same (func (result i32))) (type $l (func (result i64)))
  (table $t (export "t") 5 funcref) (table $u 2 funcref)
  (elem (i32.const 0) $one $two $long) (elem (table $u) (i32.const 1) func $two)
  (func $one (type $i) i32.const 1) (func $two (type $same) i32.const 2)
  (func $long (type $l) i64.const 3)
  (func (export "call") (param i32) (result i32) (call_indirect $t (type $i) (local.get 0)))
  (func (export "other") (param i32) (result i32) (call_indirect $u (type $i) (local.get 0))))"""


@pytest.mark.parametrize(("name", "index", "end"), [
    ("call", 0, (1,)),
    # Types are compared by structure, not by index.
    ("call", 1, (2,)),
    ("call", 2, "trap: indirect call type mismatch"),
    ("call", 3, NULL), ("call", 4, NULL), ("call", 5, OUT), ("call", 0xFFFFFFFF, OUT),
    ("other", 0, NULL), ("other", 1, (2,)), ("other", 2, OUT),
])  # fmt: skip
def test_indirect_calls(name: str, index: int, end: tuple[int, ...] | str) -> None:
    assert end_of(instance(INDIRECT), name, index) == end


TABLES = """(module
  (type $i (func (result i32)))
  (table $t (export "t") 3 6 funcref) (table $x 2 externref)
  (elem $e func $a $b $c) (elem $n funcref (ref.null func) (ref.func $b))
  (elem declare func $a)
  (func $a (type $i) i32.const 1) (func $b (type $i) i32.const 2) (func $c (type $i) i32.const 3)
  (func (export "call") (param i32) (result i32) (call_indirect $t (type $i) (local.get 0)))
  (func (export "init") (param i32 i32 i32)
    (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
  (func (export "nulls") (param i32) (table.init $t $n (i32.const 0) (i32.const 0) (local.get 0)))
  (func (export "drop") (elem.drop $e))
  (func (export "copy") (param i32 i32 i32)
    (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "fill") (param i32 i32)
    (table.fill $t (local.get 0) (ref.func $a) (local.get 1)))
  (func (export "grow") (param i32) (result i32) (table.grow $t (ref.func $a) (local.get 0)))
  (func (export "size") (result i32) (table.size $t))
  (func (export "move") (param i32 i32) (table.set $t (local.get 0) (table.get $t (local.get 1))))
  (func (export "null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
  (func (export "extern") (param i32) (result i32) (ref.is_null (table.get $x (local.get 0))))
  (func (export "nullness") (result i32 i32 i32)
    (ref.is_null (ref.null extern)) (ref.is_null (ref.null func)) (ref.is_null (ref.func $a))))"""


def called(evaluation: object, count: int) -> list[object]:
    """
    What each of the first *count* elements gives when it is called.
    """
    return [end_of(evaluation, "call", index) for index in range(count)]  # type: ignore[arg-type]


def test_table_init_and_drop() -> None:
    evaluation = instance(TABLES)
    assert called(evaluation, 4) == [NULL, NULL, NULL, OUT]
    assert end_of(evaluation, "init", 1, 1, 2) == ()
    assert called(evaluation, 3) == [NULL, (2,), (3,)]
    assert end_of(evaluation, "init", 0, 2, 2) == OUT
    assert end_of(evaluation, "init", 2, 0, 2) == OUT
    assert called(evaluation, 3) == [NULL, (2,), (3,)]
    assert end_of(evaluation, "init", 3, 3, 0) == ()
    assert end_of(evaluation, "init", 4, 0, 0) == OUT
    assert end_of(evaluation, "nulls", 2) == ()
    assert called(evaluation, 3) == [NULL, (2,), (3,)]
    assert end_of(evaluation, "drop") == ()
    assert end_of(evaluation, "init", 0, 0, 0) == ()
    assert end_of(evaluation, "init", 0, 0, 1) == OUT


def test_table_copy_overlaps_and_checks_first() -> None:
    evaluation = instance(TABLES)
    end_of(evaluation, "init", 0, 0, 3)
    assert end_of(evaluation, "copy", 1, 0, 2) == ()
    assert called(evaluation, 3) == [(1,), (1,), (2,)]
    end_of(evaluation, "init", 0, 0, 3)
    assert end_of(evaluation, "copy", 0, 1, 2) == ()
    assert called(evaluation, 3) == [(2,), (3,), (3,)]
    assert end_of(evaluation, "copy", 2, 0, 2) == OUT
    assert end_of(evaluation, "copy", 0, 2, 2) == OUT
    assert called(evaluation, 3) == [(2,), (3,), (3,)]


def test_table_fill_get_set_and_null() -> None:
    evaluation = instance(TABLES)
    assert end_of(evaluation, "fill", 1, 1) == ()
    assert end_of(evaluation, "fill", 2, 2) == OUT
    assert called(evaluation, 3) == [NULL, (1,), NULL]
    assert [end_of(evaluation, "null", index) for index in range(4)] == [(1,), (0,), (1,), OUT]
    assert end_of(evaluation, "move", 2, 1) == ()
    assert end_of(evaluation, "move", 3, 1) == OUT
    assert end_of(evaluation, "move", 0, 3) == OUT
    assert called(evaluation, 3) == [NULL, (1,), (1,)]
    assert end_of(evaluation, "extern", 1) == (1,)
    assert end_of(evaluation, "extern", 2) == OUT
    assert end_of(evaluation, "nullness") == (1, 1, 0)


def test_table_grow_within_maximum_and_ceiling() -> None:
    evaluation = instance(TABLES)
    assert end_of(evaluation, "grow", 2) == (3,)
    assert called(evaluation, 6) == [NULL, NULL, NULL, (1,), (1,), OUT]
    assert end_of(evaluation, "grow", 2) == (0xFFFFFFFF,)
    assert end_of(evaluation, "grow", 0) == (5,)
    assert end_of(evaluation, "size") == (5,)
    assert end_of(instance(TABLES, limits=Limits(elements=3)), "grow", 1) == (0xFFFFFFFF,)
    with pytest.raises(ExhaustedError) as caught:
        instance("(module (table 4 funcref))", limits=Limits(elements=3))
    assert caught.value.resource == "table"


def test_segments_fill_tables_until_one_does_not_fit() -> None:
    with pytest.raises(TrappedError, match="table out of bounds"):
        instance("(module (table 1 funcref) (elem (i32.const 1) func 0) (func))")
    dropped = """(module (table 1 funcref) (elem (i32.const 0) func 0) (func)
      (func (export "f") (param i32) (table.init 0 0 (i32.const 0) (i32.const 0) (local.get 0))))"""
    # An active segment is dropped when it has been copied.
    assert end_of(instance(dropped), "f", 0) == ()
    assert end_of(instance(dropped), "f", 1) == OUT
