"""
The flat form of a function: entries with resolved branch targets, one per instruction.

`end` and `else` are no instructions of the specification but marks of its syntax: what is left of
them (`SKIP`, `FINISH`) is not counted by the meter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any, NamedTuple


class Kind(IntEnum):
    """
    What the evaluator's loop does with an entry, and what `a` and `b` are then.
    """

    LOCAL_GET = auto()
    """a: index."""
    CONST = auto()
    """a: value."""
    BINARY = auto()
    """a: operation."""
    UNARY = auto()
    """a: operation."""
    LOCAL_SET = auto()
    """a: index."""
    LOCAL_TEE = auto()
    """a: index."""
    LOAD = auto()
    """a: offset, b: bytes."""
    STORE = auto()
    """a: offset, b: bytes."""
    NOTHING = auto()
    """`block`, `loop` and `nop`."""
    BRANCH_IF = auto()
    """a: target."""
    IF = auto()
    """a: place of what to do when the condition is 0."""
    BRANCH = auto()
    """a: target; `br` and `return`."""
    BRANCH_TABLE = auto()
    """a: targets, the default last."""
    SKIP = auto()
    """a: place behind the `else` branch that is not taken."""
    LOAD_SIGNED = auto()
    """a: offset, b: bytes and the sign-extending operation."""
    CALL = auto()
    """a: function index."""
    CALL_INDIRECT = auto()
    """a: expected type, b: table index."""
    FINISH = auto()
    """The end of the function: what is on the stack are its results."""
    DROP = auto()
    SELECT = auto()
    GLOBAL_GET = auto()
    """a: index."""
    GLOBAL_SET = auto()
    """a: index."""
    UNREACHABLE = auto()
    OTHER = auto()
    """a: a handler of `bulk.HANDLERS`, b: immediates."""


class Target(NamedTuple):
    """
    Where a branch goes on, how many values it carries, and the height of the stack below them.
    """

    place: int
    arity: int
    height: int


class Entry(NamedTuple):
    """
    One instruction.
    """

    kind: int
    a: Any = None
    b: Any = None


@dataclass(frozen=True, slots=True)
class Code:
    """
    A function, ready to run in any instance of its module.
    """

    entries: tuple[tuple[int, Any, Any], ...]
    """Plain tuples, which the loop unpacks fastest."""
    parameters: int
    locals: tuple[int | None, ...]
    """First values of the declared locals: 0, or None for a reference."""
    results: int
    slots: int
    """Parameters, locals and the most operands at once."""
