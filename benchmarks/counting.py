"""
A certification's parts with a counter around each: CPU time of the controller, by part.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from conformance.differential.corpus import CorpusBlock
from conformance.differential.vote import BlockVote, Voice
from conformance.evidence.answers import Put, Stored
from conformance.evidence.database import Database
from conformance.evidence.keys import BlockKey
from conformance.evidence.store import EvidenceStore
from runners.blocks import BlockOutcome, CaseBlock
from runners.pool import Completion, Pool
from runners.records import Level
from weavegate.judging import Judge

PARTS = ("feeding", "collecting", "evidence", "vote")
"""Parts with a counter; the controller's remaining time is `rest`."""


@dataclass(slots=True)
class Counters:
    """
    CPU nanoseconds of this process, by part. No part may run inside another.
    """

    ns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))

    @contextmanager
    def count(self, part: str) -> Iterator[None]:
        """
        Add what the block takes to *part*.
        """
        start = time.process_time_ns()
        try:
            yield
        finally:
            self.ns[part] += time.process_time_ns() - start

    def reset(self) -> None:
        """
        Start again from zero.
        """
        self.ns = dict.fromkeys(PARTS, 0)


class CountingPool(Pool):
    """
    The pool; `wait` feeds workers and takes their answers in.
    """

    counters: Counters

    def submit(self, seat: int, module_sha256: str, block: CaseBlock) -> int:
        """
        See `Pool.submit`.
        """
        with self.counters.count("feeding"):
            return super().submit(seat, module_sha256, block)

    def wait(self) -> list[Completion]:
        """
        See `Pool.wait`.
        """
        with self.counters.count("collecting"):
            return super().wait()


class CountingStore(EvidenceStore):
    """
    The evidence store.
    """

    def __init__(self, path: Path, counters: Counters) -> None:
        """
        Create an evidence file.
        """
        super().__init__(Database(path))
        self._counters = counters

    def put(self, key: BlockKey, level: Level, outcome: BlockOutcome) -> Put:
        """
        See `EvidenceStore.put`.
        """
        with self._counters.count("evidence"):
            return super().put(key, level, outcome)

    def lookup(self, key: BlockKey, level: Level, attempt: int | None = None) -> Stored | None:
        """
        See `EvidenceStore.lookup`.
        """
        with self._counters.count("evidence"):
            return super().lookup(key, level, attempt)

    def close(self) -> None:
        """
        See `EvidenceStore.close`.
        """
        with self._counters.count("evidence"):
            super().close()


@dataclass(frozen=True, slots=True)
class CountingJudge(Judge):
    """
    The judge.
    """

    counters: Counters

    def _vote(self, part: CorpusBlock, voices: Sequence[Voice]) -> BlockVote:
        with self.counters.count("vote"):
            # Not super(): a class with slots is made anew by its decorator.
            return Judge._vote(self, part, voices)  # noqa: SLF001 - the method that is counted
