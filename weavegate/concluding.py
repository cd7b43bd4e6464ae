"""
What is left to do once all cases have run: judge, attack, shrink, allow, and put it together.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from conformance.differential.corpus import Corpus, CorpusSize
from conformance.differential.findings import RunFinding, collect_findings
from conformance.differential.profiles import NanProfile
from conformance.differential.records import Allowance
from conformance.manifest.calls import input_columns
from reports.model import FindingReport, FirstOperator, PropertyVerdict, Report, Run
from reports.phrases import count
from runners.records import Identity
from weavegate import summary
from weavegate.accuracy import against_expected, measure_accuracy
from weavegate.allowing import Allowed
from weavegate.attack_verdicts import attack_findings, attack_verdict
from weavegate.attacking import Attacked, Attacker
from weavegate.bisecting import BISECTED
from weavegate.bound_measuring import Measurements, measure
from weavegate.bound_proofs import Bounded, write_certificates, write_pictures
from weavegate.bound_verdicts import Judging, required
from weavegate.breaches import idle_breaches
from weavegate.execution import Executor
from weavegate.faithful import Fidelity, add_expected, check_fidelity, unfaithful_findings
from weavegate.findings_files import replay_line, save_finding
from weavegate.first_operators import Countdown, OperatorSearch
from weavegate.flaky import flaky_findings
from weavegate.host_ends import left_out
from weavegate.judging import RunRecord
from weavegate.lateness import part_late
from weavegate.memory_nans import unsure_of_memory
from weavegate.nodes import Participant
from weavegate.options import Options
from weavegate.shrinking import Shrinker
from weavegate.subject import Subject
from weavegate.ticker import Ticker


@dataclass(frozen=True, slots=True)
class Work:
    """
    What is left to do once all cases have run.
    """

    options: Options
    subject: Subject
    nodes: Sequence[Participant]
    executor: Executor
    record: RunRecord
    vote_profile: NanProfile
    profile: str
    allowed: Allowed
    bounded: Bounded | None = None
    """What was proved, where bounds are asked for."""

    def report(
        self,
        identities: Sequence[Identity],
        absent: Sequence[summary.Absent],
        corpus: Corpus,
        size: CorpusSize,
        evidence_sha256: str,
        started: float,
        ticker: Ticker,
    ) -> Report:
        """
        Judge, shrink, allow, and put everything together.
        """
        options, subject, record = self.options, self.subject, self.record
        fidelity = check_fidelity(subject, record.judged, self.executor.store)
        expected = against_expected(subject, record.judged)
        if expected is not None:
            add_expected(subject, record.judged, expected.beyond, fidelity)
        ticker.say("attacking")
        attacked = self._attacked(identities)
        measured = self._measured(corpus, ticker)
        found, late = part_late(
            [*self._findings(fidelity, attacked), *map(self._readable, measured.findings)],
            self.nodes,
        )
        unrun = left_out(judged for _, judged in record.judged)
        as_of = options.as_of or datetime.now(UTC).date()
        covers = self.allowed.cover(found, as_of)
        if found:
            ticker.say(f"shrinking {min(len(found), options.shrink_most)} findings")
        found = self._shrunk(found, covers)
        operators = self._operators(found, covers, ticker)
        reports = [self._save(f, cover) for f, cover in zip(found, covers, strict=True)]
        folders = [Path(__file__).resolve().parent.parent / "vectors"]
        allowances = self.allowed.states(covers, self.nodes, self.executor, as_of, folders)
        accuracy = measure_accuracy(subject, record.judged)
        verdicts = (
            summary.replicates(record, reports, self.nodes, [*late, *unrun]),
            summary.faithful(subject, fidelity, reports, accuracy, expected),
            *(attack_verdict(item, subject, reports) for item in attacked),
            *self._bounds(measured, reports),
        )
        verdicts = tuple(required(verdict, options.require) for verdict in verdicts)
        return Report(
            subject=summary.subject_report(subject),
            verdicts=verdicts,
            nodes=summary.node_reports(self.nodes, identities, absent, record),
            nan=self.profile,
            effort=options.effort,
            sampling=summary.sampling(corpus, size, options.seed),
            origins=summary.origins(corpus),
            unobserved=summary.unobserved(record, imports=bool(subject.module.imports)),
            findings=tuple(reports),
            allowances=tuple(allowances),
            as_of=as_of.isoformat(),
            accuracy=accuracy.sentence if accuracy else "",
            evidence_sha256=evidence_sha256,
            exit_code=summary.exit_code(verdicts, reports, allowances),
            run=Run(
                started=datetime.now(UTC).isoformat(timespec="seconds"),
                wall_ms=(time.monotonic() - started) * 1000,
                host=f"{platform.system()} {platform.machine()}",
                weavegate=version("weavegate"),
                command=options.command,
                engines=summary.measured(self.nodes, record),
                unstable=tuple(self._unstable()),
                operators=operators,
            ),
        )

    def _measured(self, corpus: Corpus, ticker: Ticker) -> Measurements:
        """
        Bounds against readings; nothing where no bounds are asked for.
        """
        if self.bounded is None:
            return Measurements()
        ticker.say("measuring against bounds")
        return measure(
            self.bounded, self.subject, self.nodes, self.record, corpus, self.vote_profile,
            self.options.seed, self.options.effort,
        )  # fmt: skip

    def _bounds(
        self, measured: Measurements, reports: Sequence[FindingReport]
    ) -> tuple[PropertyVerdict, ...]:
        """
        The verdicts of bounds; what was confirmed is written beside the report.
        """
        if self.bounded is None:
            return ()
        write_certificates(self.bounded, self.options)
        write_pictures(self.bounded, self.options)
        return Judging(self.bounded, measured, reports).verdicts()

    def _unstable(self) -> list[str]:
        """
        What fell and was the same when it was run again; what fell while it had nothing to do.
        """
        return self.executor.unstable + [
            f"{participant.node.label()}: {death.word} between cases"
            for seat, participant in enumerate(self.nodes)
            for death in self.executor.pool.idle_falls(seat)
            if death.cause == "signal"
        ]

    def _attacked(self, identities: Sequence[Identity]) -> list[Attacked]:
        """
        What the scenarios saw whose property is judged here.
        """
        attacker = Attacker(
            self.subject,
            self.nodes,
            identities,
            self.executor.pool,
            self.executor.store,
            seed=self.options.seed,
            quick=self.options.effort != "release",
            again=self.options.again,
        )
        attacked = attacker.attack()
        self.executor.unstable.extend(attacker.unstable)
        return sorted(attacked, key=lambda item: item.scenario.proves, reverse=True)

    def _findings(self, fidelity: Fidelity, attacked: Sequence[Attacked]) -> list[RunFinding]:
        """
        All findings of the run: of the vote, of fidelity, flaky keys, and what attacks achieved.
        """
        found = list(
            collect_findings(
                (judged for _, judged in self.record.judged),
                module_sha256=self.subject.sha256,
                nan=self.vote_profile,
            )
        )
        families = {p.node.label(): p.launch.families.generator for p in self.nodes}
        found += unfaithful_findings(
            fidelity, module_sha256=self.subject.sha256, nan=self.profile, families=families
        )
        found += flaky_findings(
            self.executor.flaky, self.nodes, self.subject.shapes, self.vote_profile
        )
        found += idle_breaches(
            self.executor.pool,
            self.nodes,
            [part for part, _ in self.record.judged],
            self.subject.shapes,
            self.vote_profile,
            self.subject.sha256,
        )
        floats = bool(self.subject.module.float_operators)
        found = [unsure_of_memory(f, floats=floats, profile=self.profile) for f in found]
        for item in attacked:
            found += attack_findings(item, self.subject, self.nodes, self.profile)
        return [self._readable(item) for item in found]

    def _readable(self, item: RunFinding) -> RunFinding:
        """
        Say in the finding what its inputs mean.
        """
        finding = item.finding
        columns = input_columns(self.subject.manifest, finding.call.entry)
        buffer = finding.call.input is not None
        finding = msgspec.structs.replace(
            finding,
            host=self.subject.host,
            input_dtype=columns[-1][1] if buffer else "",
            slot_dtypes=() if buffer else tuple(dtype for _, dtype, _ in columns),
        )
        return RunFinding(finding, item.deviants, item.manner, item.case_ids, item.case_id)

    def _shrunk(
        self, found: Sequence[RunFinding], covers: Sequence[Allowance | None]
    ) -> list[RunFinding]:
        """
        Shrink the first red findings; allowed ones have their evidence already.
        """
        shrinker = Shrinker(
            self.subject.manifest,
            self.nodes,
            self.executor,
            self.vote_profile,
            dict(self.subject.shapes),
        )
        left, made = self.options.shrink_most, []
        for item, cover in zip(found, covers, strict=True):
            if cover is None and left:
                left -= 1
                item = shrinker.shrink(item)  # noqa: PLW2901 - the smaller form of the same
            made.append(item)
        return made

    def _operators(
        self,
        found: Sequence[RunFinding],
        covers: Sequence[Allowance | None],
        ticker: Ticker,
    ) -> tuple[FirstOperator, ...]:
        """
        The operators in which nodes part, of the first red findings that may show one.
        """
        options = self.options
        red = [item for item, cover in zip(found, covers, strict=True) if cover is None]
        chosen = [item for item in red if item.finding.kind in BISECTED][: options.bisect_most]
        if not chosen:
            return ()
        ticker.say(f"looking for the operator that differs, in {count(len(chosen), 'finding')}")
        search = OperatorSearch(
            self.subject.data,
            self.executor.pool,
            {node.node.label(): seat for seat, node in enumerate(self.nodes)},
            self.executor.rewrites.by_seat,
            Countdown(options.bisect_seconds),
        )
        return tuple([search.look(item) for item in chosen])

    def _save(self, item: RunFinding, cover: Allowance | None) -> FindingReport:
        """
        Write a finding's file.
        """
        path = save_finding(self.options.out, item.finding, self.subject.data)
        self.executor.store.put_finding(
            item.finding.id, msgspec.json.encode(item.finding, order="deterministic")
        )
        return FindingReport(
            id=item.finding.id,
            finding=item.finding,
            file=str(path),
            replay=replay_line(path),
            allowed_by=cover.reason if cover else "",
        )
