"""
What was asked of a host and what it answered: one record and one line of text for each call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from runners.bits import ValueType, format_bits
from runners.hosts.host import Grow, HostCall, Peek, Poke, Reenter, Step, StepReply

KEPT_BYTES: Final = 256
"""Of longer peeks the digest alone is kept: a case may read many megabytes."""


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """
    A step of an answer, and what came back.
    """

    step: Step
    reply: StepReply
    """
    Bytes of a peek of at most KEPT_BYTES, pages before growth, results of a re-entry; None for
    others and for a step that failed.
    """
    failed: bool = False
    results: tuple[ValueType, ...] = ()
    """Types of a re-entry's results."""
    parameters: tuple[ValueType, ...] = ()
    """Types of a re-entry's arguments."""
    sha256: str = ""
    """Of the bytes of a peek; its size is the step's."""


@dataclass(slots=True)
class RecordedCall:
    """
    One call of an import; calls are recorded in the order in which they began.
    """

    call: HostCall
    steps: list[RecordedStep] = field(default_factory=list)
    results: tuple[int, ...] | None = None
    """Bits; None when the call was not answered."""

    def line(self) -> str:
        """
        The call as text: `env.clock() -> i64:0000000000000007`.

        Steps stand in braces before the arrow, with the SHA-256 of the bytes that were read or
        written. A call without an answer ends in `-> host error`.
        """
        call = self.call
        words = [f"{call.module}.{call.name}{_values(call.parameters, call.arguments)}"]
        if self.steps:
            words.append("{" + "; ".join(_step(step) for step in self.steps) + "}")
        answer = "host error"
        if self.results is not None:
            answer = ", ".join(map(format_bits, call.results, self.results)) or "()"
        return " ".join([*words, "->", answer])


def log_sha256(lines: Iterable[str]) -> bytes:
    """
    SHA-256 of a log: its lines in UTF-8, each ended by a line feed.
    """
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.digest()


def _values(types: tuple[ValueType, ...], bits: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(format_bits, types, bits)) + ")"


def _step(recorded: RecordedStep) -> str:
    """
    A step in words.
    """
    step = recorded.step
    match step:
        case Peek(address, size):
            seen = f"sha256:{recorded.sha256}" if recorded.sha256 else "failed"
            return f"peek {address}+{size} {seen}"
        case Poke(address, data):
            written = "failed" if recorded.failed else f"sha256:{hashlib.sha256(data).hexdigest()}"
            return f"poke {address}+{len(data)} {written}"
        case Grow(pages):
            before = "failed"
            if isinstance(recorded.reply, tuple):
                before = format_bits("i32", recorded.reply[0])
            return f"grow {pages} -> {before}"
        case Reenter(export, arguments):
            given = ""
            if len(recorded.parameters) == len(arguments):
                given = _values(recorded.parameters, arguments)
            came = "failed"
            if isinstance(recorded.reply, tuple):
                came = ", ".join(map(format_bits, recorded.results, recorded.reply)) or "()"
            return f"reenter {export}{given} -> {came}"
