"""
Rows of inputs for one entry: held-out rows, draws from the domain, and edge values.

An edge row's index is `family << 40 | number`. The families of a buffer:

0. one edge value in all elements; number = place of the value
1. one edge value in one element of a plausible row; number = place * elements + element
2. the same with values at the module's own float constants, and `elements + 1` for `elements`,
   where the last means all of them
3. edge values everywhere, drawn independently; number = count of the draw

The families of scalars:

0. the product of the parameters' edge values; number in mixed radix, first parameter slowest
2. one parameter at one of the module's own float constants, the others at edge values;
   number = place among all (parameter, constant) * repeats + repeat
3. as above, where the product is too large to be counted
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.differential.draws import (
    MAX_SPREAD,
    choose,
    mixed,
    patterns,
    reals,
    spread,
    stream,
    words,
)
from conformance.differential.edges import (
    SPECIALS,
    constant_edges,
    edge_values,
    low_ones,
)
from conformance.manifest.calls import input_columns, scalar_call
from conformance.manifest.domains import EXPONENT, Bits, all_ones, contains
from conformance.manifest.records import Domain, Manifest
from conformance.manifest.tables import BitsTable
from runners.bits import WIDTH_BYTES

Rows = NDArray[np.uint8]

_CHUNK_WORDS: Final = 1 << 19
_BASES: Final = 16
_BASE_BYTES: Final = 8 << 20
_ONES_PERIOD: Final = 16
_SPECIAL_MASK: Final = np.uint64(15)
_REPEATS: Final = 8
_FAMILY_SHIFT: Final = 40


@dataclass(frozen=True, slots=True)
class Column:
    """
    One scalar parameter, or all elements of the input buffer.
    """

    dtype: str
    domain: Domain | None
    count: int
    edges: Bits
    """Legal edge values."""
    constants: Bits
    """Legal values at the module's own float constants."""

    def legal(self, bits: Bits) -> NDArray[np.bool_]:
        """
        Tell which patterns the domain allows.
        """
        return contains(self.dtype, self.domain, bits)


@dataclass(frozen=True, slots=True)
class Pick:
    """
    Some rows of one origin.
    """

    indices: Bits
    """Shape (n,): what each row is, independent of how many were picked."""
    rows: Rows


