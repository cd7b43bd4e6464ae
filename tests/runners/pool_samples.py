"""
Blocks for the fakes, and what an honest worker makes of them, computed here once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runners.blocks import BlockOutcome, CaseBlock
from runners.cell import CellLimits
from runners.pool import Pool
from runners.probe import Probe
from runners.records import AtAddress, Budget, Buffer, Call, Level
from runners.status import Status
from tests.fakes.launches import seat_of

MODULE = "0" * 64
CALL = Call(
    entry="infer",
    input=Buffer(AtAddress(0), 16),
    output=Buffer(AtAddress(64), 16),
    memory="memory",
    grows=False,
)
PROBE_CALL = Call(
    entry="infer",
    input=Buffer(AtAddress(0), 16),
    output=Buffer(AtAddress(64), 8),
    memory="memory",
    grows=False,
)
LIMITS = CellLimits(start_deadline_ms=20_000)
SLOW_MS = 20_000
"""A deadline that no honest case comes near, however busy the machine is."""


def block_of(
    first: Sequence[float] | NDArray[np.float64],
    *,
    level: Level = Level.RESULT,
    deadline_ms: int = SLOW_MS,
) -> CaseBlock:
    """
    One case for each number x: inputs (x, 3).
    """
    column = np.asarray(first, np.float64)
    pairs = np.ascontiguousarray(np.stack([column, np.full_like(column, 3.0)], axis=1))
    return CaseBlock(
        CALL,
        Budget(deadline_ms=deadline_ms),
        level,
        np.arange(len(column), dtype=np.uint64),
        pairs.view(np.uint8).reshape(len(column), 16),
    )


def honest_rows(
    first: Sequence[float] | NDArray[np.float64], reuse: int, lost: Sequence[int] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """
    Status and outputs of an honest worker whose rows `lost` took their instance with them.
    """
    status = np.full(len(first), Status.RETURNED, np.uint8)
    outputs = np.zeros((len(first), 2))
    calls = 0
    for row, x in enumerate(first):
        if row % reuse == 0:
            calls = 0
        calls += 1
        if x == 7.0:
            status[row] = Status.TRAP_UNREACHABLE
        elif row not in lost:
            outputs[row] = x * 3.0, calls
        if x == 7.0 or row in lost:
            calls = 0
    return status, outputs


def numbers(outcome: BlockOutcome) -> NDArray[np.float64]:
    """
    Outputs as float64, shape (n, 2).
    """
    return outcome.outputs.view("<f8")


def run_fake(
    name: str,
    block: CaseBlock,
    policy: str = "fresh",
    *,
    limits: CellLimits = LIMITS,
    probe: Probe | None = None,
    **parameters: Any,
) -> BlockOutcome:
    """
    Put one block to one fake, with the parameters of its docstring.
    """
    with Pool([seat_of(name, policy, **parameters)], limits=limits, probe=probe) as pool:
        pool.add_module(MODULE, b"")
        return pool.run(0, MODULE, block)


def probe_of_subnormals() -> Probe:
    """
    Products that are subnormal, with the bits that IEEE 754 gives them.
    """
    pairs = np.array([[2.0**-1000, 2.0**-70], [-(2.0**-1000), 2.0**-60]])
    expected = np.array([[1 << 4], [(1 << 63) | (1 << 14)]], "<u8")
    block = CaseBlock(
        PROBE_CALL,
        Budget(),
        Level.RESULT,
        np.arange(2, dtype=np.uint64),
        pairs.view(np.uint8).reshape(2, 16),
    )
    return Probe("1" * 64, b"", block, expected.view(np.uint8).reshape(2, 8))
