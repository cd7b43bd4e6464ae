"""
The counts of a vote, per node, per code-generator family and per aspect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from conformance.differential.alike import (
    ABSTAINS,
    BREAKS,
    OBSERVATIONS,
    REFUSES,
    VOTES,
    Index,
    Seat,
)
from conformance.differential.division import UNVOTED, Division, Member, deviants
from conformance.differential.profiles import Mask
from conformance.differential.records import FindingClass


class Tally(Struct, frozen=True, kw_only=True):
    """
    How one node fared, in cases of the block.
    """

    label: str
    generator: str
    compared: int
    """Cases in which another node could contradict it: `agreeing` + `differing`."""
    agreeing: int
    differing: int
    """Cases in which it stands apart: outside the majority, or in dispute without one."""
    abstained: int
    """Cases in which it met a limit, or refused the module as all others did."""
    broken: int
    """Cases that its worker broke on, or all, when its FPU was found in a wrong mode."""


class FamilyTally(Struct, frozen=True, kw_only=True):
    """
    How one code-generator family fared against the others, in cases of the block.
    """

    generator: str
    compared: int
    """Cases in which it and another family had a vote."""
    differing: int
    """Cases in which a node of it stands apart."""


@dataclass(frozen=True, slots=True)
class Counts:
    """
    Every count of one block.
    """

    nodes: tuple[Tally, ...]
    """In the order of the voices."""
    families: tuple[FamilyTally, ...]
    """By name."""
    compared: tuple[tuple[str, int], ...]
    """(aspect, cases in which two voters or more showed it; gas: on one meter)."""
    voting_families: NDArray[np.int64]
    """Shape (n,): code-generator families that had a vote."""


def _total(masks: Sequence[Mask]) -> NDArray[np.int64]:
    return np.asarray(np.sum(np.stack(masks), axis=0), dtype=np.int64)


def _showing(name: str, seats: Sequence[Seat]) -> list[list[int]]:
    """
    Voices that show an observation; those with one meter together, if it is gas.
    """
    parts: dict[str, list[int]] = {}
    for voice, seat in enumerate(seats):
        if seat.array(name) is not None:
            key = seat.outcome.meter if name == "gas" else ""
            parts.setdefault(key, []).append(voice)
    return list(parts.values())


def count_unanimous(n: int, members: Sequence[Member], seats: Sequence[Seat]) -> Counts:
    """
    Count a block of *n* cases that every voice saw whole, voted on, and agreed about.
    """
    names = sorted({member.generator for member in members})
    nodes = n if len(members) > 1 else 0
    families = n if len(names) > 1 else 0
    shown = [
        (name.replace("_", "-"), n if any(len(part) > 1 for part in _showing(name, seats)) else 0)
        for name in OBSERVATIONS
    ]
    return Counts(
        nodes=tuple(
            Tally(
                label=member.label,
                generator=member.generator,
                compared=nodes,
                agreeing=nodes,
                differing=0,
                abstained=0,
                broken=0,
            )
            for member in members
        ),
        families=tuple(FamilyTally(generator=g, compared=families, differing=0) for g in names),
        compared=(("results", nodes), *shown),
        voting_families=np.full(n, len(names), dtype=np.int64),
    )


class Ledger:
    """
    Counts cases per node and per family, one way of dividing at a time.
    """

    def __init__(self, n: int, members: Sequence[Member], seats: Sequence[Seat]) -> None:
        """
        Open the ledger of a block of *n* cases; members and seats are in the order of the voices.
        """
        self.members = members
        self.seats = seats
        self.status = [seat.status_of(n) for seat in seats]
        self.votes = [VOTES[status] for status in self.status]
        self.apart: list[Mask] = [np.zeros(n, dtype=np.bool_) for _ in members]
        """Rows in which each voice stands apart."""
        self.voted = _total(self.votes)
        self.by_family: dict[str, Mask] = {}
        for member, voted in zip(members, self.votes, strict=True):
            earlier = self.by_family.get(member.generator)
            self.by_family[member.generator] = voted if earlier is None else earlier | voted
        self.families = _total(list(self.by_family.values()))

    def note(self, rows: Index, divisions: Sequence[Division]) -> None:
        """
        Note who stands apart in *rows*, all divided in the same way.
        """
        labels: set[str] = set()
        for division in divisions:
            if division.kind is not FindingClass.LIMIT and division.kind not in UNVOTED:
                labels.update(deviants(division))
        for voice, member in enumerate(self.members):
            if member.label in labels:
                self.apart[voice][rows] = True

    def counts(self) -> Counts:
        """
        Sum up.
        """
        return Counts(
            nodes=tuple(self._node(voice) for voice in range(len(self.members))),
            families=tuple(self._family(name) for name in sorted(self.by_family)),
            compared=self._compared(),
            voting_families=self.families,
        )

    def _node(self, voice: int) -> Tally:
        seat, status, apart = self.seats[voice], self.status[voice], self.apart[voice]
        agreeing = int(np.count_nonzero(self.votes[voice] & (self.voted > 1) & ~apart))
        differing = int(np.count_nonzero(apart))
        idle = ABSTAINS[status] | (REFUSES[status] & ~apart)
        broken = len(seat.outcome) if seat.outcome.fpu_broken else np.count_nonzero(BREAKS[status])
        return Tally(
            label=self.members[voice].label,
            generator=self.members[voice].generator,
            compared=agreeing + differing,
            agreeing=agreeing,
            differing=differing,
            abstained=int(np.count_nonzero(idle)),
            broken=int(broken),
        )

    def _family(self, name: str) -> FamilyTally:
        apart = np.zeros(len(self.voted), dtype=np.bool_)
        for voice, member in enumerate(self.members):
            if member.generator == name:
                apart |= self.apart[voice]
        compared = (self.by_family[name] & (self.families > 1)) | apart
        return FamilyTally(
            generator=name,
            compared=int(np.count_nonzero(compared)),
            differing=int(np.count_nonzero(apart)),
        )

    def _compared(self) -> tuple[tuple[str, int], ...]:
        counts = [("results", int(np.count_nonzero(self.voted > 1)))]
        for name in OBSERVATIONS:
            both = np.zeros(len(self.voted), dtype=np.bool_)
            for part in _showing(name, self.seats):
                if len(part) > 1:
                    both |= _total([self.votes[voice] for voice in part]) > 1
            counts.append((name.replace("_", "-"), int(np.count_nonzero(both))))
        return tuple(counts)
