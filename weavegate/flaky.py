"""
Findings of nodes that gave two outcomes for one and the same case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from conformance.differential.findings import JudgedBlock, RunFinding, finding_at
from conformance.differential.profiles import NanProfile, OutputShape
from conformance.differential.records import Blame, Finding, FindingClass
from conformance.differential.vote import Voice, vote
from runners.blocks import BlockOutcome
from weavegate.execution import Flaky
from weavegate.nodes import Participant


def flaky_findings(
    found: Sequence[Flaky],
    nodes: Sequence[Participant],
    shapes: Mapping[str, OutputShape],
    nan: NanProfile,
) -> list[RunFinding]:
    """
    One finding for each node and entry; the simplest case is shown, with both of its outcomes.
    """
    groups: dict[tuple[str, str], list[Flaky]] = {}
    for flaky in found:
        key = (nodes[flaky.task.seat].node.label(), flaky.task.block.call.entry)
        groups.setdefault(key, []).append(flaky)
    made = []
    for (label, entry), group in sorted(groups.items()):
        pairs = [(flaky, row) for flaky in group for row in flaky.rows]
        flaky, row = min(pairs, key=_weight)
        ids = tuple(sorted({_case_id(*pair) for pair in pairs}))
        reason = f"{label} gave two outcomes for one and the same case."
        blame = Blame("engine", (label,), reason)
        participant, shape = nodes[flaky.task.seat], shapes[entry]
        earlier, later = (
            _seen(flaky, row, outcome, participant, shape, blame, nan, len(ids))
            for outcome in (flaky.earlier, flaky.later)
        )
        finding = msgspec.structs.replace(later, observed=(*earlier.observed, *later.observed))
        made.append(RunFinding(finding, (label,), "other", ids, _case_id(flaky, row)))
    return made


def _case_id(flaky: Flaky, row: int) -> int:
    return int(flaky.task.block.ids[row])


def _weight(pair: tuple[Flaky, int]) -> tuple[int, int]:
    flaky, row = pair
    return int(np.count_nonzero(flaky.task.block.inputs[row])), _case_id(flaky, row)


def _seen(
    flaky: Flaky,
    row: int,
    outcome: BlockOutcome,
    participant: Participant,
    shape: OutputShape,
    blame: Blame,
    nan: NanProfile,
    count: int,
) -> Finding:
    """
    The finding with one of the two outcomes.
    """
    block = flaky.task.block
    voice = Voice(participant.node, participant.launch.families, outcome)
    judged = JudgedBlock(block, shape, [voice], vote(block, shape, [voice], nan, 0))
    return finding_at(
        judged,
        row,
        kind=FindingClass.FLAKY,
        blame=blame,
        apart=blame.nodes,
        module_sha256=flaky.task.module_sha256,
        nan=nan,
        count=count,
    )
