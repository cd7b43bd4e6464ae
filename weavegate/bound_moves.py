"""
What differs from an earlier certificate: the call, functions, loops, memory and stack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from conformance.bounds.bound import BoundReport
from conformance.bounds.certificate import Certificate, Summary
from reports.escapes import shortened

_Pair = tuple[int | str, int | str]
_Key = tuple[int, int, str, str, str]
"""Rank, function, title, quantity, model."""


@dataclass(frozen=True, slots=True)
class Moved:
    """
    One number, or pair of numbers, that is not what it was.
    """

    model: str
    """Empty for what is no gas."""
    what: str
    """`call`, or what the function is called."""
    quantity: str
    """`gas`, `loop 1` (times it repeats for each entry), `pages`, `activations`, `frame words`."""
    before: _Pair | None
    """None: there was none, or it was not proved."""
    after: _Pair | None

    def sentence(self) -> str:
        """
        `dense: gas under cosmwasm-vm@3.0.4: 3..5 to 3..9, +4 at most`.
        """
        under = f" under {self.model}" if self.model else ""
        change = ""
        if self.before is not None and self.after is not None:
            by = Fraction(self.after[1]) - Fraction(self.before[1])
            change = f", {'+' if by > 0 else ''}{_number(by)} at most" if by else ""
        if self.after is None:
            change = ", it is not proved any more" if self.what == "call" else ", it is gone"
        elif self.before is None:
            change = ", it is new"
        shown = f"{_shown(self.before)} to {_shown(self.after)}{change}"
        return f"{shortened(self.what)}: {self.quantity}{under}: {shown}"


def _number(value: Fraction) -> str:
    return f"{value.numerator:,}" if value.denominator == 1 else str(value)


def _shown(pair: _Pair | None) -> str:
    if pair is None:
        return "nothing"
    low, high = (_number(Fraction(end)) for end in pair)
    return low if low == high else f"{low}..{high}"


def moves(before: Certificate, report: BoundReport) -> tuple[Moved, ...]:
    """
    All that moved since *before*, the call first; only models that are asked for now.

    Functions are paired by name where both certificates have it once, else by index.
    """
    after = report.certificate
    models = {answer.model for answer in report.gas}
    paired = _names(before, after)
    tables = [
        {} if item is None else dict(_rows(item, models, names))
        for item, names in zip((before, after), paired, strict=True)
    ]
    found = []
    for key in sorted(tables[0].keys() | tables[1].keys()):
        old, new = tables[0].get(key), tables[1].get(key)
        if after is None and key[0]:
            # Without a bound of the call nothing is known of the rest, so nothing moved there.
            continue
        if old != new:
            found.append(Moved(key[4], key[2], key[3], old, new))
    return tuple(found)


def _names(before: Certificate, after: Certificate | None) -> tuple[dict[str, str], dict[str, str]]:
    """
    Summary -> what pairs it, in both certificates.
    """
    both = [before.summaries, () if after is None else after.summaries]
    counts = [Counter(summary.title for summary in summaries) for summaries in both]
    shared = {t for t in counts[0] if t and counts[0][t] == 1 == counts[1].get(t, 1)}
    shared |= {t for t in counts[1] if t and counts[1][t] == 1 and t not in counts[0]}
    return _paired(both[0], shared), _paired(both[1], shared)


def _paired(summaries: Sequence[Summary], shared: set[str]) -> dict[str, str]:
    return {
        summary.name: summary.title if summary.title in shared else f"function {summary.function}"
        for summary in summaries
    }


def _rows(
    certificate: Certificate, models: set[str], names: dict[str, str]
) -> Iterator[tuple[_Key, _Pair]]:
    for bound in certificate.bounds:
        if bound.model in models:
            yield (0, 0, "call", "gas", bound.model), (bound.lo, bound.hi)
    stack = certificate.stack
    for quantity, most in (
        ("pages", certificate.pages), ("activations", stack.depth),
        ("frame words", stack.frame_words),
    ):  # fmt: skip
        yield (0, 1, "call", quantity, ""), (most, most)
    for summary in certificate.summaries:
        title = names[summary.name]
        for cost in summary.costs:
            if cost.model in models:
                yield (1, 0, title, "gas", cost.model), (cost.lo, cost.hi)
        for number, pair in enumerate(_loops(summary), 1):
            yield (1, 1, title, f"loop {number}", ""), pair


def _loops(summary: Summary) -> list[_Pair]:
    """
    Times that each loop repeats for each of its entries, in the order of the code.
    """
    found: dict[int, dict[str, Fraction]] = {}
    for fact in summary.facts:
        if fact.scope == "entry" and fact.weights and fact.weights[0].target == fact.of + 1:
            turns = Fraction(fact.bound, max(1, fact.weights[0].weight))
            known = found.setdefault(fact.of, {})
            best = min if fact.kind == "most" else max
            known[fact.kind] = best(known.get(fact.kind, turns), turns)
    return [
        (str(known.get("least", Fraction(0))), str(known["most"]))
        for _, known in sorted(found.items())
        if "most" in known
    ]
