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
from conformance.differential.division import (
    UNVOTED,
    Division,
    Member,
    deviants,
    parted_by_growth,
)
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
    """
    Cases in which it met a limit, refused the module as all others did, or ended with other pages
    because growth was refused, without standing apart from those with its own.
    """
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
        self.parted: list[Mask] = [np.zeros(n, dtype=np.bool_) for _ in members]
        """Rows in which refused growth parts each voice from others, so that it has no vote."""

    def note(self, rows: Index, divisions: Sequence[Division]) -> None:
        """
        Note who stands apart in *rows*, all divided in the same way.
        """
        labels: set[str] = set()
        parted: set[str] = set()
        for division in divisions:
            if parted_by_growth(division):
                parted.update(deviants(division), (m.label for m in division.neutral))
            elif division.kind is not FindingClass.LIMIT and division.kind not in UNVOTED:
                labels.update(deviants(division))
        for voice, member in enumerate(self.members):
            if member.label in labels:
                self.apart[voice][rows] = True
            if member.label in parted:
                self.parted[voice][rows] = True
                self.votes[voice][rows] = False

    def counts(self) -> Counts:
        """
        Sum up.
        """
        voted, by_family = _total(self.votes), self._by_family()
        families = _total(list(by_family.values()))
        return Counts(
            nodes=tuple(self._node(voice, voted) for voice in range(len(self.members))),
            families=tuple(
                self._family(name, by_family[name] & (families > 1)) for name in sorted(by_family)
            ),
            compared=self._compared(voted),
            voting_families=families,
        )

    def _by_family(self) -> dict[str, Mask]:
        """
        Rows in which any node of each code-generator family has a vote.
        """
        found: dict[str, Mask] = {}
        for member, votes in zip(self.members, self.votes, strict=True):
            earlier = found.get(member.generator)
            found[member.generator] = votes if earlier is None else earlier | votes
        return found

    def _node(self, voice: int, voted: NDArray[np.int64]) -> Tally:
        seat, status, apart = self.seats[voice], self.status[voice], self.apart[voice]
        agreeing = int(np.count_nonzero(self.votes[voice] & (voted > 1) & ~apart))
        differing = int(np.count_nonzero(apart))
        idle = ABSTAINS[status] | ((REFUSES[status] | self.parted[voice]) & ~apart)
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

    def _family(self, name: str, compared: Mask) -> FamilyTally:
        apart = np.zeros(len(compared), dtype=np.bool_)
        for voice, member in enumerate(self.members):
            if member.generator == name:
                apart |= self.apart[voice]
        return FamilyTally(
            generator=name,
            compared=int(np.count_nonzero(compared | apart)),
            differing=int(np.count_nonzero(apart)),
        )

    def _compared(self, voted: NDArray[np.int64]) -> tuple[tuple[str, int], ...]:
        counts = [("results", int(np.count_nonzero(voted > 1)))]
        for name in OBSERVATIONS:
            both = np.zeros(len(voted), dtype=np.bool_)
            for part in _showing(name, self.seats):
                if len(part) > 1:
                    both |= _total([self.votes[voice] for voice in part]) > 1
            counts.append((name.replace("_", "-"), int(np.count_nonzero(both))))
        return tuple(counts)
