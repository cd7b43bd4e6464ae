"""
Bodies of nothing but control, as trees, and how the specification's rules run them.

The run knows no graph: labels unwind through Python's own blocks, decisions come from a seed.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from typing import Any

from wasm_samples import body_module, leb

Tree = list[tuple[Any, ...]]
_ZERO = b"\x41\0"


def tree(draw: random.Random, depth: int, open_blocks: int = 0) -> Tree:
    """
    A random sequence of control instructions inside *open_blocks* blocks.
    """
    made: Tree = []
    for _ in range(draw.randrange(1, 5)):
        kind = draw.choice(("nop", "block", "loop", "loop", "if", "br_if", "br_if", "br", "end"))
        if kind in ("block", "loop", "if") and depth:
            parts = [tree(draw, depth - 1, open_blocks + 1)]
            if kind == "if" and draw.random() < 0.5:
                parts.append(tree(draw, depth - 1, open_blocks + 1))
            made.append((kind, *parts))
        elif kind in ("br", "br_if"):
            made.append((kind, draw.randrange(open_blocks + 1)))
        elif kind == "end" and draw.random() < 0.3:
            labels = [draw.randrange(open_blocks + 1) for _ in range(draw.randrange(4))]
            table = ("br_table", labels, draw.randrange(open_blocks + 1))
            made.append(draw.choice((table, ("return",), ("unreachable",))))
        else:
            made.append(("nop",))
    return made


def encode(body: Tree) -> bytes:
    """
    A module whose function has this body.
    """
    return body_module(_encoded(body) + b"\x0b")


def _encoded(body: Tree) -> bytes:
    out = b""
    for kind, *rest in body:
        match kind:
            case "block" | "loop":
                out += (b"\2" if kind == "block" else b"\3") + b"\x40" + _encoded(rest[0]) + b"\x0b"
            case "if":
                other = b"\5" + _encoded(rest[1]) if len(rest) > 1 else b""
                out += _ZERO + b"\4\x40" + _encoded(rest[0]) + other + b"\x0b"
            case "br":
                out += b"\x0c" + leb(rest[0])
            case "br_if":
                out += _ZERO + b"\x0d" + leb(rest[0])
            case "br_table":
                labels = b"".join(leb(label) for label in rest[0])
                out += _ZERO + b"\x0e" + leb(len(rest[0])) + labels + leb(rest[1])
            case _:
                out += {"nop": b"\1", "return": b"\x0f", "unreachable": b"\0"}[kind]
    return out


class _Branch(Exception):  # noqa: N818 - it is no error, it unwinds
    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.depth = depth


class _Stop(Exception):  # noqa: N818 - as above
    pass


@dataclass
class Run:
    """
    Places of the instructions that were run, the markers `block`, `loop`, `else`, `end` left out.
    """

    decisions: random.Random
    most: int
    trace: list[int] = field(default_factory=list)

    def start(self, body: Tree) -> list[int]:
        """
        Run *body* to its end, or for as many instructions as there may be.
        """
        with contextlib.suppress(_Branch, _Stop):
            self._sequence(body, 0)
        return self.trace[: self.most]

    def _step(self, place: int) -> None:
        self.trace.append(place)
        if len(self.trace) >= self.most:
            raise _Stop

    def _sequence(self, body: Tree, place: int) -> None:
        for node in body:
            self._one(node, place)
            place += size(node)

    def _block(self, body: Tree, place: int, *, again: bool) -> None:
        while True:
            try:
                self._sequence(body, place)
            except _Branch as branch:
                if branch.depth:
                    raise _Branch(branch.depth - 1) from None
                if again:
                    continue
            return

    def _one(self, node: tuple[Any, ...], place: int) -> None:
        kind, *rest = node
        if kind in ("block", "loop"):
            self._block(rest[0], place + 1, again=kind == "loop")
            return
        self._step(place)
        if kind in ("if", "br_if", "br_table"):
            self._step(place + 1)
        if kind == "if":
            after = place + 2 + sum(map(size, rest[0])) + 1
            if self.decisions.randrange(2):
                self._block(rest[0], place + 2, again=False)
            elif len(rest) > 1:
                self._block(rest[1], after, again=False)
        elif kind == "br" or (kind == "br_if" and self.decisions.randrange(2)):
            raise _Branch(rest[0])
        elif kind == "br_table":
            labels = [*rest[0], rest[1]]
            raise _Branch(labels[self.decisions.randrange(len(labels))])
        elif kind in ("return", "unreachable"):
            raise _Stop


def size(node: tuple[Any, ...]) -> int:
    """
    Number of instructions of one node.
    """
    kind, *rest = node
    if kind in ("block", "loop"):
        return 2 + sum(map(size, rest[0]))
    if kind == "if":
        return 3 + sum(sum(map(size, part)) for part in rest) + (len(rest) > 1)
    return 2 if kind in ("br_if", "br_table") else 1
