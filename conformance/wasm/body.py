"""
Function bodies: locals, and the instructions as offsets and codes, decoded when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from conformance.wasm.instructions import Instruction, iterate
from conformance.wasm.items import LocalRun, Span


@dataclass(frozen=True, slots=True, eq=False)
class CodeIndex:
    """
    Every instruction of every body of a module, in file order: six bytes each.
    """

    offsets: NDArray[np.uint32]
    """Shape (n,): where the instruction begins in the file."""
    codes: NDArray[np.uint16]
    """Shape (n,): its code in `opcodes.OPCODES`."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """
    One entry of the code section.
    """

    binary: bytes = field(repr=False)
    """The whole file."""
    index: CodeIndex = field(repr=False)
    first: int
    """Place of its first instruction in the index."""
    last: int
    """Place after its last instruction, which is the final `end`."""
    locals: tuple[LocalRun, ...]
    entry: Span
    """With the size field in front."""
    span: Span
    """Declaration of locals and instructions."""

    def __len__(self) -> int:
        """
        Number of instructions, the final `end` included.
        """
        return self.last - self.first

    def __iter__(self) -> Iterator[Instruction]:
        """
        The instructions in order, with their immediates.
        """
        offsets, codes = self.offsets.tolist(), self.codes.tolist()
        return iterate(self.binary, offsets, codes, self.span.end)

    def __getitem__(self, place: int) -> Instruction:
        """
        Instruction number *place*, counted from 0; IndexError beyond the last.
        """
        if not 0 <= place < len(self):
            message = f"the body has {len(self)} instructions, not a number {place}"
            raise IndexError(message)
        offset, code = int(self.offsets[place]), int(self.codes[place])
        return next(iterate(self.binary, [offset], [code], self.span.end))

    @property
    def offsets(self) -> NDArray[np.uint32]:
        """
        Shape (n,): byte offsets of the instructions.
        """
        return self.index.offsets[self.first : self.last]

    @property
    def codes(self) -> NDArray[np.uint16]:
        """
        Shape (n,): codes of the instructions.
        """
        return self.index.codes[self.first : self.last]

    @property
    def local_count(self) -> int:
        """
        Number of declared locals; parameters are not among them.
        """
        return sum(run.count for run in self.locals)

    def raw(self, place: int) -> bytes:
        """
        The bytes of instruction number *place*, exactly as they are in the file.
        """
        offsets = self.offsets
        after = int(offsets[place + 1]) if place + 1 < len(self) else self.span.end
        return self.binary[int(offsets[place]) : after]


def code_table(codes: Iterable[int]) -> NDArray[np.bool_]:
    """
    By code of an instruction, shape (65536,): whether it is one of *codes*.
    """
    table = np.zeros(1 << 16, bool)
    table[list(codes)] = True
    return table


@dataclass(frozen=True, slots=True)
class Function:
    """
    A function of the module's own.
    """

    index: int
    """Imported functions are counted first."""
    type_index: int
    declared: Span
    """Its entry in the function section."""
    body: Body
