"""
The pool: persistent workers, one per node, fed and drained from a single thread.

Back-pressure: a worker holds at most two batches, and `submit` never sends by itself; a caller that
asks `has_room` before it submits keeps memory bounded however slow an engine is.
"""

from __future__ import annotations

import selectors
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import msgspec

from runners.arena import PROBE_BYTES, SLOTS, BatchTooLargeError, batch_bytes
from runners.blocks import BlockOutcome, CaseBlock
from runners.cell import CellLimits
from runners.dispatch import ModuleSource
from runners.frames import ProtocolBreachError
from runners.hosting import Hosting
from runners.hosts.host import HostMaker
from runners.instances import cases_per_instance
from runners.interface import interface_of
from runners.job import Job
from runners.launch import Launch
from runners.probe import Probe
from runners.records import Identity, Node
from runners.seat import Seat, WorkerStartError
from runners.worker_process import Answer, Death

ARENA_BYTES: Final = 64 << 20
_TICK_S: Final = 0.05
_NO_HOSTS: Final[Mapping[int, HostMaker]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Completion:
    """
    A block that one node is done with.
    """

    ticket: int
    seat: int
    """Index of the node in the order given to the pool."""
    outcome: BlockOutcome
    busy_ns: int
    """Time its batches took, as seen from the controller."""


def _host_of(node: Node, maker: HostMaker | None) -> HostMaker | None:
    """
    The node's host, once it is known to be the one that the node's digest speaks of.
    """
    due = None if maker is None else maker.digest()
    if node.host != (msgspec.UNSET if due is None else due):
        message = f"{node.label()}: the host given to the pool is not the node's"
        raise ValueError(message)
    return maker


class WorkerLostError(Exception):
    """
    A worker died while it was asked a single question.
    """


class Pool:
    """
    Runs blocks on nodes.

    Use as a context manager; on leaving, whatever the reason, every worker is killed.
    """

    def __init__(
        self,
        nodes: Sequence[tuple[Node, Launch]],
        *,
        limits: CellLimits | None = None,
        probe: Probe | None = None,
        arena_bytes: int = ARENA_BYTES,
        hosts: Mapping[int, HostMaker] = _NO_HOSTS,
    ) -> None:
        """
        Set nodes up; workers start when they are first needed.

        `hosts` answer the imports of modules, by the index of their node, whose `host` must say so
        (`runners.hosts.host.host_node`); a node without one refuses every import that is called.
        Raises ValueError for a host that is not its node's.
        """
        if probe is not None:
            needed = batch_bytes(probe.block.call, probe.block.level, len(probe.block))
            if needed > PROBE_BYTES:
                message = f"a probe may take {PROBE_BYTES} bytes, this one takes {needed}"
                raise BatchTooLargeError(message)
        self._modules: dict[str, ModuleSource] = {}
        self.seats = [
            Seat(
                node, launch, limits or CellLimits(), arena_bytes, self._modules, probe,
                _host_of(node, hosts.get(index)),
            )
            for index, (node, launch) in enumerate(nodes)
        ]  # fmt: skip
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, list[int]] = {}
        self._tickets = 0
        self._jobs = 0

    def __enter__(self) -> Self:
        """
        Nothing starts yet.
        """
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Kill all workers.
        """
        for index, seat in enumerate(self.seats):
            self._unwatch(index)
            seat.dismiss()
        self._selector.close()

    # ------------------------------------------------------------------------------- use

    def add_module(self, sha256: str, data: bytes, compile_deadline_ms: int = 60_000) -> None:
        """
        Make a module known under its digest.
        """
        self._modules[sha256] = ModuleSource(data, compile_deadline_ms, interface_of(data))

    def module(self, sha256: str) -> ModuleSource:
        """
        A module that was made known; raises KeyError for any other.
        """
        return self._modules[sha256]

    def forget(self, modules: Iterable[str]) -> None:
        """
        Have every worker drop these modules. Nothing may be outstanding.

        A compiled module holds memory, and in some engines a descriptor, until it is dropped.
        """
        dropped = list(modules)
        asked = []
        for seat in self.seats:
            worker = seat.worker
            held = [] if worker is None else [name for name in dropped if name in worker.loaded]
            for name in held:
                seat.ask("drop", {"module": name})
                del seat.start().loaded[name]
            asked.append((seat, worker, len(held)))
        for seat, worker, count in asked:
            # A worker that dies has dropped everything.
            while seat.worker is worker and len(seat.asked) < count:
                self._step()
            seat.asked.clear()
        for name in dropped:
            self._modules.pop(name, None)

    def identities(self) -> list[Identity]:
        """
        Start every worker and return who they say they are; raises WorkerStartError.

        What is outstanding goes on meanwhile.
        """
        while any(seat.identity is None for seat in self.seats):
            for seat in self.seats:
                seat.start()
            self._step()
        return [seat.identity for seat in self.seats if seat.identity is not None]

    def capabilities(self, seat: int) -> frozenset[str]:
        """
        What a node's worker claims, once `identities` has been called.
        """
        return self.seats[seat].capabilities

    def submit(self, seat: int, module_sha256: str, block: CaseBlock) -> int:
        """
        Queue a block for a node and return its ticket; raises BatchTooLargeError.

        The module must be known: see `add_module`.
        """
        if module_sha256 not in self._modules:
            message = f"module {module_sha256} was never given to the pool"
            raise KeyError(message)
        target = self.seats[seat]
        reuse = cases_per_instance(target.node.policy)
        target.add(Job(self._tickets + 1, module_sha256, block, reuse))
        self._tickets += 1
        self._jobs += 1
        return self._tickets

    def has_room(self, seat: int) -> bool:
        """
        Whether a node would soon run dry: nothing queued beyond what its worker holds.
        """
        held = self.seats[seat]
        return len(held.backlog.queue) + len(held.flights) <= SLOTS

    def idle_falls(self, seat: int) -> tuple[Death, ...]:
        """
        Deaths of a node's workers that no case could be blamed for, oldest first.

        A rule in one of them is a broken worker all the same: it spoke when nobody had asked.
        """
        return tuple(self.seats[seat].idle_falls)

    @property
    def outstanding(self) -> int:
        """
        Blocks submitted and not yet handed back.
        """
        return self._jobs

    def wait(self) -> list[Completion]:
        """
        Work until at least one block is done; an empty list when nothing is outstanding.
        """
        while self._jobs:
            done = self._collect()
            if done:
                return done
            self._step()
        return []

    def drain(self) -> Iterator[Completion]:
        """
        Hand back all outstanding blocks as they are done.
        """
        while self._jobs:
            yield from self.wait()

    def run(self, seat: int, module_sha256: str, block: CaseBlock) -> BlockOutcome:
        """
        Put one block to one node and wait for it. Nothing else may be outstanding.
        """
        self.submit(seat, module_sha256, block)
        (completion,) = self.drain()
        return completion.outcome

    def ask(
        self,
        seat: int,
        command: str,
        fields: dict[str, Any],
        blobs: list[bytes] | None = None,
        deadline_ms: int | None = None,
        hosting: Hosting | None = None,
        progress_at: int | None = None,
    ) -> Answer:
        """
        Put one command to an idle node's worker and wait; raises WorkerLostError if it dies.

        Beyond *deadline_ms* it is killed; without one, beyond the time it may take to start.
        *hosting* answers what the guest asks of its host meanwhile; *progress_at* is where the
        progress word of a batch lies.
        """
        target = self.seats[seat]
        target.ask(command, fields, blobs, deadline_ms, hosting, progress_at)
        worker = target.worker
        while not target.asked:
            self._step()
            if target.worker is not worker:
                message = f"{target.node.label()} died while it was asked to {command}"
                raise WorkerLostError(message)
        return target.asked.popleft()

    def condemn(self, seat: int, breach: ProtocolBreachError) -> None:
        """
        Kill a node's worker for what it answered to `ask`.
        """
        self._fell(seat, breach)

    # ------------------------------------------------------------------------------ work

    def _collect(self) -> list[Completion]:
        """
        Take finished jobs off the seats.
        """
        done = []
        for index, seat in enumerate(self.seats):
            while seat.backlog.finished:
                job = seat.backlog.finished.popleft()
                self._jobs -= 1
                done.append(Completion(job.ticket, index, job.outcome(), job.busy_ns))
        return done

    def _step(self) -> None:
        """
        Feed workers, wait for a sign of one of them, take it in, look at deadlines.
        """
        for index, seat in enumerate(self.seats):
            seat.feed()
            self._watch(index)
        if any(seat.backlog.finished for seat in self.seats):
            return
        for key, events in self._selector.select(_TICK_S):
            index, role = key.data
            seat = self.seats[index]
            if seat.worker is None or key.fd not in self._watched.get(index, ()):
                continue
            if events & selectors.EVENT_WRITE:
                seat.worker.flush()
            if events & selectors.EVENT_READ:
                self._read(index, role)
        for index, seat in enumerate(self.seats):
            try:
                if seat.overdue():
                    self._fell(index, None, deadline=True)
            except ProtocolBreachError as breach:
                self._fell(index, breach)

    def _fell(
        self, index: int, breach: ProtocolBreachError | None, *, deadline: bool = False
    ) -> None:
        """
        Have a worker buried.
        """
        self._unwatch(index)
        self.seats[index].fell(breach, deadline=deadline)

    def _read(self, index: int, role: str) -> None:
        """
        Take in what a worker sent or printed.
        """
        seat = self.seats[index]
        worker = seat.worker
        if worker is None:
            return
        try:
            if role == "reply":
                seat.read()
            elif not worker.read_output():
                self._forget(index, worker.cell.output)
        except ProtocolBreachError as breach:
            self._fell(index, breach)
        except EOFError:
            self._fell(index, None)

    # ---------------------------------------------------------------------------- watching

    def _watch(self, index: int) -> None:
        """
        Register a seat's descriptors, and its command pipe only while bytes wait for it.
        """
        worker = self.seats[index].worker
        if worker is None:
            return
        known = self._watched.setdefault(index, [])
        if not known:
            for descriptor, role in (
                (worker.cell.replies, "reply"),
                (worker.cell.output, "output"),
            ):
                self._selector.register(descriptor, selectors.EVENT_READ, (index, role))
                known.append(descriptor)
        commands = worker.cell.commands
        if worker.unsent and commands not in known:
            self._selector.register(commands, selectors.EVENT_WRITE, (index, "command"))
            known.append(commands)
        elif not worker.unsent and commands in known:
            self._forget(index, commands)

    def _forget(self, index: int, descriptor: int) -> None:
        """
        Stop watching one descriptor.
        """
        self._selector.unregister(descriptor)
        self._watched[index].remove(descriptor)

    def _unwatch(self, index: int) -> None:
        """
        Stop watching a seat.
        """
        for descriptor in self._watched.pop(index, []):
            self._selector.unregister(descriptor)


__all__ = ["Completion", "Pool", "WorkerLostError", "WorkerStartError"]
