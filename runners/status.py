"""
The status byte: one number per call, the compact form of the kind of an outcome.

The table is part of the worker protocol; a number is never given another meaning.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Status(IntEnum):
    """
    What became of one call. 0 is only ever seen in rows that a dead worker did not reach.
    """

    PENDING = 0
    RETURNED = 1
    TRAP_UNREACHABLE = 16
    TRAP_MEMORY_OUT_OF_BOUNDS = 17
    TRAP_INTEGER_DIVIDE_BY_ZERO = 18
    TRAP_INTEGER_OVERFLOW = 19
    TRAP_INVALID_CONVERSION_TO_INTEGER = 20
    TRAP_INDIRECT_CALL_TO_NULL = 21
    TRAP_TABLE_OUT_OF_BOUNDS = 22
    TRAP_INDIRECT_CALL_TYPE_MISMATCH = 23
    TRAP_UNKNOWN = 24
    """The engine trapped and does not say why; compatible with every trap."""
    TRAP_UNDEFINED_ELEMENT = 25
    """Null entry or index beyond the table: some engines do not tell which."""
    TRAP_HOST = 26
    """A host function answered with an error."""
    EXHAUSTED_STACK = 48
    EXHAUSTED_FUEL = 49
    EXHAUSTED_MEMORY = 50
    EXHAUSTED_TABLE = 51
    REJECTED_COMPILE = 64
    REJECTED_INSTANTIATE = 65
    REJECTED_ENTRY = 66
    """The entry, its memory or a pointer export is missing or has another type."""
    CRASHED = 80
    TIMED_OUT = 81
    BROKE_PROTOCOL = 82


TRAPS: Final = frozenset(s for s in Status if 16 <= s < 48)  # noqa: PLR2004 - ranges of the table
LIMITS: Final = frozenset(s for s in Status if 48 <= s < 64)  # noqa: PLR2004 - ranges of the table
BROKEN: Final = frozenset({Status.CRASHED, Status.TIMED_OUT, Status.BROKE_PROTOCOL})
REJECTED: Final = frozenset(
    {Status.REJECTED_COMPILE, Status.REJECTED_INSTANTIATE, Status.REJECTED_ENTRY}
)


def same_kind(left: Status, right: Status) -> bool:
    """
    Tell whether two nodes reported the same kind of outcome, as far as both of them can tell.

    A trap of unknown kind matches every trap; "undefined element" matches both of its readings.
    """
    if left == right:
        return True
    if left in TRAPS and right in TRAPS:
        if Status.TRAP_UNKNOWN in (left, right):
            return True
        element = {Status.TRAP_INDIRECT_CALL_TO_NULL, Status.TRAP_TABLE_OUT_OF_BOUNDS}
        pair = {left, right}
        return Status.TRAP_UNDEFINED_ELEMENT in pair and bool(pair & element)
    return False
