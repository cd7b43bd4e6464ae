"""
The vote of a run: blocks put to nodes, disputed bulk cases put to all of them, then judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from conformance.differential.corpus import Corpus, CorpusBlock, Stratum
from conformance.differential.findings import JudgedBlock
from conformance.differential.profiles import NanProfile
from conformance.differential.vote import BlockVote, Voice, vote
from runners.instances import cases_per_instance
from runners.records import Level
from weavegate.execution import Done, Executor, Task, subset
from weavegate.growth import doubtful_rows, first_of_each, joined, unsure_rows, without
from weavegate.nodes import Participant
from weavegate.subject import Subject

QUORUM_ALL = 2
"""Code-generator families that must vote on every case."""
QUORUM_SAMPLED = 3
"""Code-generator families that must vote on edge and sampled cases."""
MOST_DISPUTED = 256
"""Disputed bulk cases of one block that are put to the slow nodes as well."""


@dataclass(slots=True)
class RunRecord:
    """
    What a run did: every block's vote, and what each node cost.
    """

    judged: list[tuple[CorpusBlock, JudgedBlock]] = field(default_factory=list)
    busy_ns: dict[int, int] = field(default_factory=dict)
    ran: dict[int, int] = field(default_factory=dict)
    served: dict[int, int] = field(default_factory=dict)

    def note(self, done: Done) -> None:
        """
        Count what a node did.
        """
        seat = done.task.seat
        self.busy_ns[seat] = self.busy_ns.get(seat, 0) + done.busy_ns
        self.ran[seat] = self.ran.get(seat, 0) + done.ran
        self.served[seat] = self.served.get(seat, 0) + len(done.outcome) - done.ran


def tasks_of(module_sha256: str, nodes: Sequence[Participant], corpus: Corpus) -> list[Task]:
    """
    Which node sees which block: interpreters see no bulk.
    """
    return [
        Task(seat, place, module_sha256, part.block)
        for place, part in enumerate(corpus.blocks)
        for seat, node in enumerate(nodes)
        if part.stratum is not Stratum.BULK or not node.sampled
    ]


@dataclass(frozen=True, slots=True)
class Judge:
    """
    Everything the vote of a run needs.
    """

    subject: Subject
    nodes: Sequence[Participant]
    executor: Executor
    profile: NanProfile
    step: Callable[[int, int], None]
    """Called with node and number of cases as they are done."""

    def judge(self, corpus: Corpus) -> RunRecord:
        """
        Run all blocks of *corpus* and vote on them.
        """
        record = RunRecord()
        outcomes: dict[tuple[int, int], Done] = {}

        def seen(done: Done) -> None:
            outcomes[done.task.place, done.task.seat] = done
            record.note(done)
            self.step(done.task.seat, len(done.outcome))

        self.executor.execute(self.tasks(corpus), seen)
        for place, part in enumerate(corpus.blocks):
            voices = [
                self._voice(seat, outcomes[place, seat], None)
                for seat in range(len(self.nodes))
                if (place, seat) in outcomes
            ]
            if not voices:
                # Bulk cases are not for interpreters, and nobody else was asked.
                continue
            result = self._vote(part, voices)
            if part.stratum is Stratum.BULK and result.disagreements:
                voices += self._escalate(place, part, result, record)
                result = self._vote(part, voices)
            record.judged.append((part, self._judged(place, part, voices, result, record)))
            self._keep_deviants(place, result, outcomes)
        return record

    def tasks(self, corpus: Corpus) -> list[Task]:
        """
        Which node sees which block.
        """
        return tasks_of(self.subject.sha256, self.nodes, corpus)

    def _voice(self, seat: int, done: Done, rows: NDArray[np.int64] | None) -> Voice:
        participant = self.nodes[seat]
        return Voice(participant.node, participant.launch.families, done.outcome, rows)

    def _vote(self, part: CorpusBlock, voices: Sequence[Voice]) -> BlockVote:
        quorum = QUORUM_ALL if part.stratum is Stratum.BULK else QUORUM_SAMPLED
        shape = self.subject.shapes[part.entry]
        return vote(part.block, shape, voices, self.profile, quorum)

    def _judged(
        self,
        place: int,
        part: CorpusBlock,
        voices: Sequence[Voice],
        result: BlockVote,
        record: RunRecord,
    ) -> JudgedBlock:
        """
        The block with its vote; with that of its pages where refused growth may divide its rows.
        """
        shape = self.subject.shapes[part.entry]
        grows = "memory.grow" in self.subject.module.operators
        ways = doubtful_rows(part.block, result) if grows else {}
        if not ways:
            return JudgedBlock(part.block, shape, voices, result)
        again = first_of_each(ways)
        deep = replace(part, block=replace(part.block, level=Level.STATE))
        shown = self._ask(place, deep, range(len(self.nodes)), again.tolist(), record)
        history = np.setdiff1d(np.arange(len(part.block)), again)
        below = self._vote(deep, without(shown, history))
        moved = np.union1d(again, unsure_rows(ways, below))
        rest = joined(self._vote(part, without(voices, moved)), below, again)
        deeper = JudgedBlock(deep.block, shape, shown, below)
        return JudgedBlock(part.block, shape, voices, rest, deeper)

    def _escalate(
        self, place: int, part: CorpusBlock, result: BlockVote, record: RunRecord
    ) -> list[Voice]:
        """
        Put disputed rows, with the history of their instances, to the nodes that did not see them.
        """
        disputed = sorted({item.row for item in result.disagreements})[:MOST_DISPUTED]
        slow = [seat for seat, node in enumerate(self.nodes) if node.sampled]
        return self._ask(place, part, slow, disputed, record)

    def _ask(
        self,
        place: int,
        part: CorpusBlock,
        seats: Sequence[int],
        disputed: Sequence[int],
        record: RunRecord,
    ) -> list[Voice]:
        """
        Put rows of a block, with the history of their instances, to the nodes of *seats*.
        """
        tasks, all_rows = [], []
        for seat in seats:
            reuse = cases_per_instance(self.nodes[seat].node.policy)
            # Whole instances but for the last: each N rows of what is asked then are one instance.
            opened = {row - row % reuse for row in disputed}
            chosen = {r for first in opened for r in range(first, first + reuse)}
            rows = np.array(sorted(r for r in chosen if r <= max(disputed)), dtype=np.int64)
            tasks.append(Task(seat, place, self.subject.sha256, subset(part.block, rows)))
            all_rows.append(rows)
        done = self.executor.run(tasks)
        for item in done:
            record.note(item)
        return [
            self._voice(seat, item, rows)
            for seat, item, rows in zip(seats, done, all_rows, strict=True)
        ]

    def _keep_deviants(
        self, place: int, result: BlockVote, outcomes: dict[tuple[int, int], Done]
    ) -> None:
        """
        Name the disputed rows in the evidence file, one by one.
        """
        rows = sorted({item.row for item in result.disagreements})
        if not rows:
            return
        for seat in range(len(self.nodes)):
            done = outcomes.get((place, seat))
            if done is not None and not done.outcome.fpu_broken:
                self.executor.store.put_deviants(done.key, done.outcome, rows)
