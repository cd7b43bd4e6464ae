"""
Mirrors parts of memory in added locals at loop heads, so that checkpoints there show them.

A part is named by what its function finds at its entry: a global or parameter, or nothing, and a
number added to it. Parts beyond the end of memory leave their local as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from conformance.wasm.decode import validated
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.instructions import MemArg
from conformance.wasm.module import Module
from conformance.wasm.opcodes import ValType
from conformance.wasm.rewrite.points import Point
from conformance.wasm.rewrite.typed import locals_of

_LOADS: Final[dict[int, tuple[str, ValType]]] = {
    1: ("i32.load8_u", "i32"), 2: ("i32.load16_u", "i32"), 4: ("i32.load", "i32"),
    8: ("i64.load", "i64"),
}  # fmt: skip
_FOUND: Final = {"global": "global.get", "param": "local.get", "nothing": "i32.const"}
_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Part:
    """
    *size* bytes (1, 2, 4 or 8) at an address: the sum of an i32 found at entry and *offset*.
    """

    base: Literal["global", "param", "nothing"]
    index: int
    """0 where there is no base."""
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Mirror:
    """
    The rewritten module, and how its instructions and locals are numbered.
    """

    module: Module
    heads: Mapping[Point, Point] = field(default_factory=dict)
    """First instruction in a loop -> the instruction behind the mirroring code there."""
    first: Mapping[int, int] = field(default_factory=dict)
    """Place of a function -> number of the local that mirrors its first part."""
    parts: Mapping[int, Sequence[Part]] = field(default_factory=dict)
    """Place of a function -> its parts."""

    def head(self, point: Point) -> Point:
        """
        Where a checkpoint stands for the first instruction in a loop.
        """
        return self.heads.get(point, point)

    def original(self, point: Point) -> Point:
        """
        The first instruction in a loop for which a checkpoint stands.
        """
        return {new: old for old, new in self.heads.items()}.get(point, point)

    def part(self, place: int, local: int) -> int | None:
        """
        The number of the part that a local mirrors; None for all other locals.
        """
        first = self.first.get(place)
        return None if first is None or local < first else local - first


def mirrored(module: Module, parts: Mapping[int, Sequence[Part]]) -> Mirror:
    """
    Mirror *parts*, by place of a function, of a valid module with a memory.

    A module without parts stays as it is. A base must be an i32.
    """
    wanted = {place: found for place, found in parts.items() if found}
    if not wanted:
        return Mirror(module)
    rewrite = Rewrite(module)
    heads: dict[Point, Point] = {}
    first: dict[int, int] = {}
    for place, found in sorted(wanted.items()):
        bases = dict.fromkeys((part.base, part.index) for part in found)
        first[place] = len(locals_of(module, place)) + len(bases) + 1
        _mirror(rewrite, place, found, list(bases), heads)
    return Mirror(validated(rewrite.binary()), heads, first, wanted)


def _mirror(
    rewrite: Rewrite, place: int, parts: Sequence[Part], bases: Sequence[tuple[str, int]],
    heads: dict[Point, Point],
) -> None:  # fmt: skip
    """
    Rewrite one body: added locals are bases as found at entry, an address, then the parts.
    """
    body = rewrite.module.functions[place].body
    own = len(locals_of(rewrite.module, place))
    scratch = own + len(bases)
    out = []
    for k, (kind, index) in enumerate(bases):
        out += [op(_FOUND[kind], index), op("local.set", own + k)]
    at_head = []
    for k, part in enumerate(parts):
        base = own + bases.index((part.base, part.index))
        at_head += _copied(part, base, scratch, scratch + 1 + k)
    for number in range(len(body)):
        out.append(body.raw(number))
        if body[number].opcode.name == "loop":
            out += at_head
            heads[place, number + 1] = (place, len(out))
    runs = [(run.count, run.type) for run in body.locals]
    runs += [(len(bases) + 1, "i32"), *((1, _LOADS[part.size][1]) for part in parts)]
    rewrite.replace_body(place, out, runs)


def _copied(part: Part, base: int, scratch: int, local: int) -> list[bytes]:
    """
    Code that copies a part to its local, one instruction each.
    """
    load, _ = _LOADS[part.size]
    offset = part.offset % _WRAP
    return [
        op("local.get", base), op("i32.const", offset - _WRAP * (offset >> 31)), op("i32.add"),
        op("local.tee", scratch), op("i64.extend_i32_u"),
        op("i64.const", part.size), op("i64.add"),
        op("memory.size", 0), op("i64.extend_i32_u"), op("i64.const", 16), op("i64.shl"),
        op("i64.le_u"), op("if", "empty"),
        op("local.get", scratch), op(load, MemArg(0, 0)), op("local.set", local), op("end"),
    ]  # fmt: skip
