"""
What an engine's answer to one inference means on chain.

A chain sees whether a call returned and what it returned. It does not see why a call trapped:
engines do not tell alike (some not at all), so all traps are one kind here, and all limits are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runners.blocks import BlockOutcome
from runners.status import BROKEN, LIMITS, REJECTED, TRAPS, Status


class Kind(StrEnum):
    """
    How a transaction ends, as far as it enters the results hash.
    """

    STORED = "stored"
    ALREADY_STORED = "already-stored"
    WRITTEN = "written"
    NOTHING_TO_WRITE = "nothing-to-write"
    UNKNOWN_MODULE = "unknown-module"
    RETURNED = "returned"
    TRAPPED = "trapped"
    EXHAUSTED = "exhausted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What one validator's engine made of one inference.
    """

    kind: Kind
    output: bytes
    """The output row; empty unless the call returned."""


def answer_at(outcome: BlockOutcome, row: int) -> Answer | None:
    """
    The answer in a row of an outcome; None if the worker broke or its arithmetic was bent.
    """
    status = Status(int(outcome.status[row]))
    if outcome.fpu_broken or status in BROKEN or status is Status.PENDING:
        return None
    if status is Status.RETURNED:
        return Answer(Kind.RETURNED, outcome.outputs[row].tobytes())
    if status in TRAPS:
        return Answer(Kind.TRAPPED, b"")
    if status in LIMITS:
        return Answer(Kind.EXHAUSTED, b"")
    if status in REJECTED:
        return Answer(Kind.REJECTED, b"")
    message = f"status {status!r} has no meaning on chain"
    raise ValueError(message)
