"""
Linear memory: widths, signs, bounds, growth and bulk operations, from the specification's rules.

Source: core specification 2.0, section 4.4.7 (memory instructions) and 4.5.4 (instantiation).
"""

from __future__ import annotations

import pytest
from evaluate_samples import end_of, instance
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.wasm.evaluate.stops import ExhaustedError, TrappedError
from conformance.wasm.evaluate.store import PAGE_BYTES, Limits

OUT = "trap: memory out of bounds"
BITS = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}

# Operator -> bytes read, whether their sign is extended.
LOADS = {
    "i32.load": (4, False), "i64.load": (8, False), "f32.load": (4, False), "f64.load": (8, False),
    "i32.load8_s": (1, True), "i32.load8_u": (1, False), "i32.load16_s": (2, True),
    "i32.load16_u": (2, False), "i64.load8_s": (1, True), "i64.load8_u": (1, False),
    "i64.load16_s": (2, True), "i64.load16_u": (2, False), "i64.load32_s": (4, True),
    "i64.load32_u": (4, False),
}  # fmt: skip
STORES = {
    "i32.store": 4, "i64.store": 8, "f32.store": 4, "f64.store": 8, "i32.store8": 1,
    "i32.store16": 2, "i64.store8": 1, "i64.store16": 2, "i64.store32": 4,
}  # fmt: skip
DATA = bytes([0x01, 0x82, 0x03, 0xF4, 0x05, 0x06, 0x07, 0x98])


@pytest.mark.parametrize("name", LOADS)
def test_loads_read_little_endian_and_extend(name: str) -> None:
    size, signed = LOADS[name]
    kind = name.partition(".")[0]
    escaped = "".join(f"\\{byte:02x}" for byte in DATA)
    evaluation = instance(
        f'(module (memory 1) (data (i32.const 65520) "{escaped}") (func (export "f") (param i32)'
        f"(result {kind}) ({name} offset=65519 (local.get 0))))"
    )
    for shift in range(3):
        wanted = int.from_bytes(DATA[shift : shift + size], "little", signed=signed)
        assert end_of(evaluation, "f", 1 + shift) == (wanted % 2 ** BITS[kind],)
    last = 17 - size
    assert end_of(evaluation, "f", last) != OUT
    assert end_of(evaluation, "f", last + 1) == OUT
    # The sum of address and offset has 33 bits: it does not wrap.
    assert end_of(evaluation, "f", 0xFFFFFFFF) == OUT


@pytest.mark.parametrize("name", STORES)
def test_stores_write_their_low_bytes_or_nothing(name: str) -> None:
    size, kind = STORES[name], name.partition(".")[0]
    evaluation = instance(
        f'(module (memory (export "m") 1) (func (export "f") (param i32 {kind})'
        f"({name} offset=2 (local.get 0) (local.get 1))))"
    )
    value = 0x8877665544332211 % 2 ** BITS[kind]
    data = evaluation.memory("m").data
    assert end_of(evaluation, "f", 8, value) == ()
    assert data[8:20] == b"\0\0" + value.to_bytes(8, "little")[:size] + bytes(10 - size)
    last = PAGE_BYTES - 2 - size
    before = bytes(data)
    assert end_of(evaluation, "f", last + 1, value) == OUT
    assert data == before
    assert end_of(evaluation, "f", last, value) == ()


GROWING = """(module (memory (export "m") 1 4)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) memory.size)
  (func (export "touch") (result i32) (i32.store8 (i32.const 131071) (i32.const 5))
    (drop (memory.grow (i32.const 1))) (i32.load8_u (i32.const 131071)))
  (func (export "new") (result i32) (i64.store offset=8 (i32.const 0) (i64.const -1))
    (drop (memory.grow (i32.const 1))) (i32.load (i32.sub (i32.mul (memory.size)
      (i32.const 65536)) (i32.const 4)))))"""


def test_growth_within_and_beyond_the_maximum() -> None:
    evaluation = instance(GROWING)
    assert end_of(evaluation, "grow", 0) == (1,)
    assert end_of(evaluation, "touch") == OUT
    assert end_of(evaluation, "grow", 2) == (1,)
    assert end_of(evaluation, "size") == (3,)
    assert end_of(evaluation, "grow", 2) == (0xFFFFFFFF,)
    assert end_of(evaluation, "grow", 0xFFFFFFFF) == (0xFFFFFFFF,)
    assert end_of(evaluation, "size") == (3,)
    assert end_of(evaluation, "touch") == (5,)
    assert end_of(evaluation, "size") == (4,)
    assert len(evaluation.memory("m").data) == 4 * PAGE_BYTES
    assert end_of(instance(GROWING), "new") == (0,)


