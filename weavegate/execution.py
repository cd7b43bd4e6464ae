"""
Puts blocks to nodes: from evidence where it is there, else through the pool, keeping what comes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from conformance.evidence.answers import Stored
from conformance.evidence.keys import BlockKey, block_key, case_digest
from conformance.evidence.store import EvidenceStore
from runners.blocks import BlockOutcome, CaseBlock
from runners.hosting import LEFT_OUT
from runners.instances import cases_per_instance
from runners.pool import Pool
from runners.records import Identity, Level, Node
from runners.status import Status
from weavegate.rewriting import Rewrites

MOST_LATE: Final = 3
"""
Cases of one entry that may time out on a node, or be cut for what they ask of their host, before
its other blocks are not run any more.
"""

TOO_LATE: Final = "not run: too many cases before it timed out"


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
    rewrites: Rewrites = field(default_factory=Rewrites)
    """What some seats run in place of a module."""
    unstable: list[str] = field(default_factory=list)
    """Crashes that did not repeat, one sentence each: shown, never judged."""

    def execute(self, tasks: Sequence[Task], seen: Callable[[Done], None]) -> None:
        """
        Carry out all tasks, each node's in the order given, calling *seen* for each as it is done.

        Raises EvidenceError when evidence cannot be kept; what was kept stays.
        """
        waiting: dict[int, deque[Task]] = {}
        for task in tasks:
            waiting.setdefault(task.seat, deque()).append(task)
        digests: dict[int, str] = {}
        flying: dict[int, _Flying] = {}
        late: Counter[tuple[int, str]] = Counter()
        cut: Counter[tuple[int, str]] = Counter()
        while any(waiting.values()) or flying:
            for seat, queue in waiting.items():
                while queue and self.pool.has_room(seat):
                    task = queue.popleft()
                    key = self._key(task, digests)
                    entry = task.block.call.entry
                    why = TOO_LATE if late[seat, entry] >= MOST_LATE else ""
                    why = why or (LEFT_OUT if cut[seat, entry] >= MOST_LATE else "")
                    flight = self._start(task, key, given_up=why)
                    if isinstance(flight, Done):
                        seen(flight)
                    else:
                        flying[flight.ticket] = flight
            for completion in self.pool.wait():
                done = self._land(
                    flying.pop(completion.ticket), completion.outcome, completion.busy_ns
                )
                timed_out = np.count_nonzero(done.outcome.status == Status.TIMED_OUT)
                late[done.task.seat, done.task.block.call.entry] += int(timed_out)
                cut[done.task.seat, done.task.block.call.entry] += done.outcome.cut
                seen(done)

    def _key(self, task: Task, digests: dict[int, str]) -> BlockKey:
        """
        The key of a task; *digests* are those of blocks that another node was asked before.

        Made when the task's turn has come: workers are busy by then.
        """
        block, seat = task.block, task.seat
        if id(block) not in digests:
            digests[id(block)] = case_digest(block)
        key = block_key(
            task.module_sha256,
            block,
            self.nodes[seat],
            self.identities[seat],
            self.rewrites.name(seat),
            case_sha256=digests[id(block)],
        )
        self.keys.append((key, block.level))
        return key

    def run(self, tasks: Sequence[Task]) -> list[Done]:
        """
        Carry out tasks and return them in the order of *tasks*.
        """
        found: dict[int, Done] = {}
        self.execute(tasks, lambda done: found.__setitem__(id(done.task), done))
        return [found[id(task)] for task in tasks]

    def _start(self, task: Task, key: BlockKey, *, given_up: str) -> Done | _Flying:
        """
        Serve a task from evidence, or submit what is missing of it.

        *given_up*: why it is not put to its node any more; empty if it is.
        """
        stored = None if self.again else self.store.lookup(key, task.block.level)
        if stored is not None and stored.attempts > 1:
            self._remember_flaky(task, key, stored.attempts)
        if stored is not None and stored.complete:
            return Done(task, stored.outcome, key, 0, 0)
        if given_up:
            return Done(task, _unrun(task.block, given_up), key, len(task.block), 0)
        rows = rows_left(stored, self.nodes[task.seat].policy)
        block = task.block if rows is None else subset(task.block, rows)
        given = self.rewrites.module(self.pool, task.seat, task.module_sha256)
        ticket = self.pool.submit(task.seat, given, block)
        return _Flying(ticket, task, key, rows, None if stored is None else stored.outcome)

    def _land(self, flight: _Flying, outcome: BlockOutcome, busy_ns: int) -> Done:
        """
        Keep an outcome and complete it with what evidence held before.
        """
        ran, level = len(outcome), flight.task.block.level
        self._note_unstable(flight, outcome)
        if flight.rows is not None and flight.stored is not None:
            kept = expanded(outcome, flight.rows, len(flight.task.block))
            outcome = merged(flight.stored, outcome, flight.rows)
        else:
            kept = outcome
        put = self.store.put(flight.key, level, kept)
        if put.attempts > 1:
            self._remember_flaky(flight.task, flight.key, put.attempts)
        return Done(flight.task, outcome, flight.key, ran, busy_ns)

    def _note_unstable(self, flight: _Flying, outcome: BlockOutcome) -> None:
        """
        Put down which worker fell beside which case, though the case was none the worse for it.
        """
        label = self.nodes[flight.task.seat].label()
        ids = flight.task.block.ids
        for row, signal in sorted(outcome.unstable.items()):
            case = int(ids[row if flight.rows is None else flight.rows[row]])
            self.unstable.append(f"{label}: {signal} at case {case}, not repeated")

    def _remember_flaky(self, task: Task, key: BlockKey, attempts: int) -> None:
        """
        A key with several stories is a finding in every run that asks for it, whatever it saw now.
        """
        stories = [self._story(key, task.block.level, n) for n in range(1, attempts + 1)]
        first, *others = [story for story in stories if story is not None]
        for other in others:
            both = first.rows & other.rows
            rows = np.flatnonzero(both & _differing(first.outcome, other.outcome)).tolist()
            shown = tuple(rows) or (int(np.argmax(both)),)
            self.flaky.append(Flaky(task, shown, first.outcome, other.outcome))

    def _story(self, key: BlockKey, level: Level, attempt: int) -> Stored | None:
        """
        An attempt at the level asked for; one that was observed less, as far as it goes.
        """
        return self.store.lookup(key, level, attempt) or self.store.lookup(
            key, Level.RESULT, attempt
        )


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


def rows_left(stored: Stored | None, policy: str) -> NDArray[np.int64] | None:
    """
    The rows of a block that are still to be run; None: all of them.

    An instance that is reused has to see its cases from the first one on.
    """
    if stored is None:
        return None
    if stored.complete or cases_per_instance(policy) == 1:
        return stored.missing
    return None


def _unrun(block: CaseBlock, why: str) -> BlockOutcome:
    """
    The outcome of a block that nobody was asked: the limit of each case would take for ever.
    """
    return BlockOutcome(
        status=np.zeros(len(block), np.uint8),
        outputs=np.zeros((len(block), block.call.output_bytes), np.uint8),
        details={0: why},
    )


def subset(block: CaseBlock, rows: NDArray[np.int64]) -> CaseBlock:
    """
    The block of some rows of a block.
    """
    return replace(block, ids=block.ids[rows], inputs=np.ascontiguousarray(block.inputs[rows]))


_ARRAYS = ("status", "outputs", "pages", "memory", "globals", "gas", "host_calls")


def expanded(fresh: BlockOutcome, rows: NDArray[np.int64], count: int) -> BlockOutcome:
    """
    An outcome of *count* rows that says what *fresh* says of *rows*, and nothing of the others.
    """
    arrays: dict[str, Any] = {}
    for name in _ARRAYS:
        part = getattr(fresh, name)
        if part is not None:
            arrays[name] = np.zeros((count, *part.shape[1:]), part.dtype)
            arrays[name][rows] = part
    return replace(fresh, **arrays, **_renumbered(fresh, rows))


def merged(stored: BlockOutcome, fresh: BlockOutcome, rows: NDArray[np.int64]) -> BlockOutcome:
    """
    A stored outcome whose missing *rows* are filled from a fresh one, for the vote.
    """
    arrays: dict[str, Any] = {}
    for name in _ARRAYS:
        old, new = getattr(stored, name), getattr(fresh, name)
        arrays[name] = None
        if old is not None and new is not None:
            arrays[name] = old.copy()
            arrays[name][rows] = new
    named = _renumbered(fresh, rows)
    named["details"] = {**stored.details, **named["details"]}
    return replace(fresh, **arrays, **named)


def _differing(left: BlockOutcome, right: BlockOutcome) -> NDArray[np.bool_]:
    """
    Rows in which two outcomes differ in something that both show.
    """
    differs = np.zeros(len(left), bool)
    for name in _ARRAYS:
        one, two = getattr(left, name), getattr(right, name)
        if one is not None and two is not None:
            differs |= (one != two).reshape(len(left), -1).any(axis=1)
    return differs


def _renumbered(fresh: BlockOutcome, rows: NDArray[np.int64]) -> dict[str, Any]:
    """
    Words about rows, under the numbers that the rows have in the whole block.
    """
    return {
        "details": {int(rows[row]): text for row, text in fresh.details.items()},
        "unstable": {int(rows[row]): text for row, text in fresh.unstable.items()},
    }
