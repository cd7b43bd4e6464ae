"""
Holds proved bounds against what was measured: engines' own meters, pages, and counting rewrites.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from conformance.bounds.certificate import Bound, Certificate
from conformance.differential.corpus import Corpus
from conformance.differential.findings import JudgedBlock, RunFinding, finding_at
from conformance.differential.profiles import NanProfile
from conformance.differential.records import Blame, Finding, FindingClass
from conformance.differential.vote import Voice
from conformance.gas.records import GasModel
from runners.instances import cases_per_instance
from weavegate.bound_counting import Rewritten, Rows
from weavegate.bound_proofs import ENGINE, Bounded
from weavegate.bound_spans import (
    PAGES,
    Span,
    bounds_of,
    claim_of,
    pages_bound,
    reason_of,
    within,
)
from weavegate.bounds_asked import GAS, MEMORY
from weavegate.counting import counter, participant
from weavegate.judging import RunRecord
from weavegate.nodes import Participant
from weavegate.subject import Subject

MOST_COUNTED: Final = {"quick": 2_000, "release": 20_000}
"""Cases of an entry that rewrites are counted on, about: all, or a share drawn from the seed."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """
    On how many inputs the rewrites were counted.
    """

    entry: str
    inputs: int
    """Of the certificate."""
    cases: int
    of: int
    """Cases of the entry that the bounds are about."""
    node: str


@dataclass(frozen=True, slots=True)
class Measurements:
    """
    All that was held against bounds.
    """

    spans: tuple[Span, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    findings: tuple[RunFinding, ...] = ()


def measure(
    bounded: Bounded, subject: Subject, nodes: Sequence[Participant], record: RunRecord,
    corpus: Corpus, nan: NanProfile, seed: int, effort: str,
) -> Measurements:  # fmt: skip
    """
    Hold every confirmed bound against every reading there is, and count more with rewrites.

    Calls outside the precondition (of a reused instance but its first, or with other arguments) and
    nodes that run the module rewritten say nothing about a bound, and are left out.
    """
    spans: list[Span] = []
    coverage: list[Coverage] = []
    confirmed = [p for p in bounded.proofs if p.certificate is not None]
    if not confirmed:
        return Measurements()
    pages = subject.manifest.run.memory_pages
    with counter(participant(ENGINE), pages, subject.host) as counting:
        for proof in confirmed:
            certificate = proof.certificate
            assert certificate is not None  # noqa: S101 - chosen above
            own = list(_Own(subject, nodes, record, certificate, bounded.asked.models, nan).spans())
            disputed = {case for span in own for case in span.outside}
            call = next(call for call in subject.calls if call.entry == proof.entry)
            rows = Rows.of(certificate, call, corpus, seed, MOST_COUNTED.get(effort, 0), disputed)
            work = Rewritten(subject, counting, certificate, call, rows, nan)
            counted = list(work.spans(bounded.asked.models))
            spans += own + counted
            if counted:
                label = counting.node.node.label()
                coverage.append(
                    Coverage(proof.entry, rows.own, len(rows.ids) - rows.own, rows.of_all, label)
                )
    return Measurements(tuple(spans), tuple(coverage), tuple(_findings(spans)))


def _findings(spans: Sequence[Span]) -> Iterator[RunFinding]:
    """
    One finding for each meter, entry and node; who is named rests on what the others showed.
    """
    for span in spans:
        if span.shown is None:
            continue
        case, made = span.shown
        ids = tuple(sorted(span.outside))
        blame = _blame(span, made.blame.reason, spans)
        finding = msgspec.structs.replace(made, blame=blame, count=len(ids))
        yield RunFinding(finding, (span.node,), "other", ids, case)


def _blame(span: Span, said: str, spans: Sequence[Span]) -> Blame:
    """
    The engine, where others that show the same, or the rewrite of its model, stay within; else the
    bound, the model or the rewrite is wrong, which is the harness's own fault.
    """
    if span.what.startswith("model:"):
        return Blame("harness", (), f"{said}: the bound, the gas model or its rewrite is wrong.")
    twins = [
        other
        for other in spans
        if other is not span
        and other.entry == span.entry
        and other.bound.model == span.bound.model
        and other.cases
    ]
    if any(other.outside for other in twins):
        return Blame("harness", (), f"{said}, as others do: the bound or the model is wrong.")
    if not twins:
        return Blame("undecided", (), f"{said}; nothing else shows the same.")
    return Blame("engine", (span.node,), f"{said}; {len(twins)} other readings stay within.")


# ------------------------------------------------------------------ what engines show themselves


@dataclass(frozen=True, slots=True)
class _Own:
    """
    Engines' own meters, and pages, of all cases of the run.
    """

    subject: Subject
    nodes: Sequence[Participant]
    record: RunRecord
    certificate: Certificate
    models: Sequence[GasModel]
    nan: NanProfile

    def spans(self) -> Iterator[Span]:
        """
        One for each node and meter that a bound speaks of.
        """
        plain = {p.node.label() for p in self.nodes if p.rewrite is None}
        found: dict[tuple[str, str], Span] = {}
        entry = self.certificate.precondition.entry
        for part, judged in self.record.judged:
            if part.entry != entry:
                continue
            for block in (judged, judged.deeper):
                for voice in () if block is None else block.voices:
                    if block is not None and voice.node.label() in plain:
                        self._take(found, block, voice)
        yield from found.values()

    def _take(self, found: dict[tuple[str, str], Span], judged: JudgedBlock, voice: Voice) -> None:
        entry, label = judged.block.call.entry, voice.node.label()
        rows = np.arange(len(judged.block)) if voice.rows is None else voice.rows
        asked = within(self.certificate.precondition, judged.block.call, judged.block.inputs[rows])
        asked &= np.arange(len(rows)) % cases_per_instance(voice.node.policy) == 0
        for what, bound, values in self._shown(voice):
            span = found.setdefault((what, label), Span(entry, what, label, bound))
            beyond = span.add(voice.outcome.status, values, asked)
            for place in np.flatnonzero(beyond).tolist():
                row = int(rows[place])
                case = int(judged.block.ids[row])
                span.outside.add(case)
                if span.shown is None:
                    status = int(voice.outcome.status[place])
                    shown = self._finding(span, judged, row, int(values[place]), status)
                    span.shown = (case, shown)

    def _shown(self, voice: Voice) -> Iterator[tuple[str, Bound, NDArray[np.uint64]]]:
        outcome = voice.outcome
        if outcome.pages is not None:
            yield PAGES, pages_bound(self.certificate), outcome.pages.astype(np.uint64)
        if outcome.gas is None:
            return
        for model, bound in bounds_of(self.models, self.certificate):
            if outcome.meter in own_meters(model):
                yield outcome.meter, bound, outcome.gas.astype(np.uint64)

    def _finding(
        self, span: Span, judged: JudgedBlock, row: int, value: int, status: int
    ) -> Finding:
        claim = claim_of(span, status)
        made = finding_at(
            judged,
            row,
            kind=FindingClass.BOUND,
            blame=Blame("undecided", (), reason_of(span.entry, span, value, claim)),
            apart=(span.node,),
            module_sha256=self.subject.sha256,
            nan=self.nan,
            claim=MEMORY if span.what == PAGES else GAS,
        )
        return msgspec.structs.replace(made, claim=claim)


def own_meters(model: GasModel) -> tuple[str, ...]:
    """
    The meters of engines that a model describes: `wasmtime-fuel@50.0.1` is `fuel:wasmtime@50.0.1`.
    """
    engine, _, kind = model.name.rpartition("-")
    return tuple(f"fuel:{engine}@{version}" for version in model.alike) if kind == "fuel" else ()
