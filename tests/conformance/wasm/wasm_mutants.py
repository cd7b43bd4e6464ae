"""
Nearly valid modules: files with bytes changed, and bodies made instruction by instruction.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from wasm_samples import leb, samples, section, wat

from conformance.wasm.decode import decode
from conformance.wasm.opcodes import BY_NAME, OPCODES, Opcode

_BASE = """(module
  (type (func)) (type (func (param i32) (result f64)))
  (type (func (param i32 i64) (result i64 i32))) (type (func (result v128)))
  (func $f (type 0) data.drop 0) (func (type 2) local.get 1 local.get 0)
  (func (export "f") (type 1) (local i64 f32 f64 v128 externref funcref) f64.const 0)
  (table 3 funcref) (table 2 externref) (memory 1)
  (global i32 (i32.const 1)) (global (mut f64) (f64.const 1))
  (global (mut externref) (ref.null extern)) (global (mut v128) (v128.const i64x2 1 2))
  (elem func $f) (elem externref (ref.null extern)) (data "abc"))"""
_BLOCKS = ("block", "loop", "if")
_TYPED = [opcode for opcode in OPCODES.values() if opcode.signature is not None]
_FREE = [opcode for opcode in OPCODES.values() if opcode.name not in (*_BLOCKS, "else", "end")]
_LOCALS = ("i32", "i64", "f32", "f64", "v128", "externref", "funcref")
_PUSH = {
    "i32": b"\x41\x01", "i64": b"\x42\x02", "f32": b"\x43\0\0\x80\x3f", "f64": b"\x44" + b"\0" * 8,
    "v128": b"\xfd\x0c" + b"\1" * 16, "externref": b"\xd0\x6f", "funcref": b"\xd0\x70",
}  # fmt: skip


def _immediate(kind: str, opcode: Opcode, draw: random.Random) -> bytes:
    few = leb(draw.choice((0, 0, 0, 1, 1, 2, 3, 7)))
    exact: dict[str, Callable[[], bytes]] = {
        "labels": lambda: b"\2" + leb(draw.randrange(2)) + leb(draw.randrange(3)) + b"\0",
        "f32": lambda: draw.randbytes(4),
        "f64": lambda: draw.randbytes(8),
        "v128": lambda: draw.randbytes(16),
        "lanes": lambda: bytes(
            draw.randrange(33 if draw.random() < 0.1 else 32) for _ in range(16)
        ),
        "lane": lambda: bytes([draw.choice((0, 1, 1, 2, 3, 4, 7, 8, 15, 16))]),
        "memory": lambda: b"\0",
        "memarg": lambda: (
            leb(max(0, (opcode.alignment or 0) + draw.choice((-1, 0, 0, 0, 1)))) + few
        ),
        "heap": lambda: draw.choice((b"\x70", b"\x6f")),
        "types": lambda: b"\1" + draw.choice((b"\x7f", b"\x7c", b"\x6f")),
        "block": lambda: draw.choice(
            (b"\x40", b"\x40", b"\x7f", b"\x7c", b"\0", b"\1", b"\2", b"\4")
        ),
    }
    return exact.get(kind, lambda: few)()


def _encode(opcode: Opcode, draw: random.Random) -> bytes:
    return opcode.encoding + b"".join(_immediate(kind, opcode, draw) for kind in opcode.immediates)


def _straight(draw: random.Random, length: int) -> list[bytes]:
    """
    Instructions whose operands are there, as far as the opcode table knows; all is dropped.
    """
    stack: list[str] = []
    made = []
    for _ in range(length):
        for opcode in draw.sample(_TYPED, 12):
            assert opcode.signature is not None
            wanted = list(opcode.signature.parameters)
            if draw.random() < 0.5:
                made += [_PUSH[kind] for kind in wanted]
                stack += wanted
            if wanted == stack[len(stack) - len(wanted) :]:
                del stack[len(stack) - len(wanted) :]
                made.append(_encode(opcode, draw))
                stack += opcode.signature.results
                break
        if draw.random() < 0.2:
            local = draw.randrange(len(_LOCALS))
            made.append(b"\x20" + leb(local))
            stack.append(_LOCALS[local])
    return made + [b"\x1a"] * len(stack)


def _nested(draw: random.Random, depth: int) -> list[bytes]:
    """
    Blocks that take and give nothing, or begin with what cannot be reached.
    """
    made = _straight(draw, draw.randrange(3))
    for _ in range(draw.randrange(3) if depth else 0):
        kind = draw.choice(_BLOCKS)
        if kind == "if":
            made.append(_PUSH["i32"])
        made.append(BY_NAME[kind].encoding + b"\x40")
        made += _nested(draw, depth - 1)
        if kind == "if" and draw.random() < 0.5:
            made.append(b"\x05")
        made.append(b"\x0b")
    if draw.random() < 0.3:
        made += [b"\0"] + [_encode(draw.choice(_FREE), draw) for _ in range(draw.randrange(3))]
        made.append(b"\0")
    return made


def _body(draw: random.Random) -> bytes:
    made = [*_nested(draw, 2), _PUSH["f64"]]
    for _ in range(draw.choice((0, 0, 1, 1, 2))):
        place = draw.randrange(len(made) + 1)
        action = draw.randrange(4)
        if action == 0 and place < len(made):
            del made[place]
        elif action == 1 and place < len(made):
            made[place] = _encode(draw.choice(_FREE), draw)
        elif action == 2:
            made.insert(place, _encode(draw.choice(_FREE), draw))
        else:
            opener = draw.choice(_BLOCKS)
            made.insert(place, _encode(BY_NAME[opener], draw))
            made.append(b"\x0b")
    return b"".join(made) + b"\x0b"


def body_mutants(seed: int, count: int) -> list[bytes]:
    """
    Modules whose last function is made from *seed*; about half of them are valid.
    """
    module = decode(wat(_BASE))
    (code,) = [part for part in module.sections if part.name == "code"]
    data, last = module.binary, module.functions[-1].body
    head, tail = data[: code.span.start], data[code.span.end :]
    others = data[code.payload.start + 1 : last.entry.start]
    declared = data[last.span.start : int(last.offsets[0])]
    draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    made = []
    for _ in range(count):
        entry = declared + _body(draw)
        code_bytes = bytes([len(module.functions)]) + others + leb(len(entry)) + entry
        made.append(head + section(10, code_bytes) + tail)
    return made


def file_mutants(seed: int, count: int) -> list[bytes]:
    """
    Samples with one to three bytes changed.
    """
    draw = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    names = sorted(samples())
    made = []
    for _ in range(count):
        raw = bytearray(samples()[draw.choice(names)])
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            raw[draw.randrange(8, len(raw)) if len(raw) > 8 else 0] = draw.choice(
                (draw.randrange(256), draw.randrange(16), 0x80, 0xFF, 0x0B, 0x7F)
            )
        made.append(bytes(raw))
    return made
