"""
A seat: one node of the pool, with its worker and its backlog.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from runners.answers import check_batch, check_hello, check_size, check_statuses
from runners.arena import SLOTS
from runners.backlog import Backlog
from runners.cell import CellLimits
from runners.dispatch import PROBE_NAME, Dispatcher, ModuleSource
from runners.falls import STATUS_OF, fallen, landed, row_of, salvaged
from runners.flight import Flight, ForAsker, ForBatch, ForHello, ForLoad, ForProbe, Purpose
from runners.frames import ProtocolBreachError
from runners.hosting import OPENING, Hosting
from runners.hosts.host import HostMaker
from runners.job import Job
from runners.launch import Launch
from runners.probe import Probe
from runners.records import Budget, Identity, Level, Node
from runners.status import Status
from runners.watch import Watch
from runners.worker_process import Answer, Death, HostTurn, Owed, WorkerProcess

FAILED_STARTS: Final = 3
"""Falls in a row, none of them while a case ran, after which a node is called broken."""
MOST_RESTARTS: Final = 2000


class WorkerStartError(Exception):
    """
    A worker does not come up: the engine's environment is broken.
    """


def _hosting_of(purpose: Purpose) -> Hosting | None:
    """
    What answers the host calls that a worker makes while it carries a command out.
    """
    match purpose:
        case ForBatch(flight):
            return flight.hosting
        case ForAsker():
            return purpose.hosting
        case _:
            return None


class Seat:
    """
    One node. Methods never block for a worker's sake; the pool drives them.
    """

    def __init__(
        self,
        node: Node,
        launch: Launch,
        limits: CellLimits,
        arena_bytes: int,
        modules: Mapping[str, ModuleSource],
        probe: Probe | None,
        host: HostMaker | None = None,
    ) -> None:
        """
        Set the node up; its worker starts with the first work.
        """
        environment = (*launch.environment, *node.environment)
        self.node, self.limits = node, limits
        self.launch = msgspec.structs.replace(launch, environment=environment)
        self.arena_bytes = arena_bytes
        self.backlog = Backlog(arena_bytes)
        self.worker: WorkerProcess | None = None
        self.identity: Identity | None = None
        self.capabilities: frozenset[str] = frozenset()
        self.flights: deque[Flight] = deque()
        self.asked: deque[Answer] = deque()
        self.idle_falls: list[Death] = []
        """Deaths that no case can be blamed for: between batches, or over an answer too many."""
        self.restarts = 0
        self.host = host
        """What answers the imports of modules here; None: every call of one is refused."""
        self._dispatcher = Dispatcher(node, modules, probe, host)
        self._suspect_loads: set[str] = set()
        self._failed_starts = 0
        self._taking: Owed | None = None
        self._watch = Watch()

    # ------------------------------------------------------------------------------ giving

    def add(self, job: Job) -> None:
        """
        Take on a job; raises BatchTooLargeError.
        """
        self.backlog.add(job)

    def start(self) -> WorkerProcess:
        """
        The running worker, started if need be; raises WorkerStartError.
        """
        if self.worker is None:
            try:
                self.worker = WorkerProcess(self.launch, self.limits, self.arena_bytes)
            except OSError as error:
                message = f"{self.node.label()}: {self._why_not_started(error)}"
                raise WorkerStartError(message) from error
            self._watch.restart()
            self.worker.send("hello", {}, (), ForHello())
        return self.worker

    def _why_not_started(self, error: OSError) -> str:
        """
        What kept a worker from being started, and what to do about it.
        """
        if error.errno == errno.EFBIG:
            return (
                "its worker cannot be started: the limit on the size of files (`ulimit -f`) is"
                f" below the {self.arena_bytes / (1 << 20):g} MiB of memory that weavegate shares"
                " with a worker: raise it, for example with `ulimit -f unlimited`"
            )
        return (
            f"its worker cannot be started ({error.strerror or error}): is"
            f" {self.launch.argv[0]} there, and do `ulimit -a` and the memory suffice?"
        )

    def ask(
        self,
        command: str,
        fields: dict[str, Any],
        blobs: list[bytes] | None = None,
        deadline_ms: int | None = None,
        hosting: Hosting | None = None,
        progress_at: int | None = None,
    ) -> None:
        """
        Put one command to the worker; its answer comes to `asked`.
        """
        worker = self.start()
        if not worker.owed:
            self._watch.restart()
        worker.send(command, fields, blobs or (), ForAsker(deadline_ms, hosting, progress_at))

    def load(self, module: str, budget: Budget, level: Level) -> WorkerProcess:
        """
        Send a known module to the worker, unless it holds it; returns the worker.

        *budget* and *level*: of the cases that it is to serve first.
        """
        worker = self.start()
        if not worker.owed:
            self._watch.restart()
        self._dispatcher.load(worker, module, self._dispatcher.modules[module], budget, level)
        return worker

    def hosting(
        self, module: str, maker: HostMaker | None, count: int, level: Level
    ) -> Hosting | None:
        """
        What answers the host calls of `count` cases of a known module; None if it can make none.
        """
        return self._dispatcher.modules[module].hosting(maker, count, level)

    def feed(self) -> None:
        """
        Hand spans to the worker while it has room for them, and write what waits for the pipe.
        """
        self._fill()
        if self.worker is not None:
            self.worker.flush()

    def _fill(self) -> None:
        """
        Queue commands for as many spans as the worker may hold.
        """
        queue = self.backlog.queue
        while queue and len(self.flights) < SLOTS:
            alone = queue[0].alone or any(flight.span.alone for flight in self.flights)
            if alone and self.flights:
                return
            span = queue.popleft()
            if self.backlog.resolved(span):
                continue
            worker, block = self.start(), span.job.block
            slot = min({0, 1} - {flight.slot for flight in self.flights})
            at = worker.arena.place(slot, block.call, block.level, len(span))
            if not worker.owed:
                self._watch.restart()
            flight = Flight(span, slot, at)
            self.flights.append(flight)
            self._dispatcher.send(worker, flight)

    # ----------------------------------------------------------------------------- taking

    def read(self) -> None:
        """
        Read replies and digest them; raises ProtocolBreachError, or EOFError at their end.
        """
        if self.worker is not None:
            for answer in self.worker.read_replies():
                self._taking = answer.owed
                if isinstance(answer, HostTurn):
                    self._serve(self.worker, answer)
                else:
                    self._take(answer)
            self._taking = None

    def _serve(self, worker: WorkerProcess, turn: HostTurn) -> None:
        """
        Answer what a guest asked of its host; raises ProtocolBreachError.
        """
        purpose, row = turn.owed.purpose, OPENING
        hosting = _hosting_of(purpose)
        if isinstance(purpose, ForBatch | ForAsker) and purpose.progress_at is not None:
            row = worker.arena.progress(purpose.progress_at) - 1
        if hosting is None:
            rule = "host-turn"
            raise ProtocolBreachError(rule, "a host call while nothing runs that can make one")
        header, blobs = hosting.turn(turn.header, turn.blobs, row)
        worker.send_turn(turn.owed.identifier, header, blobs)

    def _take(self, answer: Answer) -> None:
        """
        Digest one answer; raises ProtocolBreachError for an answer that makes no sense.
        """
        worker = self.worker
        if worker is None:
            return
        asked = _hosting_of(answer.owed.purpose)
        if asked is not None:
            asked.check_closed()
        busy_ns = self._watch.restart()
        match answer.owed.purpose:
            case ForHello():
                self.identity, self.capabilities = check_hello(answer.header, self.launch)
            case ForLoad(module, pages):
                self._take_load(module, pages, answer)
            case ForBatch(flight):
                flight.span.job.busy_ns += busy_ns
                self._take_batch(worker, flight, answer)
            case ForProbe(flight, which):
                self._take_probe(worker, flight, which, answer)
            case ForAsker():
                self._failed_starts = 0
                self.asked.append(answer)

    def _take_load(self, module: str, pages: int, answer: Answer) -> None:
        """
        A refused module settles all jobs that need it.
        """
        self._suspect_loads.discard(module)
        error = answer.header.get("error")
        if error is not None:
            text = f"{error['rule']}: {error['text']}"
            self.backlog.refused[module, pages] = (Status.REJECTED_COMPILE, text)

    def _take_batch(self, worker: WorkerProcess, flight: Flight, answer: Answer) -> None:
        """
        Check a finished batch and copy its rows.
        """
        span, job = flight.span, flight.span.job
        refusal = self._refusal(job, answer.header.get("error"))
        if refusal is None:
            reply = check_batch(worker.arena, flight, answer.header)
            statuses = check_statuses(worker.arena, flight, len(span))
            if flight.hosting is not None:
                flight.hosting.check(statuses)
            job.take(span, statuses, worker.arena, flight.at)
            job.absent.update(reply.not_observed)
            job.meter = reply.meter or job.meter
            for row, text in reply.details.items():
                job.details[span.start + row] = text
            if flight.hosting is not None:
                job.take_hosts(span, flight.hosting, len(span))
        else:
            job.mark(span.start, span.stop, *refusal)
        if self._dispatcher.probe is None:
            self._land(flight)

    def _refusal(self, job: Job, error: dict[str, str] | None) -> tuple[Status, str] | None:
        """
        Outcome of rows whose whole batch was refused, None if it was not.

        A worker that refused the module has nothing to say about its cases, whatever it answers.
        Raises ProtocolBreachError when it refuses a batch of a module that it took.
        """
        refused = self.backlog.refused.get((job.module, job.block.budget.memory_pages))
        if refused is not None or error is None:
            return refused
        text = f"{error['rule']}: {error['text']}"
        if error["stage"] == "compile":
            return Status.REJECTED_COMPILE, text
        rule = "reply-shape"
        raise ProtocolBreachError(rule, f"a batch was refused: {text}")

    def _take_probe(
        self, worker: WorkerProcess, flight: Flight, which: int, answer: Answer
    ) -> None:
        """
        Compare a probe's outputs with the only right ones.
        """
        probe = self._dispatcher.probe
        if probe is None:
            return
        check_size(worker.arena)
        at, count = flight.probes[which], len(probe.block)
        seen = worker.arena.rows(at["output"], count, probe.block.call.output_bytes)
        if "error" in answer.header or not np.array_equal(seen, probe.expected):
            flight.span.job.probe_failures.append(which)
        if which == 1:
            self._land(flight)

    def _land(self, flight: Flight) -> None:
        """
        A flight is over.
        """
        self._failed_starts = 0
        self.flights.remove(flight)
        landed(self.backlog, flight.span)

    # --------------------------------------------------------------------------- watching

    def overdue(self) -> bool:
        """
        Whether the oldest command has had its time, counted from the last sign of progress.

        Raises ProtocolBreachError when progress or the arena is not as it must be.
        """
        worker = self.worker
        if worker is None or not worker.owed:
            return False
        purpose = worker.owed[0].purpose
        if isinstance(purpose, ForBatch):
            self._watch.look(worker.arena, purpose, len(purpose.flight.span))
        elif isinstance(purpose, ForProbe) and self._dispatcher.probe is not None:
            self._watch.look(worker.arena, purpose, len(self._dispatcher.probe.block))
        return self._watch.beyond(self._allowed_ms(purpose))

    def _allowed_ms(self, purpose: Purpose) -> int:
        """
        How long a command may take without a sign of progress.
        """
        modules, limit = self._dispatcher.modules, self.limits.start_deadline_ms
        match purpose:
            case ForLoad(module, _):
                return modules[module].compile_deadline_ms if module in modules else limit
            case ForBatch(flight):
                job = flight.span.job
                deadline_ms = job.block.budget.deadline_ms
                if not self._watch.progress:
                    # Before the first case the metered form of the module may be compiled.
                    deadline_ms = max(deadline_ms, modules[job.module].compile_deadline_ms)
                return deadline_ms
            case ForAsker(deadline_ms=int(own)):
                return own
            case _:
                return limit

    # ---------------------------------------------------------------------------- falling

    def fell(self, breach: ProtocolBreachError | None, *, deadline: bool = False) -> None:
        """
        Bury the worker and decide what becomes of the work it held; raises WorkerStartError.
        """
        worker = self.worker
        if worker is None:
            return
        death = worker.kill(breach, deadline=deadline)
        purpose = self._blamed(worker, breach)
        self._taking = None
        guilty = purpose.flight if isinstance(purpose, ForBatch | ForProbe) else None
        innocent = [flight.span for flight in self.flights if flight is not guilty]
        self.flights.clear()
        self.worker = None
        self.restarts += 1
        for span in reversed(innocent):
            self.backlog.replace(span, [span])
        match purpose:
            case ForBatch() | ForProbe():
                self._failed_starts = 0
                self._blame(worker, purpose, breach, death)
            case ForLoad():
                self._failed_load(purpose, death)
            case ForHello() | None:
                self._failed_start(death)
            case ForAsker():
                # The pool tells the caller.
                pass
        worker.close()
        if self.restarts > MOST_RESTARTS:
            message = f"{self.node.label()}: its worker fell {self.restarts} times: {death.text}"
            raise WorkerStartError(message)

    def _blamed(self, worker: WorkerProcess, breach: ProtocolBreachError | None) -> Purpose | None:
        """
        What the worker was doing when it fell; None if nobody waited for it.
        """
        owed = worker.owed[0] if worker.owed else None
        if self._taking is not None:
            owed = self._taking
        elif breach is not None and breach.rule == "unasked-reply":
            owed = worker.answered
        purpose = None if owed is None else owed.purpose
        if isinstance(purpose, ForBatch | ForProbe) and purpose.flight not in self.flights:
            return None
        return purpose

    def _blame(
        self,
        worker: WorkerProcess,
        purpose: ForBatch | ForProbe,
        breach: ProtocolBreachError | None,
        death: Death,
    ) -> None:
        """
        Take over the rows that a dying batch had finished, and settle the rest.
        """
        flight, span = purpose.flight, purpose.flight.span
        if worker.arena.resized():
            fallen(self.backlog, span, None, death)
            return
        progress = worker.arena.progress(purpose.progress_at)
        if death.cause == "deadline" and progress != self._watch.progress:
            # It moved on after all, between the last look at it and the kill.
            self.backlog.replace(span, [span])
            return
        row = breach.row if breach is not None else None
        if row is None:
            row = row_of(purpose, progress, death)
        if row is not None and isinstance(purpose, ForBatch):
            salvaged(self.backlog, worker.arena, flight, row)
        fallen(self.backlog, span, None if row is None else span.start + row, death)

    def _failed_load(self, purpose: ForLoad, death: Death) -> None:
        """
        A module that kills the worker twice while it is compiled, or takes too long, is settled.

        The first time nobody is blamed. The probe's module is no job's: without it nothing runs.
        """
        if purpose.module == PROBE_NAME:
            self._failed_start(death)
            return
        if death.cause == "signal" and purpose.module not in self._suspect_loads:
            self._suspect_loads.add(purpose.module)
            self.idle_falls.append(death)
            return
        text = f"compile: {death.word} {death.text}".strip()
        self.backlog.refused[purpose.module, purpose.memory_pages] = (STATUS_OF[death.cause], text)

    def _failed_start(self, death: Death) -> None:
        """
        A worker that falls again and again without work is a broken environment.
        """
        self.idle_falls.append(death)
        self._failed_starts += 1
        if self._failed_starts >= FAILED_STARTS:
            engine, last = self.node.engine, death.text.strip().splitlines()[-1:]
            words = ": ".join(filter(None, [death.word or death.cause, *last]))[:300]
            message = (
                f"{self.node.label()}: its worker does not start ({words}): run"
                f" `weavegate engines install --again {engine.name}@{engine.version}`"
            )
            raise WorkerStartError(message)

    def dismiss(self) -> None:
        """
        End the worker.
        """
        if self.worker is not None:
            self.worker.dismiss()
            self.worker = None
