"""
What the specification says one scalar operator gives: exact bits, a class of NaNs, or a trap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from runners.records import TrapKind

NanKind = Literal["canonical", "arithmetic"]


@dataclass(frozen=True, slots=True)
class Exact:
    """
    One bit pattern and no other; integers are unsigned, of the width of the result's type.
    """

    bits: int


@dataclass(frozen=True, slots=True)
class AnyNan:
    """
    Any NaN of a class, of either sign: the specification leaves the choice to the engine.

    `canonical`: the fraction's most significant bit is 1, all others are 0. `arithmetic`: the
    fraction's most significant bit is 1 (a canonical NaN is arithmetic too).
    """

    kind: NanKind


@dataclass(frozen=True, slots=True)
class Trap:
    """
    The operator is not defined on its operands.
    """

    kind: TrapKind


Result = Exact | AnyNan | Trap
