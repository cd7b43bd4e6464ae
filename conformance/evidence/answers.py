"""
What the evidence store answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runners.blocks import BlockOutcome


class PutKind(StrEnum):
    """
    What became of an outcome that was put into the store.
    """

    NEW = "new"
    """It adds something: a first outcome, more rows, or a higher level."""
    SAME = "same"
    """All it says was known."""
    FLAKY = "flaky"
    """It contradicts what is stored; both are kept."""
    NOTHING = "nothing"
    """No row of it may be stored: they timed out, broke the protocol or were not reached."""


class Put(Struct, frozen=True):
    """
    What `EvidenceStore.put` did.
    """

    kind: PutKind
    attempt: int
    """The story that the outcome is part of, from 1; 0 when nothing was stored."""
    attempts: int
    """Stories that contradict each other under this key; more than 1: the key is flaky."""
    rows: tuple[int, ...] = ()
    """If flaky: rows that it tells differently from the first story."""


class Deviant(Struct, frozen=True, order=True):
    """
    One row that a vote named.
    """

    row: int
    status: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """
    What the store knows of a block at the level that was asked for.
    """

    outcome: BlockOutcome
    """Rows that are not known are `pending` and zero."""
    rows: NDArray[np.bool_]
    """Shape (n,): which rows are known."""
    attempt: int
    attempts: int
    """Stories that contradict each other under this key; more than 1: the key is flaky."""

    @property
    def missing(self) -> NDArray[np.int64]:
        """
        Rows still to be run, ascending. Under policy `reuse(N)` run the whole block again: a row
        alone would meet another history of its instance.
        """
        return np.flatnonzero(~self.rows)

    @property
    def complete(self) -> bool:
        """
        Whether nothing is left to be run.
        """
        return bool(self.rows.all())
