"""
A model of two numbers, an executor that computes it with Python's own floats, and its liars.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from conformance.differential.profiles import OutputShape
from conformance.network.batches import Batch
from conformance.network.events import Event, log_line
from conformance.network.executor import Executor
from conformance.network.models import Entry, Model
from conformance.network.plan import Plan, Validator
from conformance.network.simulation import RunResult, simulate
from conformance.network.transactions import Infer
from conformance.network.workload import Workload
from runners.bits import parse_bytes
from runners.blocks import BlockOutcome, CaseBlock
from runners.records import AtAddress, Budget, Buffer, Call, EngineId, Families, Node
from runners.status import Status

CALL = Call(entry="infer", input=Buffer(AtAddress(0), 16), output=Buffer(AtAddress(64), 16))
SHAPE = OutputShape(((0, "f64", 2),))
DIGEST = "ab" * 32
INPUTS = np.random.Generator(np.random.Philox(key=1)).uniform(-1.0, 1.0, (64, 2))


def model(name: str = "product", digest: str = DIGEST) -> Model:
    rows = INPUTS.astype("<f8").view(np.uint8).reshape(len(INPUTS), 16)
    return Model(name, digest, Budget(), {"infer": Entry(CALL, SHAPE, rows, "f64")})


def computed(row: bytes) -> bytes | None:
    """
    What the model gives: product and difference of its inputs; None (a trap) below -0.9.
    """
    left, right = struct.unpack("<2d", row)
    if left < -0.9:
        return None
    return struct.pack("<2d", left * right, left - right)


def validators(powers: Sequence[int], families: str = "abcdefgh") -> tuple[Validator, ...]:
    """
    One validator for each power, each of a code family of its own unless letters repeat.
    """
    return tuple(
        Validator(
            Node(EngineId(f"engine-{chr(97 + place)}", "1.0")),
            Families(generator=f"family-{families[place]}", runtime=f"family-{families[place]}"),
            power,
        )
        for place, power in enumerate(powers)
    )


def plan_of(
    seed: int = 42, blocks: int = 12, powers: Sequence[int] = (1, 1, 1, 1), families: str = "abcd"
) -> Plan:
    return Plan(seed, blocks, validators(powers, families), (model(),))


@dataclass
class Honest:
    """
    Computes the model for whoever asks.
    """

    asked: list[tuple[int, ...]] = field(default_factory=list)
    """Validators of each call."""

    def execute(
        self, validators: Sequence[int], batches: Sequence[Batch]
    ) -> Mapping[tuple[int, int], BlockOutcome]:
        self.asked.append(tuple(validators))
        return {
            (validator, place): honest_outcome(batch.block)
            for validator in validators
            for place, batch in enumerate(batches)
        }


def honest_outcome(block: CaseBlock) -> BlockOutcome:
    status = np.full(len(block), Status.RETURNED, np.uint8)
    outputs = np.zeros((len(block), 16), np.uint8)
    for row in range(len(block)):
        output = computed(block.inputs[row].tobytes())
        if output is None:
            status[row] = Status.TRAP_UNREACHABLE
        else:
            outputs[row] = np.frombuffer(output, np.uint8)
    return BlockOutcome(status, outputs)


Lie = Callable[[BlockOutcome, NDArray[np.bool_]], BlockOutcome]


@dataclass
class Lying:
    """
    Passes work on, and changes what some validators answer from a height on.
    """

    honest: Executor
    liars: frozenset[int]
    lie: Lie
    since: int = 1

    def execute(
        self, validators: Sequence[int], batches: Sequence[Batch]
    ) -> Mapping[tuple[int, int], BlockOutcome]:
        found = dict(self.honest.execute(validators, batches))
        for (validator, place), outcome in found.items():
            rows = (batches[place].block.ids >> np.uint64(16)) >= self.since
            if validator in self.liars and rows.any():
                found[validator, place] = self.lie(outcome, rows)
        return found


def flips_last_bit(outcome: BlockOutcome, rows: NDArray[np.bool_]) -> BlockOutcome:
    """
    The last bit of the second output, where the call returned.
    """
    outputs = outcome.outputs.copy()
    outputs[rows & (outcome.status == Status.RETURNED), 8] ^= 1
    return replace(outcome, outputs=outputs)


def ends_as(status: Status, words: str = "") -> Lie:
    """
    Every call ends so.
    """

    def lie(outcome: BlockOutcome, rows: NDArray[np.bool_]) -> BlockOutcome:
        statuses, outputs = outcome.status.copy(), outcome.outputs.copy()
        statuses[rows], outputs[rows] = status, 0
        details = {int(row): words for row in np.flatnonzero(rows)} if words else {}
        return replace(outcome, status=statuses, outputs=outputs, details=details)

    return lie


def bends_arithmetic(outcome: BlockOutcome, rows: NDArray[np.bool_]) -> BlockOutcome:
    return replace(outcome, fpu_broken=bool(rows.any()))


def reads_a_meter(outcome: BlockOutcome, rows: NDArray[np.bool_]) -> BlockOutcome:
    return replace(outcome, gas=np.full(len(rows), 7, np.uint64), meter="fuel:engine@1.0")


def run(plan: Plan, executor: Executor) -> tuple[RunResult, list[Event], bytes]:
    """
    A run, its events, and its log.
    """
    events: list[Event] = []
    result = simulate(plan, executor, events.append)
    return result, events, b"".join(log_line(event) for event in events)


def first_inference(plan: Plan, since: int, *, returning: bool) -> tuple[int, int, Infer]:
    """
    Height, place and transaction of the first inference from a height on (one that returns).
    """
    workload = Workload(plan.seed, plan.models)
    for height in range(since, plan.blocks + 1):
        for place, transaction in enumerate(workload.block(height)):
            if isinstance(transaction, Infer) and (
                not returning or computed(parse_bytes(transaction.input)) is not None
            ):
                return height, place, transaction
    raise AssertionError("the plan has no such inference")
