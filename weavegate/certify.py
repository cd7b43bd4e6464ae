"""
`weavegate certify`: one module, many nodes, one verdict.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from conformance.differential.blame import listed
from conformance.differential.corpus import QUICK, RELEASE, Corpus, CorpusSize, build_corpus
from conformance.differential.findings import RunFinding, collect_findings
from conformance.differential.profiles import NanProfile, under_profile
from conformance.differential.records import Allowance
from conformance.evidence.store import EvidenceStore
from conformance.manifest.calls import input_columns
from reports.model import FindingReport, Report, Run
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.launch import Launch
from runners.pool import Pool
from runners.records import Identity, Node
from weavegate import summary
from weavegate.accuracy import against_expected, measure_accuracy
from weavegate.allowing import Allowed
from weavegate.attack_verdicts import attack_findings, attack_verdict
from weavegate.attacking import Attacked, Attacker
from weavegate.breaches import idle_breaches
from weavegate.execution import Executor
from weavegate.exits import Exit, WeavegateError
from weavegate.faithful import Fidelity, add_expected, check_fidelity, unfaithful_findings
from weavegate.findings_files import replay_line, save_finding
from weavegate.flaky import flaky_findings
from weavegate.hosted import hosted, makers
from weavegate.judging import Judge, RunRecord
from weavegate.lateness import part_late
from weavegate.memory_nans import unsure_of_memory
from weavegate.nodes import Participant, choose
from weavegate.probing import fpu_probe
from weavegate.refusals import require_callable
from weavegate.refused import refused_report
from weavegate.shrinking import MOST_FINDINGS, Shrinker
from weavegate.subject import Subject, load_subject

EFFORTS: dict[str, CorpusSize] = {"quick": QUICK, "release": RELEASE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    What the user asked for.
    """

    argument: Path
    out: Path
    manifest: Path | None = None
    engines: tuple[str, ...] = ()
    launches: tuple[tuple[Launch, bool], ...] = ()
    """Workers beyond the catalogue, and whether they see a sample only."""
    expect: Path | None = None
    nan: str | None = None
    effort: str = "quick"
    seed: int = 0
    as_of: date | None = None
    allowances: Path | None = None
    evidence: Path | None = None
    evidence_pages: int | None = None
    again: bool = False
    command: str = "weavegate certify"
    size: CorpusSize | None = None
    shrink_most: int = MOST_FINDINGS
    """Red findings that are shrunk, the first ones."""


@dataclass(frozen=True, slots=True)
class Ticker:
    """
    Where progress is told.
    """

    say: Callable[[str], None]
    plan: Callable[[Sequence[tuple[str, int]]], None]
    """(label, cases) of each node, once the corpus is known."""
    step: Callable[[int, int], None]
    """Node and cases that are done."""


SILENT = Ticker(lambda _: None, lambda _: None, lambda _, __: None)


