from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from network_samples import DIGEST, computed, honest_outcome, model

from conformance.network.answers import Kind, answer_at
from conformance.network.batches import batches_of, read_answers
from conformance.network.transactions import Infer, StoreModule, Transaction, WriteResult
from runners.bits import format_bytes
from runners.blocks import BlockOutcome
from runners.status import BROKEN, LIMITS, REJECTED, TRAPS, Status

OTHER = "cd" * 32
MODELS = (model(), model("other", OTHER))


def infer(module: str, left: float) -> Infer:
    return Infer(0, module, "infer", format_bytes(np.array([left, 0.5], "<f8").tobytes()))


TRANSACTIONS: tuple[Transaction, ...] = (
    StoreModule(0, DIGEST), infer(OTHER, 0.25), infer(DIGEST, 0.5), WriteResult(0, 1),
    infer(OTHER, -0.95),
)  # fmt: skip


def test_inferences_of_one_module_share_a_batch() -> None:
    batches = batches_of(3, TRANSACTIONS, MODELS)
    assert [(b.module_sha256, b.places) for b in batches] == [(OTHER, (1, 4)), (DIGEST, (2,))]
    assert [b.block.ids.tolist() for b in batches] == [[3 * 65536 + 1, 3 * 65536 + 4], [196610]]
    assert batches[0].block.inputs.view("<f8").tolist() == [[0.25, 0.5], [-0.95, 0.5]]


def test_a_block_without_inferences_has_no_batches() -> None:
    assert batches_of(1, (StoreModule(0, DIGEST),), MODELS) == ()


def test_answers_stand_at_the_places_of_their_transactions() -> None:
    batches = batches_of(3, TRANSACTIONS, MODELS)
    answers = read_answers(batches, [honest_outcome(b.block) for b in batches])
    assert answers.broken_at is None
    assert sorted(answers.by_place) == [1, 2, 4]
    assert answers.by_place[1].output == computed(np.array([0.25, 0.5]).tobytes())
    assert answers.by_place[2].output == computed(np.array([0.5, 0.5]).tobytes())
    assert answers.by_place[4].kind is Kind.TRAPPED


def test_the_first_broken_place_is_told_in_the_order_of_the_block() -> None:
    batches = batches_of(3, TRANSACTIONS, MODELS)
    outcomes = [honest_outcome(b.block) for b in batches]
    outcomes[0].status[1] = Status.CRASHED
    assert read_answers(batches, outcomes).broken_at == 4
    outcomes[1].status[0] = Status.TIMED_OUT
    assert read_answers(batches, outcomes).broken_at == 2


def outcome(status: Status) -> BlockOutcome:
    return BlockOutcome(np.array([status], np.uint8), np.full((1, 16), 7, np.uint8))


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_one_meaning_on_chain(status: Status) -> None:
    answer = answer_at(outcome(status), 0)
    if status in BROKEN or status is Status.PENDING:
        assert answer is None
        return
    assert answer is not None
    meanings = {Kind.TRAPPED: TRAPS, Kind.EXHAUSTED: LIMITS, Kind.REJECTED: REJECTED}
    assert status in meanings.get(answer.kind, {Status.RETURNED})
    assert answer.output == (b"\x07" * 16 if status is Status.RETURNED else b"")


def test_bent_arithmetic_answers_nothing() -> None:
    assert answer_at(replace(outcome(Status.RETURNED), fpu_broken=True), 0) is None
