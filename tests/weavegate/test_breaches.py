from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from product_subject import Product
from witnesses import SMALL, label, witness

from conformance.differential.corpus import build_corpus
from conformance.differential.records import FindingClass, Observed
from runners.pool import Pool
from runners.records import BrokeProtocol, Node
from runners.status import Status
from weavegate.breaches import idle_breaches
from weavegate.nodes import Participant
from weavegate.subject import load_subject


@pytest.mark.parametrize("lies", [True, False])
def test_an_answer_that_nobody_waits_for_is_a_finding_beside_no_case(
    tmp_path: Path, *, lies: bool
) -> None:
    subject = load_subject(Product().write(tmp_path))
    corpus = build_corpus(subject.manifest, subject.calls, None, {"f64": set()}, 0, SMALL)
    block = corpus.blocks[0].block
    culprit = float(block.inputs[0, :8].view("<f8")[0])
    launch, _ = witness("answers_twice", "liar", at=culprit if lies else -1.0, late=1)
    node = Node(launch.engine)
    with Pool([(node, launch)]) as pool:
        pool.add_module(subject.sha256, subject.data)
        for _ in range(2):
            outcome = pool.run(0, subject.sha256, block)
            assert set(outcome.status.tolist()) == {Status.RETURNED}
        found = idle_breaches(
            pool,
            [Participant(node, launch, sampled=False)],
            corpus.blocks,
            subject.shapes,
            "exact",
            subject.sha256,
        )
    if not lies:
        assert found == []
        return
    (item,) = found
    assert item.finding.kind is FindingClass.BROKEN_WORKER
    assert item.finding.blame.nodes == item.deviants == (label("liar"),)
    assert "(unasked-reply) beside no case" in item.finding.blame.reason
    (seen,) = item.finding.observed
    assert isinstance(seen, Observed)
    assert seen.outcome.kind == BrokeProtocol("unasked-reply")


def test_a_worker_that_is_killed_between_cases_is_put_down_and_no_finding(tmp_path: Path) -> None:
    subject = load_subject(Product().write(tmp_path))
    corpus = build_corpus(subject.manifest, subject.calls, None, {"f64": set()}, 0, SMALL)
    launch, _ = witness("honest", "victim")
    node = Node(launch.engine)
    with Pool([(node, launch)]) as pool:
        pool.add_module(subject.sha256, subject.data)
        pool.identities()
        worker = pool.seats[0].worker
        assert worker is not None
        os.kill(worker.cell.process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.cell.process.pid, os.WEXITED | os.WNOWAIT)
        outcome = pool.run(0, subject.sha256, corpus.blocks[0].block)
        assert set(outcome.status.tolist()) == {Status.RETURNED}
        assert not outcome.unstable
        assert [(d.cause, d.word) for d in pool.idle_falls(0)] == [("signal", "SIGKILL")]
        participant = Participant(node, launch, sampled=False)
        shapes, sha256 = subject.shapes, subject.sha256
        assert idle_breaches(pool, [participant], corpus.blocks, shapes, "exact", sha256) == []
