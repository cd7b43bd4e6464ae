"""
Makes findings small: fewest cases of history, fewest non-zero inputs, simplest bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from conformance.differential.division import deviants
from conformance.differential.findings import JudgedBlock, RunFinding, finding_at
from conformance.differential.outcomes import outcome_at
from conformance.differential.profiles import NanProfile, OutputShape
from conformance.differential.records import Finding, FindingClass
from conformance.differential.shrink import DoesNotFailError, Layout, shrink
from conformance.differential.vote import Voice, vote
from conformance.manifest.calls import input_columns
from conformance.manifest.records import Manifest
from runners.bits import parse_bytes
from runners.blocks import CaseBlock
from weavegate.execution import Executor, Task
from weavegate.nodes import Participant

SHRINKABLE = frozenset(
    {
        FindingClass.VALUE, FindingClass.NAN_BITS, FindingClass.KIND, FindingClass.STATE,
        FindingClass.GAS, FindingClass.LIMIT,
    }
)  # fmt: skip
MOST_ROUNDS = 40
MOST_FINDINGS = 8


@dataclass(frozen=True, slots=True)
class Shrinker:
    """
    What shrinking needs: the nodes, and what the inputs mean.
    """

    manifest: Manifest
    nodes: Sequence[Participant]
    executor: Executor
    profile: NanProfile
    shapes: dict[str, OutputShape]

    def shrink(self, item: RunFinding) -> RunFinding:
        """
        The finding with its smallest reproduction; as it was where it cannot be made smaller.
        """
        finding = item.finding
        if finding.kind is FindingClass.UNFAITHFUL:
            return self._alone(item)
        if finding.kind not in SHRINKABLE:
            return item
        history = tuple(parse_bytes(row) for row in finding.history)
        try:
            smallest = shrink(
                history, self._layout(finding), lambda many: self._fail(item, many), MOST_ROUNDS
            )
        except DoesNotFailError:
            return item
        if smallest.history == history:
            shown = msgspec.structs.replace(finding, shrunk=True)
        else:
            shown = self._shown(item, smallest.history)
        return RunFinding(shown, item.deviants, item.manner, item.case_ids, item.case_id)

    def _alone(self, item: RunFinding) -> RunFinding:
        """
        The case without its history, if it shows the same without; its inputs are what they are,
        since only the oracle knows what other inputs should give.
        """
        finding = item.finding
        short = msgspec.structs.replace(finding, history=finding.history[-1:])
        block = self._run(short, [(parse_bytes(finding.history[-1]),)])[0]
        seen = {
            v.node.label(): outcome_at(v.outcome, 0, finding.call, finding.level)
            for v in block.voices
        }
        if any(
            seen.get(o.node.label(), o.outcome).kind != o.outcome.kind for o in finding.observed
        ):
            return item
        shown = msgspec.structs.replace(short, shrunk=True)
        return RunFinding(shown, item.deviants, item.manner, item.case_ids, item.case_id)

    def _layout(self, finding: Finding) -> Layout:
        """
        Columns and domains of an input row.
        """
        entry = finding.call.entry
        columns = input_columns(self.manifest, entry)
        run = self.manifest.run
        if run.entry is not None and run.input is not None:
            return Layout(columns, (run.input.domain,))
        calls = [call for call in run.calls if call.entry == entry]
        return Layout(columns, calls[0].domains if calls else ())

    def _run(self, finding: Finding, histories: Sequence[tuple[bytes, ...]]) -> list[JudgedBlock]:
        """
        Put histories to all nodes that were observed; single cases share one block.
        """
        together = finding.policy == "fresh"
        groups = [tuple(h[-1] for h in histories)] if together else list(histories)
        labels = {observed.node.label() for observed in finding.observed}
        seats = [s for s, node in enumerate(self.nodes) if node.node.label() in labels]
        judged = []
        for group in groups:
            rows = np.stack([np.frombuffer(row, np.uint8) for row in group])
            ids = np.arange(len(rows), dtype=np.uint64)
            block = CaseBlock(finding.call, finding.budget, finding.level, ids, rows)
            tasks = [Task(seat, 0, finding.module_sha256, block) for seat in seats]
            voices = [
                Voice(self.nodes[seat].node, self.nodes[seat].launch.families, done.outcome)
                for seat, done in zip(seats, self.executor.run(tasks), strict=True)
            ]
            shape = self.shapes[finding.call.entry]
            judged.append(
                JudgedBlock(block, shape, voices, vote(block, shape, voices, self.profile, 0))
            )
        return judged

    def _fail(self, item: RunFinding, histories: Sequence[tuple[bytes, ...]]) -> list[bool]:
        """
        Which histories fail in the same way: same class, same nodes apart.
        """
        judged = self._run(item.finding, histories)
        if item.finding.policy == "fresh":
            return [_fails(item, judged[0], row) for row in range(len(histories))]
        return [_fails(item, block, len(block.block) - 1) for block in judged]

    def _shown(self, item: RunFinding, history: tuple[bytes, ...]) -> Finding:
        """
        The finding that a shrunk history shows.
        """
        finding = item.finding
        judged = self._run(finding, [history])[0]
        made = finding_at(
            judged,
            len(judged.block) - 1,
            kind=finding.kind,
            blame=finding.blame,
            apart=item.deviants,
            module_sha256=finding.module_sha256,
            nan=self.profile,
            claim=finding.property,
            count=finding.count,
        )
        return msgspec.structs.replace(
            made, shrunk=True, input_dtype=finding.input_dtype, slot_dtypes=finding.slot_dtypes
        )


def _fails(item: RunFinding, judged: JudgedBlock, row: int) -> bool:
    """
    Whether a row fails in the way of *item*.
    """
    return any(
        d.row == row
        and d.kind == item.finding.kind
        and d.division.manner == item.manner
        and deviants(d.division) == item.deviants
        for d in judged.vote.disagreements
    )
