"""
What the pictures of a bound show: plain records, shares in percent, words already chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_BINS: Final = 60
_WIDE: Final = 40
"""From this ratio of the ends on, the axis is logarithmic."""
_MARGIN: Final = 4.0
"""Percent of the axis that stays free at each end."""


@dataclass(frozen=True, slots=True)
class GasView:
    """
    The answer under one model, and what was measured.
    """

    model: str
    answer: str
    """`exact`, `proved` or `unknown`."""
    sentence: str
    lo: int | None
    hi: int | None
    measured: tuple[int, ...]
    """Of calls that returned."""
    trapped: int
    outside: int
    independence: str
    """Of `the same for every input`: `proved`, `refuted`, `unknown`."""

    @property
    def ratio(self) -> str:
        """
        The proved maximum over the greatest measured.
        """
        if self.hi is None or not self.measured or not max(self.measured):
            return ""
        return f"{self.hi / max(self.measured):.4f}"


@dataclass(frozen=True, slots=True)
class FunctionView:
    """
    One function on a dearest run.
    """

    function: int
    title: str
    calls: str
    own: str
    """Gas of its own instructions, callees not."""
    share: float
    """Percent of the proved maximum."""
    each: tuple[str, ...]
    """`lo..hi` of one call, by model."""
    divided: bool = True
    """False: too large to be looked into, so its callees show no share."""


@dataclass(frozen=True, slots=True)
class CallView:
    """
    Calls from one function of another on a dearest run.
    """

    caller: int
    callee: int
    calls: str


@dataclass(frozen=True, slots=True)
class LoopView:
    """
    One loop: what is proved of each entry, and what it costs in the whole call.
    """

    title: str
    offset: int
    line: str
    least: str
    most: str
    """Repetitions for each entry."""
    rounds: str
    """Repetitions on a dearest run, all entries together; empty where the call has no bound."""
    each: str
    """Gas of one passage, inner loops and callees included."""
    share: float | None


@dataclass(frozen=True, slots=True)
class BoundView:
    """
    One call of one module.
    """

    entry: str
    module: str
    precondition: tuple[str, ...]
    assumptions: tuple[str, ...]
    gas: tuple[GasView, ...]
    memory: tuple[tuple[str, str], ...]
    """Names and values of pages and stacks; empty where nothing is proved."""
    model: str
    """Whose gas the shares are of."""
    functions: tuple[FunctionView, ...]
    """The greatest share first."""
    calls: tuple[CallView, ...]
    loops: tuple[LoopView, ...]
    """In the order of the code."""
    left: float
    """Percent of the proved maximum that no function accounts for."""
    unknown: tuple[tuple[str, ...], ...]
    """Why there is no bound, and what would do: lines that belong together."""
    parts: tuple[str, ...]
    """Functions that have bounds of their own, where the call has none."""
    limits: tuple[str, ...]
    moved: tuple[str, ...] | None

    @property
    def known(self) -> bool:
        """
        Whether the gas is bounded under every model.
        """
        return all(line.hi is not None for line in self.gas)

    @property
    def headline(self) -> str:
        """
        The answer in few words.
        """
        if not self.known:
            return "unknown"
        exact = all(line.answer == "exact" for line in self.gas)
        return "exact" if exact else "proved, under assumptions" if self.assumptions else "proved"


@dataclass(frozen=True, slots=True)
class Column:
    """
    A bar of a histogram.
    """

    place: float
    width: float
    height: float
    """All in percent."""
    calls: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """
    Measured gas between the ends of a bound, on one axis.
    """

    lo: float
    hi: float
    """Percent of the axis."""
    columns: tuple[Column, ...]
    logarithmic: bool
    words: str
    """The same for those who do not see it."""


def distribution(line: GasView) -> Distribution | None:
    """
    Lay a bound and what was measured out; None where there is nothing of both.
    """
    if line.lo is None or line.hi is None or not line.measured:
        return None
    first, last = min(line.lo, *line.measured), max(line.hi, *line.measured)
    logarithmic = last / max(first, 1) > _WIDE

    def place(gas: int) -> float:
        scale = math.log1p if logarithmic else float
        low, high = scale(first), scale(last)
        inner = 50.0 if high == low else 100 * (scale(gas) - low) / (high - low)
        return round(_MARGIN + inner * (100 - 2 * _MARGIN) / 100, 3)

    bins: dict[int, int] = {}
    for gas in line.measured:
        at = min(_BINS - 1, int(place(gas) * _BINS / 100))
        bins[at] = bins.get(at, 0) + 1
    tallest = max(bins.values())
    columns = tuple(
        Column(round(100 * at / _BINS, 3), round(100 / _BINS, 3), round(100 * n / tallest, 2), n)
        for at, n in sorted(bins.items())
    )
    ends = f"proved {line.lo:,} to {line.hi:,}"
    seen = f"{len(line.measured):,} calls measured {min(line.measured):,} to {max(line.measured):,}"
    return Distribution(
        place(line.lo), place(line.hi), columns, logarithmic, f"{line.model}: {ends}; {seen}"
    )
