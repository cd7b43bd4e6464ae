"""
Disputed cases of a module that grows its memory, judged again where pages are seen.

At level `result` a growth that one engine grants and another refuses looks like a wrong value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from conformance.differential.division import Disagreement, Division
from conformance.differential.records import FindingClass
from conformance.differential.tally import FamilyTally, Tally
from conformance.differential.vote import BlockVote, Voice
from runners.blocks import CaseBlock
from runners.records import Level

MOST_ALIKE: Final = 8
"""Rows of a block, divided in one and the same way, that are judged again."""

_MAYBE_GROWTH: Final = frozenset({FindingClass.VALUE, FindingClass.KIND})

Rows = NDArray[np.int64]


def doubtful_rows(block: CaseBlock, result: BlockVote) -> dict[tuple[Division, ...], list[int]]:
    """
    Rows whose results or ends differ without their pages being seen, by the way they are divided.

    Empty where pages were asked for, or where the module exports no memory that shows them.
    """
    if block.level.rank >= Level.STATE.rank or block.call.memory is None or not block.call.grows:
        return {}
    divided: dict[int, list[Disagreement]] = {}
    for item in result.disagreements:
        divided.setdefault(item.row, []).append(item)
    ways: dict[tuple[Division, ...], list[int]] = {}
    for row, items in divided.items():
        if any(item.kind in _MAYBE_GROWTH for item in items):
            ways.setdefault(tuple(item.division for item in items), []).append(row)
    return ways


def first_of_each(ways: dict[tuple[Division, ...], list[int]]) -> Rows:
    """
    The rows to be judged again, ascending: a few of each way.
    """
    return np.array(sorted(row for rows in ways.values() for row in rows[:MOST_ALIKE]), np.int64)


def unsure_rows(ways: dict[tuple[Division, ...], list[int]], deeper: BlockVote) -> Rows:
    """
    Rows that were not judged again, though growth divides one that was divided like them.

    Nobody has seen their pages, so their difference is neither a value nor a limit.
    """
    met = {item.row for item in deeper.disagreements if item.kind is FindingClass.LIMIT}
    unsure = [
        row
        for rows in ways.values()
        if met.intersection(rows[:MOST_ALIKE])
        for row in rows[MOST_ALIKE:]
    ]
    return np.array(sorted(unsure), np.int64)


def without(voices: Iterable[Voice], rows: Rows) -> list[Voice]:
    """
    The voices as if they had not been asked *rows* of the block.
    """
    silenced = []
    for voice in voices:
        asked = np.arange(len(voice.outcome)) if voice.rows is None else voice.rows
        status = np.where(np.isin(asked, rows), 0, voice.outcome.status).astype(np.uint8)
        silenced.append(replace(voice, outcome=replace(voice.outcome, status=status)))
    return silenced


def joined(plain: BlockVote, deeper: BlockVote, again: Rows) -> BlockVote:
    """
    The verdict on a block of which the rows *again* were judged in a vote of their own.

    It has the disagreements of *plain* alone, and the counts of both.
    """
    undecided = [np.setdiff1d(plain.undecided, again), np.intersect1d(deeper.undecided, again)]
    compared = dict(deeper.compared)
    return BlockVote(
        disagreements=plain.disagreements,
        tallies=tuple(_tallies(plain.tallies, deeper.tallies)),
        families=tuple(_families(plain.families, deeper.families)),
        undecided=np.sort(np.concatenate(undecided)).astype(np.int64),
        compared=tuple((name, cases + compared[name]) for name, cases in plain.compared),
    )


def _tallies(plain: Sequence[Tally], deeper: Sequence[Tally]) -> Iterable[Tally]:
    more = {tally.label: tally for tally in deeper}
    names = ("compared", "agreeing", "differing", "abstained", "broken")
    for tally in plain:
        other = more[tally.label]
        sums = {name: getattr(tally, name) + getattr(other, name) for name in names}
        yield msgspec.structs.replace(tally, **sums)


def _families(plain: Sequence[FamilyTally], deeper: Sequence[FamilyTally]) -> Iterable[FamilyTally]:
    more = {tally.generator: tally for tally in deeper}
    for tally in plain:
        other = more[tally.generator]
        yield msgspec.structs.replace(
            tally,
            compared=tally.compared + other.compared,
            differing=tally.differing + other.differing,
        )
