"""
What `weavegate bound` says of abstract execution: loops and places, never gas.
"""

from __future__ import annotations

from typing import Any

from conformance.bounds.bound import BoundReport
from reports.escapes import shortened

_MOST = 12


def guide_lines(report: BoundReport) -> list[str]:
    """
    Where the call has no bound: how far abstract execution came, and how often loops repeated.
    """
    guide = report.guide
    if guide is None or all(answer.bound is not None for answer in report.gas):
        return []
    lines = [shortened(line, 300) for line in guide.sentences()]
    return [*lines[:_MOST], *(["  ..."] if len(lines) > _MOST else [])]


def guide_json(report: BoundReport) -> dict[str, Any] | None:
    """
    The same as JSON, whether the call has a bound or not; `proved` says that nothing of it is.
    """
    guide = report.guide
    if guide is None:
        return None
    return {
        "proved": False,
        "complete": guide.complete,
        "reason": guide.reason,
        "function": guide.title,
        "offset": guide.offset,
        "sentence": guide.sentence,
        "steps": guide.steps,
        "loops": [
            {"function": loop.title, "offset": loop.offset, "visits": loop.visits}
            for loop in guide.loops
        ],
    }
