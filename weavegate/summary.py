"""
From a finished run to the report record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from conformance.differential.corpus import Corpus, CorpusSize
from conformance.differential.findings import JudgedBlock
from conformance.differential.sampling import rate_below
from conformance.wasm.rewrite.nans import rewrite_id
from reports.model import (
    AllowanceReport,
    FindingReport,
    Measured,
    NodeReport,
    Origin,
    PropertyVerdict,
    Sampling,
    Strength,
    Unobserved,
    Verdict,
)
from reports.model import (
    Subject as SubjectReport,
)
from runners.blocks import BlockOutcome
from runners.records import Identity, Level
from runners.status import BROKEN, TRAPS, Status
from weavegate.accuracy import Accuracy, Expected
from weavegate.faithful import Fidelity
from weavegate.host_ends import ended_sentence, vote_ended
from weavegate.judging import QUORUM_SAMPLED, RunRecord
from weavegate.nodes import Participant
from weavegate.subject import Subject


@dataclass(frozen=True, slots=True)
class Absent:
    """
    A node that was not asked, and why.
    """

    participant: Participant
    reason: str


def subject_report(subject: Subject) -> SubjectReport:
    """
    The module, described.
    """
    module = subject.module
    return SubjectReport(
        name=subject.manifest.name,
        path=str(subject.path),
        sha256=subject.sha256,
        size_bytes=len(subject.data),
        imports=tuple(f"{i.module}.{i.name}" for i in module.imports),
        exports=tuple(e.name for e in module.exports),
        memory_pages=module.memory_limits,
        proposals=tuple(module.proposals),
    )


def answered(outcome: BlockOutcome) -> int:
    """
    Cases that a node answered: neither never reached, nor broken on.
    """
    silent = [int(Status.PENDING), *map(int, BROKEN)]
    return int((~np.isin(outcome.status, silent)).sum())


def node_reports(
    nodes: Sequence[Participant],
    identities: Sequence[Identity],
    absent: Sequence[Absent],
    record: RunRecord,
) -> tuple[NodeReport, ...]:
    """
    What each node saw and how it fared.
    """
    reports = []
    for participant, identity in zip(nodes, identities, strict=True):
        label = participant.node.label()
        sums = dict.fromkeys(("agreeing", "differing", "abstained", "broken"), 0)
        levels = dict.fromkeys(Level, 0)
        for part, judged in record.judged:
            for tally in judged.vote.tallies:
                if tally.label == label:
                    for name in sums:
                        sums[name] += getattr(tally, name)
            for voice in judged.voices:
                if voice.node.label() == label:
                    levels[part.block.level] += answered(voice.outcome)
        reports.append(
            NodeReport(
                node=participant.node,
                label=label,
                families=participant.launch.families,
                identity=identity,
                role="sample" if participant.sampled else "all cases",
                reason=_role_reason(participant),
                cases_result=levels[Level.RESULT],
                cases_state=levels[Level.STATE],
                cases_full=levels[Level.FULL],
                **sums,
            )
        )
    reports += [
        NodeReport(
            node=missing.participant.node,
            label=missing.participant.node.label(),
            families=missing.participant.launch.families,
            identity=None,
            role="not asked",
            reason=missing.reason,
        )
        for missing in absent
    ]
    return tuple(reports)


def _role_reason(participant: Participant) -> str:
    """
    Why a node sees a sample only, and whether it runs the module rewritten.
    """
    reasons = ["an interpreter: edge and sampled cases"] if participant.sampled else []
    if participant.rewrite is not None:
        reasons.append(f"runs the module rewritten ({rewrite_id(participant.rewrite)})")
    return "; ".join(reasons)


def strengths(record: RunRecord) -> tuple[Strength, ...]:
    """
    What agreement is worth, per code-generator family.
    """
    cases: dict[str, int] = {}
    differing: dict[str, int] = {}
    for _, judged in record.judged:
        for tally in judged.vote.families:
            cases[tally.generator] = cases.get(tally.generator, 0) + tally.compared
            differing[tally.generator] = differing.get(tally.generator, 0) + tally.differing
    return tuple(
        Strength(
            generator=name,
            cases=cases[name],
            differing=differing[name],
            rate_below=rate_below(cases[name], differing[name]) if cases[name] else 1.0,
        )
        for name in sorted(cases)
    )


def replicates(
    record: RunRecord,
    findings: Sequence[FindingReport],
    participants: Sequence[Participant],
    late: Sequence[str] = (),
) -> PropertyVerdict:
    """
    Does the module give the same bits everywhere?
    """
    red = [f for f in findings if f.finding.property == "replicates" and not f.allowed_by]
    total = sum(len(part.block) for part, _ in record.judged)
    undecided = sum(len(judged.vote.undecided) for _, judged in record.judged)
    families = sorted({p.launch.families.generator for p in participants})
    strength = strengths(record)
    allowed = sum(1 for f in findings if f.finding.property == "replicates" and f.allowed_by)
    ended, words = vote_ended(judged for _, judged in record.judged)
    stopped = ended_sentence(ended, total, words)
    if red:
        verdict: Verdict = "fails"
        sentence = f"{len(red)} finding{'s' * (len(red) != 1)}: {_first(red)}"
    elif undecided or not total:
        verdict = "undecided"
        sentence = (
            f"{undecided:,} of {total:,} cases were not voted on by enough code families:"
            f" 2 are needed on every case and {QUORUM_SAMPLED} on edge and sampled ones,"
            f" {len(families)} took part ({', '.join(families)}). "
            + ("; ".join(late) or "Ask one more engine with --engine, such as reference or wasm3")
        )
    elif ended == total:
        verdict = "undecided"
        sentence = "; ".join([f"{stopped}, so no result was compared", *late])
        stopped = ""
    else:
        verdict = "holds"
        sentence = f"{total:,} cases, {len(families)} code families, no difference"
        if allowed:
            sentence = (
                f"{total:,} cases, {len(families)} code families, no difference but"
                f" {allowed} that allowances cover"
            )
        trapped = sum(_trapped(judged) for _, judged in record.judged)
        if trapped:
            sentence += f"; {trapped:,} of them end in a trap"
        sentence = "; ".join([sentence, *late])
    if stopped:
        sentence += f"; {stopped}"
    return PropertyVerdict(
        property="replicates", verdict=verdict, sentence=sentence, strength=strength
    )


def _trapped(judged: JudgedBlock) -> int:
    """
    Cases of a block that end in a trap, as a node tells that saw all of them.
    """
    whole = [voice for voice in judged.voices if voice.rows is None]
    return int(np.isin(whole[0].outcome.status, sorted(TRAPS)).sum()) if whole else 0


def _first(red: Sequence[FindingReport]) -> str:
    finding = red[0].finding
    return f"{finding.kind} in {finding.call.entry} ({finding.blame.reason})"


def faithful(
    subject: Subject,
    fidelity: Fidelity,
    findings: Sequence[FindingReport],
    accuracy: Accuracy | None,
    expected: Expected | None,
) -> PropertyVerdict:
    """
    Are they the right bits?
    """
    red = [f for f in findings if f.finding.property == "faithful" and not f.allowed_by]
    facts = []
    verdict: Verdict = "holds"
    if fidelity.source:
        facts.append(f"{fidelity.cases:,} cases against {fidelity.source}")
    if expected is not None:
        tolerance = subject.manifest.judge.tolerance_ulp
        facts.append(
            f"{expected.rows} rows against the author's expected bits"
            f" (worst {expected.worst_ulp} ulp, {tolerance} tolerated)"
        )
    if red:
        facts.insert(0, f"{len(red)} finding{'s' * (len(red) != 1)}: {_first(red)}")
        verdict = "fails"
    if expected is not None and expected.beyond:
        count = len(expected.beyond)
        rows = "row differs" if count == 1 else "rows differ"
        first = f"the first is held-out row {expected.beyond[0]}"
        facts.insert(0, f"{count} {rows} from the author's expected bits, {first}")
        verdict = "fails"
    if accuracy is not None and not accuracy.met:
        facts.insert(0, f"accuracy: {accuracy.sentence}")
        verdict = "fails"
    if not fidelity.source and verdict == "holds":
        semantics = subject.manifest.semantics
        libm = semantics is not None and semantics.function_class == "libm"
        why = "class libm has no bits to judge by" if libm else "the manifest declares no semantics"
        return PropertyVerdict(
            property="faithful", verdict="not-asked", sentence="; ".join([why, *facts])
        )
    if verdict == "holds" and fidelity.cases == 0:
        verdict, facts = "undecided", ["no case was held against the declared semantics"]
    return PropertyVerdict(property="faithful", verdict=verdict, sentence="; ".join(facts))


def unobserved(record: RunRecord, *, imports: bool) -> tuple[Unobserved, ...]:
    """
    What nodes could not show, and what nobody showed; host calls count only with imports.
    """
    reasons: dict[tuple[str, str], set[str]] = {}
    compared: dict[str, int] = {}
    showing: dict[str, set[str]] = {}
    for _, judged in record.judged:
        for aspect, cases in judged.vote.compared:
            compared[aspect] = compared.get(aspect, 0) + cases
        for voice in judged.voices:
            label = voice.node.label()
            for aspect, reason in voice.outcome.not_observed:
                reasons.setdefault((aspect, reason), set()).add(label)
            for aspect in ("memory", "pages", "globals", "gas"):
                if getattr(voice.outcome, aspect) is not None:
                    showing.setdefault(aspect, set()).add(label)
    found = [
        Unobserved(
            aspect=aspect,
            nodes=tuple(sorted(labels)),
            reason=reason,
            nobody=not showing.get(aspect),
        )
        for (aspect, reason), labels in sorted(reasons.items())
    ]
    for aspect, cases in sorted(compared.items()):
        alone = sorted(showing.get(aspect, ()))
        if not cases and alone:
            meter = " on a meter of its own" if aspect == "gas" else ""
            reason = f"only {', '.join(alone)} showed it{meter}: not compared"
            found.append(Unobserved(aspect=aspect, nodes=(), reason=reason, nobody=False))
        elif not cases and aspect == "host-calls" and imports:
            found.append(Unobserved(aspect=aspect, nodes=(), reason="not logged", nobody=True))
    return tuple(found)


def sampling(corpus: Corpus, size: CorpusSize, seed: int) -> Sampling:
    """
    Who saw what.
    """
    strata = dict(corpus.strata)
    return Sampling(
        seed=seed,
        edge=strata["edge"],
        sample=strata["sample"],
        bulk=strata["bulk"],
        full_share=size.full_share,
        sample_share=size.sample_share,
    )


def origins(corpus: Corpus) -> tuple[Origin, ...]:
    """
    Where cases came from.
    """
    return tuple(Origin(origin=name, cases=count) for name, count in corpus.origins)


def measured(nodes: Sequence[Participant], record: RunRecord) -> tuple[Measured, ...]:
    """
    Time per node.
    """
    return tuple(
        Measured(
            label=participant.node.label(),
            cases=record.ran.get(seat, 0),
            served_from_evidence=record.served.get(seat, 0),
            busy_ms=record.busy_ns.get(seat, 0) / 1e6,
            us_per_case=record.busy_ns.get(seat, 0) / 1e3 / max(1, record.ran.get(seat, 0)),
        )
        for seat, participant in enumerate(nodes)
    )


def exit_code(
    verdicts: Sequence[PropertyVerdict],
    findings: Sequence[FindingReport],
    allowances: Sequence[AllowanceReport],
) -> int:
    """
    0, 1 or 3, as RECORDS has it: findings first, then what could not be decided.
    """
    if any(v.verdict == "fails" for v in verdicts) or any(not f.allowed_by for f in findings):
        return 1
    if any(a.state == "stale" for a in allowances):
        return 1
    if any(v.verdict == "undecided" for v in verdicts):
        return 3
    return 0
