"""
Makes a failing call history small: fewest calls, fewest non-zero elements, simplest bits.

Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002)
in rounds: each round puts many candidates to the caller at once, because a batch costs little more
than one case. Nothing is drawn at random: the same failure always shrinks to the same history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final, TypeVar

import numpy as np

from conformance.differential.profiles import WIDTHS, OutputShape
from conformance.differential.simplest import simpler, simplest
from conformance.manifest.domains import contains
from conformance.manifest.records import Domain

History = tuple[bytes, ...]
"""Input rows since the instance was opened; the last is the failing case."""

StillFails = Callable[[Sequence[History]], Sequence[bool]]
"""Tells, for each of many candidates, whether the difference is still there."""

T = TypeVar("T")

MOST_PER_ROUND: Final = 64
"""Candidates in one round."""


class DoesNotFailError(ValueError):
    """
    The history to shrink does not fail when it is tried again.
    """


@dataclass(frozen=True, slots=True)
class Layout:
    """
    What the bytes of an input row mean, and which values its elements may take.
    """

    columns: tuple[tuple[int, str, int], ...]
    """(byte offset, element type, count), as in `profiles.OutputShape`."""
    domains: tuple[Domain | None, ...] = ()
    """One per column; empty: every bit pattern is legal."""

    def allows(self, column: int, bits: int) -> bool:
        """
        Tell whether an element of *column* may have these *bits*.
        """
        domain = self.domains[column] if self.domains else None
        dtype = self.columns[column][1]
        return bool(contains(dtype, domain, np.array([bits], dtype=np.uint64))[0])


@dataclass(frozen=True, slots=True)
class Shrunk:
    """
    What shrinking came to.
    """

    history: History
    rounds: int
    """Rounds that were used."""
    finished: bool
    """False when rounds ran out before nothing simpler was left to try."""


@dataclass(frozen=True, slots=True, order=True)
class _Element:
    """
    The place of one element in a history.
    """

    row: int
    column: int
    at: int
    """Byte offset in its row."""
    width: int


_Change = tuple[_Element, int]
"""An element and the bits to give it."""


class _OutOfRoundsError(Exception):
    """
    The caller's budget of rounds is spent.
    """


@dataclass(slots=True)
class _Shrinker:
    """
    The smallest failing history so far, and what is left to spend.
    """

    history: History
    layout: Layout
    still_fails: StillFails
    max_rounds: int
    rounds: int = 0

    def first(self, candidates: Iterable[History]) -> bool:
        """
        Try candidates in rounds; take over the first that fails, and tell whether one did.
        """
        for batch in _batches(candidates):
            for candidate, fails in zip(batch, self.ask(batch), strict=True):
                if fails:
                    self.history = candidate
                    return True
        return False

    def ask(self, batch: Sequence[History]) -> list[bool]:
        """
        Put one round of candidates to the caller.
        """
        if self.rounds >= self.max_rounds:
            raise _OutOfRoundsError
        self.rounds += 1
        results = [bool(fails) for fails in self.still_fails(batch)]
        if len(results) != len(batch):
            message = f"{len(batch)} candidates were asked about, {len(results)} answers came"
            raise ValueError(message)
        return results

    def elements(self) -> list[_Element]:
        """
        Every element of the history, in order.
        """
        return [
            _Element(row, column, at + index * WIDTHS[dtype], WIDTHS[dtype])
            for row in range(len(self.history))
            for column, (at, dtype, count) in enumerate(self.layout.columns)
            for index in range(count)
        ]

    def bits(self, element: _Element) -> int:
        """
        Bits of one element of the history.
        """
        row = self.history[element.row]
        return int.from_bytes(row[element.at : element.at + element.width], "little")

    def with_bits(self, changes: Iterable[tuple[_Element, int]]) -> History:
        """
        Copy the history with other bits in some elements.
        """
        rows = [bytearray(row) for row in self.history]
        for element, bits in changes:
            rows[element.row][element.at : element.at + element.width] = bits.to_bytes(
                element.width, "little"
            )
        return tuple(bytes(row) for row in rows)

    def fewest_rows(self) -> None:
        """
        Drop calls before the failing one.
        """
        parts = 2
        while len(self.history) > 1:
            before, last = list(self.history[:-1]), self.history[-1]
            parts = min(parts, len(before))
            chunks = _chunks(before, parts)
            kept: list[list[bytes]] = [[], *(list(chunk) for chunk in chunks)]
            kept += [
                [row for other, chunk in enumerate(chunks) if other != index for row in chunk]
                for index in range(parts)
            ]
            kept = sorted((rows for rows in kept if len(rows) < len(before)), key=len)
            if self.first((*rows, last) for rows in kept):
                parts = 2
            elif parts >= len(before):
                return
            else:
                parts = min(2 * parts, len(before))

    def plainest(self, element: _Element) -> int:
        """
        Give the simplest bits that an element's domain allows.
        """
        dtype = self.layout.columns[element.column][1]
        domain = self.layout.domains[element.column] if self.layout.domains else None
        return simplest(dtype, domain)

    def fewest_elements(self) -> None:
        """
        Make as many elements as possible plain (zero, where the domain has it).
        """
        plain = [
            (element, bits)
            for element in self.elements()
            if self.bits(element) != (bits := self.plainest(element))
        ]
        parts = 1
        while plain:
            parts = min(parts, len(plain))
            chunks = _chunks(plain, parts)
            self.take(chunks)
            left = [change for change in plain if self.bits(change[0]) != change[1]]
            if len(left) == len(plain):
                if parts == len(plain):
                    return
                parts *= 2
            plain = left

    def simplest_bits(self) -> None:
        """
        Give each element the simplest bits with which the history still fails.
        """
        before = None
        while before != self.history:
            before = self.history
            for group in self.groups():
                self.take([[(element, bits)] for element, choices in group for bits in choices])

    def take(self, options: Sequence[Sequence[_Change]]) -> None:
        """
        Try each option alone, then take over as many of those that fail as fail together.

        Of several options for one element the first that fails is taken.
        """
        for start in range(0, len(options), MOST_PER_ROUND):
            batch = options[start : start + MOST_PER_ROUND]
            results = self.ask([self.with_bits(option) for option in batch])
            good: list[Sequence[_Change]] = []
            touched: set[_Element] = set()
            for option, fails in zip(batch, results, strict=True):
                elements = {element for element, _ in option}
                if fails and not elements & touched:
                    good.append(option)
                    touched |= elements
            if not good:
                continue
            alone = self.with_bits(good[0])
            lengths = sorted({len(good) >> shift for shift in range(8)} - {0, 1}, reverse=True)
            together = [self.with_bits(chain.from_iterable(good[:n])) for n in lengths]
            if not together or not self.first(together):
                self.history = alone

    def groups(self) -> Iterator[list[tuple[_Element, list[int]]]]:
        """
        Elements that can still be simpler, with candidates, in groups of one round each.
        """
        group: list[tuple[_Element, list[int]]] = []
        size = 0
        for element in self.elements():
            dtype = self.layout.columns[element.column][1]
            choices = [
                bits
                for bits in simpler(dtype, self.bits(element))
                if self.layout.allows(element.column, bits)
            ][:MOST_PER_ROUND]
            if group and size + len(choices) > MOST_PER_ROUND:
                yield group
                group, size = [], 0
            if choices:
                group.append((element, choices))
                size += len(choices)
        if group:
            yield group


def _chunks(items: Sequence[T], parts: int) -> list[Sequence[T]]:
    """
    Cut *items* into *parts* pieces of nearly equal length.
    """
    return [items[len(items) * i // parts : len(items) * (i + 1) // parts] for i in range(parts)]


def _batches(candidates: Iterable[History]) -> Iterator[list[History]]:
    """
    Cut candidates into rounds.
    """
    rest = iter(candidates)
    while batch := list(islice(rest, MOST_PER_ROUND)):
        yield batch


def shrink(
    history: Sequence[bytes], layout: Layout, still_fails: StillFails, max_rounds: int
) -> Shrunk:
    """
    Make *history* as small as *max_rounds* rounds of *still_fails* allow; its last row stays last.

    A history that is kept was always seen to fail. Raises DoesNotFailError when *history* itself
    does not, and ValueError when *max_rounds* is not even enough to see that.
    """
    if max_rounds < 1 or not history:
        message = "shrinking needs a history of at least one row and at least one round"
        raise ValueError(message)
    if layout.domains and len(layout.domains) != len(layout.columns):
        message = f"{len(layout.columns)} columns need as many domains, not {len(layout.domains)}"
        raise ValueError(message)
    for row in history:
        OutputShape(layout.columns).check(len(row))
    shrinker = _Shrinker(tuple(history), layout, still_fails, max_rounds)
    if shrinker.ask([shrinker.history]) != [True]:
        message = "the history does not fail when it is tried again: there is nothing to shrink"
        raise DoesNotFailError(message)
    try:
        shrinker.fewest_rows()
        shrinker.fewest_elements()
        shrinker.simplest_bits()
    except _OutOfRoundsError:
        return Shrunk(shrinker.history, shrinker.rounds, finished=False)
    return Shrunk(shrinker.history, shrinker.rounds, finished=True)
