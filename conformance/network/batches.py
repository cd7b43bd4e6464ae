"""
The inferences of a block as blocks of cases, one for each call, and the way back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from conformance.network.answers import Answer, answer_at
from conformance.network.models import Model
from conformance.network.transactions import Infer, Transaction
from runners.bits import parse_bytes
from runners.blocks import BlockOutcome, CaseBlock
from runners.records import Level

_HEIGHT_SHIFT = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """
    The inferences of one block that make the same call of the same module.
    """

    module_sha256: str
    places: tuple[int, ...]
    """Row -> place of the transaction in its block, ascending."""
    block: CaseBlock
    """A case's id is its height, shifted left by 16, and the place of its transaction."""


def batches_of(
    height: int, transactions: Sequence[Transaction], models: Sequence[Model]
) -> tuple[Batch, ...]:
    """
    Gather the inferences of a block, in the order in which their calls first occur.
    """
    grouped: dict[tuple[str, str], list[int]] = {}
    for place, transaction in enumerate(transactions):
        if isinstance(transaction, Infer):
            key = (transaction.module_sha256, transaction.entry)
            grouped.setdefault(key, []).append(place)
    by_digest = {model.sha256: model for model in models}
    made = []
    for (module, name), places in grouped.items():
        model = by_digest[module]
        call = model.entries[name].call
        rows = [parse_bytes(_input(transactions[place])) for place in places]
        inputs = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), call.input_bytes)
        ids = np.array([height << _HEIGHT_SHIFT | place for place in places], np.uint64)
        block = CaseBlock(call, model.budget, Level.RESULT, ids, inputs)
        made.append(Batch(module, tuple(places), block))
    return tuple(made)


def _input(transaction: Transaction) -> str:
    return transaction.input if isinstance(transaction, Infer) else "bytes:"


@dataclass(frozen=True, slots=True)
class Answers:
    """
    What one validator's engine made of a block's inferences.
    """

    by_place: Mapping[int, Answer]
    broken_at: int | None
    """First place without an answer: the worker broke there, so the validator has no vote."""


def read_answers(batches: Sequence[Batch], outcomes: Sequence[BlockOutcome]) -> Answers:
    """
    Put the outcomes of all *batches* in the order of the block's transactions.
    """
    found: dict[int, Answer] = {}
    broken: list[int] = []
    for batch, outcome in zip(batches, outcomes, strict=True):
        for row, place in enumerate(batch.places):
            answer = answer_at(outcome, row)
            if answer is None:
                broken.append(place)
            else:
                found[place] = answer
    return Answers(found, min(broken, default=None))
