"""
Cells: memory that a function keeps for itself, as a compiler keeps locals in a frame.

A summary names them by their addresses. Stores whose distance from a cell is known by the form of
their addresses are followed; of every other write it must be proved that it stays off all cells.
By induction over the writes of a run a load then gives what was stored last, so nothing has to be
asked about the writes in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from conformance.bounds.certificate import ENTRY
from conformance.bounds.check.semantics.terms import Terms, Value, same
from conformance.bounds.expressions import Expression

if TYPE_CHECKING:
    from conformance.bounds.check.semantics.execution import Region
    from conformance.bounds.check.semantics.state import State

_WRAP: Final = 1 << 32
_WIDE: Final = 40
LONGEST: Final = 1 << 16
"""Bytes of one span of cells."""
_CLOSED: Final = frozenset({"param", "entry-global", "i32", "i64", "const", "add", "sub"})


@dataclass(frozen=True, slots=True)
class Span:
    """
    *length* bytes from an address on.
    """

    start: Value
    """32 bits."""
    length: int


@dataclass(frozen=True, slots=True)
class Cells:
    """
    The cells of one activation, at known distances from each other.
    """

    terms: Terms
    spans: tuple[Span, ...] = ()

    def place(self, address: Value, size: int) -> Literal["inside", "across", "outside", "unknown"]:
        """
        Where *size* bytes lie: in one span, partly in one, in none; or their distance is unknown.
        """
        found: Literal["across", "outside"] = "outside"
        for span in self.spans:
            (base, known), (other, start) = self.terms.split(address), self.terms.split(span.start)
            if not same(base, other):
                return "unknown"
            distance = (known - start) % _WRAP
            if distance + size <= span.length:
                return "inside"
            if distance < span.length or _WRAP - distance < size:
                found = "across"
        return found

    def apart(self, start: Value, end: Value) -> Iterator[Value]:
        """
        For each span that bytes from *start* to *end* (40 bits) lie outside of it.

        A span that wraps at 2^32 has bytes at both ends of memory, so it must not.
        """
        terms = self.terms
        for span in self.spans:
            low = terms.resize(span.start, 32, _WIDE)
            high = terms.two("add", low, span.length, _WIDE)
            yield terms.both(
                terms.two("ule", high, _WRAP, _WIDE),
                terms.either(
                    terms.two("ule", end, low, _WIDE), terms.two("uge", start, high, _WIDE)
                ),
            )


def cells_of(region: Region, entered: State) -> Cells:
    """
    The cells that a region's summary names, by the state in which its function was *entered*.

    RefusedError where an address has not 32 bits or a length is not known.
    """
    subject, summary, terms = region.subject, region.summary, region.terms
    reading = region.reading(entered)
    spans = []
    for item in summary.cells:
        pair = []
        for text in (item.start, item.end):
            term = subject.term(summary, ENTRY, text)
            if term.width != 32 or term.names("load"):  # noqa: PLR2004 - addresses are i32
                subject.misfit(f"{text[:80]!r} is no address of a cell")
            pair.append(reading.value(term))
        (base, start), (other, end) = terms.split(pair[0]), terms.split(pair[1])
        length = (end - start) % _WRAP
        if not same(base, other) or not 0 < length <= LONGEST:
            subject.misfit(f"{summary.name} has cells of unknown length, from {item.start[:80]}")
        spans.append(Span(pair[0], length))
        if not same(base, terms.split(spans[0].start)[0]):
            subject.misfit(f"{summary.name} has cells at an unknown distance from each other")
    return Cells(terms, tuple(spans))


def fixed(formula: Expression) -> tuple[str, int, Expression] | None:
    """
    Kind, index and value of the variable that *formula* says to be what it was from the entry on.

    The value is a sum over parameters and globals at the entry. To put it in the place of the
    variable changes nothing of what follows, and makes the distance of addresses known.
    """
    if formula.operator != "eq":
        return None
    for one, other in (formula.operands, formula.operands[::-1]):
        if one.operator in ("local", "global") and _closed(other):
            return one.operator, int(one.numbers[0]), other
    return None


def _closed(term: Expression) -> bool:
    return term.operator in _CLOSED and all(map(_closed, term.operands))
