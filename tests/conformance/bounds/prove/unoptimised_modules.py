"""
Modules that a compiler made without optimisation: every local lies in a frame in linear memory.

`unoptimised` has their sources, and the recipe by which they are compiled again to the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from conformance.bounds.certificate import Bytes, HostBytes, Input, Precondition, Range
from conformance.wasm.decode import validated
from conformance.wasm.module import Module

FOLDER = Path(__file__).parent / "unoptimised"
_WORD = (1 << 32) - 1


def _zeros(size: int) -> Sequence[bytes]:
    return (bytes(size),)


def _rising(size: int) -> Sequence[bytes]:
    """
    Zeros, and floats that rise.
    """
    return (bytes(size), struct.pack(f"<{size // 4}f", *range(size // 4)))


def _falling(size: int) -> Sequence[bytes]:
    """
    Zeros, and integers that fall.
    """
    return (bytes(size), struct.pack(f"<{size // 4}i", *reversed(range(size // 4))))


def _mixed(size: int) -> Sequence[bytes]:
    """
    Zeros, and bytes that jump about.
    """
    return (bytes(size), bytes(k * 37 % 256 for k in range(size)))


def _digits(size: int) -> Sequence[bytes]:
    return (bytes(size), b"7" * size, (b"7 " * size)[:size])


@dataclass(frozen=True)
class Unoptimised:
    """
    One module: what calls may pass, and inputs among which are some of the dearest.
    """

    name: str
    size: int = 0
    """Bytes of the input in memory."""
    contents: Callable[[int], Sequence[bytes]] = _zeros
    ranges: tuple[tuple[int, int], ...] = ()
    arguments: tuple[tuple[int, ...], ...] = ((),)
    exact: bool = False
    """Whether control does not depend on the input."""
    bounded: bool = True

    def module(self) -> Module:
        return validated((FOLDER / f"{self.name}.wasm").read_bytes())

    def start(self, module: Module) -> int:
        """
        The address of the input, by the function that tells it.
        """
        export = module.exported("input")
        if export is None:
            return 0
        body = module.functions[export.index].body
        return next(cast("int", i.immediates[0]) for i in body if i.opcode.name == "i32.const")

    def precondition(self, module: Module) -> Precondition:
        start = self.start(module)
        unknown = (Bytes(start, start + self.size),) if self.size else ()
        ranges = tuple(Range(low, high) for low, high in self.ranges)
        return Precondition("infer", ranges, unknown=unknown)

    def inputs(self, module: Module) -> tuple[Input, ...]:
        start = self.start(module)
        written = [(HostBytes(start, data.hex()),) for data in self.contents(self.size)]
        if not self.size:
            return tuple(Input(values) for values in self.arguments)
        return tuple(Input(values, data) for values in self.arguments for data in written)


UNOPTIMISED = {
    made.name: made
    for made in (
        Unoptimised("argmax", 80, _rising),
        Unoptimised("binary_search", ranges=((0, _WORD),), arguments=((0,), (60,), (1 << 31,))),
        Unoptimised("cnn", 72, _mixed),
        Unoptimised("dense", 64, exact=True),
        Unoptimised("filter", 256, ranges=((0, 64),), arguments=((0,), (64,))),
        Unoptimised("histogram", 48, _mixed, exact=True),
        Unoptimised("insertion_sort", 64, _falling),
        Unoptimised("matmul", 256, exact=True),
        Unoptimised("matmul_n", 576, ranges=((0, 12),), arguments=((0,), (12,))),
        Unoptimised("mlp", 48, _rising),
        Unoptimised("newton", ranges=((1, _WORD),), arguments=((1,), (_WORD,), (2,))),
        Unoptimised("parser", 40, _digits, bounded=False),
        Unoptimised("pooling", 256, _rising),
        Unoptimised("recurrent", 96, _rising),
        Unoptimised("selection_sort", 48, _falling),
        Unoptimised("softmax", 40, _rising),
    )
}
