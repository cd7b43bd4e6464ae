"""
What a node still has to run, in order, and the jobs that are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from runners.arena import BatchTooLargeError, rows_that_fit
from runners.job import Job, Span
from runners.status import Status


class Backlog:
    """
    The queue of one node. It knows nothing of workers.
    """

    def __init__(self, arena_bytes: int) -> None:
        """
        Start empty; `arena_bytes` bounds the rows that one span can have.
        """
        self.queue: deque[Span] = deque()
        self.finished: deque[Job] = deque()
        self.refused: dict[tuple[str, int], tuple[Status, str]] = {}
        """(module, memory pages) -> the outcome of every case of it, and why."""
        self._arena_bytes = arena_bytes

    def add(self, job: Job) -> None:
        """
        Take on a job, in spans that fit in the arena; raises BatchTooLargeError.
        """
        block, count = job.block, len(job.block)
        fit = rows_that_fit(block.call, block.level, self._arena_bytes)
        if fit < count:
            fit -= fit % job.reuse
        if count and not fit:
            message = (
                f"{min(job.reuse, count)} cases of {block.call.input_bytes}+"
                f"{block.call.output_bytes} bytes must share one batch and do not fit in an arena"
                f" of {self._arena_bytes} bytes: use a larger arena or a shorter reuse(N)"
            )
            raise BatchTooLargeError(message)
        self.push(
            [Span(job, start, min(count, start + fit)) for start in range(0, count, fit or 1)]
        )
        if not count:
            self.finished.append(job)

    def push(self, spans: Sequence[Span], *, front: bool = False) -> None:
        """
        Queue spans, keeping their order; empty ones are left out.
        """
        spans = [span for span in spans if len(span)]
        for span in spans:
            span.job.open_spans += 1
            if span.doubt is not None:
                span.doubt.open_spans += 1
        if front:
            self.queue.extendleft(reversed(spans))
        else:
            self.queue.extend(spans)

    def close(self, span: Span) -> None:
        """
        A span is done; so is its job when it was the last one.

        Push what follows from a span before it is closed.
        """
        job, doubt = span.job, span.doubt
        if doubt is not None:
            doubt.open_spans -= 1
            if not doubt.open_spans and not doubt.settled:
                job.unstable[doubt.row] = doubt.rule
        job.open_spans -= 1
        if not job.open_spans:
            self.finished.append(job)

    def replace(self, span: Span, spans: Sequence[Span]) -> None:
        """
        Put others in the place of a span that a worker held, at the front of the queue.
        """
        self.push(spans, front=True)
        self.close(span)

    def resolved(self, span: Span) -> bool:
        """
        Resolve a span that need not be run; False if it must be.
        """
        job = span.job
        refusal = self.refused.get((job.module, job.block.budget.memory_pages))
        if refusal is None and not job.given_up:
            return False
        if span.doubt is not None:
            # Nothing more is run, so nothing can be said about whether the breach repeats.
            span.doubt.settled = True
        if refusal is not None:
            job.mark(span.start, span.end, *refusal)
        else:
            job.mark(span.start, span.end, Status.PENDING, job.why_given_up)
        self.close(span)
        return True
