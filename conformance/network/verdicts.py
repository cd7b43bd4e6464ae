"""
The two verdicts of a run, which do not depend on each other.

Safety: no two validators held different hashes for one height. Liveness: every height of the plan
committed. One liar among four breaks safety alone, two crashed workers among four break liveness
alone. CometBFT calls a chain safe as long as no two different blocks are *committed*; here a single
validator that holds something else is enough, because on a chain it is lost from then on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.network.events import (
    Committed,
    Differed,
    Difference,
    Event,
    Fell,
    Stalled,
    Verdict,
    Voted,
)


@dataclass(slots=True)
class Tally:
    """
    What the verdicts need of the events of a run.
    """

    blocks: int
    """Heights of the plan."""
    committed: int = 0
    first: Differed | None = None
    differing: int = 0
    stalled: Stalled | None = None
    fell: list[Fell] = field(default_factory=list)
    votes: dict[int, int] = field(default_factory=dict)

    def note(self, event: Event) -> None:
        """
        Take an event into account.
        """
        match event:
            case Voted():
                self.votes[event.height] = self.votes.get(event.height, 0) + 1
            case Committed():
                self.committed += 1
            case Differed():
                self.first = self.first or event
                self.differing += 1
            case Stalled():
                self.stalled = event
            case Fell():
                self.fell.append(event)
            case _:
                pass

    def safety(self) -> Verdict:
        """
        Whether validators held the same; undecided if no height was executed by two of them.
        """
        compared = sum(1 for votes in self.votes.values() if votes > 1)
        if self.first is not None:
            return Verdict(False, difference_words(self.first))
        if compared == 0:
            return Verdict(None, "no height was executed by two validators")
        heights = "1 height" if compared == 1 else f"{compared} heights"
        return Verdict(True, f"equal app and results hashes at {heights}")

    def liveness(self) -> Verdict:
        """
        Whether the chain went on to the end of the plan.
        """
        if self.stalled is None and self.committed == self.blocks:
            return Verdict(True, f"{self.committed} of {self.blocks} heights committed")
        if self.stalled is None:
            return Verdict(None, f"ended after {self.committed} of {self.blocks} heights")
        at = self.stalled
        reason = (
            f"stopped before height {at.height}: {at.largest} of {at.total} power agrees,"
            f" {at.voted} voted, more than 2/3 is needed"
        )
        return Verdict(False, reason)


def difference_words(event: Differed) -> str:
    """
    Height, transaction, key and values of a difference, in one sentence.
    """
    return f"height {event.height}, {place_words(event.first)}"


def place_words(first: Difference) -> str:
    """
    Transaction, key and values of a difference, in one sentence.
    """
    where = "no transaction"
    if first.transaction is not None:
        where = f"transaction {first.transaction}"
    if first.key:
        where += f", key {first.key}"
    if first.element is not None:
        where += f", element {first.element}"
    by_value: dict[str, list[str]] = {}
    for shown in first.shown:
        by_value.setdefault(shown.value, []).append(shown.validator)
    values = "; ".join(f"{value} on {', '.join(who)}" for value, who in by_value.items())
    return f"{where}: {values}"
