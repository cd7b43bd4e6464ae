"""
Where a module with taint bits keeps them, and the places where they matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from conformance.wasm.encode_items import instruction

Role = Literal["branch", "target", "growth", "length", "address", "table", "trap"]
"""What a tainted operand could change: see `taint`."""

FLAG_BITS: Final = 64
"""Sites that share one global of flags."""
PAGE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Site:
    """
    A place where a tainted operand matters.
    """

    function: int
    """Index, imported functions counted first."""
    offset: int
    operator: str
    role: Role


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Where the rewritten module keeps what all functions share: indices of globals.
    """

    globals: int
    """Of the bit of global 0; those of the others follow."""
    arguments: int
    results: int
    pages: int
    """Of the pages that the memory has."""
    flags: int
    """First global of flags, an i64 of 64 sites each."""
    most_pages: int
    """How many pages the memory may get; the taint of byte *a* lies so many pages above it."""


def shadow_address(address: bytes, layout: Layout) -> bytes:
    """
    Code that leaves the address of a byte's taint, from code that leaves the byte's.
    """
    distance = layout.most_pages * PAGE_BYTES
    return (
        address
        + instruction("i32.const", distance - (1 << 32) * (distance >> 31))
        + instruction("i32.add")
    )
