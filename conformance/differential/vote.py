"""
The vote: what nodes did with the cases of one block, compared bit by bit.

Compares only what both sides observed. Limits abstain, broken workers never vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.differential.alike import BREAKS, KNOWN, Index, Seat, patterns, suspects
from conformance.differential.divide import Jury, divide
from conformance.differential.division import Disagreement, Division, Group, Member
from conformance.differential.profiles import NanProfile, OutputShape
from conformance.differential.records import FindingClass
from conformance.differential.tally import FamilyTally, Ledger, Tally, count_unanimous
from runners.blocks import BlockOutcome, CaseBlock
from runners.records import Families, Node

MOST_VOICES: Final = 250
"""Voices are numbered in one byte, and a few numbers are taken."""


class BadVoiceError(ValueError):
    """
    A voice does not fit its block, or two voices are of one node.
    """


@dataclass(frozen=True, slots=True)
class Voice:
    """
    What one node did with a block, or with the rows of it that it was asked.
    """

    node: Node
    families: Families
    outcome: BlockOutcome
    rows: NDArray[np.int64] | None = None
    """Rows of the block that the outcome's rows are, in order and distinct; None: all."""

    @property
    def member(self) -> Member:
        """
        The node as a member of a division.
        """
        of = self.families
        return Member(self.node.label(), of.generator, of.runtime, of.host)


@dataclass(frozen=True, slots=True)
class BlockVote:
    """
    The verdict on one block.
    """

    disagreements: tuple[Disagreement, ...]
    """By row, then in the order in which aspects are compared."""
    tallies: tuple[Tally, ...]
    """By label."""
    families: tuple[FamilyTally, ...]
    """By name."""
    undecided: Index
    """Rows in which fewer code-generator families had a vote than the quorum; ascending."""
    compared: tuple[tuple[str, int], ...]
    """(aspect, cases in which two nodes or more showed it): 0 means that nobody can tell."""

    @property
    def decided(self) -> bool:
        """
        Whether every case met the quorum.
        """
        return len(self.undecided) == 0


def _seat(block: CaseBlock, voice: Voice) -> Seat:
    """
    Check that *voice* fits *block*, and index its rows.
    """
    n, outcome, rows = len(block), voice.outcome, voice.rows
    if rows is None:
        place = np.arange(n, dtype=np.int64)
    else:
        rows = np.asarray(rows, dtype=np.int64)
        inside = len(rows) == 0 or (int(rows.min()) >= 0 and int(rows.max()) < n)
        if rows.ndim != 1 or not inside or len(np.unique(rows)) != len(rows):
            message = (
                f"{voice.node.label()}: its rows are not distinct rows of a block of {n} cases"
            )
            raise BadVoiceError(message)
        place = np.full(n, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        rows = None if np.array_equal(rows, np.arange(n)) else rows
    count = n if rows is None else len(rows)
    for name, width in (
        ("status", None),
        ("outputs", block.call.output_bytes),
        ("memory", 32),
        ("pages", None),
        ("globals", 8 * len(block.call.globals)),
        ("gas", None),
        ("host_calls", 32),
    ):
        array = getattr(outcome, name)
        shape = (count,) if width is None else (count, width)
        if array is not None and array.shape != shape:
            message = (
                f"{voice.node.label()}: {name} has shape {array.shape}, the block needs {shape}"
            )
            raise BadVoiceError(message)
    if not KNOWN[outcome.status].all():
        odd = int(outcome.status[~KNOWN[outcome.status]][0])
        message = f"{voice.node.label()}: status byte {odd} is not in the table of statuses"
        raise BadVoiceError(message)
    if outcome.fpu_broken:
        # Its answers are not its engine's: as if it had not been asked, but for its breakdowns.
        outcome = replace(outcome, status=np.where(BREAKS[outcome.status], outcome.status, 0))
    return Seat(outcome, rows, place)


def _bent(block: CaseBlock, voices: Sequence[Voice], profile: NanProfile) -> list[Disagreement]:
    """
    Report nodes beside whose batch known subnormal products came out wrong, once per block.
    """
    bent = [voice for voice in voices if voice.outcome.fpu_broken and len(voice.outcome)]
    if not bent:
        return []
    row = min(0 if voice.rows is None else int(np.min(voice.rows)) for voice in bent)
    group = Group("wrong subnormal products", tuple(voice.member for voice in bent))
    rest = tuple(voice.member for voice in voices if not voice.outcome.fpu_broken)
    division = Division(FindingClass.FPU_MODE, "results", (group,), neutral=rest, nan=profile)
    return [Disagreement(row, int(block.ids[row]), division)]


def vote(
    block: CaseBlock,
    shape: OutputShape,
    voices: Sequence[Voice],
    profile: NanProfile,
    quorum: int | NDArray[np.integer],
) -> BlockVote:
    """
    Compare what *voices* did with the cases of *block*.

    *shape*: what the bytes of an output row mean. *quorum*: how many code-generator families must
    have a vote, for every case or per row (2 on every case, 3 on sampled ones; 0 where nodes are
    only compared). The order of the voices changes nothing. A row whose status is 0 (never
    reached) counts as not asked. Raises BadVoiceError or BadShapeError when shapes do not fit.
    """
    shape.check(block.call.output_bytes)
    pairs = sorted(((voice.member, voice) for voice in voices), key=lambda pair: pair[0].label)
    members, voices = [member for member, _ in pairs], [voice for _, voice in pairs]
    if len({member.label for member in members}) != len(members):
        message = "two voices are of one node: two outcomes of one node are no vote"
        raise BadVoiceError(message)
    if not 0 < len(voices) <= MOST_VOICES:
        message = f"a vote needs 1 to {MOST_VOICES} voices, not {len(voices)}"
        raise BadVoiceError(message)
    seats = [_seat(block, voice) for voice in voices]
    found = _bent(block, voices, profile)
    rows = suspects(len(block), seats)
    if len(rows) == 0 and all(seat.rows is None for seat in seats):
        counts = count_unanimous(len(block), members, seats)
    else:
        ledger = Ledger(len(block), members, seats)
        meters = tuple(seat.outcome.meter for seat in seats)
        jury = Jury(tuple(members), meters, profile, block.call.grows)
        kinds, which = patterns(rows, seats, shape, profile) if len(rows) else ([], rows)
        divided = [divide(pattern, jury) for pattern in kinds]
        for index, divisions in enumerate(divided):
            ledger.note(rows[which == index], divisions)
        ids = block.ids[rows].tolist()
        for row, case_id, index in zip(rows.tolist(), ids, which.tolist(), strict=True):
            found += [Disagreement(row, case_id, division) for division in divided[index]]
        found.sort(key=lambda disagreement: disagreement.row)
        counts = ledger.counts()
    return BlockVote(
        disagreements=tuple(found),
        tallies=counts.nodes,
        families=counts.families,
        undecided=np.flatnonzero(counts.voting_families < quorum).astype(np.int64),
        compared=counts.compared,
    )
