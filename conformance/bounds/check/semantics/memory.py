"""
Linear memory during symbolic execution: a chain of what happened to it, asked byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cvc5 import Kind

from conformance.bounds.check.refusals import NotModelledError
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.check.semantics.terms import Terms, Value, same

_WRAP = 1 << 32
MOST_READ: Final = 50_000
"""Different reads, of a byte or more at one point of the history, that are followed in a region."""


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """
    Memory of which nothing is known, except, where `initial`, what the entry finds.
    """

    name: str
    initial: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """
    *size* bytes were written.
    """

    before: Any
    address: Value
    size: int
    value: Value


@dataclass(frozen=True, slots=True, eq=False)
class Havoc:
    """
    Bytes in any of the ranges (start, end) may have become anything.
    """

    before: Any
    after: Base
    ranges: Sequence[tuple[Value, Value]]


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """
    *yes* where a condition holds, else *other*.
    """

    condition: Value
    yes: Any
    other: Any


Node = Base | Store | Havoc | Join


@dataclass(slots=True)
class Memories:
    """
    Reads chains of nodes as terms.
    """

    terms: Terms
    image: Image
    used: bool = False
    """Whether any term asks an unknown memory."""
    cells_only: bool = False
    """
    Only cells are read: what a cell holds at first is a symbol of its own, for each size with which
    it is read. Symbols say less than one memory does, so what holds for all of them holds for it.
    """
    _count: int = 0
    _arrays: dict[str, Any] = field(default_factory=dict)
    _read: dict[tuple[int, Any, int], tuple[Node, Value]] = field(default_factory=dict)

    def unknown(self) -> Base:
        """
        Memory of which nothing is known.
        """
        self._count += 1
        return Base(f"memory{self._count}")

    def read(self, node: Node, address: Value, size: int) -> Value:
        """
        *size* bytes at *address*, little-endian; beyond the end of memory, anything.
        """
        key = (id(node), address, size)
        if key not in self._read:
            if len(self._read) > MOST_READ:
                raise NotModelledError("memory read through that many writes", "between two cuts")
            # The node is kept beside its value, so that no other one can get its identity.
            self._read[key] = (node, self._find(node, address, size))
        return self._read[key][1]

    def _find(  # noqa: PLR0911 - one return for each kind of node
        self, node: Node, address: Value, size: int
    ) -> Value:
        terms = self.terms
        while isinstance(node, Store):
            distance = self._distance(address, node.address)
            if distance == 0 and node.size == size:
                return node.value
            if distance is None or distance < node.size or _WRAP - distance < size:
                break
            node = node.before
        if isinstance(node, Join):
            yes, other = (self.read(n, address, size) for n in (node.yes, node.other))
            return terms.ite(node.condition, yes, other, 8 * size)
        if self.cells_only and isinstance(node, Base):
            return self._symbol(node, address, size)
        if size > 1:
            parts = [self.read(node, self._plus(address, k), 1) for k in range(size)]
            return self._concatenated(parts)
        if isinstance(node, Base):
            return self._ask(node, address)
        if isinstance(node, Havoc):
            inside = [
                terms.both(terms.two("ule", start, address, 32), terms.two("ult", address, end, 32))
                for start, end in node.ranges
            ]
            new, old = self.read(node.after, address, 1), self.read(node.before, address, 1)
            return terms.ite(terms.either(*inside), new, old, 8)
        offset = terms.two("sub", address, node.address, 32)
        shifted = terms.two(
            "lshr",
            terms.resize(node.value, 8 * node.size, 64),
            terms.two("mul", terms.resize(offset, 32, 64), 8, 64),
            64,
        )
        hit = terms.two("ult", offset, node.size, 32)
        old = self.read(node.before, address, 1)
        return terms.ite(hit, terms.resize(shifted, 64, 8), old, 8)

    def _distance(self, left: Value, right: Value) -> int | None:
        """
        Difference left - right modulo 2^32, where it is known.
        """
        one, two = self.terms.split(left), self.terms.split(right)
        known = same(one[0], two[0])
        return (one[1] - two[1]) % _WRAP if known else None

    def _plus(self, address: Value, offset: int) -> Value:
        return self.terms.two("add", address, offset, 32)

    def _concatenated(self, parts: list[Value]) -> Value:
        if all(isinstance(part, int) for part in parts):
            return sum(part << (8 * k) for k, part in enumerate(parts))
        made = [self.terms.term(part, 8) for part in reversed(parts)]
        return self.terms.manager.mkTerm(Kind.BITVECTOR_CONCAT, *made)

    def _symbol(self, node: Base, address: Value, size: int) -> Value:
        if node.initial and isinstance(address, int):
            known = self.image.known(address, size)
            if known is not None:
                return known
        return self.terms.symbol(f"{node.name}[{address}]", 8 * size)

    def _ask(self, node: Base, address: Value) -> Value:
        if node.initial and isinstance(address, int):
            known = self.image.known(address, 1)
            if known is not None:
                return known
        self.used = True
        manager = self.terms.manager
        if node.name not in self._arrays:
            kind = manager.mkFunctionSort(
                [manager.mkBitVectorSort(32)], manager.mkBitVectorSort(8)
            )  # fmt: skip
            self._arrays[node.name] = manager.mkConst(kind, node.name)
        return manager.mkTerm(Kind.APPLY_UF, self._arrays[node.name], self.terms.term(address, 32))
