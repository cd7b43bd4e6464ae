"""
A seat: one node of the pool with its worker, its queue, and its rules for when a worker falls.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from runners.arena import SLOTS, row_widths
from runners.cell import CellLimits
from runners.frames import ProtocolBreachError
from runners.job import Job, Span
from runners.launch import Launch
from runners.probe import Probe
from runners.records import Identity, Node
from runners.status import BROKEN, Status
from runners.worker_process import Answer, Death, WorkerProcess

HELLO_DEADLINE_MS = 60_000
FAILED_STARTS = 2
MOST_RESTARTS = 2000

_LEGAL = np.zeros(256, bool)
for _status in Status:
    _LEGAL[_status] = _status not in BROKEN and _status != Status.PENDING

_DEATHS = {"deadline": Status.TIMED_OUT, "rule": Status.BROKE_PROTOCOL, "signal": Status.CRASHED}


class WorkerStartError(Exception):
    """
    A worker does not come up: the engine's environment is broken.
    """


@dataclass(slots=True, eq=False)
class Flight:
    """
    A span that a worker holds.
    """

    span: Span
    slot: int
    at: dict[str, int]
    probes: list[dict[str, int]]


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """
    A module's bytes and the time its compilation may take.
    """

    data: bytes
    compile_deadline_ms: int


class Seat:
    """
    One node. Methods never block; the pool drives them.
    """

    def __init__(
        self,
        node: Node,
        launch: Launch,
        limits: CellLimits,
        arena_bytes: int,
        modules: dict[str, ModuleSource],
        probe: Probe | None,
    ) -> None:
        """
        Set the node up; its worker starts with the first work.
        """
        self.node, self.launch, self.limits = node, launch, limits
        self.arena_bytes, self.modules, self.probe = arena_bytes, modules, probe
        self.worker: WorkerProcess | None = None
        self.identity: Identity | None = None
        self.capabilities: frozenset[str] = frozenset()
        self.queue: deque[Span] = deque()
        self.flights: deque[Flight] = deque()
        self.finished: deque[Job] = deque()
        self.asked: deque[Answer] = deque()
        self.restarts = 0
        self._refused: dict[str, tuple[Status, str]] = {}
        self._suspect_loads: set[str] = set()
        self._failed_starts = 0
        self._since_ns = 0
        self._progress = -1

    # ------------------------------------------------------------------------------ giving

    def add(self, job: Job) -> None:
        """
        Take on a job.
        """
        self._push([Span(job, 0, len(job.block))], front=False)
        if not len(job.block):
            self.finished.append(job)

    def _push(self, spans: list[Span], *, front: bool) -> None:
        """
        Queue spans of a job, keeping their order.
        """
        spans = [span for span in spans if len(span)]
        for span in spans:
            span.job.open_spans += 1
        if front:
            self.queue.extendleft(reversed(spans))
        else:
            self.queue.extend(spans)

    def start(self) -> WorkerProcess:
        """
        The running worker, started if need be; raises WorkerStartError.
        """
        if self.worker is None:
            try:
                self.worker = WorkerProcess(self.launch, self.limits, self.arena_bytes)
            except OSError as error:
                message = f"{self.node.label()}: cannot start {self.launch.argv[0]}: {error}"
                raise WorkerStartError(message) from error
            self._since_ns = time.monotonic_ns()
            self._progress = -1
            self._send("hello", {})
        return self.worker

    def _send(
        self, command: str, fields: dict[str, Any], blobs: list[bytes] | None = None,
        context: Any = None,
    ) -> None:  # fmt: skip
        """
        Queue a command; the deadline of an idle worker starts now.
        """
        worker = self.start()
        if not worker.owed:
            self._since_ns = time.monotonic_ns()
            self._progress = -1
        worker.send(command, fields, blobs or (), context)

    def ask(self, command: str, fields: dict[str, Any], blobs: list[bytes] | None = None) -> None:
        """
        Put one command to the worker; its answer comes to `asked`.
        """
        self._send(command, fields, blobs, "ask")

    def fill(self) -> None:
        """
        Hand spans to the worker while it has room for them.
        """
        while self.queue and len(self.flights) < SLOTS:
            alone = self.queue[0].alone or any(flight.span.alone for flight in self.flights)
            if alone and self.flights:
                return
            span = self.queue.popleft()
            if span.job.given_up or span.job.module in self._refused:
                self._abandon(span)
                continue
            self._dispatch(span)

    def _abandon(self, span: Span) -> None:
        """
        Resolve a span without running it.
        """
        refusal = self._refused.get(span.job.module)
        if refusal is not None:
            span.job.mark(span.start, span.stop, *refusal)
        else:
            span.job.details[span.start] = "not run: too many cases before it broke the worker"
        self._close(span)

    def _close(self, span: Span) -> None:
        """
        A span is done; so is its job when it was the last one.
        """
        job = span.job
        job.open_spans -= 1
        if not job.open_spans:
            self.finished.append(job)

    def load(self, name: str, data: bytes, memory_pages: int) -> None:
        """
        Send a module that the worker does not hold yet.
        """
        worker = self.start()
        if name in worker.loaded:
            return
        worker.loaded.add(name)
        engine = self.node.engine
        fields = {
            "module": name,
            "settings": {"compiler": engine.compiler, **dict(engine.settings)},
            "cpu": self.node.cpu,
            "memory_pages": memory_pages,
        }
        self._send("load", fields, [data], name)

    def _dispatch(self, span: Span) -> None:
        """
        Write a span's inputs into the arena and send its commands.
        """
        worker = self.start()
        block = span.job.block
        self.load(span.job.module, self.modules[span.job.module].data, block.budget.memory_pages)
        slot = min({0, 1} - {flight.slot for flight in self.flights})
        at = worker.arena.place(slot, block.call, block.level, len(span))
        flight = Flight(span, slot, at, [])
        self.flights.append(flight)
        self._send_probe(flight, 0)
        rows = block.inputs[span.start : span.stop]
        self._send_batch(flight.at, block, rows, self.node.policy, ("call", flight))
        self._send_probe(flight, 1)

    def _send_probe(self, flight: Flight, which: int) -> None:
        """
        Send the probe that goes before or after a batch.
        """
        if self.probe is None:
            return
        worker, block = self.start(), self.probe.block
        self.load("probe", self.probe.module, block.budget.memory_pages)
        at = worker.arena.place_probe(flight.slot, which, block.call, len(block))
        flight.probes.append(at)
        self._send_batch(at, block, block.inputs, f"reuse({len(block)})", ("probe", flight, which))

    def _send_batch(
        self, at: dict[str, int], block: Any, rows: Any, policy: str, context: Any
    ) -> None:
        """
        Zero a batch's arrays, write its inputs, send its `call`.
        """
        arena, count = self.start().arena, len(rows)
        arena.rows(at["progress"], 1, 8)[:] = 0
        arena.rows(at["status"], count, 1)[:] = 0
        arena.rows(at["output"], count, block.call.output_bytes)[:] = 0
        for name, width in row_widths(block.call, block.level).items():
            if name not in ("input", "status", "output"):
                arena.rows(at[name], count, width)[:] = 0
        arena.rows(at["input"], count, block.call.input_bytes)[:] = rows
        fields = {
            "module": "probe" if context[0] == "probe" else context[1].span.job.module,
            "call": msgspec.to_builtins(block.call),
            "policy": policy,
            "level": block.level.value,
            "fuel": block.budget.fuel,
            "count": count,
            "at": at,
        }
        self._send("call", fields, None, context)

    # ----------------------------------------------------------------------------- taking

    def take(self, answer: Answer) -> None:
        """
        Digest one answer; raises ProtocolBreachError for an answer that makes no sense.
        """
        now = time.monotonic_ns()
        busy, self._since_ns, self._progress = now - self._since_ns, now, -1
        command, context = answer.owed.command, answer.owed.context
        if command == "hello":
            self._take_hello(answer)
        elif command == "load":
            self._take_load(answer)
        elif context == "ask":
            self.asked.append(answer)
        elif context[0] == "probe":
            self._take_probe(context[1], context[2], answer)
        else:
            context[1].span.job.busy_ns += busy
            self._take_call(context[1], answer)

    def _take_hello(self, answer: Answer) -> None:
        """
        Learn who the worker says it is.
        """
        header, launch = answer.header, self.launch
        texts = ("package_version", "core_version", "library_sha256", "interpreter",
                 "cpu_features_sha256")  # fmt: skip
        if header.get("protocol") != 1 or not all(isinstance(header.get(t), str) for t in texts):
            rule = "reply-shape"
            raise ProtocolBreachError(rule, "hello lacks a field or speaks another protocol")
        claims = header.get("capabilities")
        if not isinstance(claims, list) or not all(isinstance(claim, str) for claim in claims):
            rule = "reply-shape"
            raise ProtocolBreachError(rule, "capabilities is not a list of names")
        self.capabilities = frozenset(claims)
        self._failed_starts = 0
        self.identity = Identity(
            package_version=header["package_version"],
            core_version=header["core_version"] or launch.core_version,
            library_sha256=header["library_sha256"],
            worker_sha256=launch.worker_sha256,
            artifact_sha256=launch.artifact_sha256,
            interpreter=header["interpreter"],
            cpu_features_sha256=header["cpu_features_sha256"],
        )

    def _take_load(self, answer: Answer) -> None:
        """
        A refused module settles all jobs that need it.
        """
        error = answer.header.get("error")
        if error is not None:
            text = f"{error['rule']}: {error['text']}"
            self._refused[answer.owed.context] = (Status.REJECTED_COMPILE, text)

    def _take_probe(self, flight: Flight, which: int, answer: Answer) -> None:
        """
        Compare a probe's outputs with the only right ones.
        """
        probe, worker = self.probe, self.worker
        if probe is None or worker is None:
            return
        at, count = flight.probes[which], len(probe.block)
        seen = worker.arena.rows(at["output"], count, probe.block.call.output_bytes)
        if "error" in answer.header or not np.array_equal(seen, probe.expected):
            flight.span.job.probe_failures.append(which)
        if which == 1:
            self._land(flight)

    def _take_call(self, flight: Flight, answer: Answer) -> None:
        """
        Check a finished batch and copy its rows.
        """
        worker, span, job = self.worker, flight.span, flight.span.job
        if worker is None:
            return
        error = answer.header.get("error")
        if error is not None:
            status, text = self._refusal(job, error)
            job.mark(span.start, span.stop, status, text)
        else:
            _check_batch(worker, flight, answer)
            job.take(span, worker.arena, flight.at, len(span))
            job.absent.update(answer.header["not_observed"])
            job.meter = answer.header["meter"] or job.meter
            for row, text in answer.header["details"].items():
                job.details[span.start + int(row)] = str(text)[:200]
            for row in range(span.start, span.stop) if job.suspects else ():
                if row in job.suspects:
                    job.unstable[row] = job.suspects.pop(row)
        if self.probe is None:
            self._land(flight)

    def _refusal(self, job: Job, error: dict[str, str]) -> tuple[Status, str]:
        """
        Status of rows whose whole batch was refused.
        """
        text = f"{error['rule']}: {error['text']}"
        refused = self._refused.get(job.module)
        if refused is not None:
            return refused
        if error["stage"] == "compile":
            return Status.REJECTED_COMPILE, text
        rule = "reply-shape"
        raise ProtocolBreachError(rule, f"a batch was refused: {text}")

    def _land(self, flight: Flight) -> None:
        """
        A flight is over.
        """
        self.flights.remove(flight)
        self._close(flight.span)

    # --------------------------------------------------------------------------- watching

    def overdue(self) -> bool:
        """
        Whether the oldest command has had its time, counted from the last sign of progress.
        """
        worker = self.worker
        if worker is None or not worker.owed:
            return False
        now = time.monotonic_ns()
        owed = worker.owed[0]
        limit_ms = HELLO_DEADLINE_MS
        if owed.command == "load" and owed.context in self.modules:
            limit_ms = self.modules[owed.context].compile_deadline_ms
        elif owed.command == "call" and owed.context != "ask" and owed.context[0] == "call":
            flight = owed.context[1]
            limit_ms = flight.span.job.block.budget.deadline_ms
            progress = worker.arena.progress(flight.at["progress"])
            if progress != self._progress:
                self._progress, self._since_ns = progress, now
        return now - self._since_ns > limit_ms * 1_000_000

    def fell(self, breach: ProtocolBreachError | None, *, deadline: bool = False) -> None:
        """
        Bury the worker and decide what becomes of the work it held.
        """
        worker = self.worker
        if worker is None:
            return
        oldest = worker.owed[0] if worker.owed else None
        flights = list(self.flights)
        self.flights.clear()
        keep = self._salvage(worker, oldest.context if oldest else None)
        death = worker.bury(breach, deadline=deadline)
        self.worker = None
        self.restarts += 1
        if self.restarts > MOST_RESTARTS:
            message = f"{self.node.label()}: its worker fell {self.restarts} times: {death.text}"
            raise WorkerStartError(message)
        again = [flight.span for flight in flights if keep is None or flight is not keep[0]]
        for span in again:
            span.job.open_spans -= 1
        self._push(again, front=True)
        if oldest is None or oldest.command == "hello":
            self._failed_start(death)
        elif oldest.command == "load":
            self._failed_load(oldest.context, death)
        elif keep is not None:
            self._blame_row(keep[0].span, keep[1], death)

    def _salvage(self, worker: WorkerProcess, context: Any) -> tuple[Flight, int] | None:
        """
        Copy the rows that a dying batch had finished; returns the flight and its culprit row.
        """
        if not isinstance(context, tuple):
            return None
        flight: Flight = context[1]
        span = flight.span
        if worker.arena.resized():
            return flight, span.start
        if context[0] == "probe":
            done = len(span) if context[2] == 1 else 0
        else:
            done = worker.arena.progress(flight.at["progress"]) - 1
        done = max(0, min(done, len(span) - 1))
        statuses = worker.arena.rows(flight.at["status"], done, 1)[:, 0]
        if done and _LEGAL[statuses].all() and span.job.block.level == "result":
            span.job.take(span, worker.arena, flight.at, done)
            return flight, span.start + done
        if done:
            self._push([Span(span.job, span.start, span.start + done)], front=True)
        return flight, span.start + done

    def _blame_row(self, span: Span, row: int, death: Death) -> None:
        """
        Decide what the case is that the worker died on, and queue what comes after it.
        """
        job = span.job
        if death.cause == "signal" and row not in job.suspects:
            job.suspects[row] = death.word
            start = max(span.start, row - row % job.reuse)
            self._push(job.split_after(row, span.stop), front=True)
            self._push([Span(job, start, row + 1, alone=True)], front=True)
        else:
            job.suspects.pop(row, None)
            job.timeouts += death.cause == "deadline"
            job.breaks += death.cause != "deadline"
            text = f"{death.word} {death.text}".strip()
            job.mark(row, row + 1, _DEATHS[death.cause], text)
            self._push(job.split_after(row, span.stop), front=True)
        self._close(span)

    def _failed_load(self, name: str, death: Death) -> None:
        """
        A module that kills the worker twice while it is compiled, or takes too long, is settled.
        """
        if death.cause == "signal" and name not in self._suspect_loads:
            self._suspect_loads.add(name)
            return
        text = f"compile: {death.word} {death.text}".strip()
        self._refused[name] = (_DEATHS[death.cause], text)

    def _failed_start(self, death: Death) -> None:
        """
        A worker that does not even say hello, twice, is a broken environment.
        """
        self._failed_starts += 1
        if self._failed_starts >= FAILED_STARTS:
            message = f"{self.node.label()}: its worker does not start: {death.word} {death.text}"
            raise WorkerStartError(message.strip())

    def dismiss(self) -> None:
        """
        End the worker.
        """
        if self.worker is not None:
            self.worker.dismiss()
            self.worker = None


def _check_batch(worker: WorkerProcess, flight: Flight, answer: Answer) -> None:
    """
    Check what a finished batch left in the arena and in its reply.
    """
    header, count = answer.header, len(flight.span)
    if worker.arena.resized():
        rule = "arena-size"
        raise ProtocolBreachError(rule)
    shapes = {"filled": list, "not_observed": dict, "meter": str, "details": dict}
    if not all(isinstance(header.get(name), kind) for name, kind in shapes.items()) or not all(
        isinstance(text, str) for text in header["not_observed"].values()
    ):
        rule = "reply-shape"
        raise ProtocolBreachError(rule, "call")
    if not all(row.isdecimal() and int(row) < count for row in header["details"]):
        rule = "reply-shape"
        raise ProtocolBreachError(rule, "details name rows that the batch does not have")
    if worker.arena.progress(flight.at["progress"]) != count + 1:
        rule = "progress"
        raise ProtocolBreachError(rule, "a reply before progress says that all is done")
    statuses = worker.arena.rows(flight.at["status"], count, 1)[:, 0]
    if not _LEGAL[statuses].all():
        rule = "status-byte"
        wrong = statuses[~_LEGAL[statuses]][0]
        raise ProtocolBreachError(rule, f"{wrong}")
    absent = set(flight.span.job.arrays) - set(header["filled"]) - set(header["not_observed"])
    if absent:
        rule = "reply-shape"
        raise ProtocolBreachError(rule, f"{sorted(absent)} neither filled nor excused")
