"""
One row: a certification's own path, from cases to votes, on workers that are up already.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from benchmarks.bare import BareEngine, Pass, one_by_one, side_by_side
from benchmarks.counting import Counters, CountingJudge, CountingPool, CountingStore
from benchmarks.loads import Plan, corpus_of, input_bytes
from benchmarks.loop_process import BenchmarkError
from benchmarks.ratios import Sample
from conformance.differential.corpus import Corpus
from runners.cell import CellLimits
from runners.pool import Pool
from runners.records import Node
from runners.status import Status
from weavegate.execution import Executor, subset
from weavegate.judging import RunRecord
from weavegate.nodes import Participant
from weavegate.probing import fpu_probe
from weavegate.subject import Subject

WARM_UP = 128
"""Cases that are run before the first repetition: workers start and compile meanwhile."""


@dataclass(frozen=True, slots=True)
class Certified:
    """
    What one pass through pool, vote and evidence took, in nanoseconds.
    """

    wall_ns: int
    worker_cpu_ns: tuple[int, ...]
    controller_ns: dict[str, int]
    """CPU time by part, `rest` included."""
    idle_ns: int
    sha256: str
    """Digest of all output rows, on which all voices agree."""


def participants(plan: Plan) -> list[Participant]:
    """
    The nodes of a row; all of them see all cases.
    """
    return [
        Participant(Node(launch.engine, policy=plan.policy), launch, sampled=False)
        for launch in plan.launches
    ]


def limits_of(subject: Subject) -> CellLimits:
    """
    The limits that a certification gives its workers.
    """
    return CellLimits(data_mib=2048 + subject.manifest.run.memory_pages // 16)


class Certifying:
    """
    A row's workers and bare engines, kept up over its repetitions; a context manager.
    """

    def __init__(self, plan: Plan, subject: Subject, seed: int) -> None:
        """
        Set the row up; processes start on entering.
        """
        self.plan, self.subject, self._seed = plan, subject, seed
        self.corpus = corpus_of(subject, plan.inputs, plan.level, seed)
        self._nodes = participants(plan)
        self._counters = Counters()
        pairs = [(node.node, node.launch) for node in self._nodes]
        self._pool = CountingPool(pairs, limits=limits_of(subject), probe=fpu_probe())
        self._pool.counters = self._counters
        self._stack = ExitStack()
        self._bare: list[BareEngine] = []

    def __enter__(self) -> Self:
        """
        Start workers and bare loops, and run a few cases through each.
        """
        with ExitStack() as stack:
            self._folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="weavegate-bench-"))
            )
            stack.enter_context(self._pool)
            self._identities = self._pool.identities()
            self._pool.add_module(self.subject.sha256, self.subject.data)
            rows = self._folder / "inputs"
            rows.write_bytes(input_bytes(self.corpus))
            self._bare = [
                stack.enter_context(
                    BareEngine(launch, self.subject.calls[0], self.subject.path, rows)
                )
                for launch in self.plan.launches
            ]
            one_by_one(self._bare)
            self.certify(corpus_of(self.subject, WARM_UP, self.plan.level, self._seed + 1))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        End all processes.
        """
        self._stack.close()

    def sample(self) -> Sample:
        """
        One repetition: bare loops, then the same inputs through pool, vote and evidence.

        Raises BenchmarkError when the two do not give the same bits.
        """
        alone = one_by_one(self._bare)
        together = side_by_side(self._bare) if len(self._bare) > 1 else alone
        done = self.certify(self.corpus)
        self._same_bits(done, [*alone, *together])
        scale = len(self.corpus) * 1e3
        return Sample(
            wall_us=done.wall_ns / scale,
            bare_us=tuple(each.wall_ns / scale for each in alone),
            open_us=tuple(each.open_ns / 1e3 for each in together),
            engine_cpu_us=tuple(each.cpu_ns / scale for each in together),
            worker_cpu_us=tuple(ns / scale for ns in done.worker_cpu_ns),
            idle_us=done.idle_ns / scale,
            controller_us={name: ns / scale for name, ns in done.controller_ns.items()},
        )

    def _same_bits(self, done: Certified, passes: list[Pass]) -> None:
        """
        Check that bare loops and workers computed the same.
        """
        for each in passes:
            if each.sha256 != done.sha256:
                message = f"{self.plan.title}: a bare loop gave other bits than the vote"
                raise BenchmarkError(message)

    def certify(self, corpus: Corpus) -> Certified:
        """
        Put *corpus* to all nodes, with vote, and evidence in a new file.
        """
        path = self._folder / "evidence.sqlite"
        for old in self._folder.glob("evidence.sqlite*"):
            old.unlink()
        nodes, counters = self._nodes, self._counters
        store = CountingStore(path, counters)
        executor = Executor(self._pool, store, [n.node for n in nodes], self._identities)
        judge = CountingJudge(self.subject, nodes, executor, "exact", lambda _, __: None, counters)
        workers, idle = worker_cpu_ns(self._pool), idle_ns()
        counters.reset()
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        record = judge.judge(corpus)
        # Folding the log back into the file is part of what evidence costs.
        store.close()
        wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
        after, idle = worker_cpu_ns(self._pool), idle_ns() - idle
        parts = dict(counters.ns)
        parts["rest"] = cpu - sum(parts.values())
        spent = tuple(now - before for now, before in zip(after, workers, strict=True))
        return Certified(wall, spent, parts, idle, agreed_sha256(self.plan.title, record))


