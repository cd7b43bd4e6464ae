"""
Which keys an executor asks evidence for, and how often it digests what it asks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from witnesses import honest

import weavegate.execution
from conformance.evidence.keys import block_key, case_digest
from conformance.evidence.store import EvidenceStore
from runners.blocks import CaseBlock
from runners.pool import Pool
from runners.records import AtAddress, Budget, Buffer, Call, Level, Node
from weavegate.execution import Done, Executor, Task

CALL = Call(
    entry="infer",
    input=Buffer(AtAddress(0), 16),
    output=Buffer(AtAddress(64), 16),
    memory="memory",
)
MODULE = "m" * 64


def block(seed: int) -> CaseBlock:
    rows = np.random.default_rng(seed).uniform(1, 2, (5, 2)).astype("<f8").view(np.uint8)
    return CaseBlock(CALL, Budget(), Level.RESULT, np.arange(5, dtype=np.uint64), rows)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """
    Sizes of the blocks that were digested.
    """
    sizes: list[int] = []

    def count(asked: CaseBlock) -> str:
        sizes.append(len(asked))
        return case_digest(asked)

    monkeypatch.setattr(weavegate.execution, "case_digest", count)
    return sizes


def test_a_block_is_digested_once_whatever_the_number_of_nodes(
    tmp_path: Path, counted: list[int]
) -> None:
    launches = [launch for launch, _ in honest("aa", "bb", "cc")]
    nodes = [Node(launch.engine) for launch in launches]
    blocks = [block(1), block(2)]
    with (
        Pool(list(zip(nodes, launches, strict=True))) as pool,
        EvidenceStore.open(tmp_path / "evidence.sqlite") as store,
    ):
        identities = pool.identities()
        pool.add_module(MODULE, b"honest")
        executor = Executor(pool, store, nodes, identities)
        tasks = [
            Task(seat, place, MODULE, asked)
            for place, asked in enumerate(blocks)
            for seat in range(3)
        ]
        done: list[Done] = []
        executor.execute(tasks, done.append)
        assert counted == [5, 5]
        expected = {
            (place, seat): block_key(MODULE, asked, nodes[seat], identities[seat])
            for place, asked in enumerate(blocks)
            for seat in range(3)
        }
        assert {(d.task.place, d.task.seat): d.key for d in done} == expected
        assert sorted(executor.keys) == sorted((key, Level.RESULT) for key in expected.values())
        assert len(set(expected.values())) == 6
        again = Executor(pool, store, nodes, identities)
        assert [d.ran for d in again.run(tasks)] == [0] * 6
