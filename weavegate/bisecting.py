"""
Asks the pool's nodes for checkpoints, so that the first operator in which two differ is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from conformance.differential.bisection import FirstDifference, Run, first_difference
from conformance.differential.records import Finding, FindingClass
from conformance.wasm.decode import decode
from conformance.wasm.errors import BadModuleError
from conformance.wasm.rewrite.checkpoints import Instrumented
from conformance.wasm.rewrite.errors import CannotRewriteError
from conformance.wasm.rewrite.nans import NanRewrite
from runners.arena import BatchTooLargeError
from runners.bits import parse_bytes
from runners.blocks import CaseBlock
from runners.pool import Pool
from runners.records import Budget, Call, Level
from runners.status import Status

BISECTED = frozenset({FindingClass.VALUE, FindingClass.NAN_BITS, FindingClass.KIND,
                      FindingClass.STATE, FindingClass.UNFAITHFUL})  # fmt: skip
"""Classes of findings in which some operator gave something else."""


@dataclass(frozen=True, slots=True)
class Question:
    """
    One case of a module, to be put to two seats of a pool.
    """

    pool: Pool
    seats: tuple[int, int]
    call: Call
    budget: Budget
    row: bytes
    left_ms: Callable[[], int] | None = None
    """How much time is left for all that is asked; None: as much as it takes."""

    def ask(self, which: int, made: Instrumented) -> Run | None:
        """
        Run an instrumented module; None where it could not be run to its end or to a trap.
        """
        budget = msgspec.structs.replace(made.budget(self.budget), fuel=None)
        if self.left_ms is not None:
            left = self.left_ms()
            if left <= 0:
                return None
            budget = msgspec.structs.replace(budget, deadline_ms=min(budget.deadline_ms, left))
        sha256 = hashlib.sha256(made.binary).hexdigest()
        self.pool.add_module(sha256, made.binary)
        block = CaseBlock(
            made.call(self.call),
            budget,
            Level.STATE,
            np.zeros(1, np.uint64),
            np.frombuffer(self.row, np.uint8).reshape(1, -1).copy(),
        )
        outcome = self.pool.run(self.seats[which], sha256, block)
        self.pool.forget([sha256])
        trapped = outcome.status[0] > Status.RETURNED and outcome.globals is not None
        if outcome.globals is None or not (outcome.status[0] == Status.RETURNED or trapped):
            return None
        hits, mixed = outcome.globals[0].view("<u8").tolist()
        buffer = None
        if outcome.status[0] == Status.RETURNED:
            buffer = outcome.outputs[0, 8 * len(self.call.results) :].tobytes()
        return Run(buffer, int(outcome.status[0]), hits, mixed)


def bisected(
    finding: Finding,
    module: bytes,
    pool: Pool,
    seats: Mapping[str, int],
    rewrites: Mapping[int, NanRewrite],
    apart: Sequence[str],
    left_ms: Callable[[], int] | None = None,
) -> FirstDifference | None:
    """
    The first operator in which a node of *apart* and another node of the finding differ.

    *seats*: label -> the pool's seat; *rewrites*: seat -> what it runs the module with; *left_ms*:
    the time that is left for it. None for findings that no single call shows, of other classes, or
    where a node shows no checkpoints, or no time is left.
    """
    rest = [seen.node.label() for seen in finding.observed if seen.node.label() not in apart]
    pair = [label for label in (*apart, *rest) if label in seats]
    if finding.kind not in BISECTED or len(finding.history) != 1 or not apart or not rest:
        return None
    if apart[0] not in seats or rest[0] not in seats or len(pair) <= 1:
        return None
    row = parse_bytes(finding.history[-1])
    both = (seats[rest[0]], seats[apart[0]])
    question = Question(pool, both, finding.call, finding.budget, row, left_ms)
    try:
        return first_difference(
            decode(module),
            finding.call,
            question.ask,
            nans=(rewrites.get(both[0]), rewrites.get(both[1])),
        )
    except (CannotRewriteError, BadModuleError, BatchTooLargeError):
        return None
