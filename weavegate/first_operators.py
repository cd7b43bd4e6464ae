"""
For the first red findings of a certification, the operator in which two nodes part.

The search is bounded in number and in time; what it does not reach, `weavegate replay` looks for
without a limit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from conformance.differential.findings import RunFinding
from conformance.wasm.rewrite.nans import NanRewrite
from reports.model import FirstOperator
from runners.pool import Pool
from weavegate.bisecting import bisected

MOST_BISECTED: Final = 3
BISECT_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Countdown:
    """
    Time that several searches share.
    """

    seconds: float
    _started: float = field(default_factory=time.monotonic)

    def left_ms(self) -> int:
        """
        What is left of it, in milliseconds; 0 or less: nothing.
        """
        return int(1000 * (self.seconds - (time.monotonic() - self._started)))


@dataclass(frozen=True, slots=True)
class OperatorSearch:
    """
    What the search needs of a run.
    """

    module: bytes
    pool: Pool
    seats: Mapping[str, int]
    """Label of a node -> its seat."""
    rewrites: Mapping[int, NanRewrite]
    """Seat -> what it runs the module with, to keep the NaN profile."""
    countdown: Countdown

    def look(self, item: RunFinding) -> FirstOperator:
        """
        The first operator in which a node that stands apart differs from one that does not.
        """
        finding = item.finding
        pair = self._pair(item)
        if pair is None:
            return FirstOperator(
                finding=finding.id, nodes=(), why_not="no two nodes gave something else"
            )
        if len(finding.history) != 1:
            return FirstOperator(
                finding=finding.id,
                nodes=pair,
                why_not="it takes several calls of one instance to show",
            )
        both = [seen for seen in finding.observed if seen.node.label() in pair]
        first = bisected(
            msgspec.structs.replace(finding, observed=tuple(both)),
            self.module, self.pool, self.seats, self.rewrites, pair[1:], self.countdown.left_ms,
        )  # fmt: skip
        why_not = ""
        if first is None and self.countdown.left_ms() <= 0:
            why_not = f"the {self.countdown.seconds:g} s for all findings were up"
        elif first is None:
            why_not = "a node shows no checkpoints, or with them the difference does not show"
        return FirstOperator(finding=finding.id, nodes=pair, first=first, why_not=why_not)

    def _pair(self, item: RunFinding) -> tuple[str, str] | None:
        """
        Two nodes of a finding that gave something else, the one that stands apart last.

        Where nobody has a majority, all stand apart: the first is compared with one unlike it.
        """
        observed = {
            seen.node.label(): seen.outcome
            for seen in item.finding.observed
            if seen.node.label() in self.seats
        }
        apart = [label for label in observed if label in item.deviants]
        rest = [label for label in observed if label not in item.deviants]
        if apart and rest:
            return rest[0], apart[0]
        first, *others = observed or ("",)
        unlike = [label for label in others if observed[label] != observed[first]]
        return (first, unlike[0]) if unlike else None
