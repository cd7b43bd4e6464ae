"""
The fast scan: where the instructions of a function begin.

A regular expression made from the opcode table accepts the usual encodings at the speed of C and
stops before anything else, which the careful reader of `instructions` then takes or refuses.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from conformance.wasm.instructions import read_instruction
from conformance.wasm.opcodes import OPCODES
from conformance.wasm.reader import Reader

_U32: Final = rb"(?:[\x00-\x7f]|[\x80-\xff]{1,3}[\x00-\x7f]|[\x80-\xff]{4}[\x00-\x0f])"
_USUAL: Final[dict[str, bytes]] = {
    **dict.fromkeys(("label", "function", "type", "table", "local", "global"), _U32),
    **dict.fromkeys(("data", "element"), _U32),
    "block": rb"(?:[\x00-\x40\x6f\x70\x7b-\x7f]|[\x80-\xff]{1,3}[\x00-\x3f])",
    "i32": rb"(?:[\x00-\x7f]|[\x80-\xff]{1,3}[\x00-\x7f]|[\x80-\xff]{4}[\x00-\x07\x78-\x7f])",
    "i64": rb"(?:[\x00-\x7f]|[\x80-\xff]{1,8}[\x00-\x7f]|[\x80-\xff]{9}[\x00\x7f])",
    "f32": rb".{4}",
    "f64": rb".{8}",
    "v128": rb".{16}",
    "lanes": rb".{16}",
    "lane": rb".",
    "memarg": rb"[\x00-\x3f]" + _U32,
    "memory": rb"\x00",
    "heap": rb"[\x6f\x70]",
    "types": rb"\x01[\x6f\x70\x7b-\x7f]",
}
# Frequent first: alternatives are tried in this order.
_ORDER: Final = ("local", "", "i32", "memarg", "label", "block", "global", "f64", "i64")


def _charset(codes: list[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % (code & 0xFF) for code in codes) + b"]"


def _alternatives() -> Iterator[bytes]:
    groups: dict[tuple[str, int, bool], list[int]] = {}
    for code, opcode in OPCODES.items():
        if "labels" not in opcode.immediates:
            wide = code > 0xFF and bool(code & 0x80)  # noqa: PLR2004 - LEB128 of two bytes
            key = (" ".join(opcode.immediates), code >> 8, wide)
            groups.setdefault(key, []).append(code)
    places = {kind: place for place, kind in enumerate(_ORDER)}

    def frequency(key: tuple[str, int, bool]) -> tuple[int, int]:
        return key[1], places.get(key[0], len(places))

    for key in sorted(groups, key=frequency):
        kinds, prefix, wide = key
        head = (b"\\x%02x" % prefix if prefix else b"") + _charset(groups[key])
        yield head + (rb"\x01" if wide else b"") + b"".join(_USUAL[k] for k in kinds.split())


_ONE: Final = b"(?:" + b"|".join(_alternatives()) + b")"
_TOKEN: Final = re.compile(_ONE, re.DOTALL)
_RUN: Final = re.compile(_ONE + b"*+", re.DOTALL)


def scan(data: bytes, start: int, end: int, place: str, offsets: array[int]) -> None:
    """
    Append the offset of every instruction of `data[start:end]` to *offsets*.

    Raises BadModuleError at the first bytes that are no admitted instruction.
    """
    position = start
    while position < end:
        run = _RUN.match(data, position, end)
        stop = run.end() if run else position
        if stop > position:
            lengths = map(len, _TOKEN.findall(data, position, stop))
            offsets.extend(accumulate(lengths, initial=position))
            offsets.pop()
        position = stop
        if position < end:
            reader = Reader(data, position, end, place)
            offsets.append(position)
            read_instruction(reader)
            position = reader.position
