"""
Runs the rewrites that count gas by a model, on inputs of a certification.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from conformance.gas.metering import Metered, metered
from conformance.gas.records import GasModel
from conformance.wasm.module import Module
from runners.blocks import BlockOutcome, CaseBlock
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.hosts.setting import HostSetting
from runners.pool import Pool
from runners.records import Budget, Call, Level
from weavegate.hosted import hosted, makers
from weavegate.nodes import Participant, choose

BLOCK_CASES = 512


@dataclass(frozen=True, slots=True)
class Counted:
    """
    Some rows of inputs, what the counting module did with them, and what it counted.
    """

    block: CaseBlock
    """Its call is that of the module itself."""
    outcome: BlockOutcome
    gas: NDArray[np.uint64]
    """Shape (n,), modulo 2^64; whatever the outcome."""


@dataclass(frozen=True, slots=True)
class Counter:
    """
    An engine of a pool of its own.
    """

    pool: Pool
    node: Participant

    def count(
        self, module: Module, model: GasModel, call: Call, budget: Budget,
        ids: NDArray[np.uint64], inputs: NDArray[np.uint8],
    ) -> Iterator[Counted]:  # fmt: skip
        """
        Call the rewritten *module* with each row of *inputs*, shape (n, call.input_bytes).

        Yields nothing where the engine shows no globals, or where a price is unknown: then what is
        counted is not all. Raises RefusedOperatorError of the model.
        """
        counting = metered(module, model, [call.entry])
        if counting.unpriced:
            return
        digest = hashlib.sha256(counting.binary).hexdigest()
        self.pool.add_module(digest, counting.binary)
        own = _counting_call(call, counting)
        free = msgspec.structs.replace(budget, fuel=None)
        for start in range(0, len(ids), BLOCK_CASES):
            rows = slice(start, start + BLOCK_CASES)
            given = np.ascontiguousarray(inputs[rows])
            block = CaseBlock(own, free, Level.STATE, ids[rows], given)
            outcome = self.pool.run(0, digest, block)
            if outcome.globals is None:
                return
            gas = np.ascontiguousarray(outcome.globals).view("<u8").sum(axis=1, dtype=np.uint64)
            yield Counted(CaseBlock(call, free, Level.STATE, block.ids, given), outcome, gas)


def _counting_call(call: Call, counting: Metered) -> Call:
    return msgspec.structs.replace(
        call,
        entry=counting.entries[call.entry],
        globals=counting.counters,
        global_types=msgspec.UNSET,
        memory=counting.memory,
    )


def participant(engine: str) -> Participant:
    """
    A node of the engine; raises MissingEngineError where it is not to be had here.
    """
    catalog = Catalog.load()
    (node,) = choose([engine], "fresh", catalog, Environments(catalog))
    return node


@contextmanager
def counter(
    node: Participant, most_pages: int, host: HostSetting | None = None
) -> Iterator[Counter]:
    """
    The node, ready to count modules of at most so many pages of memory; *host* answers imports.
    """
    limits = CellLimits(data_mib=2048 + most_pages // 16)
    seat = hosted(node.node, host)
    with Pool([(seat, node.launch)], limits=limits, hosts=makers(1, host)) as pool:
        pool.identities()
        yield Counter(pool, node)