@dataclass(frozen=True, slots=True)
class EntryInputs:
    """
    What the inputs of one entry may be.
    """

    entry: str
    columns: tuple[Column, ...]
    slots: bool
    """Whether the columns are scalars, 8 bytes each; else one buffer."""
    seed: int

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        entry: str,
        float_constants: Mapping[str, AbstractSet[int]],
        edges: Mapping[str, tuple[int, ...]] | None,
        seed: int,
    ) -> EntryInputs:
        """
        Gather what manifest and module say about the inputs of *entry*.
        """
        shape = input_columns(manifest, entry)
        slots = entry != manifest.run.entry
        domains: tuple[Domain | None, ...]
        if slots:
            domains = scalar_call(manifest, entry).domains or (None,) * len(shape)
        else:
            tensor = manifest.run.input
            domains = (None if tensor is None else tensor.domain,)
        columns = tuple(
            Column(
                dtype,
                domain,
                count,
                np.array(edge_values(dtype, domain, (edges or {}).get(dtype)), np.uint64),
                np.array(constant_edges(dtype, domain, float_constants), np.uint64),
            )
            for (_, dtype, count), domain in zip(shape, domains, strict=True)
        )
        return cls(entry, columns, slots, seed)

    @property
    def bounded(self) -> bool:
        """
        Whether the manifest gives domains.
        """
        return all(column.domain is not None for column in self.columns)

    @property
    def row_bytes(self) -> int:
        """
        Size of one input row.
        """
        if self.slots:
            return 8 * len(self.columns)
        return sum(column.count * WIDTH_BYTES[column.dtype] for column in self.columns)

    def pack(self, bits: Bits) -> Rows:
        """
        Rows of the protocol from elements' bits, shape (n, elements).
        """
        width = 8 if self.slots else WIDTH_BYTES[self.columns[0].dtype]
        code = "<u8" if width == 8 else "<u4"  # noqa: PLR2004 - bytes
        packed = np.ascontiguousarray(bits.astype(code)).view(np.uint8)
        return packed.reshape(len(bits), self.row_bytes)

    def dataset(self, table: BitsTable | None, count: int) -> Pick:
        """
        At most *count* rows of a table, spread evenly; the index is the number of the row.
        """
        if table is None:
            return Pick(np.zeros(0, np.uint64), np.zeros((0, self.row_bytes), np.uint8))
        indices = spread(self.seed, f"dataset:{self.entry}", len(table), count)
        return Pick(indices, table.rows[indices.astype(np.int64)])

    def uniform(self, count: int) -> Pick:
        """
        *count* rows drawn from the domain: even ones over its reals, odd ones over its patterns.

        Every eighth odd row has all ones in the lower half of its values. Without a domain, even
        rows are random bits and odd rows mix random bits with edge values.
        """
        if not self.columns:
            count = 0
        parts = [self._draw(column, place, count) for place, column in enumerate(self.columns)]
        packed = parts[0] if len(parts) == 1 else np.concatenate([*parts, *_none(count)], axis=1)
        return Pick(np.arange(count, dtype=np.uint64), packed)

    def edge(self, table: BitsTable | None, count: int, room: int) -> Pick:
        """
        Edge rows. Scalars: at most *count* of families 0 or 3, and a quarter of it of family 2.

        Buffers: family 0 (at most *room* rows) and at most *count* rows of the other families.
        """
        families = (
            self._scalar_edges(count) if self.slots else self._buffer_edges(table, count, room)
        )
        indices = [
            (np.uint64(family << _FAMILY_SHIFT) | numbers) for family, numbers, _ in families
        ]
        rows = [self.pack(bits) for _, _, bits in families]
        return Pick(np.concatenate(indices), np.concatenate(rows))

    # ------------------------------------------------------------------------------ uniform

    def _draw(self, column: Column, place: int, count: int) -> Rows:
        """
        *count* rows of one column, drawn in chunks so that wide rows need little memory.
        """
        names = (self.entry, "uniform", str(place))
        main, side = stream(self.seed, *names), stream(self.seed, *names, "side")
        one = EntryInputs(self.entry, (column,), self.slots, self.seed)
        step = max(2, _CHUNK_WORDS // column.count // 2 * 2)
        parts: list[Rows] = []
        for start in range(0, count, step):
            rows = min(step, count - start)
            shape = (rows, column.count)
            raw = words(main, rows * column.count).reshape(shape)
            extra = words(side, rows * column.count).reshape(shape)
            numbers = np.arange(start, start + rows, dtype=np.int64)
            parts.append(one.pack(_drawn(column, raw, extra, numbers)))
        return np.concatenate([*parts, np.zeros((0, one.row_bytes), np.uint8)])

    # --------------------------------------------------------------------------------- edge

    def _scalar_edges(self, count: int) -> list[tuple[int, Bits, Bits]]:
        lengths = [len(column.edges) for column in self.columns]
        total = math.prod(lengths)
        if total > MAX_SPREAD:
            numbers, bits = self._independent(count)
            families = [(3, numbers, bits)]
        else:
            numbers = spread(self.seed, f"product:{self.entry}", total, count)
            families = [(0, numbers, self._product(numbers, lengths))]
        constants = [(p, c) for p, column in enumerate(self.columns) for c in column.constants]
        if constants:
            repeats = 1 if len(self.columns) == 1 else _REPEATS
            population = len(constants) * repeats
            numbers = spread(self.seed, f"constants:{self.entry}", population, count // 4)
            families.append((2, numbers, self._at_constants(numbers, constants, repeats)))
        return families

    def _product(self, numbers: Bits, lengths: list[int]) -> Bits:
        bits = np.zeros((len(numbers), len(self.columns)), np.uint64)
        left = numbers
        for place in reversed(range(len(self.columns))):
            length = np.uint64(lengths[place])
            bits[:, place] = self.columns[place].edges[(left % length).astype(np.int64)]
            left = left // length
        return bits

    def _at_constants(
        self, numbers: Bits, constants: list[tuple[int, np.uint64]], repeats: int
    ) -> Bits:
        bits = np.stack(
            [
                choose(column.edges, mixed(numbers * np.uint64(len(self.columns)) + np.uint64(p)))
                for p, column in enumerate(self.columns)
            ],
            axis=1,
        )
        chosen = (numbers // np.uint64(repeats)).astype(np.int64)
        places = np.array([place for place, _ in constants], np.int64)[chosen]
        values = np.array([value for _, value in constants], np.uint64)[chosen]
        bits[np.arange(len(numbers)), places] = values
        return bits

    def _independent(self, count: int) -> tuple[Bits, Bits]:
        parts: list[Bits] = []
        for place, column in enumerate(self.columns):
            raw = words(stream(self.seed, self.entry, "mix", str(place)), count * column.count)
            parts.append(choose(column.edges, raw).reshape(count, column.count))
        return np.arange(count, dtype=np.uint64), np.concatenate(parts, axis=1)

    def _buffer_edges(
        self, table: BitsTable | None, count: int, room: int
    ) -> list[tuple[int, Bits, Bits]]:
        column = self.columns[0]
        size = column.count
        throughout = np.repeat(column.edges[:room, None], size, axis=1)
        single = 0 if size == 1 else len(column.edges) * size
        stride = 1 if size == 1 else size + 1
        own = len(column.constants) * stride
        # Of five rows two are of family 1, two of family 2, one of family 3, in turns, so that a
        # larger count only adds rows. What a small family cannot fill, family 3 does.
        wanted_single = (count + 4) // 5 + (count + 2) // 5
        wanted_own = (count + 3) // 5 + (count + 1) // 5
        taken_single, taken_own = min(single, wanted_single), min(own, wanted_own)
        rest = 0 if size == 1 else count - taken_single - taken_own
        bases = self._bases(table)
        one = spread(self.seed, f"element:{self.entry}", single, taken_single)
        two = spread(self.seed, f"constant:{self.entry}", own, taken_own)
        return [
            (0, np.arange(len(throughout), dtype=np.uint64), throughout),
            (1, one, _replaced(bases, column.edges, one, size, size)),
            (2, two, _replaced(bases, column.constants, two, size, stride)),
            (3, *self._independent(rest)),
        ]

    def _bases(self, table: BitsTable | None) -> Bits:
        """
        Plausible rows in which one element is replaced: held-out ones if there are any.
        """
        count = min(_BASES, max(1, _BASE_BYTES // self.row_bytes))
        if table is not None and len(table):
            picked = spread(self.seed, f"base:{self.entry}", len(table), count)
            return table.bits()[picked.astype(np.int64)]
        column = self.columns[0]
        raw = words(stream(self.seed, self.entry, "base"), count * column.count)
        if column.domain is None:
            return (raw & np.uint64(all_ones(column.dtype))).reshape(count, column.count)
        return reals(column.dtype, column.domain, raw).reshape(count, column.count)


def _replaced(bases: Bits, values: Bits, numbers: Bits, size: int, stride: int) -> Bits:
    """
    A base row per number, with value `number // stride` at element `number % stride`.

    An element beyond the row (or a stride of 1) means all elements.
    """
    bits = bases[(mixed(numbers) % np.uint64(len(bases))).astype(np.int64)]
    if len(numbers) == 0:
        return bits
    chosen = values[(numbers // np.uint64(stride)).astype(np.int64)]
    element = (numbers % np.uint64(stride)).astype(np.int64)
    everywhere = (element == size) | (stride == 1)
    rows = np.arange(len(numbers))
    bits[rows, np.where(everywhere, 0, element)] = chosen
    bits[everywhere] = chosen[everywhere, None]
    return bits


def _drawn(column: Column, raw: Bits, extra: Bits, numbers: NDArray[np.int64]) -> Bits:
    """
    Rows *numbers* of a column from two words per element.
    """
    odd = (numbers % 2 == 1)[:, None]
    mask = np.uint64(all_ones(column.dtype))
    if column.domain is None:
        edge = odd & ((extra & np.uint64(1)) == 1)
        return np.where(edge, choose(column.edges, mixed(extra)), raw & mask)
    spaced = patterns(column.dtype, column.domain, raw)
    ones = spaced | np.uint64(low_ones(column.dtype))
    in_turn = (numbers % _ONES_PERIOD == _ONES_PERIOD - 1)[:, None]
    spaced = np.where(in_turn & column.legal(ones), ones, spaced)
    if column.domain.special and column.dtype in EXPONENT:
        exponent = np.uint64(EXPONENT[column.dtype])
        listed = choose(np.array(SPECIALS[column.dtype], np.uint64), mixed(extra))
        special = np.where((extra & np.uint64(16)) == 0, listed, (mixed(extra) & mask) | exponent)
        spaced = np.where((extra & _SPECIAL_MASK) == 0, special, spaced)
    return np.where(odd, spaced, reals(column.dtype, column.domain, raw))


def _none(count: int) -> list[Rows]:
    """
    An empty column, so that rows without any column still have their count.
    """
    return [np.zeros((count, 0), np.uint8)]
