"""
From the disagreements of a run to its findings: one for each way in which nodes differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from conformance.differential.blame import blame_division
from conformance.differential.division import Disagreement, Division, Manner, deviants
from conformance.differential.outcomes import outcome_at
from conformance.differential.profiles import NanProfile, OutputShape, output_shape
from conformance.differential.records import Blame, Finding, FindingClass, Observed
from conformance.differential.vote import BlockVote, Voice
from runners.bits import format_bytes
from runners.blocks import CaseBlock
from runners.instances import cases_per_instance
from runners.records import Call
from runners.status import Status


@dataclass(frozen=True, slots=True)
class JudgedBlock:
    """
    A block, what nodes did with it, and the vote on it.
    """

    block: CaseBlock
    shape: OutputShape
    voices: Sequence[Voice]
    vote: BlockVote
    deeper: JudgedBlock | None = None
    """
    The same block at a higher level, if rows of it were judged there instead. Its own vote has
    their disagreements; the counts of `vote` include theirs.
    """


@dataclass(frozen=True, slots=True)
class RunFinding:
    """
    A finding with what a run knows beside it.
    """

    finding: Finding
    deviants: tuple[str, ...]
    """Labels of the nodes that stand apart in every case of it, sorted."""
    manner: Manner
    """How they differ, the same in every case of it."""
    case_ids: tuple[int, ...]
    """Every case of it, ascending; the finding shows the one with fewest non-zero input bytes."""
    case_id: int
    """The case that the finding shows."""


def _place(voice: Voice, row: int) -> int | None:
    """
    Row of the voice's outcome that holds *row* of the block; None if it was not asked.
    """
    if voice.rows is None:
        return row
    at = np.flatnonzero(voice.rows == row)
    return int(at[0]) if len(at) else None


def call_history(block: CaseBlock, voice: Voice, row: int) -> tuple[int, ...]:
    """
    Rows that the voice's instance was called with up to and including *row*, in order.

    A new instance is opened at every N-th call of `reuse(N)`, and after a call that did not return
    (PROTOCOL.md, `call`). Empty if the voice was not asked.
    """
    place = _place(voice, row)
    if place is None:
        return ()
    order = np.arange(len(block)) if voice.rows is None else voice.rows
    start = place - place % cases_per_instance(voice.node.policy)
    ended = np.flatnonzero(voice.outcome.status[start:place] != Status.RETURNED)
    if len(ended):
        start += int(ended[-1]) + 1
    return tuple(int(r) for r in order[start : place + 1])


def finding_at(
    judged: JudgedBlock,
    row: int,
    *,
    kind: FindingClass,
    blame: Blame,
    apart: Sequence[str],
    module_sha256: str,
    nan: NanProfile,
    claim: str = "replicates",
    expected: str = "",
    count: int = 1,
) -> Finding:
    """
    Make the finding that *row* of a block shows.

    *apart*: labels of the deviating nodes; the longest call history among them is kept, with its
    node's policy. *claim*: the property that fails.
    """
    block, voices = judged.block, sorted(judged.voices, key=lambda voice: voice.node.label())
    histories = [
        (call_history(block, voice, row), voice.node.policy)
        for voice in voices
        if voice.node.label() in apart
    ]
    history, policy = max(histories, key=lambda pair: len(pair[0]), default=((row,), "fresh"))
    results, buffer = _meanings(judged.shape, block.call)
    observed = []
    for voice in voices:
        place = _place(voice, row)
        if place is not None and voice.outcome.status[place] != Status.PENDING:
            outcome = outcome_at(voice.outcome, place, block.call, block.level)
            observed.append(Observed(voice.node, voice.families.generator, outcome))
    return Finding(
        property=claim,
        kind=kind,
        blame=blame,
        module_sha256=module_sha256,
        call=block.call,
        budget=block.budget,
        level=block.level,
        policy=policy,
        nan=nan,
        history=tuple(format_bytes(block.inputs[r].tobytes()) for r in history or (row,)),
        observed=tuple(observed),
        expected=expected,
        count=count,
        output_dtype=buffer,
        result_dtypes=results,
    )


def _meanings(shape: OutputShape, call: Call) -> tuple[tuple[str, ...], str]:
    """
    What each result and the output buffer mean, as a finding keeps it.
    """
    of = {at: dtype for at, dtype, _ in shape.columns}
    results = tuple(of.get(8 * i, core) for i, core in enumerate(call.results))
    return results, of.get(8 * len(call.results), "") if call.output else ""


def shape_of(finding: Finding) -> OutputShape:
    """
    What the bytes of a finding's output rows mean.
    """
    return output_shape(finding.call, finding.result_dtypes or None, finding.output_dtype)


@dataclass(slots=True)
class _Gathered:
    """
    The cases of one finding so far, and the simplest of them.
    """

    case_ids: set[int]
    simplest: tuple[int, int]
    """(non-zero input bytes, case id)."""
    judged: JudgedBlock
    shown: Disagreement


Key = tuple[int, str, Blame, tuple[str, ...], Manner]


def _key(division: Division, entry: str) -> Key:
    """
    What makes two divisions one finding: class, entry, who is named, who deviates, and how.

    Manner is part of it because an allowance for signs of zeros must not cover other values.
    """
    blame = blame_division(division)
    order = list(FindingClass).index(division.kind)
    named = Blame(blame.party, blame.nodes, "")
    return order, entry, named, deviants(division), division.manner


def _with_deeper(judged_blocks: Iterable[JudgedBlock]) -> Iterator[JudgedBlock]:
    for judged in judged_blocks:
        yield judged
        if judged.deeper is not None:
            yield judged.deeper


def collect_findings(
    judged_blocks: Iterable[JudgedBlock], *, module_sha256: str, nan: NanProfile
) -> tuple[RunFinding, ...]:
    """
    Gather the disagreements of a run into findings.

    One finding for each class, entry, set of named nodes, set of deviating nodes and manner; its
    count is the number of distinct cases. Ordered by class, then entry, then nodes: the order of
    the blocks changes nothing.
    """
    gathered: dict[Key, _Gathered] = {}
    for judged in _with_deeper(judged_blocks):
        block = judged.block
        weights = np.count_nonzero(block.inputs, axis=1)
        keys: dict[int, Key] = {}
        for disagreement in judged.vote.disagreements:
            # Divisions are shared by all rows that are divided alike: one blame serves them all.
            division = disagreement.division
            key = keys.get(id(division))
            if key is None:
                key = keys[id(division)] = _key(division, block.call.entry)
            rank = (int(weights[disagreement.row]), disagreement.case_id)
            entry = gathered.get(key)
            if entry is None:
                gathered[key] = _Gathered({disagreement.case_id}, rank, judged, disagreement)
                continue
            entry.case_ids.add(disagreement.case_id)
            if rank < entry.simplest:
                entry.simplest, entry.judged, entry.shown = rank, judged, disagreement
    made = []
    for key in sorted(gathered, key=_sortable):
        entry, apart = gathered[key], key[3]
        finding = finding_at(
            entry.judged,
            entry.shown.row,
            kind=entry.shown.kind,
            blame=blame_division(entry.shown.division),
            apart=apart,
            module_sha256=module_sha256,
            nan=nan,
            count=len(entry.case_ids),
        )
        ids = tuple(sorted(entry.case_ids))
        made.append(RunFinding(finding, apart, key[4], ids, entry.shown.case_id))
    return tuple(made)


def _sortable(key: Key) -> tuple[object, ...]:
    order, entry, blame, apart, manner = key
    return order, entry, blame.party, blame.nodes, apart, manner
