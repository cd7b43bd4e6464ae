"""
Memory that is not wholly known can be what memory really is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from abstract_values import valued
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.bounds.abstract import memory as memory_room
from conformance.bounds.abstract.domain import Value, among, between, holds
from conformance.bounds.abstract.memory import CHUNK, Memory

SIZE = 2 * CHUNK


@dataclass
class Both:
    """
    Memory as abstract execution has it, and as one run has it.
    """

    memory: Memory = field(default_factory=lambda: Memory.of(bytes(SIZE)))
    real: bytearray = field(default_factory=lambda: bytearray(SIZE))

    def store(self, address: tuple[Value, int], size: int, value: tuple[Value, int]) -> None:
        at = address[1]
        done = self.memory.store(address[0], 0, size, value[0])
        if at + size <= SIZE:
            assert done
            self.real[at : at + size] = (value[1] & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def check(self, at: int, size: int) -> None:
        found = self.memory.load(at, 0, size)
        assert found is not False
        assert holds(found, int.from_bytes(self.real[at : at + size], "little"))


@st.composite
def addresses(draw: st.DrawFn) -> tuple[Value, int]:
    at = draw(st.one_of(st.integers(0, 24), st.integers(CHUNK - 12, CHUNK + 12)))
    shape = draw(st.sampled_from(("number", "number", "set", "interval", "wide")))
    if shape == "set":
        return among((at, *draw(st.lists(st.integers(0, 24), max_size=3)))), at
    if shape == "interval":
        return between(at, at + draw(st.integers(0, 9)), 32), at
    return (between(at, at + 700, 32) if shape == "wide" else at), at


@st.composite
def stores(draw: st.DrawFn) -> list[tuple[tuple[Value, int], int, tuple[Value, int]]]:
    one = st.tuples(addresses(), st.sampled_from((1, 2, 4, 8)), valued(64))
    return draw(st.lists(one, max_size=8))


@settings(derandomize=True, max_examples=40)
@given(stores(), stores(), stores(), st.sampled_from((0, 1)))
def test_memory_holds_what_a_run_stored_on_either_path(
    before: Any, left: Any, right: Any, path: int
) -> None:
    one = Both()
    for store in before:
        one.store(*store)
    other = Both(one.memory.fork(), one.real[:])
    for store in left:
        one.store(*store)
    for store in right:
        other.store(*store)
    kept = bytes((one, other)[path].real)
    one.memory.merge(other.memory)
    assert one.memory.allows(kept)
    whole = Both(one.memory, bytearray(kept))
    for at in (*range(32), *range(CHUNK - 12, CHUNK + 12)):
        for size in (1, 2, 4, 8):
            whole.check(at, size)


@settings(derandomize=True, max_examples=30)
@given(stores(), stores())
def test_a_fork_does_not_see_what_the_other_stores(before: Any, after: Any) -> None:
    one = Both()
    for store in before:
        one.store(*store)
    fork, kept = one.memory.fork(), bytes(one.real)
    assert fork.alike(one.memory)
    for store in after:
        one.store(*store)
    assert fork.allows(kept)


def test_a_store_that_copies_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Memory.of(bytes(range(200)) + bytes(CHUNK - 200))
    fork = one.fork()
    one.store(3, 0, 1, 77)
    assert fork.load(3, 0, 1) == 3
    monkeypatch.setattr(memory_room.Memory, "_own", lambda self, number: self.chunks[number])
    fork = one.fork()
    one.store(3, 0, 1, 78)
    assert fork.load(3, 0, 1) == 78


def test_values_live_in_cells() -> None:
    memory = Memory.of(bytes(CHUNK))
    memory.store(8, 0, 4, frozenset((5, 0x1234)))
    assert memory.load(8, 0, 4) == frozenset((5, 0x1234))
    assert memory.load(8, 0, 1) == frozenset((5, 0x34))
    assert memory.load(9, 0, 1) == frozenset((0, 0x12))
    assert memory.load(8, 0, 8) is None
    memory.store(10, 0, 1, 7)
    assert memory.load(8, 0, 4) is None
    memory.store(16, 0, 4, (3, 5000))
    assert memory.load(16, 0, 4) == (3, 5000)


def test_two_numbers_in_one_place_become_a_cell() -> None:
    one = Memory.of(bytes(CHUNK))
    other = one.fork()
    one.store(12, 0, 4, 300)
    other.store(12, 0, 4, 7)
    one.merge(other)
    assert one.load(12, 0, 4) == frozenset((7, 300))
    assert one.load(16, 0, 4) == 0


def test_accesses_beyond_the_end_are_told_from_those_that_may_be() -> None:
    memory = Memory.of(bytes(CHUNK))
    assert memory.load(CHUNK - 3, 0, 4) is False
    assert memory.load(CHUNK - 8, 5, 4) is False
    assert memory.load((CHUNK - 4, CHUNK + 9), 0, 4) == 0
    assert memory.store(CHUNK, 0, 1, 1) is False
    assert memory.store((CHUNK - 1, CHUNK), 0, 1, 1) is True
    assert memory.load(CHUNK - 1, 0, 1) == frozenset((0, 1))
    assert memory.load(None, 0, 4) is None


def test_memory_that_differs_is_not_allowed() -> None:
    memory = Memory.of(bytes(CHUNK))
    memory.store(8, 0, 4, frozenset((5, 9)))
    content = bytearray(CHUNK)
    content[8] = 9
    assert memory.allows(bytes(content))
    content[8] = 6
    assert not memory.allows(bytes(content))
    content[8], content[100] = 5, 1
    assert not memory.allows(bytes(content))
    assert not memory.allows(bytes(2 * CHUNK))
