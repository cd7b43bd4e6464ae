"""
Small blocks, outcomes and keys, made from numbers given by the test.
"""

from __future__ import annotations

import hashlib

import numpy as np

from conformance.evidence.keys import BlockKey
from runners.blocks import BlockOutcome
from runners.records import Level
from runners.status import Status

LEVELS = (Level.RESULT, Level.STATE, Level.FULL)


def key(number: int = 0) -> BlockKey:
    """
    Return the key of block *number*.
    """
    return BlockKey(
        module_sha256="aa" * 32,
        rewrite="",
        case_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        node_sha256="bb" * 32,
        worker_sha256="cc" * 32,
        core_version="core@1.0",
        library_sha256="dd" * 32,
        cpu_features_sha256="ee" * 32,
    )


def outcome(
    values: list[int],
    status: list[int] | None = None,
    level: Level = Level.FULL,
    width: int = 8,
) -> BlockOutcome:
    """
    Make one row per value, and every observation of *level* derived from the value.

    The output is the value in 8 bytes, repeated to *width*; zero unless the row returned.
    """
    rows = len(values)
    state = np.full(rows, Status.RETURNED, np.uint8) if status is None else np.array(status, "u1")
    numbers = np.array(values, dtype="<u8")
    outputs = np.tile(numbers.view(np.uint8).reshape(rows, 8), (1, width // 8))
    outputs[state != Status.RETURNED] = 0
    memory = np.zeros((rows, 32), np.uint8)
    memory[:, :8] = numbers.view(np.uint8).reshape(rows, 8)
    shown = level.rank >= 1
    return BlockOutcome(
        status=state,
        outputs=outputs,
        pages=(numbers % 7 + 1).astype(np.uint32) if shown else None,
        memory=memory if shown else None,
        globals=numbers.view(np.uint8).reshape(rows, 8).copy() if shown else None,
        gas=(numbers * 3 + 11).astype(np.uint64) if level.rank == 2 else None,
        host_calls=255 - memory if level.rank == 2 else None,
        meter="fuel:fake@1.0" if level.rank == 2 else "",
    )


def equal(left: BlockOutcome, right: BlockOutcome) -> bool:
    """
    Whether two outcomes hold the same arrays, meter, reasons and words.
    """
    for name in ("status", "outputs", "pages", "memory", "globals", "gas", "host_calls"):
        one, two = getattr(left, name), getattr(right, name)
        if (one is None) != (two is None):
            return False
        if one is not None and (one.dtype != two.dtype or not np.array_equal(one, two)):
            return False
    return (left.meter, left.not_observed, left.details) == (
        right.meter,
        right.not_observed,
        right.details,
    )