def agreed_sha256(title: str, record: RunRecord) -> str:
    """
    Digest of the outputs of all blocks; raises BenchmarkError unless all voices agree on them.
    """
    total = hashlib.sha256()
    for _, judged in record.judged:
        outcome = judged.voices[0].outcome
        if judged.vote.disagreements or not (outcome.status == Status.RETURNED).all():
            message = f"{title}: the vote is not unanimous, so its time says nothing"
            raise BenchmarkError(message)
        total.update(outcome.outputs.tobytes())
    return total.hexdigest()


def worker_cpu_ns(pool: Pool) -> list[int]:
    """
    CPU time that each worker of a pool has had so far.
    """
    return [cpu_ns(seat.worker.cell.process.pid) for seat in pool.seats if seat.worker is not None]


def cpu_ns(pid: int) -> int:
    """
    CPU time of a process's threads, in nanoseconds (Linux: first figure of `schedstat`).
    """
    tasks = Path(f"/proc/{pid}/task")
    return sum(
        int((task / "schedstat").read_text("ascii").split()[0]) for task in sorted(tasks.iterdir())
    )


def idle_ns() -> int:
    """
    Time that the cores of this process had nothing to do since the machine's start, summed.

    Linux counts it in ticks, of 10 ms as a rule.
    """
    lines = [line.split() for line in Path("/proc/stat").read_text("ascii").splitlines()]
    mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    # Fields after the name: user, nice, system, idle, iowait, and what matters less.
    ticks = sum(int(line[4]) + int(line[5]) for line in lines if line and line[0] in mine)
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def process_per_case_us(plan: Plan, subject: Subject, seed: int, cases: int) -> list[float]:
    """
    Microseconds of each of a few cases when every one of them has a new worker per engine.

    The workers of one case run side by side; no probe, vote or evidence is added to their time.
    """
    corpus = corpus_of(subject, cases, plan.level, seed)
    pairs = [(node.node, node.launch) for node in participants(plan)]
    taken: list[float] = []
    for part in corpus.blocks:
        for row in range(len(part.block)):
            block = subset(part.block, np.array([row]))
            start = time.perf_counter_ns()
            with Pool(pairs, limits=limits_of(subject)) as pool:
                pool.add_module(subject.sha256, subject.data)
                for seat in range(len(pairs)):
                    pool.submit(seat, subject.sha256, block)
                if any((done.outcome.status != Status.RETURNED).any() for done in pool.drain()):
                    message = f"{plan.title}: a case alone in its process did not return"
                    raise BenchmarkError(message)
            taken.append((time.perf_counter_ns() - start) / 1e3)
    return taken
