from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.marks import Traces, columns_of, find_marks, marks_of

SECRET = [0.7310585786300049, -1.4142135623730951, 2.718281828459045]
ROW = struct.pack("<3d", *SECRET)
COLUMNS = ((0, "f64", 3),)
PAGE = 65536


def planted(*pieces: tuple[int, bytes], size: int = PAGE) -> bytes:
    memory = bytearray(size)
    for address, data in pieces:
        memory[address : address + len(data)] = data
    return bytes(memory)


def test_a_value_is_found_where_it_lies() -> None:
    value = ROW[8:16]
    traces = find_marks(planted((4000, value)), bytes(PAGE), marks_of(ROW, COLUMNS))
    assert traces == Traces(1, 4000, 3)


@given(st.integers(0, PAGE - 8), st.integers(0, 2))
def test_no_alignment_and_no_place_hides_it(address: int, which: int) -> None:
    value = ROW[8 * which : 8 * which + 8]
    traces = find_marks(planted((address, value)), bytes(PAGE), marks_of(ROW, COLUMNS))
    assert (traces.marks, traces.address) == (1, address)


@given(st.integers(0, PAGE - 8), st.integers(0, 63))
def test_one_flipped_bit_is_another_value(address: int, bit: int) -> None:
    value = (int.from_bytes(ROW[:8], "little") ^ (1 << bit)).to_bytes(8, "little")
    traces = find_marks(planted((address, value)), bytes(PAGE), marks_of(ROW, COLUMNS))
    assert traces.marks == 0


def test_what_memory_held_before_does_not_count() -> None:
    before = planted((80, ROW))
    moved = planted((80, ROW), (8000, ROW))
    assert find_marks(before, before, marks_of(ROW, COLUMNS)).marks == 0
    assert find_marks(moved, before, marks_of(ROW, COLUMNS)).marks == 0
    assert find_marks(moved, bytes(PAGE), marks_of(ROW, COLUMNS)).marks == 3


def test_grown_memory_is_searched_too() -> None:
    memory = planted((PAGE + 123, ROW[:8]), size=2 * PAGE)
    traces = find_marks(memory, bytes(PAGE), marks_of(ROW, COLUMNS))
    assert (traces.marks, traces.address) == (1, PAGE + 123)


def test_a_value_across_two_blocks_of_which_one_changed_is_found() -> None:
    value = ROW[:8]
    before = planted((4096, value[4:]))
    traces = find_marks(planted((4092, value)), before, marks_of(ROW, COLUMNS))
    assert (traces.marks, traces.address) == (1, 4092)


def test_one_narrow_value_is_chance_and_two_are_not() -> None:
    row = np.array([0.7310586, -1.4142135, 2.7182817], "<f4").tobytes()
    marks = marks_of(row, ((0, "f32", 3),))
    assert len(marks) == 3
    one = planted((12, row[:4]), (400, row[:4]))
    assert find_marks(one, bytes(PAGE), marks).marks == 0
    two = planted((12, row[:4]), (401, row[8:]))
    assert find_marks(two, bytes(PAGE), marks) == Traces(2, 12, 3)


def test_the_only_narrow_value_of_a_row_counts_alone() -> None:
    row = np.array([0.7310586], "<f4").tobytes()
    marks = marks_of(row, ((0, "f32", 1),))
    assert find_marks(planted((77, row)), bytes(PAGE), marks).marks == 1


def test_small_integers_are_known_by_their_neighbours() -> None:
    row = np.array([3, 1, 4, 1, 5, 9, 2, 6], "<i4").tobytes()
    marks = marks_of(row, ((0, "i32", 8),))
    assert len(marks) > 0
    assert len(marks.wide) == len(marks.narrow) == 0
    assert all(len(set(run)) >= 5 for run in marks.runs)
    assert find_marks(planted((5000, row)), bytes(PAGE), marks).address == 5000
    scattered = planted(*((64 * i, row[4 * i : 4 * i + 4]) for i in range(8)))
    assert find_marks(scattered, bytes(PAGE), marks).marks == 0


@pytest.mark.parametrize("row", [bytes(24), struct.pack("<3d", 1.0, 1.0, 1.0), b""])
def test_a_row_without_a_pattern_has_no_marks(row: bytes) -> None:
    marks = marks_of(row, ((0, "f64", len(row) // 8),))
    assert len(marks) == 0
    assert find_marks(planted((64, row)), bytes(PAGE), marks).marks == 0


def test_slots_come_before_the_buffer() -> None:
    assert columns_of(2, ("f32", "i64"), "f64", 24) == (
        (0, "f32", 1),
        (8, "i64", 1),
        (16, "f64", 3),
    )
    assert columns_of(0, (), "", 24) == ()


def test_a_slot_narrower_than_eight_bytes_is_known_by_its_own_bytes() -> None:
    value = np.array([0.7310586], "<f4").tobytes()
    marks = marks_of(value + bytes(4), ((0, "f32", 1),))
    assert marks.narrow.tolist() == [int.from_bytes(value, "little")]
