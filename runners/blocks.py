"""
Blocks: many cases of one entry, and what one node did with them, as packed arrays.

Everything that is done per case is done here per block, by numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runners.hosts.recording import RecordedCall
from runners.records import Budget, Call, Level

Bytes2 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CaseBlock:
    """
    Cases of one entry with one budget and one observe level.
    """

    call: Call
    budget: Budget
    level: Level
    ids: NDArray[np.uint64]
    """Shape (n,): each case's place in the corpus of its run."""
    inputs: Bytes2
    """Shape (n, call.input_bytes), C-contiguous."""

    def __len__(self) -> int:
        """
        Number of cases.
        """
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """
    What one node did with the cases of one block, row by row.
    """

    status: NDArray[np.uint8]
    """Shape (n,): `runners.status.Status` values."""
    outputs: Bytes2
    """Shape (n, call.output_bytes); zero in rows that did not return."""
    pages: NDArray[np.uint32] | None = None
    """Shape (n,): pages of linear memory after the call."""
    memory: Bytes2 | None = None
    """Shape (n, 32): SHA-256 of linear memory after the call."""
    globals: Bytes2 | None = None
    """Shape (n, 8 * len(call.globals)): values after the call, little-endian, zero-extended."""
    gas: NDArray[np.uint64] | None = None
    """Shape (n,): reading of the engine's own meter."""
    meter: str = ""
    not_observed: tuple[tuple[str, str], ...] = ()
    """(aspect, reason) for each array above that is None although the level asks for it."""
    details: dict[int, str] = field(default_factory=dict)
    """
    Row -> the engine's own words (first lines, shortened). Shown, never compared or digested.
    Rows that were taken over from a batch whose worker died have none.
    """
    unstable: dict[int, str] = field(default_factory=dict)
    """
    Row -> signal of a crash, or rule of a breach, that did not repeat on a fresh worker. Of a
    breach, the first row of the batch it was seen in. Reported, never stored.
    """
    host_calls: Bytes2 | None = None
    """
    Shape (n, 32): SHA-256 of each case's log of host calls (`runners.hosts.recording.log_sha256`).
    """
    host_log: tuple[RecordedCall, ...] | None = None
    """
    The calls themselves, of a block of one case at level `full`. Shown and replayed, never stored.
    """

    fpu_broken: bool = False
    """A probe of known subnormal products beside this block came out wrong. Never stored."""

    cut: int = 0
    """Cases that a limit on what hosts give ended, in this run. Never stored."""

    def __len__(self) -> int:
        """
        Number of cases.
        """
        return len(self.status)
