"""
Places marks on the axes of the page's pictures, in percent of their width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reports.phrases import cases_of, duration_words

if TYPE_CHECKING:
    from reports.model import NodeReport, Report


MOST_LABELS: Final = 4
"""On an axis of more decades only every second one is labelled, for narrow screens."""


@dataclass(frozen=True, slots=True)
class Segment:
    """
    One part of a bar.
    """

    name: str
    """Also the name of its pattern, so that no reader depends on colour."""
    cases: int
    start: float
    """Left edge in percent of the whole axis."""
    width: float
    """Percent of the whole axis."""


@dataclass(frozen=True, slots=True)
class Bar:
    """
    Parts of one whole, side by side.
    """

    label: str
    total: int
    segments: tuple[Segment, ...]
    """Parts that are not empty."""


@dataclass(frozen=True, slots=True)
class Tick:
    """
    A labelled place on the axis.
    """

    place: float
    label: str
    """Empty where labels would crowd."""
    anchor: str
    """SVG `text-anchor` that keeps the label inside the picture."""


@dataclass(frozen=True, slots=True)
class Point:
    """
    Time per case of one engine.
    """

    label: str
    place: float | None
    """Percent of the axis; None where no case ran in this run."""
    words: str
    cases: int
    served: int


@dataclass(frozen=True, slots=True)
class TimePlot:
    """
    A logarithmic axis of time per case, and engines on it.
    """

    ticks: tuple[Tick, ...]
    points: tuple[Point, ...]


def stacked(label: str, parts: tuple[tuple[str, int], ...], whole: int) -> Bar:
    """
    Lay *parts* (name, cases) side by side on an axis that ends at *whole* cases.
    """
    segments, at = [], 0
    for name, cases in parts:
        if cases > 0:
            scale = 100 / max(whole, 1)
            segments.append(Segment(name, cases, round(at * scale, 3), round(cases * scale, 3)))
            at += cases
    return Bar(label, at, tuple(segments))


def _level_bar(node: NodeReport, whole: int) -> Bar:
    parts = (
        ("result", node.cases_result),
        ("state", node.cases_state),
        ("full", node.cases_full),
    )
    return stacked(node.label, parts, whole)


def level_bars(report: Report) -> tuple[Bar, ...]:
    """
    Per node that took part: cases by observe level, all on the axis of the busiest node.
    """
    nodes = [node for node in report.nodes if node.role != "not asked"]
    whole = max((cases_of(node) for node in nodes), default=0)
    return tuple(_level_bar(node, whole) for node in nodes)


def sampling_bar(report: Report) -> Bar:
    """
    All cases of the run: edge, sample and bulk.
    """
    s = report.sampling
    parts = (("edge", s.edge), ("sample", s.sample), ("bulk", s.bulk))
    return stacked("all cases", parts, s.edge + s.sample + s.bulk)


def time_plot(report: Report) -> TimePlot:
    """
    Time per case on a logarithmic axis of whole decades, at least one.
    """
    ran = [m.us_per_case for m in report.run.engines if m.cases and m.us_per_case > 0]
    low = math.floor(math.log10(min(ran))) if ran else 0
    high = max(low + 1, math.ceil(math.log10(max(ran)))) if ran else 1
    stride = 1 if high - low <= MOST_LABELS else 2
    anchors = {low: "start", high: "end"}
    ticks = tuple(
        Tick(
            round(100 * (decade - low) / (high - low), 3),
            "" if (decade - low) % stride else duration_words(10.0**decade).replace(".0", ""),
            anchors.get(decade, "middle"),
        )
        for decade in range(low, high + 1)
    )
    points = []
    for item in report.run.engines:
        timed = item.cases > 0 and item.us_per_case > 0
        place = 100 * (math.log10(item.us_per_case) - low) / (high - low) if timed else None
        points.append(
            Point(
                item.label,
                None if place is None else round(place, 3),
                duration_words(item.us_per_case) if timed else "no case ran",
                item.cases,
                item.served_from_evidence,
            )
        )
    return TimePlot(ticks, tuple(points))
