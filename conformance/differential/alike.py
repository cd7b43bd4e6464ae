"""
Who equals whom, row by row: the numeric half of the vote.

Most rows have nothing to tell: all voices are equal byte by byte. `suspects` finds the others
without a loop over cases, and `patterns` describes those few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from conformance.differential.divide import UNSEEN, Pattern
from conformance.differential.profiles import (
    Mask,
    NanProfile,
    OutputShape,
    Rows,
    unlawful_nans,
    with_canonical_nans,
    without_zero_signs,
)
from runners.blocks import BlockOutcome
from runners.status import BROKEN, LIMITS, REJECTED, TRAPS, Status

Labels = NDArray[np.uint8]
Index = NDArray[np.int64]

NO_RESULT: Final = 254
"""Label for the results of a voice that trapped: it has none, so none differ."""

OBSERVATIONS: Final = ("memory", "pages", "globals", "gas", "host_calls")
"""Arrays of a block's outcome that a node may be unable to show."""


def _table(*statuses: frozenset[Status]) -> Mask:
    table = np.zeros(256, dtype=np.bool_)
    table[[int(status) for part in statuses for status in part]] = True
    return table


VOTES: Final = _table(TRAPS, frozenset({Status.RETURNED}))
"""Status byte -> whether a node with it has a vote."""

KNOWN: Final = _table(frozenset(Status))
"""Status byte -> whether the table of statuses has it."""

ABSTAINS: Final = _table(LIMITS)
"""Status byte -> whether a node with it met a limit."""

BREAKS: Final = _table(BROKEN)
"""Status byte -> whether the worker broke."""

REFUSES: Final = _table(REJECTED)
"""Status byte -> whether the engine would not take the module."""


@dataclass(frozen=True, slots=True)
class Seat:
    """
    One voice's outcome, and where each row of the block lies in it.
    """

    outcome: BlockOutcome
    rows: Index | None
    """Rows of the block that the outcome's rows are, or None: all, in order."""
    place: Index
    """Row of the block -> row of the outcome, or -1."""

    def array(self, name: str) -> NDArray[Any] | None:
        """
        Give an observation as rows of a matrix; None where not observed.
        """
        if name == "gas" and not self.outcome.meter:
            return None
        array: NDArray[Any] | None = getattr(self.outcome, name)
        if array is None or array.ndim > 1:
            return array
        return array[:, None]

    def status_of(self, n: int) -> NDArray[np.uint8]:
        """
        Status byte of every row of the block, 0 where this voice did not see it.
        """
        if self.rows is None:
            return self.outcome.status
        status = np.zeros(n, dtype=np.uint8)
        status[self.rows] = self.outcome.status
        return status


class _Reference:
    """
    What was first shown for each row of the block, and the rows where a later voice differs.
    """

    def __init__(self, n: int, suspect: Mask) -> None:
        self.n = n
        self.suspect = suspect
        self.shown: NDArray[Any] | None = None
        self.has: Mask | None = None
        """Rows of `shown` that are filled; None: all of them."""

    def take(self, array: NDArray[Any], rows: Index | None) -> None:
        """
        Compare *array* where something was shown before, keep it elsewhere.
        """
        if self.shown is not None and self.has is None:
            old = self.shown if rows is None else self.shown[rows]
            if not np.array_equal(array, old):
                self.mark(rows, (array != old).any(axis=1))
        elif self.shown is None and rows is None:
            self.shown = array
        else:
            self.fill(array, np.arange(self.n) if rows is None else rows)

    def fill(self, array: NDArray[Any], rows: Index) -> None:
        """
        As `take`, while some rows are still open.
        """
        if self.shown is None or self.has is None:
            self.shown = np.zeros((self.n, array.shape[1]), dtype=array.dtype)
            self.has = np.zeros(self.n, dtype=np.bool_)
        known = self.has[rows]
        self.mark(rows, (array != self.shown[rows]).any(axis=1) & known)
        self.shown[rows[~known]] = array[~known]
        self.has[rows] = True
        if self.has.all():
            self.has = None

    def mark(self, rows: Index | None, differs: Mask) -> None:
        """
        Note the rows of the block in which *differs* holds.
        """
        if rows is None:
            self.suspect |= differs
        else:
            self.suspect[rows[differs]] = True


