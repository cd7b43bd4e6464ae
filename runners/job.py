"""
A job: one block put to one node, whatever it takes until every row has an outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runners.arena import Arena
from runners.blocks import BlockOutcome, Bytes2, CaseBlock
from runners.records import Level
from runners.status import Status

GIVE_UP_TIMEOUTS = 3
"""Cases of one job that may time out before the rest of it is not run any more."""
GIVE_UP_BREAKS = 8
"""Cases of one job that may kill or confuse the worker before the rest of it is not run."""


@dataclass(frozen=True, slots=True)
class Span:
    """
    Rows `[start, stop)` of a job, to be put to a worker in one batch.
    """

    job: Job
    start: int
    stop: int
    alone: bool = False
    """Repeats a crash: nothing else may be in flight beside it."""

    def __len__(self) -> int:
        """
        Number of cases.
        """
        return self.stop - self.start


@dataclass(slots=True, eq=False)
class Job:
    """
    One block and what has come back of it so far.
    """

    ticket: int
    module: str
    block: CaseBlock
    reuse: int
    """Cases per instance: 1, or the N of policy `reuse(N)`."""
    status: NDArray[np.uint8] = field(init=False)
    outputs: Bytes2 = field(init=False)
    arrays: dict[str, Bytes2] = field(init=False)
    absent: dict[str, str] = field(default_factory=dict)
    meter: str = ""
    details: dict[int, str] = field(default_factory=dict)
    suspects: dict[int, str] = field(default_factory=dict)
    """Row -> signal of a crash that is being repeated."""
    unstable: dict[int, str] = field(default_factory=dict)
    probe_failures: list[int] = field(default_factory=list)
    open_spans: int = 0
    timeouts: int = 0
    breaks: int = 0
    busy_ns: int = 0

    def __post_init__(self) -> None:
        """
        Make room for the outcomes.
        """
        count, call = len(self.block), self.block.call
        self.status = np.zeros(count, np.uint8)
        self.outputs = np.zeros((count, call.output_bytes), np.uint8)
        widths: dict[str, int] = {}
        if self.block.level.rank >= Level.STATE.rank:
            widths |= {"pages": 4, "memory": 32, "globals": 8 * len(call.globals)}
        if self.block.level.rank >= Level.FULL.rank:
            widths["gas"] = 8
        self.arrays = {name: np.zeros((count, width), np.uint8) for name, width in widths.items()}

    @property
    def given_up(self) -> bool:
        """
        Whether so many cases broke the worker that the rest is not worth its restarts.
        """
        return self.timeouts >= GIVE_UP_TIMEOUTS or self.breaks >= GIVE_UP_BREAKS

    def take(self, span: Span, arena: Arena, at: dict[str, int], count: int) -> None:
        """
        Copy the first `count` rows of a span out of the arena.
        """
        stop = span.start + count
        self.status[span.start : stop] = arena.rows(at["status"], count, 1)[:, 0]
        width = self.outputs.shape[1]
        self.outputs[span.start : stop] = arena.rows(at["output"], count, width)
        for name, array in self.arrays.items():
            array[span.start : stop] = arena.rows(at[name], count, array.shape[1])

    def mark(self, start: int, stop: int, status: Status, text: str) -> None:
        """
        Give rows an outcome that the controller decided on.
        """
        self.status[start:stop] = status
        self.outputs[start:stop] = 0
        for array in self.arrays.values():
            array[start:stop] = 0
        if text and stop > start:
            self.details[start] = text[:200]

    def split_after(self, row: int, stop: int) -> list[Span]:
        """
        Spans for the rows after `row`, so that instances open where they would have anyway.
        """
        boundary = min(stop, row - row % self.reuse + self.reuse)
        spans = [Span(self, row + 1, boundary), Span(self, boundary, stop)]
        return [span for span in spans if len(span)]

    def outcome(self) -> BlockOutcome:
        """
        The finished record.
        """
        absent = dict(self.absent)
        arrays = {name: array for name, array in self.arrays.items() if name not in absent}
        pages, gas = arrays.get("pages"), arrays.get("gas")
        return BlockOutcome(
            status=self.status,
            outputs=self.outputs,
            pages=None if pages is None else pages.view("<u4")[:, 0],
            memory=arrays.get("memory"),
            globals=arrays.get("globals"),
            gas=None if gas is None else gas.view("<u8")[:, 0],
            meter=self.meter,
            not_observed=tuple(sorted(absent.items())),
            details=dict(sorted(self.details.items())),
            unstable=dict(sorted(self.unstable.items())),
            fpu_broken=bool(self.probe_failures),
        )
