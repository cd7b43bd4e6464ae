"""
What an outcome says, apart from how it is stored: slices, comparison, union and digests.

Pure functions over `BlockOutcome`. A row is *known* when its case came to an end that may be
stored, and it *ran* when it returned or trapped: only then are its observations compared,
since a node that met a limit abstains.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from runners.records import Level
from runners.status import TRAPS, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runners.blocks import BlockOutcome

LEVELS: Final = (Level.RESULT, Level.STATE, Level.FULL)
"""By rank."""
ARRAYS: Final = ("status", "outputs", "pages", "memory", "globals", "gas", "host_calls")
"""Fields of `BlockOutcome` that hold one row per case, in the order in which they are digested."""
DTYPES: Final = {"pages": "<u4", "gas": "<u8"}
"""Element types of the arrays that are not bytes, little-endian as stored."""
_ASPECTS: Final = {
    Level.RESULT: (),
    Level.STATE: ("pages", "memory", "globals"),
    Level.FULL: ("gas", "host_calls"),
}
_ASPECT_RANK: Final = {"pages": 1, "memory": 1, "globals": 1}
"""Rank of the level that asks for an aspect; everything else is asked for by `full`."""
_NEVER_STORED: Final = (Status.PENDING, Status.TIMED_OUT, Status.BROKE_PROTOCOL)
_DIGEST_HEAD: Final = b"weavegate outcome 1\n"


def _table(members: tuple[Status, ...] | frozenset[Status]) -> NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[[int(status) for status in members]] = True
    return table


_RAN: Final = _table(TRAPS | {Status.RETURNED})
_UNKNOWN: Final = _table(_NEVER_STORED)


@dataclass(frozen=True, slots=True)
class Known:
    """
    An outcome of one level, and which of its rows are known.
    """

    level: Level
    outcome: BlockOutcome
    """Holds the arrays of its level and no others; rows that are not known are zero."""
    rows: NDArray[np.bool_]
    """Shape (n,)."""

    @property
    def complete(self) -> bool:
        """
        Whether every row is known.
        """
        return bool(self.rows.all())

    @property
    def ran(self) -> NDArray[np.bool_]:
        """
        Shape (n,): rows that returned or trapped.
        """
        return _RAN[self.outcome.status]


def aspects(level: Level) -> tuple[str, ...]:
    """
    Name the optional arrays that *level* asks for.
    """
    return tuple(name for each in LEVELS[: level.rank + 1] for name in _ASPECTS[each])


def known(outcome: BlockOutcome, level: Level) -> Known:
    """
    Take from *outcome* what may be stored at *level*.

    Rows that never came to an end (`pending`, `timed_out`, `broke_protocol`) are not known: time
    decided them, or nobody can tell what they would have been. No row of a block is known whose
    probe of the FPU came out wrong. Crashes that did not repeat (`unstable`) are left out. Raises
    ValueError when an array has the wrong number of rows.
    """
    for name in ARRAYS:
        array = getattr(outcome, name)
        if array is not None and len(array) != len(outcome):
            message = f"{name} has {len(array)} rows where the block has {len(outcome)}"
            raise ValueError(message)
    rows = ~_UNKNOWN[outcome.status] & (not outcome.fpu_broken)
    returned = outcome.status == Status.RETURNED
    if not returned.all() and outcome.outputs[~returned].any():
        outputs = np.where(returned[:, None], outcome.outputs, np.uint8(0))
        outcome = dataclasses.replace(outcome, outputs=outputs)
    outcome = dataclasses.replace(outcome, unstable={}, fpu_broken=False)
    return _restricted(sliced(Known(level, outcome, rows), level), rows)


def sliced(record: Known, level: Level) -> Known:
    """
    Drop what *level* does not ask for; *level* must not be above the record's own.
    """
    asked = aspects(level)
    dropped = {name: None for name in aspects(Level.FULL) if name not in asked}
    outcome = record.outcome
    reasons = tuple(
        (aspect, reason)
        for aspect, reason in outcome.not_observed
        if _ASPECT_RANK.get(aspect, Level.FULL.rank) <= level.rank
    )
    meter = outcome.meter if "gas" in asked and outcome.gas is not None else ""
    changed = dataclasses.replace(outcome, not_observed=reasons, meter=meter, **dropped)  # type: ignore[arg-type]
    return Known(level, changed, record.rows)


def _restricted(record: Known, rows: NDArray[np.bool_]) -> Known:
    """
    Forget the rows outside *rows*.
    """
    if rows.all():
        return Known(record.level, record.outcome, rows)
    changed: dict[str, NDArray[np.generic]] = {}
    for name in ARRAYS:
        array = getattr(record.outcome, name)
        if array is not None:
            mask = rows if array.ndim == 1 else rows[:, None]
            changed[name] = np.where(mask, array, array.dtype.type(0))
    details = {row: text for row, text in record.outcome.details.items() if rows[row]}
    outcome = dataclasses.replace(record.outcome, details=details, **changed)  # type: ignore[arg-type]
    return Known(record.level, outcome, rows)


def differing_rows(left: Known, right: Known) -> NDArray[np.bool_]:
    """
    Mark the rows that both know and tell differently, at the lower of their levels; shape (n,).

    An aspect that one of them shows and the other does not is a difference in the rows that ran.
    """
    level = LEVELS[min(left.level.rank, right.level.rank)]
    one, two = left.outcome, right.outcome
    both: NDArray[np.bool_] = left.rows & right.rows
    if one.outputs.shape != two.outputs.shape:
        return both
    different: NDArray[np.bool_] = (one.status != two.status) | (one.outputs != two.outputs).any(
        axis=1
    )
    ran = left.ran & right.ran
    for name in aspects(level):
        mine, other = getattr(one, name), getattr(two, name)
        if mine is None and other is None:
            continue
        if mine is None or other is None or mine.shape != other.shape:
            different |= ran
        else:
            unequal = mine != other
            different |= ran & (unequal if unequal.ndim == 1 else unequal.any(axis=1))
    if one.meter != two.meter and level is Level.FULL:
        different |= ran
    return both & different


def union(first: Known, second: Known) -> Known:
    """
    Join two records of one level that do not differ; where both know a row, *first* is kept.
    """
    if first.complete:
        return first
    one, two = first.outcome, second.outcome
    changed: dict[str, NDArray[np.generic]] = {}
    for name in ARRAYS:
        mine, other = getattr(one, name), getattr(two, name)
        if mine is None and other is None:
            continue
        mine = np.zeros_like(other) if mine is None else mine
        other = np.zeros_like(mine) if other is None else other
        mask = first.rows if mine.ndim == 1 else first.rows[:, None]
        changed[name] = np.where(mask, mine, other)
    rows = first.rows | second.rows
    reasons = dict(two.not_observed) | dict(one.not_observed)
    outcome = dataclasses.replace(
        one,
        meter=one.meter or two.meter,
        not_observed=tuple(
            (aspect, reason) for aspect, reason in sorted(reasons.items()) if aspect not in changed
        ),
        details=dict(sorted({**two.details, **one.details}.items())),
        **changed,  # type: ignore[arg-type]
    )
    return Known(first.level, outcome, rows)


def digests(record: Known) -> tuple[bytes, ...]:
    r"""
    SHA-256 of what the record says at each level up to its own, lowest first.

    Level `result` digests `weavegate outcome 1\n`, u64 n, u64 bytes per output row, n bytes that
    are 1 for known rows, the status rows and the output rows. `state` appends, for pages, memory
    and globals in turn, the byte 0 when no row shows it, else 1, u64 bytes per row, and the rows,
    zero where the case did not run. `full` appends the gas likewise and, if shown, its meter's
    name in UTF-8, then the host calls likewise. All integers are little-endian. Reasons, details
    and unstable rows are left out.
    """
    outcome = record.outcome
    state = hashlib.sha256(_DIGEST_HEAD)
    state.update(struct.pack("<QQ", *outcome.outputs.shape))
    state.update(record.rows.tobytes())
    state.update(outcome.status.tobytes())
    state.update(np.ascontiguousarray(outcome.outputs).data)
    found = [state.digest()]
    ran = record.ran
    for level in LEVELS[1 : record.level.rank + 1]:
        for name in _ASPECTS[level]:
            array = getattr(outcome, name)
            if array is None or not ran.any():
                state.update(b"\0")
                continue
            rows = np.ascontiguousarray(array, dtype=DTYPES.get(name, "u1"))
            if not ran.all():
                rows = np.where(ran if rows.ndim == 1 else ran[:, None], rows, rows.dtype.type(0))
            state.update(b"\1" + struct.pack("<Q", rows.nbytes // len(rows)))
            state.update(rows.tobytes())
            if name == "gas":
                state.update(outcome.meter.encode())
        found.append(state.digest())
    return tuple(found)


def row_bytes(record: Known, row: int) -> bytes:
    """
    Everything that a record says about one row, as bytes that are equal when the row is equal.
    """
    outcome = record.outcome
    parts = [outcome.status[row].tobytes(), outcome.outputs[row].tobytes()]
    ran = bool(record.ran[row])
    for name in aspects(record.level):
        array = getattr(outcome, name)
        if array is None or not ran:
            parts.append(b"\0")
        else:
            parts.append(b"\1" + array[row].astype(DTYPES.get(name, "u1")).tobytes())
            if name == "gas":
                parts.append(outcome.meter.encode())
    return b"".join(parts)
