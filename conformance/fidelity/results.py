"""
Expected outcomes of scalar operators as text: exact bits, a class of NaNs, or a trap.
"""

from __future__ import annotations

import re
from typing import get_args

from conformance.wasm.numerics.results import AnyNan, Exact, NanKind, Result, Trap
from runners.records import TrapKind


class BadResultTextError(ValueError):
    """
    A text is neither hexadecimal digits nor `nan:CLASS` nor `trap:KIND`.
    """


_DIGITS = re.compile(r"[0-9a-f]{8}(?:[0-9a-f]{8})?\Z")
_NAN_KINDS = frozenset(get_args(NanKind))
_TRAP_KINDS = frozenset(get_args(TrapKind))


def format_result(result: Result, width_bits: int) -> str:
    """
    Write a result of a type of 32 or 64 bits: all its hexadecimal digits, or class, or trap.

    Examples: `3ff8000000000000`, `nan:canonical`, `trap:integer overflow`.
    """
    match result:
        case Exact(bits):
            return f"{bits:0{width_bits // 4}x}"
        case AnyNan(kind):
            return f"nan:{kind}"
        case Trap(kind):
            return f"trap:{kind}"


def parse_result(text: str, width_bits: int) -> Result:
    """
    Read what `format_result` writes; raises BadResultTextError for anything else.
    """
    if _DIGITS.match(text) and 4 * len(text) == width_bits:
        return Exact(int(text, 16))
    head, _, tail = text.partition(":")
    if head == "nan" and tail in _NAN_KINDS:
        return AnyNan("canonical" if tail == "canonical" else "arithmetic")
    if head == "trap" and tail in _TRAP_KINDS:
        kind: TrapKind = next(kind for kind in get_args(TrapKind) if kind == tail)
        return Trap(kind)
    message = (
        f"{text!r} is no expected outcome: write {width_bits // 4} hexadecimal digits, "
        f"nan:canonical, nan:arithmetic or trap:KIND"
    )
    raise BadResultTextError(message)
