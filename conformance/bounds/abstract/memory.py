"""
Linear memory of which some bytes are known, some are cells with a value, and some are anything.

It is kept in chunks that states share until one of them writes, so a fork costs a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from conformance.bounds.abstract.domain import Value, among, ends, holds, join, members

CHUNK: Final = 1024
"""Bytes; a power of two."""
_ZEROS: Final = bytes(CHUNK)
_WORD: Final = 4
_MOST_ADDRESSES: Final = 512
"""Possible addresses of one access that are looked at one by one."""


class Chunk:
    """
    Bytes of memory; a cell is a value that was stored there, of a size, all its bytes open.
    """

    __slots__ = ("cells", "data", "open", "owner")

    def __init__(
        self, data: bytearray, opened: bytearray, cells: dict[int, tuple[int, Value]], owner: object
    ) -> None:
        """
        Take over what is given; only the state of *owner* may change it.
        """
        self.data = data
        self.open = opened
        """1 for each byte that `data` does not tell."""
        self.cells = cells
        """Offset in the chunk -> size and value."""
        self.owner = owner

    def copy(self, owner: object) -> Chunk:
        """
        The same chunk, for another owner.
        """
        return Chunk(self.data[:], self.open[:], dict(self.cells), owner)

    def forget(self, at: int, size: int) -> None:
        """
        Drop the cells that *size* bytes from *at* on overlap; what they held of others is open.
        """
        for offset in [o for o, (n, _) in self.cells.items() if o < at + size and at < o + n]:
            del self.cells[offset]


class Memory:
    """
    All of linear memory of one state.
    """

    __slots__ = ("chunks", "owner")

    def __init__(self, chunks: list[Chunk], owner: object) -> None:
        """
        Memory of the state that *owner* stands for.
        """
        self.chunks = chunks
        self.owner = owner

    @classmethod
    def of(cls, content: bytes) -> Memory:
        """
        Memory that holds *content*, whole chunks of it.
        """
        owner = object()
        zeros = Chunk(bytearray(CHUNK), bytearray(CHUNK), {}, None)
        chunks = []
        for start in range(0, len(content), CHUNK):
            part = content[start : start + CHUNK]
            known = Chunk(bytearray(part), bytearray(CHUNK), {}, owner)
            chunks.append(zeros if part == _ZEROS else known)
        return cls(chunks, owner)

    @property
    def size(self) -> int:
        """
        In bytes.
        """
        return len(self.chunks) * CHUNK

    def fork(self) -> Memory:
        """
        The same memory for a second state; both copy what they write from now on.
        """
        self.owner = object()
        return Memory(self.chunks[:], object())

    def grow(self, size: int) -> None:
        """
        Add *size* bytes of zeros, whole chunks of them.
        """
        zeros = Chunk(bytearray(CHUNK), bytearray(CHUNK), {}, None)
        self.chunks += [zeros] * (size // CHUNK)

    def _own(self, number: int) -> Chunk:
        chunk = self.chunks[number]
        if chunk.owner is not self.owner:
            chunk = self.chunks[number] = chunk.copy(self.owner)
        return chunk

    # -------------------------------------------------------------------------------- loads

    def load(self, address: Value, offset: int, size: int) -> Value | bool:
        """
        The *size* bytes at an address, unsigned, None for any; False where each is out of bounds.
        """
        if type(address) is int:
            start = address + offset
            return self._read(start, size) if start + size <= self.size else False
        known = members(address, _MOST_ADDRESSES)
        if known is None:
            low, _ = ends(address, 32)
            return None if low + offset + size <= self.size else False
        values = []
        for one in known:
            if one + offset + size <= self.size:
                values.append(self._read(one + offset, size))
                if values[-1] is None:
                    return None
        if not values:
            return False
        if all(type(value) is int for value in values):
            return among(values)  # type: ignore[arg-type]
        found = values[0]
        for value in values[1:]:
            found = join(found, value)
        return found

    def _read(self, start: int, size: int) -> Value:
        at = start & (CHUNK - 1)
        if at + size > CHUNK:
            return self._across(start, size)
        chunk = self.chunks[start // CHUNK]
        if 1 not in chunk.open[at : at + size]:
            return int.from_bytes(chunk.data[at : at + size], "little")
        cell = chunk.cells.get(at)
        if cell is not None and cell[0] == size:
            return cell[1]
        return self._part(chunk, at, size)

    def _part(self, chunk: Chunk, at: int, size: int) -> Value:
        """
        A piece of a cell.
        """
        top = (1 << 8 * size) - 1
        for offset, (length, value) in chunk.cells.items():
            if offset <= at and at + size <= offset + length:
                known = members(value)
                if known is not None:
                    shift = 8 * (at - offset)
                    return among((one >> shift) & top for one in known)
                if offset == at and ends(value, 8 * length)[1] <= top:
                    return value
        return None

    def _across(self, start: int, size: int) -> Value:
        found = 0
        for place in range(start, start + size):
            chunk, at = self.chunks[place // CHUNK], place & (CHUNK - 1)
            if chunk.open[at]:
                return None
            found |= chunk.data[at] << 8 * (place - start)
        return found

    # ------------------------------------------------------------------------------- stores

    def store(self, address: Value, offset: int, size: int, value: Value) -> bool:
        """
        Put the *size* low bytes of a value at an address; False where it is out of bounds anyway.
        """
        if type(address) is int:
            start = address + offset
            if start + size > self.size:
                return False
            self._write(start, size, value)
            return True
        low, high = ends(address, 32)
        if low + offset + size > self.size:
            return False
        known = members(address, _MOST_ADDRESSES)
        if known is None:
            self.open(low + offset, min(self.size, high + offset + size))
            return True
        for one in known:
            start = one + offset
            if start + size <= self.size:
                # It may be this address, so what was there may be there still.
                self._write(start, size, join(self._read(start, size), _cut(value, size)))
        return True

    def _write(self, start: int, size: int, value: Value) -> None:
        at = start & (CHUNK - 1)
        if at + size > CHUNK:
            self._write_across(start, size, value)
            return
        chunk = self._own(start // CHUNK)
        if chunk.cells:
            chunk.forget(at, size)
        if type(value) is int:
            low = value & ((1 << 8 * size) - 1)
            chunk.data[at : at + size] = low.to_bytes(size, "little")
            chunk.open[at : at + size] = bytes(size)
            return
        # Equal memories have equal bytes, so that they can be compared.
        chunk.data[at : at + size] = bytes(size)
        chunk.open[at : at + size] = b"\1" * size
        kept = _cut(value, size)
        if kept is not None and kept != (0, (1 << 8 * size) - 1):
            chunk.cells[at] = (size, kept)

    def _write_across(self, start: int, size: int, value: Value) -> None:
        if type(value) is not int:
            self.open(start, start + size)
            return
        for place in range(size):
            self._write(start + place, 1, (value >> 8 * place) & 0xFF)

    def open(self, start: int, end: int) -> None:
        """
        Let the bytes from *start* up to *end* be anything.
        """
        anything: Chunk | None = None
        for number in range(start // CHUNK, (end + CHUNK - 1) // CHUNK):
            low = max(start - number * CHUNK, 0)
            high = min(end - number * CHUNK, CHUNK)
            if high - low == CHUNK:
                anything = anything or Chunk(bytearray(CHUNK), bytearray(b"\1" * CHUNK), {}, None)
                self.chunks[number] = anything
                continue
            chunk = self._own(number)
            chunk.forget(low, high - low)
            chunk.data[low:high] = bytes(high - low)
            chunk.open[low:high] = b"\1" * (high - low)

    # ----------------------------------------------------------------------- two memories

    def merge(self, other: Memory) -> None:
        """
        Let this memory be all that it or *other*, of the same size, can be.
        """
        for number, (one, two) in enumerate(zip(self.chunks, other.chunks, strict=True)):
            if one is two or same(one, two):
                continue
            chunk = self._own(number)
            for start, size in _differing(one, two):
                value = join(_value(one, start, size), _value(two, start, size))
                self._write(number * CHUNK + start, size, value)
            for offset in [o for o in chunk.cells if chunk.cells[o] != two.cells.get(o)]:
                size, value = chunk.cells[offset]
                kept = join(value, _value(two, offset, size))
                self._write(number * CHUNK + offset, size, kept)

    def alike(self, other: Memory) -> bool:
        """
        Whether the same is known of both memories.
        """
        return len(self.chunks) == len(other.chunks) and all(
            one is two or same(one, two) for one, two in zip(self.chunks, other.chunks, strict=True)
        )

    def allows(self, content: bytes) -> bool:
        """
        Whether memory can hold exactly *content*.
        """
        if len(content) != self.size:
            return False
        for number, chunk in enumerate(self.chunks):
            part = content[number * CHUNK : (number + 1) * CHUNK]
            told = np.frombuffer(bytes(chunk.open), np.uint8) == 0
            here = np.frombuffer(bytes(chunk.data), np.uint8)
            if (told & (here != np.frombuffer(part, np.uint8))).any():
                return False
            for offset, (size, value) in chunk.cells.items():
                if not holds(value, int.from_bytes(part[offset : offset + size], "little")):
                    return False
        return True


def same(one: Chunk, two: Chunk) -> bool:
    """
    Whether the same is known of two chunks.
    """
    return one.data == two.data and one.open == two.open and one.cells == two.cells


def _cut(value: Value, size: int) -> Value:
    """
    The low bytes of a value.
    """
    top = (1 << 8 * size) - 1
    known = members(value)
    if known is not None:
        return among(one & top for one in known)
    low, high = ends(value, 64)
    return (low, high) if high <= top else None


def _value(chunk: Chunk, at: int, size: int) -> Value:
    """
    What *size* bytes of a chunk can be.
    """
    if 1 not in chunk.open[at : at + size]:
        return int.from_bytes(chunk.data[at : at + size], "little")
    cell = chunk.cells.get(at)
    return cell[1] if cell is not None and cell[0] == size else None


def _differing(one: Chunk, two: Chunk) -> Iterator[tuple[int, int]]:
    """
    (Offset, size) of the pieces in which two chunks tell other bytes: cells of either, then words.
    """
    parts = [np.frombuffer(bytes(b), np.uint8) for b in (one.data, two.data, one.open, two.open)]
    apart = (parts[0] != parts[1]) | (parts[2] != parts[3])
    taken = np.zeros(CHUNK, bool)
    for offset, (size, _) in sorted({**one.cells, **two.cells}.items()):
        if apart[offset : offset + size].any() and not taken[offset : offset + size].any():
            taken[offset : offset + size] = True
            yield offset, size
    for word in sorted({int(at) // _WORD * _WORD for at in np.flatnonzero(apart & ~taken)}):
        if taken[word : word + _WORD].any():
            for at in range(word, word + _WORD):
                if apart[at] and not taken[at]:
                    yield at, 1
        else:
            yield word, _WORD
