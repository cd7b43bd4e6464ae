"""
The block tree of a body: where each block opens, has its `else`, and ends.

Iterative: nesting costs memory in proportion, never recursion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from conformance.wasm.body import Body, code_table
from conformance.wasm.code_entry import BLOCK, CONTROL, ELSE, END, IF, LOOP

BlockKind = Literal["body", "block", "loop", "if"]

_IS_CONTROL: Final = code_table(CONTROL)
_KINDS: Final[dict[int, BlockKind]] = {BLOCK: "block", LOOP: "loop", IF: "if"}


@dataclass(frozen=True, slots=True)
class Block:
    """
    One block; places are numbers of instructions, counted from 0 in the body.
    """

    kind: BlockKind
    start: int
    """Place of the instruction that opens it; -1 for the body."""
    otherwise: int | None
    """Place of its `else`."""
    end: int
    """Place of its `end`."""
    parent: int
    """Number of the block around it; -1 for the body."""
    depth: int
    """How many blocks are around it; 0 for the body."""

    @property
    def continuation(self) -> int:
        """
        Place where a branch to this block goes on: a loop's first instruction, or after its `end`.
        """
        return self.start + 1 if self.kind == "loop" else self.end + 1


@dataclass(frozen=True, eq=False)
class Structure:
    """
    All blocks of a body in the order in which they open; number 0 is the body itself.
    """

    blocks: tuple[Block, ...]

    @cached_property
    def opened(self) -> dict[int, int]:
        """
        Place of `block`, `loop` or `if` -> number of the block that it opens.
        """
        return {block.start: number for number, block in enumerate(self.blocks) if number}

    @cached_property
    def loops(self) -> tuple[int, ...]:
        """
        Numbers of the blocks that are loops, outer ones before inner ones.
        """
        return tuple(n for n, block in enumerate(self.blocks) if block.kind == "loop")

    @property
    def depth(self) -> int:
        """
        Deepest nesting: 0 for a body without blocks.
        """
        return max(block.depth for block in self.blocks)

    def label(self, number: int, depth: int) -> int:
        """
        The block that a branch to label *depth* names, from directly inside block *number*.

        Takes time in proportion to *depth*; raises IndexError beyond the body.
        """
        for _ in range(depth):
            if number < 0:
                break
            number = self.blocks[number].parent
        if number < 0:
            message = f"there is no label {depth} here"
            raise IndexError(message)
        return number


def structure(body: Body) -> Structure:
    """
    The block tree of a decoded *body*, in one pass over its control instructions.
    """
    places = np.flatnonzero(_IS_CONTROL[body.codes])
    kinds: list[BlockKind] = ["body"]
    starts, elses, ends, parents, depths = [-1], [-1], [-1], [-1], [0]
    opened = [0]
    for place, code in zip(places.tolist(), body.codes[places].tolist(), strict=True):
        if code == END:
            ends[opened.pop()] = place
        elif code == ELSE:
            elses[opened[-1]] = place
        else:
            parents.append(opened[-1])
            depths.append(len(opened))
            opened.append(len(kinds))
            kinds.append(_KINDS[code])
            starts.append(place)
            elses.append(-1)
            ends.append(-1)
    rows = zip(kinds, starts, elses, ends, parents, depths, strict=True)
    return Structure(
        tuple(
            [
                Block(kind, start, None if other < 0 else other, end, parent, depth)
                for kind, start, other, end, parent, depth in rows
            ]
        )
    )
