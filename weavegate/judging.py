"""
The vote of a run: blocks put to nodes, disputed bulk cases put to all of them, then judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from conformance.differential.corpus import Corpus, CorpusBlock, Stratum
from conformance.differential.findings import JudgedBlock
from conformance.differential.profiles import NanProfile
from conformance.differential.vote import BlockVote, Voice, vote
from runners.instances import cases_per_instance
from weavegate.execution import Done, Executor, Task, subset
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
            judged = JudgedBlock(part.block, self.subject.shapes[part.entry], voices, result)
            record.judged.append((part, judged))
            self._keep_deviants(place, result, outcomes)
        return record

    def tasks(self, corpus: Corpus) -> list[Task]:
        """
        Which node sees which block.
        """
        return [
            Task(seat, place, self.subject.sha256, part.block)
            for place, part in enumerate(corpus.blocks)
            for seat, node in enumerate(self.nodes)
            if part.stratum is not Stratum.BULK or not node.sampled
        ]

    def _voice(self, seat: int, done: Done, rows: NDArray[np.int64] | None) -> Voice:
        participant = self.nodes[seat]
        return Voice(participant.node, participant.launch.families, done.outcome, rows)

    def _vote(self, part: CorpusBlock, voices: Sequence[Voice]) -> BlockVote:
        quorum = QUORUM_ALL if part.stratum is Stratum.BULK else QUORUM_SAMPLED
        shape = self.subject.shapes[part.entry]
        return vote(part.block, shape, voices, self.profile, quorum)

    def _escalate(
        self, place: int, part: CorpusBlock, result: BlockVote, record: RunRecord
    ) -> list[Voice]:
        """
        Put disputed rows, with the history of their instances, to the nodes that did not see them.
        """
        disputed = sorted({item.row for item in result.disagreements})[:MOST_DISPUTED]
        slow = [seat for seat, node in enumerate(self.nodes) if node.sampled]
        tasks, all_rows = [], []
        for seat in slow:
            reuse = cases_per_instance(self.nodes[seat].node.policy)
            chosen = {r for row in disputed for r in range(row - row % reuse, row + 1)}
            rows = np.array(sorted(chosen), dtype=np.int64)
            tasks.append(Task(seat, place, self.subject.sha256, subset(part.block, rows)))
            all_rows.append(rows)
        done = self.executor.run(tasks)
        for item in done:
            record.note(item)
        return [
            self._voice(seat, item, rows)
            for seat, item, rows in zip(slow, done, all_rows, strict=True)
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