def test_the_evaluators_own_ceiling_refuses_growth_and_large_memories() -> None:
    evaluation = instance(GROWING, limits=Limits(pages=2))
    assert end_of(evaluation, "grow", 1) == (1,)
    assert end_of(evaluation, "grow", 1) == (0xFFFFFFFF,)
    with pytest.raises(ExhaustedError) as caught:
        instance("(module (memory 3))", limits=Limits(pages=2))
    assert caught.value.resource == "memory"


BULK = """(module (memory (export "m") 1) (data $d "weavegate") (data (i32.const 100) "abcdefgh")
  (func (export "init") (param i32 i32 i32)
    (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init_active") (param i32)
    (memory.init 1 (i32.const 0) (i32.const 0) (local.get 0)))
  (func (export "drop") (data.drop $d))
  (func (export "copy") (param i32 i32 i32)
    (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "fill") (param i32 i32 i32)
    (memory.fill (local.get 0) (local.get 1) (local.get 2))))"""


def test_memory_init_and_drop() -> None:
    evaluation = instance(BULK)
    data = evaluation.memory("m").data
    assert end_of(evaluation, "init", 10, 2, 5) == ()
    assert data[9:16] == b"\0avega\0"
    assert end_of(evaluation, "init", 20, 5, 5) == OUT
    assert data[20:30] == bytes(10)
    assert end_of(evaluation, "init", PAGE_BYTES - 2, 0, 3) == OUT
    assert end_of(evaluation, "init", PAGE_BYTES, 9, 0) == ()
    assert end_of(evaluation, "init", PAGE_BYTES + 1, 9, 0) == OUT
    assert end_of(evaluation, "init", 0, 10, 0) == OUT
    assert end_of(evaluation, "drop") == ()
    assert end_of(evaluation, "drop") == ()
    assert end_of(evaluation, "init", 0, 0, 0) == ()
    assert end_of(evaluation, "init", 0, 0, 1) == OUT
    # An active segment is dropped when it has been copied.
    assert end_of(evaluation, "init_active", 0) == ()
    assert end_of(evaluation, "init_active", 1) == OUT


def test_memory_copy_and_fill() -> None:
    evaluation = instance(BULK)
    data = evaluation.memory("m").data
    assert end_of(evaluation, "copy", 102, 100, 6) == ()
    assert data[100:108] == b"ababcdef"
    assert end_of(evaluation, "copy", 100, 102, 6) == ()
    assert data[100:108] == b"abcdefef"
    assert end_of(evaluation, "fill", 101, 0x1FF, 3) == ()
    assert data[100:105] == b"a\xff\xff\xffe"
    before = bytes(data)
    for call in (("copy", PAGE_BYTES - 1, 0, 2), ("copy", 0, PAGE_BYTES - 1, 2),
                 ("copy", 0, 0xFFFFFFFF, 2), ("fill", PAGE_BYTES - 1, 7, 2),
                 ("copy", PAGE_BYTES + 1, 0, 0), ("fill", PAGE_BYTES + 1, 0, 0)):  # fmt: skip
        assert end_of(evaluation, *call) == OUT
    assert data == before
    assert end_of(evaluation, "copy", PAGE_BYTES, PAGE_BYTES, 0) == ()
    assert end_of(evaluation, "fill", PAGE_BYTES, 1, 0) == ()


@settings(derandomize=True, deadline=None, database=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["copy", "fill", "init"]), st.integers(0, 40),
                          st.integers(0, 40), st.integers(0, 12)), max_size=12))  # fmt: skip
def test_bulk_operations_are_byte_by_byte_loops(calls: list[tuple[str, int, int, int]]) -> None:
    evaluation = instance(BULK)
    model = bytearray(evaluation.memory("m").data)
    for name, target, other, size in calls:
        ended = end_of(evaluation, name, target, other, size)
        if name == "init" and other + size > 9:
            assert ended == OUT
            continue
        old = bytes(model)
        for place in range(size):
            if name == "fill":
                model[target + place] = other
            else:
                source = old if name == "copy" else b"weavegate"
                model[target + place] = source[other + place]
    assert evaluation.memory("m").data == model


def test_segments_are_copied_in_order_until_one_does_not_fit() -> None:
    text = '(module (memory (export "m") 1) (data (i32.const 3) "abc") (data (i32.const 4) "X"))'
    assert instance(text).memory("m").data[3:6] == b"aXc"
    with pytest.raises(TrappedError, match="memory out of bounds"):
        instance('(module (memory 1) (data (i32.const 65535) "ab"))')
    with pytest.raises(TrappedError, match="memory out of bounds"):
        instance('(module (memory 0) (data (i32.const 1) ""))')
    assert instance('(module (memory 0) (data (i32.const 0) ""))')
