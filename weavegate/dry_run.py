"""
`weavegate certify --dry-run`: what would be run and what it costs. No worker is started.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase

from attacks.registry import scenarios
from conformance.differential.corpus import Corpus, Stratum
from conformance.evidence.store import EvidenceStore
from reports.dry_run import (
    DryRun,
    MissingEngine,
    NotAsked,
    PlannedAttack,
    PlannedBounds,
    PlannedNode,
)
from runners.arena import rows_that_fit
from runners.blocks import CaseBlock
from runners.catalog import Catalog
from runners.environments import Environments, MissingEngineError
from runners.instances import cases_per_instance
from runners.pool import ARENA_BYTES
from weavegate.allowing import Allowed
from weavegate.asking import participants, profile_of, who_can
from weavegate.attacking import QUICK_ENTRIES, seats_to_attack, targets_of
from weavegate.bound_measuring import MOST_COUNTED
from weavegate.bound_proofs import ENGINE
from weavegate.bounds_asked import bounds_asked
from weavegate.exits import Exit, WeavegateError
from weavegate.judging import QUORUM_ALL, QUORUM_SAMPLED, tasks_of
from weavegate.nodes import Participant
from weavegate.opening import corpus_of, evidence_path
from weavegate.options import EFFORTS, Options
from weavegate.rates import Spent, recall_spent
from weavegate.stored import Kept
from weavegate.subject import Subject, load_subject


def dry_run(
    options: Options, catalog: Catalog | None = None, environments: Environments | None = None
) -> DryRun:
    """
    The plan of a certification; raises what `certify` raises before it starts workers.

    An engine that is not installed does not end it: all that are missing are named.
    """
    subject = load_subject(options.argument, options.manifest, options.expect)
    catalog = catalog or Catalog.load()
    environments = environments or Environments(catalog)
    allowed = Allowed.read(options.allowances)
    profile = profile_of(options, subject)
    asked, missing = _there(options, subject, catalog, environments)
    present, absent = who_can(asked, subject, profile) if asked else ([], [])
    allowed.require_evidence(present)
    size = options.size or EFFORTS[options.effort]
    corpus = corpus_of(subject, size, options.seed)
    path = evidence_path(options)
    with ExitStack() as stack:
        store = None
        if path.is_dir():
            sentence = f"{path} is a folder: name a file with --evidence"
            raise WeavegateError(sentence, Exit.USAGE)
        # A run would set an empty file up as a new one.
        if path.exists() and path.stat().st_size:
            store = stack.enter_context(EvidenceStore.open(path, read_only=True))
        sums = _sums(subject, present, corpus, store, environments, again=options.again)
    spent = recall_spent(path, subject.sha256, present)
    nodes = tuple(each.planned(known) for each, known in zip(sums, spent, strict=True))
    outlook = _outlook(missing, present, corpus)
    cores = len(os.sched_getaffinity(0))
    return DryRun(
        name=subject.manifest.name,
        module_sha256=subject.sha256,
        nan=profile,
        effort=options.effort,
        seed=options.seed,
        policy=subject.manifest.run.policy,
        strata=corpus.strata,
        levels=corpus.levels,
        origins=corpus.origins,
        nodes=nodes,
        not_asked=tuple(
            NotAsked(label=a.participant.node.label(), reason=a.reason) for a in absent
        ),
        missing=missing,
        attacks=_attacks(options, subject, present),
        allowances=_about(allowed, present),
        bounds=_bounds(options, subject),
        evidence=str(path),
        evidence_there=store is not None,
        seconds=_seconds(nodes, cores),
        cores=cores,
        outlook=outlook or "nothing stands in the way of a decision",
        exit_code=int(Exit.UNDECIDED if outlook else Exit.PASS),
    )


def _there(
    options: Options, subject: Subject, catalog: Catalog, environments: Environments
) -> tuple[list[Participant], tuple[MissingEngine, ...]]:
    """
    The nodes whose engines are installed, and the engines that are not.
    """
    missing: list[MissingEngine] = []

    def lacks(error: MissingEngineError, engine: str) -> None:
        missing.append(MissingEngine(engine=engine, sentence=str(error)))

    return participants(options, subject, catalog, environments, lacks), tuple(missing)


def _sums(
    subject: Subject,
    nodes: Sequence[Participant],
    corpus: Corpus,
    store: EvidenceStore | None,
    environments: Environments,
    *,
    again: bool,
) -> list[_Sum]:
    """
    What each node would be asked, evidence subtracted unless it is to run *again* all the same.
    """
    kept = [
        None if store is None else Kept.of(store, subject.sha256, n, environments) for n in nodes
    ]
    sums = [_Sum(node) for node in nodes]
    digests: dict[int, str] = {}
    for task in tasks_of(subject.sha256, nodes, corpus):
        known = kept[task.seat]
        left = len(task.block)
        if known is not None and not again:
            left = known.left(task.block, digests)
        sums[task.seat].add(task.block, left)
    return sums


class _Sum:
    """
    One node's share of a plan, block by block.
    """

    def __init__(self, node: Participant) -> None:
        """
        Nothing yet.
        """
        self._node = node
        self._reuse = cases_per_instance(node.node.policy)
        self._cases = self._left = self._batches = self._instances = 0

    def add(self, block: CaseBlock, left: int) -> None:
        """
        A block of which *left* cases are to be run.
        """
        fit = rows_that_fit(block.call, block.level, ARENA_BYTES)
        fit = max(1, fit - fit % self._reuse if fit < left else fit)
        self._cases += len(block)
        self._left += left
        self._batches += -(-left // fit)
        self._instances += -(-left // self._reuse)

    def planned(self, spent: Spent | None) -> PlannedNode:
        """
        The record, with a rate where earlier runs measured one.
        """
        rate = None if spent is None else spent.us_per_case
        seconds = 0.0 if not self._left else None if rate is None else rate * self._left / 1e6
        return PlannedNode(
            label=self._node.node.label(),
            generator=self._node.launch.families.generator,
            role="sample" if self._node.sampled else "all cases",
            cases=self._cases,
            stored=self._cases - self._left,
            to_run=self._left,
            batches=self._batches,
            instances=self._instances,
            us_per_case=rate,
            measured_cases=0 if spent is None else spent.cases,
            seconds=seconds,
        )


def _seconds(nodes: Sequence[PlannedNode], cores: int) -> float | None:
    """
    No node is done before its own time is over, nor all cores before the sum is.
    """
    known = [node.seconds for node in nodes if node.seconds is not None]
    if len(known) < len(nodes) or not nodes:
        return None
    return max(*known, sum(known) / cores)


def _attacks(
    options: Options, subject: Subject, nodes: Sequence[Participant]
) -> tuple[PlannedAttack, ...]:
    """
    The scenarios, and which nodes each is put to.
    """
    if not nodes:
        return ()
    quick = options.effort != "release"
    seats = seats_to_attack(nodes, quick=quick)
    targets = targets_of(subject, options.seed, QUICK_ENTRIES if quick else None)
    return tuple(
        PlannedAttack(
            scenario=item.id,
            proves=item.proves,
            nodes=tuple(nodes[seat].node.label() for seat in seats),
            left_out=tuple(n.node.label() for s, n in enumerate(nodes) if s not in seats),
            entries=len(targets),
        )
        for item in scenarios()
    )


def _bounds(options: Options, subject: Subject) -> PlannedBounds | None:
    """
    What would be proved and counted, if bounds are asked for.
    """
    asked = bounds_asked(options, subject.manifest)
    if asked is None:
        return None
    return PlannedBounds(
        entries=asked.entries,
        models=tuple(model.id for model in asked.models),
        chain="" if asked.chain is None else asked.chain.name,
        cases=MOST_COUNTED[options.effort],
        engine=ENGINE,
    )


def _about(allowed: Allowed, nodes: Sequence[Participant]) -> int:
    """
    How many allowances are about these nodes.
    """
    return sum(
        any(fnmatchcase(item.node.label(), allowance.nodes) for item in nodes)
        for allowance in allowed.allowances
    )


def _outlook(missing: Sequence[MissingEngine], nodes: Sequence[Participant], corpus: Corpus) -> str:
    """
    Why the run would not be made or not decide, in one sentence; empty if nothing is in the way.
    """
    if missing:
        return "; ".join(item.sentence for item in missing)
    strata = dict(corpus.strata)
    everywhere = {n.launch.families.generator for n in nodes if not n.sampled}
    families = everywhere | {n.launch.families.generator for n in nodes}
    lacking = []
    if strata[Stratum.BULK] and len(everywhere) < QUORUM_ALL:
        lacking.append(f"{QUORUM_ALL} code families on every case, {len(everywhere)} would vote")
    if strata[Stratum.EDGE] + strata[Stratum.SAMPLE] and len(families) < QUORUM_SAMPLED:
        lacking.append(
            f"{QUORUM_SAMPLED} on edge and sampled cases, {len(families)} would vote"
            f" ({', '.join(sorted(families))})"
        )
    if not lacking:
        return ""
    return f"too few for a quorum: {'; '.join(lacking)}: ask one more engine with --engine"
