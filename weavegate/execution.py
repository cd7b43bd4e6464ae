"""
Puts blocks to nodes: from evidence where it is there, else through the pool, keeping what comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.evidence.answers import PutKind
from conformance.evidence.keys import BlockKey, block_key
from conformance.evidence.store import EvidenceStore
from runners.blocks import BlockOutcome, CaseBlock
from runners.instances import cases_per_instance
from runners.pool import Pool
from runners.records import Identity, Level, Node
from runners.status import Status


@dataclass(frozen=True, slots=True)
class Task:
    """
    A block to be put to a node.
    """

    seat: int
    """Index of the node in the pool."""
    place: int
    """Index of the block in the caller's order."""
    module_sha256: str
    block: CaseBlock


@dataclass(frozen=True, slots=True)
class Done:
    """
    A task with its outcome.
    """

    task: Task
    outcome: BlockOutcome
    key: BlockKey
    ran: int
    """Cases that were run now; the others were in evidence."""
    busy_ns: int


@dataclass(slots=True)
class Flaky:
    """
    A key that gave two outcomes.
    """

    task: Task
    rows: tuple[int, ...]
    earlier: BlockOutcome
    later: BlockOutcome


@dataclass(slots=True)
class Executor:
    """
    Runs tasks. The evidence file is written one block, one transaction, at a time.
    """

    pool: Pool
    store: EvidenceStore
    nodes: Sequence[Node]
    identities: Sequence[Identity]
    again: bool = False
    """Run what is stored as well: a differing outcome is the flaky finding."""
    flaky: list[Flaky] = field(default_factory=list)
    keys: list[tuple[BlockKey, Level]] = field(default_factory=list)
    """Every key that was asked for, for the digest of a run's evidence."""

    def execute(self, tasks: Sequence[Task], seen: Callable[[Done], None]) -> None:
        """
        Carry out all tasks, each node's in the order given, calling *seen* for each as it is done.

        Raises EvidenceError when evidence cannot be kept; what was kept stays.
        """
        waiting: dict[int, deque[tuple[Task, BlockKey]]] = {}
        for task in tasks:
            key = block_key(
                task.module_sha256, task.block, self.nodes[task.seat], self.identities[task.seat]
            )
            self.keys.append((key, task.block.level))
            waiting.setdefault(task.seat, deque()).append((task, key))
        flying: dict[int, _Flying] = {}
        while any(waiting.values()) or flying:
            for seat, queue in waiting.items():
                while queue and self.pool.has_room(seat):
                    task, key = queue.popleft()
                    flight = self._start(task, key)
                    if isinstance(flight, Done):
                        seen(flight)
                    else:
                        flying[flight.ticket] = flight
            for completion in self.pool.wait():
                done = self._land(
                    flying.pop(completion.ticket), completion.outcome, completion.busy_ns
                )
                seen(done)

    def run(self, tasks: Sequence[Task]) -> list[Done]:
        """
        Carry out tasks and return them in the order of *tasks*.
        """
        found: dict[int, Done] = {}
        self.execute(tasks, lambda done: found.__setitem__(id(done.task), done))
        return [found[id(task)] for task in tasks]

    def _start(self, task: Task, key: BlockKey) -> Done | _Flying:
        """
        Serve a task from evidence, or submit what is missing of it.
        """
        stored = None if self.again else self.store.lookup(key, task.block.level)
        if stored is not None and stored.complete:
            return Done(task, stored.outcome, key, 0, 0)
        rows: NDArray[np.int64] | None = None
        if stored is not None and cases_per_instance(self.nodes[task.seat].policy) == 1:
            rows = stored.missing
        block = task.block if rows is None else subset(task.block, rows)
        ticket = self.pool.submit(task.seat, task.module_sha256, block)
        return _Flying(ticket, task, key, rows, None if stored is None else stored.outcome)

    def _land(self, flight: _Flying, outcome: BlockOutcome, busy_ns: int) -> Done:
        """
        Keep an outcome and complete it with what evidence held before.
        """
        ran = len(outcome)
        if flight.rows is not None and flight.stored is not None:
            outcome = merged(flight.stored, outcome, flight.rows)
        if not outcome.fpu_broken:
            put = self.store.put(flight.key, flight.task.block.level, outcome)
            if put.kind is PutKind.FLAKY:
                earlier = self.store.lookup(flight.key, flight.task.block.level)
                if earlier is not None:
                    self.flaky.append(Flaky(flight.task, put.differing, earlier.outcome, outcome))
        return Done(flight.task, outcome, flight.key, ran, busy_ns)


@dataclass(frozen=True, slots=True)
class _Flying:
    """
    A task that the pool holds.
    """

    ticket: int
    task: Task
    key: BlockKey
    rows: NDArray[np.int64] | None
    stored: BlockOutcome | None


def subset(block: CaseBlock, rows: NDArray[np.int64]) -> CaseBlock:
    """
    The block of some rows of a block.
    """
    return replace(block, ids=block.ids[rows], inputs=np.ascontiguousarray(block.inputs[rows]))


def merged(stored: BlockOutcome, fresh: BlockOutcome, rows: NDArray[np.int64]) -> BlockOutcome:
    """
    A stored outcome whose missing *rows* are filled from a fresh one.
    """
    names = ("status", "outputs", "pages", "memory", "globals", "gas", "host_calls")
    arrays: dict[str, Any] = {}
    for name in names:
        old, new = getattr(stored, name), getattr(fresh, name)
        if old is None or new is None:
            arrays[name] = new if (stored.status == Status.PENDING).all() else None
            continue
        whole = old.copy()
        whole[rows] = new
        arrays[name] = whole
    return replace(
        fresh,
        **arrays,
        details={int(rows[row]): text for row, text in fresh.details.items()},
        unstable={int(rows[row]): text for row, text in fresh.unstable.items()},
    )
