"""
What one meter showed of the calls that a bound is about, and which of it the bound rules out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.certificate import Bound, Certificate, Precondition
from conformance.differential.records import Claim, Finding
from conformance.gas.records import GasModel
from runners.records import Call
from runners.status import LIMITS, TRAPS, Status

PAGES: Final = "pages"
_UNTIL: Final = (1 << 64) - 1

Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Span:
    """
    What one meter showed of calls that a bound is about.
    """

    entry: str
    what: str
    """`fuel:wasmtime@50.0.1`, `model:cosmwasm-vm@3.0.4`, `pages`."""
    node: str
    bound: Bound
    cases: int = 0
    returned: int = 0
    """Of those cases."""
    least: int = 0
    """Of calls that returned; 0 where none did."""
    most: int = 0
    outside: set[int] = field(default_factory=set)
    """Ids of the cases that lie outside the bound."""
    shown: tuple[int, Finding] | None = None
    """The first of them, and its finding."""

    def add(self, status: NDArray[np.uint8], values: NDArray[np.uint64], asked: Flags) -> Flags:
        """
        Take readings of the rows *asked*; returns the rows that lie outside.
        """
        ended = np.isin(status, [int(Status.RETURNED), *map(int, TRAPS), *map(int, LIMITS)])
        judged = asked & ended
        self.cases += int(judged.sum())
        returned = judged & (status == Status.RETURNED)
        if returned.any():
            shown = values[returned]
            least = int(shown.min())
            self.least = min(self.least, least) if self.returned else least
            self.most = max(self.most, int(shown.max()))
            self.returned += int(returned.sum())
        return judged & outside(self.bound, status, values)


def outside(bound: Bound, status: NDArray[np.uint8], values: NDArray[np.uint64]) -> Flags:
    """
    Which readings a bound rules out: `lo..hi` of calls that return, `any_lo..any_hi` of calls that
    trap; a call that an engine's limit ended may have paid less, but not more than `any_hi`.
    """
    returned = status == Status.RETURNED
    trapped = np.isin(status, list(map(int, TRAPS)))
    low = np.where(returned, _word(bound.lo), np.where(trapped, _word(bound.any_lo), np.uint64(0)))
    high = np.where(returned, _word(bound.hi), _word(bound.any_hi))
    return np.asarray((values < low) | (values > high))


def _word(number: int) -> np.uint64:
    return np.uint64(min(number, _UNTIL))


def bounds_of(
    models: Sequence[GasModel], certificate: Certificate
) -> Iterator[tuple[GasModel, Bound]]:
    """
    What a certificate says of each model's operators; a host's part of a bill is not among them.
    """
    by_name = {bound.model: bound for bound in certificate.bounds}
    yield from ((model, by_name[model.id]) for model in models if model.id in by_name)


def pages_bound(certificate: Certificate) -> Bound:
    """
    The bound of pages, in the form of one of gas.
    """
    return Bound(PAGES, 0, certificate.pages, 0, certificate.pages)


def within(precondition: Precondition, call: Call, inputs: NDArray[np.uint8]) -> Flags:
    """
    Which rows of inputs a bound is about: those whose arguments lie in its ranges.
    """
    fits = np.ones(len(inputs), bool)
    if call.slots != len(precondition.arguments):
        return fits
    for place, span in enumerate(precondition.arguments):
        slot = np.ascontiguousarray(inputs[:, 8 * place : 8 * place + 8]).view("<u8").reshape(-1)
        fits &= (slot >= np.uint64(span.lo)) & (slot <= np.uint64(span.hi))
    return fits


def reason_of(entry: str, span: Span, value: int, claim: Claim) -> str:
    """
    Which reading contradicts which claim, without a full stop.
    """
    if claim.what == PAGES:
        return f"{entry}: {span.node} had {value:,} pages, where at most {claim.hi:,} are proved"
    return (
        f"{entry}: {span.node} showed {value:,} by {claim.what}, where {claim.lo:,}..{claim.hi:,}"
        " is proved"
    )


def claim_of(span: Span, status: int) -> Claim:
    """
    What the bound says of a call that ended with *status*.
    """
    bound = span.bound
    if status == Status.RETURNED:
        return Claim(span.what, bound.lo, bound.hi)
    return Claim(span.what, bound.any_lo if status in TRAPS else 0, bound.any_hi)
