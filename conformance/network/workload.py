"""
Draws the transactions of each block from the seed alone.

A block depends on seed, height and models, never on validators or on earlier blocks: the same
workload is put to any network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.differential.draws import scaled, stream, words
from conformance.network.models import Model
from conformance.network.transactions import Infer, StoreModule, Transaction, WriteResult
from runners.bits import format_bytes

ACCOUNTS: Final = 8
BOARDS: Final = 16
FEWEST: Final = 4
MOST: Final = 9
"""Transactions drawn for one block, from FEWEST to MOST."""
OF_SIXTEEN: Final = (("store", 1), ("write", 4), ("infer", 11))
"""How many of sixteen transactions are of which kind, on average."""
_WORDS: Final = 5


@dataclass(frozen=True, slots=True)
class Workload:
    """
    The blocks of a run.
    """

    seed: int
    models: Sequence[Model]

    def block(self, height: int) -> tuple[Transaction, ...]:
        """
        The transactions of a height, counted from 1. The first block stores all models first.
        """
        generator = stream(self.seed, "network block", str(height))
        count = FEWEST + _below(words(generator, 1)[0], MOST - FEWEST + 1)
        drawn = words(generator, count * _WORDS).reshape(count, _WORDS)
        stores: list[Transaction] = []
        if height == 1:
            stores = [StoreModule(0, model.sha256) for model in self.models]
        return (*stores, *(self._transaction(raw) for raw in drawn))

    def _transaction(self, raw: NDArray[np.uint64]) -> Transaction:
        """
        One transaction from its five words.
        """
        kind, account = _kind(_below(raw[0], 16)), _below(raw[1], ACCOUNTS)
        if kind == "write":
            return WriteResult(account, _below(raw[2], BOARDS))
        model = self.models[_below(raw[2], len(self.models))]
        if kind == "store":
            return StoreModule(account, model.sha256)
        entries = tuple(model.entries.values())
        entry = entries[_below(raw[3], len(entries))]
        row = entry.inputs[_below(raw[4], len(entry.inputs))]
        return Infer(account, model.sha256, entry.call.entry, format_bytes(row.tobytes()))


def _below(word: np.uint64, span: int) -> int:
    return int(scaled(np.array([word], np.uint64), span)[0])


def _kind(place: int) -> str:
    for name, share in OF_SIXTEEN:
        if place < share:
            return name
        place -= share
    message = f"kinds of transactions do not add up to sixteen: {OF_SIXTEEN}"
    raise ValueError(message)
