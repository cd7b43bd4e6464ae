"""
Instances that stay open: one after the other is called, looked into and dropped by its holder.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import msgspec

from runners.answers import check_batch, check_error, check_statuses
from runners.blocks import BlockOutcome, CaseBlock
from runners.dispatch import batch_fields
from runners.flight import Flight
from runners.frames import ProtocolBreachError
from runners.hosting import Hosting
from runners.hosts.host import HostMaker
from runners.job import Job, Span
from runners.pool import Pool, WorkerLostError
from runners.records import Budget, Call, Level
from runners.worker_process import Answer


class InstanceRefusedError(Exception):
    """
    A worker would not open, call or show a held instance; `stage` and `rule` as in PROTOCOL.md.
    """

    def __init__(self, node: str, error: dict[str, str]) -> None:
        """
        Keep the worker's words beside stage and rule.
        """
        super().__init__(f"{node}: {error['stage']} {error['rule']}: {error['text']}")
        self.stage, self.rule = error["stage"], error["rule"]


class HeldInstance:
    """
    One instance at one seat of a pool, open from the start of the object's life until `drop`.

    As a context manager it is dropped at the end. Nothing else may be outstanding at the seat
    while a method runs. Every method raises InstanceRefusedError for what the worker refuses, and
    WorkerLostError when it dies, is too slow or answers nonsense: the instance is lost with it.
    """

    def __init__(
        self,
        pool: Pool,
        seat: int,
        module_sha256: str,
        call: Call,
        *,
        name: str,
        budget: Budget,
        level: Level = Level.RESULT,
        host: HostMaker | None = None,
    ) -> None:
        """
        Open it; level `full` opens it with the engine's own meter. The pool must know the module.

        *host* answers its imports, a new one for the opening and for each case; without one the
        node's own does.
        """
        self._pool, self._seat, self._module = pool, seat, module_sha256
        self._host = pool.seats[seat].host if host is None else host
        self.name = name
        target = pool.seats[seat]
        self._worker = target.load(module_sha256, budget, level)
        fields = {
            "module": module_sha256,
            "instance": name,
            "call": msgspec.to_builtins(call),
            "level": level.value,
            "fuel": budget.fuel,
        }
        hosting = pool.seats[seat].hosting(module_sha256, self._host, 0, level)
        self._ask("open_instance", fields, deadline_ms=budget.deadline_ms, hosting=hosting)

    def __enter__(self) -> Self:
        """
        It is open already.
        """
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Drop it, if its worker lives.
        """
        if self._pool.seats[self._seat].worker is self._worker:
            self.drop()

    def run(self, block: CaseBlock) -> BlockOutcome:
        """
        Run the cases of a block, of whatever entry, and leave the instance open.

        A case that stops spends it, and the rest of the block has that case's outcome. Raises
        BatchTooLargeError.
        """
        self._require_alive()
        worker, count = self._worker, len(block)
        at = worker.arena.place(0, block.call, block.level, count)
        fields = batch_fields(worker, at, block, block.inputs)
        fields |= {"module": self._module, "policy": "fresh"}
        hosting = self._pool.seats[self._seat].hosting(self._module, self._host, count, block.level)
        answer = self._ask(
            "call",
            fields,
            deadline_ms=block.budget.deadline_ms * max(1, count),
            hosting=hosting,
            progress_at=at["progress"],
        )
        job = Job(0, self._module, block, max(1, count))
        span = Span(job, 0, count)
        flight = Flight(span, 0, at)
        try:
            reply = check_batch(worker.arena, flight, answer.header)
            statuses = check_statuses(worker.arena, flight, count)
            if hosting is not None:
                hosting.check(statuses)
            job.take(span, statuses, worker.arena, at)
        except ProtocolBreachError as breach:
            raise self._lost(breach) from breach
        job.absent.update(reply.not_observed)
        job.meter = reply.meter
        job.details.update(reply.details)
        if hosting is not None:
            job.watch_hosts()
            job.take_hosts(span, hosting, count)
        return job.outcome()

    def memory_bytes(self) -> int:
        """
        Size of its memory now.
        """
        return self._peek(0, 0)[0]

    def peek(self, address: int, size_bytes: int) -> bytes:
        """
        Bytes of its memory.
        """
        return self._peek(address, size_bytes)[1]

    def memory(self) -> bytes:
        """
        All of its memory, as it is now.
        """
        return self.peek(0, self.memory_bytes())

    def poke(self, address: int, data: bytes) -> None:
        """
        Write into its memory.
        """
        self._ask("poke", {"address": address}, [data])

    def drop(self) -> None:
        """
        Close it.
        """
        self._ask("drop", {})

    def _peek(self, address: int, size_bytes: int) -> tuple[int, bytes]:
        """
        Size of the whole memory, and some of its bytes.
        """
        answer = self._ask("peek", {"address": address, "size": size_bytes})
        whole = answer.header.get("memory_bytes")
        if type(whole) is not int or [len(blob) for blob in answer.blobs] != [size_bytes]:
            rule = "reply-shape"
            raise self._lost(ProtocolBreachError(rule, "peek without memory_bytes or its bytes"))
        return whole, answer.blobs[0]

    def _ask(
        self,
        command: str,
        fields: dict[str, Any],
        blobs: list[bytes] | None = None,
        deadline_ms: int | None = None,
        hosting: Hosting | None = None,
        progress_at: int | None = None,
    ) -> Answer:
        """
        Put a command about the instance to the worker that has it.
        """
        self._require_alive()
        fields = {**fields, "instance": self.name}
        answer = self._pool.ask(
            self._seat, command, fields, blobs, deadline_ms, hosting, progress_at
        )
        error = check_error(answer.header)
        if error is not None:
            raise InstanceRefusedError(self._label, error)
        return answer

    @property
    def _label(self) -> str:
        return self._pool.seats[self._seat].node.label()

    def _require_alive(self) -> None:
        """
        Raise WorkerLostError if another worker sits there by now: it knows no such instance.
        """
        if self._pool.seats[self._seat].worker is not self._worker:
            message = f"{self._label}: the worker that held the instance is gone"
            raise WorkerLostError(message)

    def _lost(self, breach: ProtocolBreachError) -> WorkerLostError:
        """
        Have a worker killed that answered nonsense; returns what to raise.
        """
        self._pool.condemn(self._seat, breach)
        message = f"{self._label} broke the protocol ({breach.rule}): {breach}"
        return WorkerLostError(message)
