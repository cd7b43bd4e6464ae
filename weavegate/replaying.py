"""
Runs the history of a finding again, on the nodes that it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from conformance.differential.findings import shape_of
from conformance.differential.outcomes import outcome_at
from conformance.differential.profiles import NanProfile
from conformance.differential.records import Finding, FindingClass
from conformance.differential.vote import Voice, vote
from runners.bits import parse_bytes
from runners.blocks import BlockOutcome, CaseBlock
from runners.launch import Launch
from runners.records import Node
from runners.status import BROKEN
from weavegate.claim_replay import breaks
from weavegate.execution import Executor, Task


@dataclass(frozen=True, slots=True)
class Replay:
    """
    What came of it.
    """

    differs: bool
    """Whether the finding shows again, in its own class."""
    outcomes: tuple[tuple[Node, BlockOutcome], ...]
    block: CaseBlock


def history_block(finding: Finding) -> CaseBlock:
    """
    The finding's history as a block; its last row is the failing case.
    """
    rows = [np.frombuffer(parse_bytes(text), np.uint8) for text in finding.history]
    ids = np.arange(len(rows), dtype=np.uint64)
    return CaseBlock(finding.call, finding.budget, finding.level, ids, np.stack(rows))


def replay_node(node: Node, finding: Finding) -> Node:
    """
    The node, keeping one instance for the whole history where the finding's policy reuses it.
    """
    if len(finding.history) == 1 and not finding.policy.startswith("reuse"):
        return node
    policy = node.policy if node.policy == "fresh" else f"reuse({len(finding.history)})"
    return msgspec.structs.replace(node, policy=policy)


def run_replay(
    finding: Finding, nodes: Sequence[tuple[Node, Launch]], executor: Executor, seats: Sequence[int]
) -> Replay:
    """
    Put the history to *nodes*, which are the pool's *seats*, and judge its last case.
    """
    block = history_block(finding)
    tasks = [Task(seat, 0, finding.module_sha256, block) for seat in seats]
    done = executor.run(tasks)
    outcomes = tuple((node, item.outcome) for (node, _), item in zip(nodes, done, strict=True))
    voices = [
        Voice(node, launch.families, item.outcome)
        for (node, launch), item in zip(nodes, done, strict=True)
    ]
    return Replay(_shows(finding, block, voices), outcomes, block)


def _shows(finding: Finding, block: CaseBlock, voices: Sequence[Voice]) -> bool:
    """
    Whether the last case of the history fails again in the finding's class.
    """
    last = len(block) - 1
    if finding.kind is FindingClass.BROKEN_WORKER:
        return any(voice.outcome.status[last] in BROKEN for voice in voices)
    if finding.kind is FindingClass.UNFAITHFUL:
        return _still_unfaithful(finding, voices, last)
    if finding.kind is FindingClass.FLAKY:
        return _still_flaky(finding, voices, last)
    if finding.kind is FindingClass.FPU_MODE:
        return any(voice.outcome.fpu_broken for voice in voices)
    if finding.claim is not None:
        return breaks(finding.claim, voices, last)
    nan: NanProfile = finding.nan if finding.nan != "free" else "exact"  # type: ignore[assignment]
    result = vote(block, shape_of(finding), voices, nan, 0)
    return any(item.row == last and item.kind == finding.kind for item in result.disagreements)


def _still_unfaithful(finding: Finding, voices: Sequence[Voice], last: int) -> bool:
    """
    Whether a node that deviated from the expected bits does so with the same outcome again.
    """
    # A replay keeps instances as long as its history, so labels differ from those in the finding.
    named = {label.partition("[")[0] for label in finding.blame.nodes}
    expected = np.frombuffer(parse_bytes(finding.expected), np.uint8)
    for voice in voices:
        if named and str(voice.node.engine) not in named:
            continue
        outcome = voice.outcome
        if outcome.status[last] != 1 or not np.array_equal(outcome.outputs[last], expected):
            return True
    return False


def _still_flaky(finding: Finding, voices: Sequence[Voice], last: int) -> bool:
    """
    Whether a node that gave two outcomes gives another one than the first of them.

    A replay puts the case to as many processes of the node as the finding has outcomes.
    """
    first = {str(o.node.engine): o.outcome for o in reversed(finding.observed)}
    return any(
        outcome_at(voice.outcome, last, finding.call, finding.level)
        != first[str(voice.node.engine)]
        for voice in voices
        if str(voice.node.engine) in first
    )