def certify(
    options: Options,
    ticker: Ticker = SILENT,
    catalog: Catalog | None = None,
    environments: Environments | None = None,
    open_store: Callable[[Path, int | None], EvidenceStore] | None = None,
) -> Report:
    """
    Certify a module; raises WeavegateError and the errors that `exits.plainly` knows.

    *open_store* opens the evidence file for a path and its most pages; by default
    `EvidenceStore.open` does.
    """
    started = time.monotonic()
    subject = load_subject(options.argument, options.manifest, options.expect, runs=False)
    catalog = catalog or Catalog.load()
    environments = environments or Environments(catalog)
    allowed = Allowed.read(options.allowances)
    if subject.refusals:
        return refused_report(
            subject,
            nan=_profile(options, subject),
            effort=options.effort,
            seed=options.seed,
            as_of=options.as_of,
            command=options.command,
            started=started,
        )
    asked = _participants(options, subject, catalog, environments)
    profile = _profile(options, subject)
    present, absent = _who_can(asked, subject, profile)
    allowed.require_evidence(present)
    size = options.size or EFFORTS[options.effort]
    corpus = _corpus(subject, size, options.seed)
    with ExitStack() as stack:
        store = stack.enter_context(_open_evidence(options, open_store or _open_file))
        pairs = [(p.node, p.launch) for p in present]
        limits = CellLimits(data_mib=2048 + subject.manifest.run.memory_pages // 16)
        hosts = makers(len(pairs), subject.host)
        pool = stack.enter_context(Pool(pairs, limits=limits, probe=fpu_probe(), hosts=hosts))
        ticker.say("starting workers")
        identities = pool.identities()
        pool.add_module(subject.sha256, subject.data, subject.manifest.run.compile_deadline_ms)
        executor = Executor(pool, store, [p.node for p in present], identities, options.again)
        judge = Judge(subject, present, executor, _vote_profile(profile), ticker.step)
        ticker.plan(_plan(judge, corpus, present))
        record = judge.judge(corpus)
        require_callable(subject.path, [v.outcome for _, j in record.judged for v in j.voices])
        keys = list(executor.keys)
        ticker.say("judging")
        voted = _vote_profile(profile)
        work = _Work(options, subject, present, executor, record, voted, profile, allowed)
        return work.report(identities, absent, corpus, size, store.digest(keys), started, ticker)


def _participants(
    options: Options, subject: Subject, catalog: Catalog, environments: Environments
) -> list[Participant]:
    """
    Nodes from the catalogue, then workers beyond it.
    """
    policy = subject.manifest.run.policy
    found: list[Participant] = []
    if options.engines or not options.launches:
        found = choose(options.engines, policy, catalog, environments)
    found += [
        Participant(Node(launch.engine, policy=policy), launch, sampled)
        for launch, sampled in options.launches
    ]
    return [replace(item, node=hosted(item.node, subject.host)) for item in found]


def _profile(options: Options, subject: Subject) -> str:
    """
    The NaN profile of the run: the command line's, else the manifest's.
    """
    return options.nan or subject.manifest.judge.nan


def _vote_profile(profile: str) -> NanProfile:
    return profile  # type: ignore[return-value]


def _who_can(
    asked: Sequence[Participant], subject: Subject, profile: str
) -> tuple[list[Participant], list[summary.Absent]]:
    """
    Part the nodes into those that can run the module under the profile, and those not asked.
    """
    converts = {"f32.demote_f64", "f64.promote_f32"} & set(subject.module.operators)
    present, absent = [], []
    for participant in asked:
        engine, launch = participant.node.engine, participant.launch
        lacking = subject.needed_proposals - set(launch.capabilities)
        if lacking:
            words = listed(sorted(name.removeprefix("proposal:") for name in lacking))
            absent.append(summary.Absent(participant, f"does not have {words}"))
            continue
        told = under_profile(
            engine,
            launch.families.generator,
            launch.capabilities,
            _vote_profile(profile),
            converts=bool(converts),
        )
        if told.engine is None:
            absent.append(summary.Absent(participant, told.reason))
        else:
            node = msgspec.structs.replace(participant.node, engine=told.engine)
            present.append(Participant(node, launch, participant.sampled))
    if not present:
        sentence = "no node can be asked: " + "; ".join(
            f"{a.participant.node.label()} {a.reason}" for a in absent
        )
        raise WeavegateError(sentence, Exit.UNDECIDED)
    return present, absent


def _corpus(subject: Subject, size: CorpusSize, seed: int) -> Corpus:
    """
    The cases of the run.
    """
    constants = {
        "f64": set(subject.module.float_constants("f64")),
        "f32": set(subject.module.float_constants("f32")),
    }
    return build_corpus(
        subject.manifest, subject.calls, subject.rows, constants, seed, size, subject.edges
    )


def _open_evidence(
    options: Options, open_store: Callable[[Path, int | None], EvidenceStore]
) -> EvidenceStore:
    """
    The evidence file, in a folder that is made if need be.
    """
    path = options.evidence or options.out / "evidence.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        option = "--evidence" if options.evidence else "--out"
        sentence = (
            f"{path.parent}: cannot be made a folder ({error.strerror}): choose another {option}"
        )
        raise WeavegateError(sentence, Exit.USAGE) from error
    return open_store(path, options.evidence_pages)


def _open_file(path: Path, max_pages: int | None) -> EvidenceStore:
    return EvidenceStore.open(path, max_pages=max_pages)


def _plan(judge: Judge, corpus: Corpus, present: Sequence[Participant]) -> list[tuple[str, int]]:
    """
    How many cases each node will see.
    """
    counts = [0] * len(present)
    for task in judge.tasks(corpus):
        counts[task.seat] += len(task.block)
    return [(p.node.label(), count) for p, count in zip(present, counts, strict=True)]


@dataclass(frozen=True, slots=True)
class _Work:
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
        found, late = part_late(self._findings(fidelity, attacked), self.nodes)
        as_of = options.as_of or datetime.now(UTC).date()
        covers = self.allowed.cover(found, as_of)
        if found:
            ticker.say(f"shrinking {min(len(found), options.shrink_most)} findings")
        found = self._shrunk(found, covers)
        reports = [self._save(f, cover) for f, cover in zip(found, covers, strict=True)]
        folders = [Path(__file__).resolve().parent.parent / "vectors"]
        allowances = self.allowed.states(covers, self.nodes, self.executor, as_of, folders)
        accuracy = measure_accuracy(subject, record.judged)
        verdicts = (
            summary.replicates(record, reports, self.nodes, late),
            summary.faithful(subject, fidelity, reports, accuracy, expected),
            *(attack_verdict(item, subject, reports) for item in attacked),
        )
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
            ),
        )

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
