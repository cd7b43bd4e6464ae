"""
Interpreters that do not finish in time: slowness is no defect, and a deadline decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.differential.findings import RunFinding
from conformance.differential.records import FindingClass
from runners.records import TimedOut
from weavegate.nodes import Participant


def part_late(
    found: Sequence[RunFinding], nodes: Sequence[Participant]
) -> tuple[list[RunFinding], list[str]]:
    """
    Part findings from cases that only sampled nodes (interpreters) did not finish in time.

    Returns the findings that stay and a sentence for each that does not: such nodes had no vote,
    so what they leave short of a quorum is "could not decide". A compiled engine that times out
    stays a finding, and so does a case that no node finishes.
    """
    slow = {p.node.label() for p in nodes if p.sampled}
    kept, late = [], []
    for item in found:
        observed = {o.node.label(): o.outcome.kind for o in item.finding.observed}
        only_slow = bool(item.deviants) and slow >= set(item.deviants) and not slow >= set(observed)
        if (
            item.finding.kind is FindingClass.BROKEN_WORKER
            and only_slow
            and all(isinstance(observed.get(label), TimedOut) for label in item.deviants)
        ):
            names = ", ".join(item.deviants)
            seconds = item.finding.budget.deadline_ms / 1000
            late.append(
                f"{names} did not finish a case in {seconds:g} s ([limits] deadline_ms): raise it,"
                " install PyPy 3.11 (pywasm then runs ten times faster), or ask another engine"
            )
        else:
            kept.append(item)
    return kept, late
