"""
One row of a block's arrays as the record that a finding keeps.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeVar

from msgspec import UnsetType

from runners.bits import ValueType, format_bits, format_bytes
from runners.blocks import BlockOutcome
from runners.records import (
    BrokeProtocol,
    Call,
    Crashed,
    Exhausted,
    GasReading,
    Level,
    NotObserved,
    Outcome,
    OutcomeKind,
    Rejected,
    Returned,
    TimedOut,
    TrapKind,
    Trapped,
)
from runners.status import LIMITS, TRAPS, Status

T = TypeVar("T")

_TRAPS: Final[dict[Status, TrapKind]] = {
    Status.TRAP_UNREACHABLE: "unreachable",
    Status.TRAP_MEMORY_OUT_OF_BOUNDS: "memory out of bounds",
    Status.TRAP_INTEGER_DIVIDE_BY_ZERO: "integer divide by zero",
    Status.TRAP_INTEGER_OVERFLOW: "integer overflow",
    Status.TRAP_INVALID_CONVERSION_TO_INTEGER: "invalid conversion to integer",
    Status.TRAP_INDIRECT_CALL_TO_NULL: "indirect call to null",
    Status.TRAP_TABLE_OUT_OF_BOUNDS: "table out of bounds",
    Status.TRAP_INDIRECT_CALL_TYPE_MISMATCH: "indirect call type mismatch",
    Status.TRAP_UNDEFINED_ELEMENT: "undefined element",
    Status.TRAP_HOST: "host error",
    Status.TRAP_UNKNOWN: "unknown",
}

_RESOURCES: Final[dict[Status, Literal["stack", "fuel", "memory", "table"]]] = {
    Status.EXHAUSTED_STACK: "stack",
    Status.EXHAUSTED_FUEL: "fuel",
    Status.EXHAUSTED_MEMORY: "memory",
    Status.EXHAUSTED_TABLE: "table",
}

_STAGES: Final[dict[Status, Literal["compile", "instantiate", "entry"]]] = {
    Status.REJECTED_COMPILE: "compile",
    Status.REJECTED_INSTANTIATE: "instantiate",
    Status.REJECTED_ENTRY: "entry",
}

_ENDED: Final = TRAPS | LIMITS | {Status.RETURNED}
"""How a case ends in the module itself: of any other there is nothing to observe."""

_RULES: Final = frozenset(
    {
        "invalid",
        "unsupported",
        "limit",
        "failed",
        "frame-length",
        "frame-truncated",
        "frame-json",
        "reply-id",
        "reply-shape",
        "unasked-reply",
        "status-byte",
        "progress",
        "output-flood",
        "arena-size",
        "exited",
    }
)
"""Rules of PROTOCOL.md: the only words of a worker that may enter a record."""


def _word(text: str, pattern: str) -> str:
    """
    Take the first word of an engine's *text* if *pattern* matches it, else `unknown`.
    """
    match = re.match(r"[A-Za-z0-9-]+", text)
    return match[0] if match and re.fullmatch(pattern, match[0]) else "unknown"


def _typed(value_type: ValueType, bits: int) -> str:
    """
    Write the 64 bits of a slot with its type.
    """
    narrow = value_type in {"i32", "f32"}
    # Bits where zeros belong must not vanish: they are part of what was compared.
    wide = narrow and bits >> 32
    return format_bits("i64" if wide else value_type, bits)


def _globals(outcome: BlockOutcome, row: int, call: Call) -> tuple[str, ...] | None:
    """
    Exported globals after a case, as typed bits.
    """
    if outcome.globals is None:
        return None
    words = [int(x) for x in outcome.globals[row].view("<u8")]
    given = call.global_types
    unknown: ValueType = "i64"
    types = (unknown,) * len(words) if isinstance(given, UnsetType) else given
    return tuple(_typed(value_type, bits) for value_type, bits in zip(types, words, strict=True))


def _kind(  # noqa: PLR0911 - one return for each kind of outcome
    outcome: BlockOutcome, row: int, call: Call
) -> OutcomeKind:
    status = Status(int(outcome.status[row]))
    text = outcome.details.get(row, "")
    if status is Status.RETURNED:
        line = outcome.outputs[row].tobytes()
        results = []
        for index, value_type in enumerate(call.results):
            bits = int.from_bytes(line[8 * index : 8 * index + 8], "little")
            results.append(_typed(value_type, bits))
        return Returned(tuple(results), format_bytes(line[8 * len(call.results) :]))
    if status in _TRAPS:
        return Trapped(_TRAPS[status])
    if status in _RESOURCES:
        return Exhausted(_RESOURCES[status])
    if status in _STAGES:
        return Rejected(_STAGES[status], _word(text, "|".join(sorted(_RULES))))
    if status is Status.CRASHED:
        return Crashed(_word(text, "SIG[A-Z0-9]+"))
    if status is Status.TIMED_OUT:
        return TimedOut()
    if status is Status.BROKE_PROTOCOL:
        return BrokeProtocol(_word(text, "|".join(sorted(_RULES))))
    message = f"row {row} was never reached: it has no outcome"
    raise ValueError(message)


def outcome_at(outcome: BlockOutcome, row: int, call: Call, level: Level) -> Outcome:
    """
    Read row *row* of *outcome*'s arrays as a record.

    Globals have the types that *call* gives them, `i64` if it gives none. Of an engine's own words
    only rules of the protocol and names of signals are kept. Raises ValueError for a row that was
    never reached.
    """
    reasons = dict(outcome.not_observed)

    ended = Status(int(outcome.status[row])) in _ENDED

    def absent(aspect: str, least: Level) -> NotObserved:
        if not ended:
            return NotObserved("the case did not come to an end")
        if level.rank < least.rank:
            return NotObserved(f"not asked for at level {level.value}")
        return NotObserved(reasons.get(aspect, "not shown by the node"))

    def observed(aspect: str, least: Level, value: T | None) -> T | NotObserved:
        return absent(aspect, least) if value is None or not ended else value

    def reading(value: int) -> tuple[GasReading, ...]:
        unit = "fuel" if outcome.meter.startswith("fuel:") else "gas"
        return (GasReading(outcome.meter, unit, value, NotObserved("the engine has one meter")),)

    o = outcome
    return Outcome(
        kind=_kind(outcome, row, call),
        memory_sha256=observed(
            "memory", Level.STATE, None if o.memory is None else o.memory[row].tobytes().hex()
        ),
        pages=observed("pages", Level.STATE, None if o.pages is None else int(o.pages[row])),
        globals=observed("globals", Level.STATE, _globals(o, row, call)),
        gas=observed("gas", Level.FULL, None if o.gas is None else reading(int(o.gas[row]))),
        host_calls=observed(
            "host-calls",
            Level.FULL,
            None if o.host_calls is None else (f"sha256:{o.host_calls[row].tobytes().hex()}",),
        ),
    )
