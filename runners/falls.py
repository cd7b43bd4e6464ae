"""
What becomes of a worker's work when it falls: which row is at fault, and what is run again.

A crash counts when the case crashes again, alone, on a fresh worker. A case that outlives its
deadline, or with which the worker exits, is settled at once. A breach that does not tell its row
is looked for: the rows are run again, halved between instances, and by prefixes within one.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Final

from runners.answers import check_statuses
from runners.arena import Arena
from runners.backlog import Backlog
from runners.flight import Flight, ForBatch, ForProbe
from runners.frames import ProtocolBreachError
from runners.job import Doubt, Search, Span
from runners.records import Level
from runners.status import Status
from runners.worker_process import Death

STATUS_OF: Final[dict[str, Status]] = {
    "deadline": Status.TIMED_OUT,
    "rule": Status.BROKE_PROTOCOL,
    "signal": Status.CRASHED,
}
"""Cause of a death -> outcome of the case that is at fault."""

TOLD_BY_PROGRESS: Final = frozenset({"exited", "output-flood", "host-call", "host-turn"})
"""Rules that are broken while a case runs, not in what is said about the batch afterwards."""


def row_of(purpose: ForBatch | ForProbe, progress: int, death: Death) -> int | None:
    """
    Row of the batch that a worker died on, as far as its progress tells; None if it does not.

    A crash and a deadline always get a row: the one beside which they fell.
    """
    count = len(purpose.flight.span)
    row = progress - 1
    if isinstance(purpose, ForProbe):
        row = count if purpose.which else -1
    if death.cause != "rule":
        return max(0, min(row, count - 1))
    told = death.word in TOLD_BY_PROGRESS and 0 <= row < count
    return row if told else None


def landed(backlog: Backlog, span: Span) -> None:
    """
    A span came back whole: queue what waited for it.
    """
    job = span.job
    for row in sorted(job.suspects) if job.suspects else ():
        if span.start <= row < span.stop:
            job.unstable[row] = job.suspects.pop(row)
    if span.search is not None:
        search = replace(span.search, passes=len(span))
        backlog.replace(span, _search_on(span, search))
    elif span.waiting:
        backlog.replace(span, _go_on(span))
    else:
        backlog.close(span)


def fallen(backlog: Backlog, span: Span, row: int | None, death: Death) -> None:
    """
    A worker died with a span: settle `row`, or look for it if it is None, and queue the rest.
    """
    if row is None and span.search is not None:
        search = replace(span.search, breaks=len(span))
        if search.breaks - search.passes == 1:
            _settle(backlog, span, span.stop - 1, death)
        else:
            backlog.replace(span, _search_on(span, search))
    elif row is None:
        _look_for(backlog, span, death)
    elif death.cause == "signal" and not (span.alone and row == span.stop - 1):
        _repeat_alone(backlog, span, row, death.word)
    else:
        _settle(backlog, span, row, death)


def salvaged(backlog: Backlog, arena: Arena, flight: Flight, done: int) -> None:
    """
    Take over the first `done` rows of a batch whose worker is dead.

    Above level `result` nobody said which arrays were filled, so these rows are run again.
    """
    span = flight.span
    if not done:
        return
    if span.job.block.level is Level.RESULT:
        # Rows with an illegal status are run again, and then reported for what they are.
        with contextlib.suppress(ProtocolBreachError):
            statuses = check_statuses(arena, flight, done)
            span.job.take(span, statuses, arena, flight.at)
            if flight.hosting is not None:
                span.job.take_hosts(span, flight.hosting, done)
            return
    backlog.push([span.part(span.start, span.start + done)], front=True)


def _repeat_alone(backlog: Backlog, span: Span, row: int, signal: str) -> None:
    """
    Run the history of a case that crashed, and the case, with nothing else in flight.
    """
    span.job.suspects[row] = signal
    start = span.instance_start(row)
    backlog.replace(span, [span.part(start, row + 1, alone=True, waiting=span.end)])


def _settle(backlog: Backlog, span: Span, row: int, death: Death) -> None:
    """
    Give a row its outcome and queue what comes after it.
    """
    job = span.job
    job.suspects.pop(row, None)
    job.timeouts += death.cause == "deadline"
    job.breaks += death.cause != "deadline"
    text = f"{death.word} {death.text}".strip()
    job.mark(row, row + 1, STATUS_OF[death.cause], text)
    if span.doubt is not None:
        span.doubt.settled = True
    backlog.replace(span, span.after(row))


def _look_for(backlog: Backlog, span: Span, death: Death) -> None:
    """
    Begin to look for the row of a breach, or halve the rows in which it is looked for.
    """
    if len(span) == 1:
        _settle(backlog, span, span.start, death)
        return
    doubt = span.doubt or Doubt(death.word, span.start)
    middle = span.instance_start(span.start + len(span) // 2)
    if middle == span.start:
        middle = span.boundary_after(span.start)
    if middle < span.stop:
        halves = [
            span.part(span.start, middle, doubt=doubt),
            span.part(middle, span.stop, doubt=doubt, waiting=span.waiting),
        ]
        backlog.replace(span, halves)
    else:
        prefixes = _search_on(span, Search(0, len(span)))
        backlog.replace(span, [replace(prefix, doubt=doubt) for prefix in prefixes])


def _search_on(span: Span, search: Search) -> list[Span]:
    """
    The next prefix to try; the shortest one that breaks is tried once more before it is blamed.
    """
    if search.passes == search.breaks:
        return _go_on(span)
    length = (search.passes + search.breaks) // 2
    if search.breaks - search.passes == 1:
        length = search.breaks
    return [span.part(span.start, span.start + length, search=search, waiting=span.end)]


def _go_on(span: Span) -> list[Span]:
    """
    Spans for what waits for a span that lies in one instance and passed after all.

    The instance goes on where it was, so the cases before are run again as its history.
    """
    boundary = span.boundary_after(span.start)
    start = boundary if span.stop == boundary else span.start
    return [span.part(start, boundary), span.part(boundary, span.end)]
