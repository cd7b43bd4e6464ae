"""
One entry of the code section up to its first instruction, and how blocks must nest.

Standard library only: the reference evaluator's worker reads bodies through this too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.wasm.errors import BadModuleError
from conformance.wasm.instructions import read_value_type
from conformance.wasm.items import LocalRun, Span
from conformance.wasm.opcodes import BY_NAME, OPCODES
from conformance.wasm.reader import Reader
from conformance.wasm.sections import vector

BLOCK, LOOP, IF, ELSE, END = (BY_NAME[name].code for name in ("block", "loop", "if", "else", "end"))
CONTROL: Final = (BLOCK, LOOP, IF, ELSE, END)
"""Codes of the instructions that open and close blocks."""
_MOST_LOCALS: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A body whose instructions are still to be read.
    """

    locals: tuple[LocalRun, ...]
    entry: Span
    """With the size field in front."""
    span: Span
    """Declaration of locals and instructions."""
    instructions: int
    """Offset of the first one."""


def read_entry(reader: Reader) -> Entry:
    """
    Size and locals of the next entry; the reader goes on behind its instructions.
    """
    entry = reader.position
    size = reader.u32("the size of a function body")
    start = reader.position
    if size > reader.left:
        message = f"a function body of {size} bytes does not fit in the {reader.left} that are left"
        raise BadModuleError("unexpected-end", entry, message)
    end = start + size
    inner = Reader(reader.data, start, end, "a function body")
    runs = vector(inner, "local declarations", 2, _local_run)
    total = sum(run.count for run in runs)
    if total > _MOST_LOCALS:
        raise BadModuleError("too-many-locals", start, f"a function declares {total} locals")
    reader.position = end
    return Entry(runs, Span(entry, end), Span(start, end), inner.position)


def _local_run(reader: Reader) -> LocalRun:
    start = reader.position
    count = reader.u32("a number of locals")
    value_type = read_value_type(reader, "the type of a local")
    return LocalRun(count, value_type, Span(start, reader.position))


def check_nesting(
    places: Sequence[int], codes: Sequence[int], offset: Callable[[int], int], last: int, end: int
) -> None:
    """
    Refuse a body whose blocks do not close, close too early, or have an `else` without `if`.

    *places* and *codes* of its control instructions; *last* is the place after its last
    instruction, *end* the offset after its last byte, and *offset* tells where a place lies.
    """
    opened = [(BLOCK, -1)]
    for place, code in zip(places, codes, strict=True):
        if code == END:
            opened.pop()
            if not opened:
                if place != last - 1:
                    message = "instructions follow the end of a function body"
                    raise BadModuleError("trailing-code", offset(place + 1), message)
                return
        elif code != ELSE:
            opened.append((code, place))
        elif opened[-1][0] == IF:
            opened[-1] = (ELSE, place)
        else:
            raise BadModuleError("else-without-if", offset(place), "an else without its if")
    kind, place = opened[-1]
    message = "a function body ends without its end instruction"
    if place >= 0:
        message = f"a function body ends inside the {OPCODES[kind].name} at {offset(place)}"
    raise BadModuleError("missing-end", end, message)
