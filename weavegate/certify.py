"""
`weavegate certify`: one module, many nodes, one verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from conformance.differential.corpus import Corpus
from conformance.evidence.store import EvidenceStore
from reports.model import Report
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.pool import Pool
from weavegate.allowing import Allowed
from weavegate.asking import participants, profile_of, vote_profile, who_can
from weavegate.bound_proofs import prove_all
from weavegate.bounds_asked import BOUNDS, bounds_asked
from weavegate.concluding import Work
from weavegate.execution import Executor
from weavegate.hosted import makers
from weavegate.judging import Judge
from weavegate.nodes import Participant
from weavegate.opening import corpus_of, evidence_path, open_evidence, telling
from weavegate.options import EFFORTS, Options
from weavegate.probing import fpu_probe
from weavegate.rates import remember_spent
from weavegate.refusals import require_callable
from weavegate.refused import refused_report
from weavegate.rewriting import Rewrites
from weavegate.subject import load_subject
from weavegate.ticker import SILENT, Ticker

__all__ = ["EFFORTS", "SILENT", "Options", "Ticker", "certify"]


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
    to_prove = bounds_asked(options, subject.manifest)
    if subject.refusals:
        return refused_report(
            subject,
            nan=profile_of(options, subject),
            effort=options.effort,
            seed=options.seed,
            as_of=options.as_of,
            command=options.command,
            started=started,
            unasked=BOUNDS if to_prove else (),
        )
    asked = participants(options, subject, catalog, environments)
    profile = profile_of(options, subject)
    present, absent = who_can(asked, subject, profile)
    allowed.require_evidence(present)
    size = options.size or EFFORTS[options.effort]
    corpus = corpus_of(subject, size, options.seed)
    bounded = None if to_prove is None else prove_all(to_prove, options, ticker.say)
    with ExitStack() as stack:
        store = stack.enter_context(open_evidence(options, open_store or telling(ticker.say)))
        pairs = [(p.node, p.launch) for p in present]
        limits = CellLimits(data_mib=2048 + subject.manifest.run.memory_pages // 16)
        hosts = makers(len(pairs), subject.host)
        pool = stack.enter_context(Pool(pairs, limits=limits, probe=fpu_probe(), hosts=hosts))
        ticker.say("starting workers")
        identities = pool.identities()
        pool.add_module(subject.sha256, subject.data, subject.manifest.run.compile_deadline_ms)
        rewrites = Rewrites({at: p.rewrite for at, p in enumerate(present) if p.rewrite})
        nodes = [p.node for p in present]
        executor = Executor(pool, store, nodes, identities, options.again, rewrites=rewrites)
        judge = Judge(subject, present, executor, vote_profile(profile), ticker.step)
        ticker.plan(_plan(judge, corpus, present))
        record = judge.judge(corpus)
        remember_spent(evidence_path(options), subject.sha256, present, record)
        require_callable(subject.path, [v.outcome for _, j in record.judged for v in j.voices])
        keys = list(executor.keys)
        ticker.say("judging")
        voted = vote_profile(profile)
        work = Work(options, subject, present, executor, record, voted, profile, allowed, bounded)
        return work.report(identities, absent, corpus, size, store.digest(keys), started, ticker)


def _plan(judge: Judge, corpus: Corpus, present: Sequence[Participant]) -> list[tuple[str, int]]:
    """
    How many cases each node will see.
    """
    counts = [0] * len(present)
    for task in judge.tasks(corpus):
        counts[task.seat] += len(task.block)
    return [(p.node.label(), count) for p, count in zip(present, counts, strict=True)]