def suspects(n: int, seats: Sequence[Seat]) -> Index:
    """
    Rows of the block in which voices differ in any byte, or any has no vote; ascending.

    Never misses a difference: equality of bytes is transitive, so it is enough to compare each
    voice with the first that showed the aspect (gas: of its meter).
    """
    suspect = np.zeros(n, dtype=np.bool_)
    ends, results = _Reference(n, suspect), _Reference(n, suspect)
    shown: dict[str, _Reference] = {}
    for seat in seats:
        outcome = seat.outcome
        votes = VOTES[outcome.status]
        if not votes.all():
            ends.mark(seat.rows, ~votes)
        ends.take(outcome.status[:, None], seat.rows)
        results.take(outcome.outputs, seat.rows)
        for name in OBSERVATIONS:
            array = seat.array(name)
            if array is not None:
                key = f"gas {outcome.meter}" if name == "gas" else name
                shown.setdefault(key, _Reference(n, suspect)).take(array, seat.rows)
    return np.flatnonzero(suspect).astype(np.int64)


def _labels(arrays: Sequence[NDArray[Any] | None], valid: Mask) -> Labels:
    """
    For each row and voice, the index of the first voice that shows the same.

    *arrays*: per voice, shape (m, width), or None; *valid*: shape (m, voices).
    """
    labels = np.full(valid.shape, UNSEEN, dtype=np.uint8)
    for voice, array in enumerate(arrays):
        if array is None:
            continue
        labels[valid[:, voice], voice] = voice
        for first in range(voice):
            other = arrays[first]
            if other is None:
                continue
            open_ = valid[:, first] & (labels[:, first] == first) & (labels[:, voice] == voice)
            if open_.any():
                same = np.zeros(len(open_), dtype=np.bool_)
                same[open_] = (array[open_] == other[open_]).all(axis=1)
                labels[same, voice] = first
    return labels


def _zeros_only(outputs: Sequence[Rows], returned: Mask, shape: OutputShape) -> Labels:
    """
    1 in rows where all that returned are equal but for the signs of zeros; shape (m, 1).
    """
    plain = [without_zero_signs(rows, shape) for rows in outputs]
    labels = _labels(plain, returned)
    lowest = labels.min(axis=1, keepdims=True)
    alike = ((labels == lowest) | (labels == UNSEEN)).all(axis=1, keepdims=True)
    return np.asarray(alike, dtype=np.uint8)


def patterns(
    rows: Index, seats: Sequence[Seat], shape: OutputShape, profile: NanProfile
) -> tuple[list[Pattern], Index]:
    """
    Describe *rows* of the block: the distinct patterns, and which of them each row has.
    """
    places = [seat.place[rows] for seat in seats]
    # A row that a voice did not see is gathered as its row 0 and masked by status 0.
    gathered = [np.maximum(place, 0) for place in places]
    status = np.stack(
        [
            np.where(place < 0, 0, seat.outcome.status[at]).astype(np.uint8)
            for seat, place, at in zip(seats, places, gathered, strict=True)
        ],
        axis=1,
    )
    returned = status == Status.RETURNED
    outputs = [seat.outcome.outputs[at] for seat, at in zip(seats, gathered, strict=True)]
    raw = _labels(outputs, returned)
    if shape.floats:
        canonical = [with_canonical_nans(part, shape) for part in outputs]
        meant = _labels(canonical, returned)
        unlawful = unlawful_nans(outputs, returned, shape).astype(np.uint8)
        zeros = _zeros_only(outputs, returned, shape)
    else:
        meant, unlawful = raw.copy(), np.zeros_like(raw)
        zeros = np.zeros((len(rows), 1), dtype=np.uint8)
    raw[VOTES[status] & ~returned] = NO_RESULT
    shown = _observed_labels(gathered, seats, VOTES[status], shape, profile)
    matrix = np.concatenate([status, raw, meant, *shown, unlawful, zeros], axis=1)
    distinct, which = np.unique(matrix, axis=0, return_inverse=True)
    k = len(seats)
    made = []
    for line in distinct.tolist():
        parts = [tuple(line[k * i : k * (i + 1)]) for i in range(len(line) // k)]
        memory, pages, global_values, gas, host_calls = parts[3:8]
        made.append(
            Pattern(
                status=parts[0],
                raw=parts[1],
                meant=parts[2],
                memory=memory,
                pages=pages,
                globals=global_values,
                gas=gas,
                host_calls=host_calls,
                unlawful=parts[8],
                zeros=line[-1],
            )
        )
    return made, which.reshape(-1).astype(np.int64)


def _observed_labels(
    gathered: Sequence[Index],
    seats: Sequence[Seat],
    votes: Mask,
    shape: OutputShape,
    profile: NanProfile,
) -> list[Labels]:
    """
    Labels of each of OBSERVATIONS, in that order.
    """
    result = []
    for name in OBSERVATIONS:
        arrays: list[NDArray[Any] | None] = []
        for seat, at in zip(seats, gathered, strict=True):
            array = seat.array(name)
            arrays.append(None if array is None else array[at])
        if name == "globals" and profile == "free" and shape.globals:
            of = shape.of_globals
            arrays = [None if a is None else with_canonical_nans(a, of) for a in arrays]
        result.append(_labels(arrays, votes))
    return result
