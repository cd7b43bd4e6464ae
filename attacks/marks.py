"""
Bit patterns by which a secret is known again, and their search in linear memory.

A mark is only taken if it does not occur by chance: 8 bytes of which five differ, or 4 bytes of
which three differ, and then two of them must be found. Where single values are plainer than that,
as small integers are, a mark is a run of neighbours. Memory is little-endian, and so are rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runners.bits import WIDTH_BYTES

WIDE: Final = 8
_DISTINCT_WIDE: Final = 5
_DISTINCT_NARROW: Final = 3
_MOST_RUNS: Final = 64
_BLOCK: Final = 4096
_SLOT_BYTES: Final = 8

Columns = tuple[tuple[int, str, int], ...]
Octets = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Marks:
    """
    What is looked for. `wide` and `narrow` are sorted patterns, `runs` are longer ones.
    """

    wide: NDArray[np.uint64]
    narrow: NDArray[np.uint64]
    runs: tuple[bytes, ...]

    def __len__(self) -> int:
        """
        Number of different patterns.
        """
        return len(self.wide) + len(self.narrow) + len(self.runs)


@dataclass(frozen=True, slots=True)
class Traces:
    """
    What was found of a secret.
    """

    marks: int
    """Different marks that were found; 0: nothing, or too little to tell it from chance."""
    address: int
    """Where the first one lies."""
    of: int
    """Marks that were looked for."""


def marks_of(row: bytes, columns: Columns) -> Marks:
    """
    The marks of an input row, given what it holds; none if it is too plain to be known again.
    """
    wide: set[int] = set()
    narrow: set[int] = set()
    runs: list[bytes] = []
    for start, dtype, count in columns:
        width = WIDTH_BYTES[dtype]
        values = [row[start + i * width : start + (i + 1) * width] for i in range(count)]
        least = _DISTINCT_WIDE if width == WIDE else _DISTINCT_NARROW
        plain = [value for value in values if len(set(value)) < least]
        chosen = wide if width == WIDE else narrow
        if len(plain) <= len(values) // 2:
            chosen.update(int.from_bytes(v, "little") for v in values if len(set(v)) >= least)
        else:
            runs += _runs(values)
    return Marks(_sorted(wide), _sorted(narrow), tuple(dict.fromkeys(runs)))


def _sorted(values: set[int]) -> NDArray[np.uint64]:
    return np.array(sorted(values), np.uint64)


def _runs(values: list[bytes]) -> Iterator[bytes]:
    """
    Runs of neighbours that are long enough not to occur by chance, spread evenly over the row.
    """
    found = []
    for first in range(len(values)):
        run = b""
        for value in values[first:]:
            run += value
            if len(run) >= WIDE and len(set(run)) >= _DISTINCT_WIDE:
                found.append(run)
                break
    step = max(1, -(-len(found) // _MOST_RUNS))
    yield from found[::step]


def find_marks(memory: bytes, before: bytes, marks: Marks) -> Traces:
    """
    Look for marks where *memory* differs from *before*, at any alignment.

    A mark that *before* holds anywhere is the module's own and does not count.
    """
    found: dict[bytes, int] = {}
    for start, piece in _changed(memory, before):
        for width, patterns in ((8, marks.wide), (4, marks.narrow)):
            if len(patterns):
                _search(piece, start, width, patterns, found)
        for run in marks.runs:
            at = piece.find(run)
            if at >= 0:
                found.setdefault(run, start + at)
    kept = {mark: address for mark, address in found.items() if mark not in before}
    narrow = sum(len(mark) < WIDE for mark in kept)
    by_chance = narrow == len(kept) and narrow < min(2, len(marks.narrow))
    if not kept or by_chance:
        return Traces(0, 0, len(marks))
    return Traces(len(kept), min(kept.values()), len(marks))


def _changed(memory: bytes, before: bytes) -> Iterator[tuple[int, bytes]]:
    """
    Stretches of *memory* that differ from *before*, with a margin for a mark that lies across.

    Memory that *before* did not have yet is compared with zeros: growth gives zeros.
    """
    size = -(-len(memory) // _BLOCK) * _BLOCK
    differs = (_padded(memory, size) != _padded(before[:size], size)).reshape(-1, _BLOCK)
    blocks = np.flatnonzero(differs.any(axis=1))
    for group in np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1) if len(blocks) else ():
        start = max(0, int(group[0]) * _BLOCK - 4 * WIDE)
        yield start, memory[start : (int(group[-1]) + 1) * _BLOCK + 4 * WIDE]


def _padded(data: bytes, size: int) -> Octets:
    array = np.zeros(size, np.uint8)
    array[: len(data)] = np.frombuffer(data, np.uint8)
    return array


def _search(
    piece: bytes, start: int, width: int, patterns: NDArray[np.uint64], found: dict[bytes, int]
) -> None:
    """
    Add the patterns of *width* bytes that *piece* holds, with the address of each one's first.
    """
    for shift in range(width):
        count = (len(piece) - shift) // width
        if count <= 0:
            continue
        values = np.frombuffer(piece, f"<u{width}", count, shift).astype(np.uint64)
        places = np.searchsorted(patterns, values).clip(max=len(patterns) - 1)
        for at in np.flatnonzero(patterns[places] == values).tolist():
            address = start + shift + at * width
            mark = int(values[at]).to_bytes(width, "little")
            found[mark] = min(address, found.get(mark, address))


def columns_of(slots: int, slot_types: tuple[str, ...], buffer: str, size_bytes: int) -> Columns:
    """
    What an input row holds: scalar slots of 8 bytes each, then a buffer of one element type.
    """
    scalars = [(_SLOT_BYTES * i, slot_types[i], 1) for i in range(min(slots, len(slot_types)))]
    if buffer in WIDTH_BYTES and size_bytes:
        scalars.append((_SLOT_BYTES * slots, buffer, size_bytes // WIDTH_BYTES[buffer]))
    return tuple(scalars)
