"""
Valid modules with one or two pieces changed: an instruction, an item, an index, a section, a byte.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from valid_bodies import constant
from valid_modules import Parts, assembled, parts
from wasm_samples import leb

from conformance.wasm.encode_items import instruction
from conformance.wasm.instructions import ImmediateValue, MemArg
from conformance.wasm.opcodes import OPCODES, ValType

_FREE = [opcode for opcode in OPCODES.values() if opcode.name not in ("else", "end")]
_TYPES: tuple[ValType, ...] = ("i32", "i64", "f32", "f64", "v128", "funcref", "externref")


def _operator(draw: random.Random) -> bytes:
    """
    Any operator with small immediates, in their range or just beyond it.
    """
    opcode = draw.choice(_FREE)
    few = draw.choice((0, 0, 1, 1, 2, 3, 9))
    values: dict[str, Callable[[], ImmediateValue | bytes]] = {
        "memarg": lambda: MemArg((opcode.alignment or 0) + draw.choice((0, 0, 1)), few),
        "lanes": lambda: tuple(draw.randrange(33) for _ in range(16)),
        "block": lambda: draw.choice(("empty", "i32", "f64", few)),
        "heap": lambda: draw.choice(("funcref", "externref")),
        "types": lambda: tuple(draw.choices(_TYPES, k=draw.choice((1, 1, 1, 0, 2)))),
        "memory": lambda: 0,
    }
    if "labels" in opcode.immediates:
        return b"\x0e" + leb(1) + leb(few) + leb(draw.randrange(3))
    immediates = [values.get(kind, lambda: few)() for kind in opcode.immediates]
    return instruction(opcode.name, *immediates)  # type: ignore[arg-type]


def _change_body(draw: random.Random, found: Parts) -> None:
    code = draw.choice(found.bodies)
    if not code:
        return
    place = draw.randrange(len(code))
    match draw.randrange(7):
        case 0:
            del code[place]
        case 1:
            code.insert(place, code[place])
        case 2:
            code[place] = _operator(draw)
        case 3:
            code.insert(place, _operator(draw))
        case 4:
            other = draw.randrange(len(code))
            code[place], code[other] = code[other], code[place]
        case 5:
            code.insert(place, constant(draw, draw.choice(_TYPES), [0, 1]))
        case _:
            code[place] = _nudged(draw, code[place])


def _nudged(draw: random.Random, piece: bytes) -> bytes:
    """
    One byte of *piece* changed a little.
    """
    if not piece:
        return piece
    place = len(piece) - 1 if draw.random() < 0.5 else draw.randrange(len(piece))
    value = (piece[place] + draw.choice((1, 1, -1, 2, 0x40, 0x80))) & 0xFF
    return piece[:place] + bytes([value]) + piece[place + 1 :]


def _change_item(draw: random.Random, found: Parts) -> None:
    filled = [name for name, items in found.sections.items() if items]
    if not filled:
        return
    items = found.sections[draw.choice(filled)]
    place = draw.randrange(len(items))
    match draw.randrange(5):
        case 0:
            del items[place]
        case 1:
            items.insert(draw.randrange(len(items) + 1), items[place])
        case 2:
            other = draw.randrange(len(items))
            items[place], items[other] = items[other], items[place]
        case _:
            items[place] = _nudged(draw, items[place])


def _change_locals(draw: random.Random, found: Parts) -> None:
    place = draw.randrange(len(found.declared))
    kind = bytes([draw.choice((0x7F, 0x7E, 0x7D, 0x7C, 0x7B, 0x70, 0x6F, 0x6E))])
    found.declared[place] = draw.choice(
        (
            b"\0",
            b"\1\1" + kind,
            b"\1\1" + kind,
            b"\1" + leb(draw.choice((50_001, 2**32 - 1))) + kind,
            _nudged(draw, found.declared[place]),
        )
    )


def _add_item(draw: random.Random, found: Parts) -> None:
    """
    A memory, export, start, global, type or data segment more.
    """
    name, item = draw.choice(
        (
            ("memory", b"\0\1"), ("memory", b"\1\2" + leb(draw.choice((1, 2, 65_536, 65_537)))),
            ("export", b"\1a\0" + leb(draw.randrange(4))), ("export", b"\2e0\0\0"),
            ("export", b"\1a" + bytes([draw.randrange(5)]) + leb(draw.randrange(2))),
            ("global", b"\x7f\0\x41\1\x41\2\x6a\x0b"),
            ("start", leb(draw.randrange(4))), ("global", b"\x7f\0\x41\0\x0b"),
            ("global", b"\x7e\0\x23" + leb(draw.randrange(3)) + b"\x0b"),
            ("type", b"\x60\0\2\x7f\x7f"), ("data", b"\0\x41\0\x0b\1x"), ("data", b"\1\1x"),
            ("table", b"\x70\1\2" + leb(draw.choice((1, 2, 3)))),
            ("element", b"\0\x41\0\x0b\1" + leb(draw.randrange(4))),
        )
    )  # fmt: skip
    found.sections.setdefault(name, []).append(item)


def _change_bytes(draw: random.Random, data: bytes) -> bytes:
    raw = bytearray(data)
    place = draw.randrange(8, len(raw)) if len(raw) > 8 else 0
    match draw.randrange(5):
        case 0:
            del raw[place:]
        case 1:
            del raw[place : place + draw.choice((1, 1, 2, 5))]
        case 2:
            raw[place:place] = draw.randbytes(draw.choice((1, 1, 2, 5)))
        case 3:
            raw[place] = draw.choice((0, 0x0B, 0x7F, 0x80, 0xFF))
        case _:
            raw[place] ^= 1 << draw.randrange(8)
    return bytes(raw)


_CHANGES = (_change_body, _change_body, _change_body, _change_body, _change_item, _change_item,
            _change_locals, _add_item)  # fmt: skip


def part_mutants(seed: int, count: int, most_bytes: int = 2048) -> list[bytes]:
    """
    *count* modules from *seed*, each of at most *most_bytes*, with one or two changes each.
    """
    draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    made: list[bytes] = []
    while len(made) < count:
        found = parts(draw)
        in_bytes = draw.random() < 0.12
        if not in_bytes:
            for _ in range(draw.choice((1, 1, 1, 2))):
                draw.choice(_CHANGES)(draw, found)
        data = assembled(found)
        if in_bytes:
            data = _change_bytes(draw, data)
        if len(data) <= most_bytes:
            made.append(data)
    return made
