"""
The votes on one height: which hashes each validator holds, and what has more than 2/3 of power.

A block commits here on the hashes of its own execution. CometBFT carries them in the header of the
next block; voting on them at once names the height at which a difference arose, not the one after.
A commit says who has the power, never who is right.
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance.network.plan import Plan

Hashes = tuple[str, str]
"""App hash and results hash."""


@dataclass(frozen=True, slots=True)
class Side:
    """
    Validators that hold the same hashes for one height.
    """

    hashes: Hashes
    validators: tuple[int, ...]
    """Ascending places in the plan."""
    power: int


class BallotBox:
    """
    The votes on one height as they come in.
    """

    def __init__(self, plan: Plan) -> None:
        """
        Open the box: nobody has voted.
        """
        self._plan = plan
        self._votes: dict[int, Hashes] = {}
        self.committed: Hashes | None = None
        """The hashes that have more than 2/3 of all power, once there are any."""

    def cast(self, validator: int, hashes: Hashes) -> bool:
        """
        Count a vote; returns whether it was the one that made the height commit.

        Raises ValueError when a validator votes twice.
        """
        if validator in self._votes:
            message = f"{self._plan.validators[validator].label} votes twice on one height"
            raise ValueError(message)
        self._votes[validator] = hashes
        if self.committed is None and self._plan.is_quorum(self.power_of(hashes)):
            self.committed = hashes
            return True
        return False

    def power_of(self, hashes: Hashes) -> int:
        """
        Power that voted for these hashes.
        """
        validators = self._plan.validators
        return sum(validators[place].power for place, held in self._votes.items() if held == hashes)

    def sides(self) -> tuple[Side, ...]:
        """
        Who holds what, by the first validator of each side.
        """
        groups: dict[Hashes, list[int]] = {}
        for validator in sorted(self._votes):
            groups.setdefault(self._votes[validator], []).append(validator)
        return tuple(
            Side(hashes, tuple(members), self.power_of(hashes))
            for hashes, members in groups.items()
        )
