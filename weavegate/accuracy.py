"""
Accuracy on held-out rows, computed from the module's own output.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conformance.differential.corpus import CorpusBlock, Origin, indices_of
from conformance.differential.findings import JudgedBlock
from conformance.differential.profiles import column_bits
from conformance.manifest.records import Manifest
from conformance.manifest.tables import BitsTable
from runners.status import Status
from weavegate.subject import Subject


@dataclass(frozen=True, slots=True)
class Accuracy:
    """
    How well the module does on the author's own rows.
    """

    sentence: str
    met: bool
    """Whether the floor of `[judge]` is met."""


def dataset_outputs(
    judged: Iterable[tuple[CorpusBlock, JudgedBlock]],
) -> dict[int, NDArray[np.uint8]]:
    """
    Output row of each held-out row, as the first node that saw all cases returned it.
    """
    outputs: dict[int, NDArray[np.uint8]] = {}
    for part, block in judged:
        rows = np.flatnonzero(part.origins == Origin.DATASET)
        if not len(rows):
            continue
        indices = indices_of(part.block.ids[rows])
        whole = [voice for voice in block.voices if voice.rows is None]
        for row, index in zip(rows.tolist(), indices.tolist(), strict=True):
            for voice in whole:
                if voice.outcome.status[row] == Status.RETURNED:
                    outputs[index] = voice.outcome.outputs[row]
                    break
    return outputs


def values_of(rows: NDArray[np.uint8], subject: Subject) -> NDArray[np.float64]:
    """
    The numbers that output rows mean, shape (n, elements).
    """
    entry = subject.calls[0].entry
    at, dtype, count = subject.shapes[entry].columns[-1]
    width = 4 if dtype in ("i32", "f32") else 8
    bits = column_bits(rows, at, width, count)
    kinds = {"f64": "<f8", "f32": "<f4", "i64": "<i8", "i32": "<i4"}
    return bits.view(kinds[dtype]).reshape(len(rows), count).astype(np.float64)


def measure_accuracy(
    subject: Subject, judged: Iterable[tuple[CorpusBlock, JudgedBlock]]
) -> Accuracy | None:
    """
    Accuracy or error on labelled rows; None without labels or without a decision rule.
    """
    manifest, labels = subject.manifest, subject.labels
    if labels is None or manifest.judge.decision == "none":
        return None
    outputs = dataset_outputs(judged)
    if not outputs:
        return None
    indices = np.array(sorted(outputs), dtype=np.int64)
    values = values_of(np.stack([outputs[int(i)] for i in indices]), subject)
    truth = _labels(labels)[indices]
    return _judge(manifest, values, truth)


def _labels(table: BitsTable) -> NDArray[np.float64]:
    kinds = {"f64": "<f8", "f32": "<f4", "i64": "<i8", "i32": "<i4"}
    return table.rows.view(kinds[table.dtype]).reshape(len(table), -1)[:, 0].astype(np.float64)


def _judge(manifest: Manifest, values: NDArray[np.float64], truth: NDArray[np.float64]) -> Accuracy:
    """
    Apply the manifest's decision rule and compare with its floor.
    """
    floor, rule = manifest.judge.accuracy_floor, manifest.judge.decision
    total = len(truth)
    if rule == "rmse":
        squares = [(float(v) - float(t)) ** 2 for v, t in zip(values[:, 0], truth, strict=True)]
        error = math.sqrt(math.fsum(squares) / total)
        met = floor is None or error <= floor
        bound = "" if floor is None else f", at most {floor:g} is asked"
        return Accuracy(f"root mean square error {error:.4g} on {total} held-out rows{bound}", met)
    chosen = values.argmax(axis=1) if rule == "argmax" else (values[:, 0] >= 0.5).astype(int)  # noqa: PLR2004 - the threshold of the rule's name
    hits = int((chosen == truth).sum())
    met = floor is None or hits >= floor * total
    bound = "" if floor is None else f", at least {floor:.1%} is asked"
    return Accuracy(f"{hits} of {total} held-out rows right ({hits / total:.1%}){bound}", met)


@dataclass(frozen=True, slots=True)
class Expected:
    """
    The module's outputs against the author's own expected rows.
    """

    rows: int
    worst_ulp: int
    beyond: tuple[int, ...]
    """Held-out rows with an element further away than the manifest tolerates, ascending."""


def against_expected(
    subject: Subject, judged: Iterable[tuple[CorpusBlock, JudgedBlock]]
) -> Expected | None:
    """
    Distances, in representable numbers, from the author's expected bits; None without them.
    """
    table = subject.expected
    if table is None:
        return None
    outputs = dataset_outputs(judged)
    indices = np.array(sorted(outputs), dtype=np.int64)
    if not len(indices):
        return None
    entry = subject.calls[0].entry
    at, dtype, count = subject.shapes[entry].columns[-1]
    width = 4 if dtype in ("i32", "f32") else 8
    mine = column_bits(np.stack([outputs[int(i)] for i in indices]), at, width, count)
    distance = _steps(mine, table.bits()[indices].astype(mine.dtype), width, dtype)
    worst = distance.max(axis=1)
    beyond = indices[worst > np.uint64(subject.manifest.judge.tolerance_ulp)]
    return Expected(len(indices), int(worst.max()), tuple(beyond.tolist()))


def _steps(
    left: NDArray[np.unsignedinteger], right: NDArray[np.unsignedinteger], width: int, dtype: str
) -> NDArray[np.uint64]:  # fmt: skip
    """
    How many representable numbers lie between two bit patterns; NaNs differ by all of them.
    """
    if dtype.startswith("i"):
        return np.asarray((left != right) * np.uint64(2**63), dtype=np.uint64)
    sign = np.uint64(1 << (8 * width - 1))
    places = []
    for bits in (left.astype(np.uint64), right.astype(np.uint64)):
        magnitude = (bits & (sign - np.uint64(1))).astype(np.int64)
        places.append(np.where(bits & sign != 0, -magnitude, magnitude))
    far = np.abs(places[0] - places[1]).astype(np.uint64)
    zeros = (left != right) & (far == 0)
    return np.asarray(np.where(zeros, np.uint64(1), far), dtype=np.uint64)
