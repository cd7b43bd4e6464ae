"""
Memory that differs may differ in NaN bits alone, which a digest does not show: nobody is named.
"""

from __future__ import annotations

import msgspec

from conformance.differential.findings import RunFinding
from conformance.differential.records import Blame, Finding, FindingClass

_REASON = (
    "Memory differs, results do not. Every NaN that arithmetic stores may have other bits on each"
    " engine, and a digest does not tell whether more than those differ: certify under"
    " --nan canonical to know."
)


def unsure_of_memory(item: RunFinding, *, floats: bool, profile: str) -> RunFinding:
    """
    A finding about memory alone, with nobody named where NaN bits may explain it.

    *floats*: whether the module computes floats at all. Under a profile that fixes NaN bits the
    vote stands.
    """
    finding = item.finding
    explained = floats and profile in ("exact", "free") and _memory_alone(finding)
    if not explained or finding.blame.party != "engine":
        return item
    unnamed = msgspec.structs.replace(finding, blame=Blame("undecided", (), _REASON))
    return RunFinding(unnamed, item.deviants, item.manner, item.case_ids, item.case_id)


def _memory_alone(finding: Finding) -> bool:
    """
    Whether nodes differ in the digest of memory and in nothing else that makes a state.
    """
    outcomes = [observed.outcome for observed in finding.observed]
    return finding.kind is FindingClass.STATE and all(
        len({getattr(outcome, name) for outcome in outcomes if _shown(outcome, name)}) <= 1
        for name in ("pages", "globals")
    )


def _shown(outcome: object, name: str) -> bool:
    return isinstance(getattr(outcome, name), int | tuple)
