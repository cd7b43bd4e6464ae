"""
Liars put among honest families: what each is caught for, who is named, and after how many cases.

A liar's lies are foretold here from its own description, by other code than the fake's and without
the vote, so that "caught at its first lie" is a comparison and no echo.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

import numpy as np
from product_subject import Product
from witnesses import witness

from conformance.differential.corpus import Corpus, CorpusSize, Stratum
from conformance.differential.findings import RunFinding, collect_findings
from conformance.evidence.store import EvidenceStore
from runners.blocks import CaseBlock
from runners.launch import Launch
from runners.pool import Pool
from runners.records import Level, Node
from weavegate.execution import Executor
from weavegate.judging import Judge
from weavegate.nodes import Participant
from weavegate.opening import corpus_of
from weavegate.probing import fpu_probe
from weavegate.subject import Subject, load_subject

Lies = Callable[[CaseBlock, float], "np.ndarray[tuple[int], np.dtype[np.bool_]]"]
"""Which cases of a block, at its level, a liar lies about; given x[0] of its culprit."""

FAMILIES = ("aa", "bb", "cc")
FULL = CorpusSize(uniform=20_000, edges=96)
SHARE = CorpusSize(uniform=1_500, edges=96, sample_share=0.2, full_share=0.1)
"""What the suite runs: every stratum and level, in a second or two."""


_PLAIN = Product(low=-1.0, high=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Liar:
    """
    A fake, the module it lies about, and what is to come of it.
    """

    name: str
    program: str
    does: str
    kind: str
    """Class of the finding."""
    lies: Lies
    parameters: tuple[tuple[str, object], ...] = ()
    culprit: bool = False
    """Whether it lies about one case, which is drawn."""
    product: Product = _PLAIN
    sampled: bool = False


def _first_of(block: CaseBlock) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.ascontiguousarray(block.inputs).view("<f8")[:, 0]


def _at_culprit(block: CaseBlock, culprit: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(_first_of(block) == culprit)


def _one_in_1000(block: CaseBlock, _: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([zlib.crc32(row.tobytes()) % 1000 == 0 for row in block.inputs])


def _zeros(block: CaseBlock, _: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    rows = np.ascontiguousarray(block.inputs).view("<f8")
    with np.errstate(all="ignore"):
        return np.asarray(rows[:, 0] * rows[:, 1] == 0)


def _nans_after_3(block: CaseBlock, _: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """
    NaN products in the last of every three calls of an instance; x[0] = 7 would end one early.
    """
    rows = np.ascontiguousarray(block.inputs).view("<f8")
    with np.errstate(all="ignore"):
        nans = np.isnan(rows[:, 0] * rows[:, 1])
    return np.asarray(nans & (np.arange(len(rows)) % 3 == 2))


def _metered(block: CaseBlock, _: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.full(len(block), block.level is Level.FULL)


def _all(block: CaseBlock, _: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.ones(len(block), bool)


_SPECIAL = Product(low=-1.0, high=1.0, special=True, instances="reuse(3)")
_SIGNALLING = "7ff4000000000bad"
"""NaN bits that no arithmetic gives, whatever the operands."""


def _broken(name: str, does: str, **parameters: object) -> Liar:
    return Liar(
        name=name,
        program=name.replace(" ", "_"),
        does=does,
        kind="broken-worker",
        lies=_at_culprit,
        parameters=tuple(parameters.items()),
        culprit=True,
    )


LIARS = (
    Liar(name="flips one mantissa bit", program="flips_one_mantissa_bit",
         does="the last bit, in one case of 1,000", kind="value", lies=_one_in_1000),
    Liar(name="flips one bit, sampled", program="flips_one_mantissa_bit",
         does="as above, and slow: sees edge and sampled cases", kind="value",
         lies=_one_in_1000, sampled=True),
    Liar(name="flips one bit of one case", program="flips_at",
         does="the last bit, in one case of all", kind="value", lies=_at_culprit, culprit=True),
    Liar(name="swaps zero signs", program="swaps_zero_signs",
         does="-0 for +0 and +0 for -0", kind="value", lies=_zeros),
    Liar(name="changes a NaN payload", program="changes_nan_payload_after_calls",
         does="from the third call of an instance on", kind="nan-bits", lies=_nans_after_3,
         parameters=(("after", 3), ("bits", _SIGNALLING)), product=_SPECIAL),
    Liar(name="returns stale output", program="returns_stale_output",
         does="the case before's, for one case", kind="value", lies=_at_culprit, culprit=True),
    Liar(name="computes from stale input", program="keeps_last_input",
         does="the case before's, for one case", kind="value", lies=_at_culprit, culprit=True),
    Liar(name="lies about fuel", program="spends_less",
         does="one unit too few, wherever it is metered", kind="gas", lies=_metered),
    _broken("crashes", "SIGSEGV at one case"),
    _broken("hangs", "never comes back from one case"),
    _broken("floods stdout", "1 GiB at one case", mib=1024),
    _broken("answers out of order", "another command's id, at one case's batch"),
    _broken("truncates frame", "half an answer, at one case's batch"),
    Liar(name="claims a feature", program="claims_simd", does="claims SIMD, refuses the module",
         kind="refused", lies=_all, product=Product(simd=True)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """
    What came of one liar under one seed.
    """

    liar: Liar
    seed: int
    cases: int
    """Cases of the run."""
    shown: int
    """Cases that were put to the liar."""
    drawn: int
    """Those of them that depend on the seed: edge cases are always the same."""
    lies: int
    """Lies among those."""
    first_lie: int
    """Place of the first lie among the cases put to it, from 1; 0: it told none."""
    caught: int
    """Place of the first case that stands against it; 0: never."""
    kinds: tuple[str, ...]
    named: tuple[str, ...]
    parties: tuple[str, ...]

    @property
    def missing(self) -> float:
        """
        Chance that a liar of one case in 1,000 tells no lie among so many drawn cases: (1 - p)^n.
        """
        return (1 - 1 / 1000) ** self.drawn


def try_liar(liar: Liar, folder: Path, size: CorpusSize, seed: int) -> Trial:
    """
    Put a liar among three honest families, judge, and look who is named.
    """
    path = liar.product.write(folder / "subject")
    manifest = path / "model.toml"
    # One case of a liar that hangs takes as long as its deadline, twice.
    manifest.write_text(manifest.read_text().replace("deadline_ms = 20000", "deadline_ms = 500"))
    subject = load_subject(path)
    corpus = corpus_of(subject, size, seed)
    order = [part.block for part in corpus.blocks if _sees(liar, part.stratum)]
    culprit = drawn_culprit(order, seed) if liar.culprit else float("nan")
    parameters = dict(liar.parameters) | ({"at": repr(culprit)} if liar.culprit else {})
    simd = ("proposal:simd",) if liar.product.simd else ()
    seated = [
        *(witness("honest", name, capabilities=simd) for name in FAMILIES),
        witness(liar.program, "liar", sampled=liar.sampled, capabilities=simd, **parameters),
    ]
    found = judged(subject, corpus, seated, folder / "evidence.sqlite")
    return told(liar, seed, corpus, order, culprit, found)


def _sees(liar: Liar, stratum: Stratum) -> bool:
    return not liar.sampled or stratum is not Stratum.BULK


def drawn_culprit(order: list[CaseBlock], seed: int) -> float:
    """
    x[0] of a case that no other case shares, drawn from the seed.
    """
    values = np.concatenate([_first_of(block) for block in order])
    unique, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    alone = unique[counts == 1]
    return float(alone[np.random.default_rng(seed).integers(len(alone))])


def judged(
    subject: Subject, corpus: Corpus, seated: list[tuple[Launch, bool]], evidence: Path
) -> tuple[RunFinding, ...]:
    """
    The findings of a certification's own vote.
    """
    policy = subject.manifest.run.policy
    nodes = [Participant(Node(launch.engine, policy=policy), launch, s) for launch, s in seated]
    with (
        EvidenceStore.open(evidence) as store,
        Pool([(n.node, n.launch) for n in nodes], probe=fpu_probe()) as pool,
    ):
        identities = pool.identities()
        pool.add_module(subject.sha256, subject.data)
        executor = Executor(pool, store, [n.node for n in nodes], identities)
        record = Judge(subject, nodes, executor, "exact", lambda _, __: None).judge(corpus)
    return collect_findings(
        [block for _, block in record.judged], module_sha256=subject.sha256, nan="exact"
    )


def told(
    liar: Liar,
    seed: int,
    corpus: Corpus,
    order: list[CaseBlock],
    culprit: float,
    found: tuple[RunFinding, ...],
) -> Trial:
    """
    Compare what was found with what the liar did.
    """
    name = "fake@1.0/liar"
    against = {case for item in found if _stands_against(item, name) for case in item.case_ids}
    lies = np.concatenate(list(starmap(liar.lies, ((block, culprit) for block in order))))
    ids = np.concatenate([block.ids for block in order])
    caught = np.isin(ids, np.fromiter(against, np.uint64, len(against)))
    named = {node for item in found for node in item.finding.blame.nodes}
    return Trial(
        liar=liar,
        seed=seed,
        cases=len(corpus),
        shown=len(ids),
        drawn=len(ids) - dict(corpus.strata)[Stratum.EDGE],
        lies=int(lies.sum()),
        first_lie=int(np.argmax(lies)) + 1 if lies.any() else 0,
        caught=int(np.argmax(caught)) + 1 if caught.any() else 0,
        kinds=tuple(sorted({str(item.finding.kind) for item in found})),
        named=tuple(sorted(named)),
        parties=tuple(sorted({item.finding.blame.party for item in found})),
    )


def _stands_against(item: RunFinding, name: str) -> bool:
    return any(label.startswith(name) for label in item.deviants)


def chances(folder: Path, size: CorpusSize, seeds: range) -> Iterator[Trial]:
    """
    The sampled liar under many seeds: how often it is missed.
    """
    liar = next(item for item in LIARS if item.sampled)
    for seed in seeds:
        yield try_liar(liar, folder / str(seed), size, seed)
