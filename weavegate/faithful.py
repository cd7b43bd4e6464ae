"""
The question beside the vote: are the bits that nodes agree on the right ones?
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from conformance.differential.corpus import CorpusBlock, Origin, Stratum, indices_of
from conformance.differential.findings import JudgedBlock, RunFinding, finding_at
from conformance.differential.profiles import nan_bits_only, zero_signs_only
from conformance.differential.records import Blame, FindingClass
from conformance.evidence.store import EvidenceStore
from conformance.fidelity.oracle import evaluate_rows
from conformance.wasm.numerics.results import AnyNan, Exact
from runners.bits import format_bytes
from runners.status import Status
from weavegate.subject import Subject

_QUIET_NAN = {"f32": 0x7FC00000, "f64": 0x7FF8000000000000}


DECLARED: Final = "the declared semantics"


@dataclass(frozen=True, slots=True)
class Deviation:
    """
    One case in which nodes did not do what the declared semantics say.
    """

    judged: JudgedBlock
    row: int
    labels: tuple[str, ...]
    manner: str
    expected: bytes
    everyone: bool
    """Whether all nodes that had a vote deviate: then the module is at fault, not an engine."""
    measure: str = DECLARED
    """What they deviate from."""


@dataclass(slots=True)
class Fidelity:
    """
    How far a run's outputs were held against declared semantics.
    """

    cases: int = 0
    source: str = ""
    """What they were held against, in words; empty: nothing was declared."""
    deviations: list[Deviation] = field(default_factory=list)


def check_fidelity(
    subject: Subject, judged: Iterable[tuple[CorpusBlock, JudgedBlock]], store: EvidenceStore
) -> Fidelity:
    """
    Hold every node's outcomes against the manifest's semantics, where they exist.
    """
    if subject.expectations is not None:
        return _against_table(subject, judged)
    if subject.oracle is not None:
        return _against_oracle(subject, judged, store)
    return Fidelity()


# ------------------------------------------------------------- rules of the specification


def _against_table(subject: Subject, judged: Iterable[tuple[CorpusBlock, JudgedBlock]]) -> Fidelity:
    """
    Scalar calls against the table of expected outcomes of all combinations of edge values.
    """
    found = Fidelity(source="expected outcomes of every edge case, from the rules")
    table = subject.expectations
    if table is None:
        return found
    for part, block in judged:
        if part.stratum is not Stratum.EDGE or part.entry not in table.entries:
            continue
        indices = indices_of(part.block.ids).astype(np.int64)
        within = indices < table.count(part.entry)
        chosen = np.flatnonzero(within)
        found.cases += len(chosen)
        wrong: dict[int, dict[str, str]] = {}
        for voice in block.voices:
            if voice.rows is not None or voice.outcome.fpu_broken:
                continue
            for miss in table.mismatches(
                part.entry,
                indices[chosen],
                voice.outcome.status[chosen],
                voice.outcome.outputs[chosen, :8],
            ):
                row = int(chosen[miss.position])
                wrong.setdefault(row, {})[voice.node.label()] = miss.difference
        for row, labels in sorted(wrong.items()):
            expected = table.row(part.entry, int(indices[row]))
            bits = 0
            if isinstance(expected, Exact):
                bits = expected.bits
            elif isinstance(expected, AnyNan):
                bits = _QUIET_NAN[str(table.result(part.entry))]
            found.deviations += _by_manner(block, row, labels, bits.to_bytes(8, "little"))
    return found


def _by_manner(
    block: JudgedBlock, row: int, labels: dict[str, str], expected: bytes
) -> Iterator[Deviation]:
    """
    One deviation for each way in which nodes deviate at a row.
    """
    voting = _voting(block, row)
    for manner in sorted(set(labels.values())):
        named = tuple(sorted(label for label, kind in labels.items() if kind == manner))
        everyone = set(labels) >= voting
        yield Deviation(
            block, row, named, "other" if manner == "value" else manner, expected, everyone
        )


def _voting(block: JudgedBlock, row: int) -> set[str]:
    """
    Labels of the nodes that returned or trapped at a row.
    """
    return {
        voice.node.label()
        for voice in block.voices
        if voice.rows is None and 0 < voice.outcome.status[row] < Status.EXHAUSTED_STACK
    }


# ------------------------------------------------------------------- declared programs


def _against_oracle(
    subject: Subject, judged: Iterable[tuple[CorpusBlock, JudgedBlock]], store: EvidenceStore
) -> Fidelity:
    """
    Models against their declared program, evaluated in strict order.
    """
    semantics = subject.manifest.semantics
    function_class = semantics.function_class if semantics is not None else "program"
    found = Fidelity(source=f"the declared semantics (class {function_class}), in strict order")
    free = subject.manifest.judge.nan == "free"
    for part, block in judged:
        rows = _judged_rows(part)
        if not len(rows):
            continue
        expected = _oracle_rows(subject, part, rows, store)
        found.cases += len(rows)
        shape = subject.shapes[part.entry]
        wrong: dict[int, dict[str, str]] = {}
        for voice in block.voices:
            if voice.rows is not None or voice.outcome.fpu_broken:
                continue
            status, outputs = voice.outcome.status[rows], voice.outcome.outputs[rows]
            trapped = (status > Status.RETURNED) & (status < Status.EXHAUSTED_STACK)
            differs = (status == Status.RETURNED) & (outputs != expected).any(axis=1)
            nans = nan_bits_only(outputs, expected, shape)
            zeros = zero_signs_only(outputs, expected, shape)
            if free:
                differs &= ~nans
            for at in np.flatnonzero(trapped | differs).tolist():
                manner = "trap" if trapped[at] else "nan-bits" if nans[at] else "value"
                manner = "sign-of-zero" if not trapped[at] and zeros[at] else manner
                wrong.setdefault(at, {})[voice.node.label()] = manner
        for at, labels in sorted(wrong.items()):
            found.deviations += _by_manner(block, int(rows[at]), labels, expected[at].tobytes())
    return found


def _judged_rows(part: CorpusBlock) -> NDArray[np.int64]:
    """
    Rows that the oracle is asked: edge and sampled cases, and all of the author's own.
    """
    if part.stratum is not Stratum.BULK:
        return np.arange(len(part.block), dtype=np.int64)
    return np.flatnonzero(part.origins == Origin.DATASET).astype(np.int64)


def _oracle_rows(
    subject: Subject, part: CorpusBlock, rows: NDArray[np.int64], store: EvidenceStore
) -> NDArray[np.uint8]:
    """
    Output rows of the oracle; remembered under the digests of program, weights and inputs.
    """
    inputs = part.block.inputs[rows]
    width = part.block.call.output_bytes
    name = hashlib.sha256(b"oracle 1\n" + _semantics_digest(subject) + part.entry.encode())
    name.update(inputs.tobytes())
    known = store.recall_run(name.hexdigest())
    if known is not None:
        stored = bytes.fromhex(msgspec.json.decode(known, type=str))
        return np.frombuffer(stored, np.uint8).reshape(len(rows), width)
    if subject.oracle is None:
        return np.zeros((len(rows), width), np.uint8)
    data = b"".join(evaluate_rows(subject.oracle, [row.tobytes() for row in inputs]))
    store.remember_run(name.hexdigest(), msgspec.json.encode(data.hex()))
    return np.frombuffer(data, np.uint8).reshape(len(rows), width)


def _semantics_digest(subject: Subject) -> bytes:
    """
    SHA-256 over the files that the semantics are made of.
    """
    total = hashlib.sha256()
    semantics = subject.manifest.semantics
    if semantics is not None:
        for name in (semantics.program, semantics.weights):
            if name:
                data = (Path(subject.manifest.path) / name).read_bytes()
                total.update(hashlib.sha256(data).digest())
    return total.digest()


# ------------------------------------------------------------------- the author's own rows


def add_expected(
    subject: Subject,
    judged: Iterable[tuple[CorpusBlock, JudgedBlock]],
    beyond: Sequence[int],
    fidelity: Fidelity,
) -> None:
    """
    Add held-out rows whose outputs are not what the author expects to *fidelity*.

    Rows that deviate from the declared semantics already are there once and not twice.
    """
    wanted, table = set(beyond), subject.expected
    if table is None or not wanted:
        return
    known = {int(d.judged.block.ids[d.row]) for d in fidelity.deviations}
    for part, block in judged:
        for row in np.flatnonzero(part.origins == Origin.DATASET).tolist():
            case = part.block.ids[row]
            index = int(indices_of(case))
            if index not in wanted or int(case) in known:
                continue
            results = bytes(8 * len(part.block.call.results))
            fidelity.deviations.append(
                Deviation(
                    block,
                    row,
                    tuple(sorted(_voting(block, row))),
                    "other",
                    results + table.rows[index].tobytes(),
                    everyone=True,
                    measure=f"the author's expected bits of held-out row {index}",
                )
            )


# --------------------------------------------------------------------------- findings


def unfaithful_findings(
    fidelity: Fidelity, *, module_sha256: str, nan: str, families: dict[str, str]
) -> list[RunFinding]:
    """
    One finding for each entry, set of deviating nodes and manner; the simplest case is shown.
    """
    groups: dict[tuple[str, tuple[str, ...], str, bool, bool], list[Deviation]] = {}
    for deviation in fidelity.deviations:
        entry = deviation.judged.block.call.entry
        own = deviation.measure == DECLARED
        key = (entry, deviation.labels, deviation.manner, deviation.everyone, own)
        groups.setdefault(key, []).append(deviation)
    made = []
    for (_, labels, manner, _, _), found in sorted(groups.items()):
        shown = min(found, key=_weight)
        blame = _blame(labels, families, shown)
        finding = finding_at(
            shown.judged,
            shown.row,
            kind=FindingClass.UNFAITHFUL,
            blame=blame,
            apart=labels,
            module_sha256=module_sha256,
            nan=nan,  # type: ignore[arg-type]
            claim="faithful",
            expected=format_bytes(shown.expected),
            count=len(found),
        )
        ids = tuple(sorted(int(d.judged.block.ids[d.row]) for d in found))
        case = int(shown.judged.block.ids[shown.row])
        made.append(RunFinding(finding, labels, manner, ids, case))  # type: ignore[arg-type]
    return made


def _weight(deviation: Deviation) -> tuple[int, int]:
    block = deviation.judged.block
    return int(np.count_nonzero(block.inputs[deviation.row])), int(block.ids[deviation.row])


def _blame(labels: Sequence[str], families: dict[str, str], shown: Deviation) -> Blame:
    """
    The module, when all nodes agree against its semantics; else the engines that deviate.
    """
    if shown.everyone:
        count = len({families[label] for label in labels})
        word = "family" if count == 1 else "families"
        reason = f"all nodes that answered ({count} code {word}) deviate from {shown.measure}"
        return Blame("module", (), reason)
    reason = f"deviates from {shown.measure}, which other nodes keep"
    return Blame("engine", tuple(labels), reason)
