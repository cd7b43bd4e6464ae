"""
A job: one block put to one node, whatever it takes until every row has an outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runners.arena import Arena
from runners.blocks import BlockOutcome, Bytes2, CaseBlock
from runners.hosting import LEFT_OUT, MOST_CUT, Hosting
from runners.hosts.recording import RecordedCall, log_sha256
from runners.records import Level
from runners.status import Status

GIVE_UP_TIMEOUTS: Final = 3
"""Cases of one job that may time out before the rest of it is not run any more."""
GIVE_UP_BREAKS: Final = 8
"""Cases of one job that may kill or confuse the worker before the rest of it is not run."""
TEXT_LIMIT: Final = 200
"""Most characters of an engine's own words that are kept per row."""


@dataclass(slots=True, eq=False)
class Doubt:
    """
    A breach whose row is not known yet: the spans that may hold it are run again, ever shorter.
    """

    rule: str
    row: int
    """First row that may be at fault."""
    open_spans: int = 0
    settled: bool = False
    """Whether a row was found that breaks the rule again."""


@dataclass(frozen=True, slots=True)
class Search:
    """
    Where in the cases of one instance a breach may lie, counted from the span's first row.

    The first `passes` cases are known to pass, the first `breaks` were seen to break.
    """

    passes: int
    breaks: int


@dataclass(frozen=True, slots=True)
class Span:
    """
    Rows `[start, stop)` of a job, to be put to a worker in one batch.

    It starts where an instance is to be opened, and leaves the rows of an instance together.
    """

    job: Job
    start: int
    stop: int
    alone: bool = False
    """Repeats a crash of its last row: nothing else may be in flight beside it."""
    search: Search | None = None
    """Set while prefixes of one instance's cases are tried."""
    waiting: int = 0
    """Rows from `stop` to here are queued when it is known what became of this span."""
    doubt: Doubt | None = None

    def __len__(self) -> int:
        """
        Number of cases.
        """
        return self.stop - self.start

    @property
    def end(self) -> int:
        """
        End of the rows that this span answers for, those that wait for it included.
        """
        return max(self.stop, self.waiting)

    def part(self, start: int, stop: int, **changes: object) -> Span:
        """
        Another span of the same job, under the same doubt.
        """
        plain = Span(self.job, start, stop, doubt=self.doubt)
        return replace(plain, **changes)  # type: ignore[arg-type]  # fields of Span, given by name

    def boundary_after(self, row: int) -> int:
        """
        The row at which the instance that serves `row` is closed.
        """
        reuse = self.job.reuse
        return min(self.end, row - row % reuse + reuse)

    def instance_start(self, row: int) -> int:
        """
        The row for which the instance that serves `row` was opened.
        """
        return max(self.start, row - row % self.job.reuse)

    def after(self, row: int) -> list[Span]:
        """
        Spans for the rows after `row`, whose instance is lost with it.
        """
        boundary = self.boundary_after(row)
        return [self.part(row + 1, boundary), self.part(boundary, self.end)]


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
    """Rows taken over from a batch that died have none: its worker's words died with it."""
    suspects: dict[int, str] = field(default_factory=dict)
    """Row -> signal of a crash that is being repeated."""
    unstable: dict[int, str] = field(default_factory=dict)
    probe_failures: list[int] = field(default_factory=list)
    host_calls: Bytes2 | None = None
    """Digests of the logs of host calls: at level `full`, of a module that can make any."""
    host_log: tuple[RecordedCall, ...] | None = None
    open_spans: int = 0
    timeouts: int = 0
    breaks: int = 0
    cut: int = 0
    """Cases that a limit on what hosts give ended."""
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
        Whether so many cases broke the worker, or were cut, that the rest is not worth its time.
        """
        broken = self.timeouts >= GIVE_UP_TIMEOUTS or self.breaks >= GIVE_UP_BREAKS
        return broken or self.cut >= MOST_CUT

    @property
    def why_given_up(self) -> str:
        """
        What to say of rows that are not run any more.
        """
        broken = "not run: too many cases before it broke the worker"
        return LEFT_OUT if self.cut >= MOST_CUT else broken

    def take(
        self, span: Span, statuses: NDArray[np.uint8], arena: Arena, at: dict[str, int]
    ) -> None:
        """
        Copy the first rows of a span out of the arena; `statuses` are theirs, already checked.
        """
        count = len(statuses)
        stop = span.start + count
        self.status[span.start : stop] = statuses
        width = self.outputs.shape[1]
        self.outputs[span.start : stop] = arena.rows(at["output"], count, width)
        failed = statuses != Status.RETURNED
        if failed.any():
            self.outputs[span.start : stop][failed] = 0
        for name, array in self.arrays.items():
            array[span.start : stop] = arena.rows(at[name], count, array.shape[1])

    def watch_hosts(self) -> None:
        """
        Make room for what is asked of hosts, if the level asks for it.
        """
        if self.host_calls is None and self.block.level is Level.FULL:
            self.host_calls = np.zeros((len(self.block), 32), np.uint8)

    def take_hosts(self, span: Span, hosting: Hosting, count: int) -> None:
        """
        Take over what was asked of the hosts of a span's first `count` rows, already taken.

        A host that complains about a case that returned makes a trap of it.
        """
        self.cut += len(hosting.cut)
        for row in range(count):
            place = span.start + row
            if hosting.left_out(row):
                self._leave_out(place)
                continue
            if self.status[place] == Status.RETURNED:
                complaint = hosting.complaint(row)
                if complaint:
                    self.status[place] = Status.TRAP_HOST
                    self.outputs[place] = 0
                    self.details[place] = complaint[:TEXT_LIMIT]
            elif self.status[place] == Status.TRAP_HOST:
                reason = hosting.stopped(row)
                if reason:
                    self.details[place] = reason
            if self.host_calls is not None:
                log = hosting.log(row)
                digest = log_sha256(call.line() for call in log)
                self.host_calls[place] = np.frombuffer(digest, np.uint8)
                if len(self.block) == 1:
                    self.host_log = tuple(log)

    def _leave_out(self, row: int) -> None:
        """
        Take back what became of a row whose host did not answer it.
        """
        self.details.pop(row, None)
        said = LEFT_OUT in self.details.values()
        self.mark(row, row + 1, Status.PENDING, "" if said else LEFT_OUT)

    def mark(self, start: int, stop: int, status: Status, text: str) -> None:
        """
        Give rows an outcome that the controller decided on.
        """
        self.status[start:stop] = status
        self.outputs[start:stop] = 0
        for array in self.arrays.values():
            array[start:stop] = 0
        if self.host_calls is not None:
            self.host_calls[start:stop] = 0
        if text and stop > start:
            self.details[start] = text[:TEXT_LIMIT]

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
            host_calls=self.host_calls,
            host_log=self.host_log,
            fpu_broken=bool(self.probe_failures),
            cut=self.cut,
        )
