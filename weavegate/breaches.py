"""
Findings of workers that broke the protocol when no case could be blamed for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from conformance.differential.corpus import CorpusBlock
from conformance.differential.findings import JudgedBlock, RunFinding, finding_at
from conformance.differential.profiles import NanProfile, OutputShape
from conformance.differential.records import Blame, FindingClass
from conformance.differential.vote import Voice, vote
from runners.blocks import BlockOutcome
from runners.pool import Pool
from runners.status import Status
from weavegate.execution import subset
from weavegate.nodes import Participant


def idle_breaches(
    pool: Pool,
    nodes: Sequence[Participant],
    blocks: Sequence[CorpusBlock],
    shapes: Mapping[str, OutputShape],
    nan: NanProfile,
    module_sha256: str,
) -> list[RunFinding]:
    """
    One finding for each node whose worker spoke when nobody had asked.

    A finding has a case, so it shows the first one of *blocks*, the blocks of the run.
    """
    made: list[RunFinding] = []
    if not blocks:
        return made
    block = subset(blocks[0].block, np.zeros(1, np.int64))
    for seat, participant in enumerate(nodes):
        rules = sorted({death.word for death in pool.idle_falls(seat) if death.cause == "rule"})
        if not rules:
            continue
        label = participant.node.label()
        outcome = BlockOutcome(
            status=np.full(1, Status.BROKE_PROTOCOL, np.uint8),
            outputs=np.zeros((1, block.call.output_bytes), np.uint8),
            details={0: rules[0]},
        )
        voice = Voice(participant.node, participant.launch.families, outcome)
        shape = shapes[block.call.entry]
        judged = JudgedBlock(block, shape, [voice], vote(block, shape, [voice], nan, 0))
        reason = f"{label} broke the protocol ({', '.join(rules)}) beside no case that is to blame."
        finding = finding_at(
            judged,
            0,
            kind=FindingClass.BROKEN_WORKER,
            blame=Blame("engine", (label,), reason),
            apart=(label,),
            module_sha256=module_sha256,
            nan=nan,
        )
        case = int(block.ids[0])
        made.append(RunFinding(finding, (label,), "other", (case,), case))
    return made
