"""
Which scenario proves which property, and who makes findings and verdicts of what it saw.
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.differential.findings import RunFinding
from reports.model import FindingReport, PropertyVerdict
from weavegate.attacking import Attacked
from weavegate.imports_verdict import PROPERTY as IMPORTS_DETERMINISTIC
from weavegate.imports_verdict import imports_deterministic, imports_findings
from weavegate.nodes import Participant
from weavegate.residue import no_residue, residue_findings
from weavegate.subject import Subject


def attack_findings(
    attacked: Attacked, subject: Subject, nodes: Sequence[Participant], nan: str
) -> list[RunFinding]:
    """
    What an attack achieved, as findings.
    """
    if attacked.scenario.proves == IMPORTS_DETERMINISTIC:
        return imports_findings(attacked, subject, nodes, nan)
    return residue_findings(attacked, subject, nodes, nan)


def attack_verdict(
    attacked: Attacked, subject: Subject, findings: Sequence[FindingReport]
) -> PropertyVerdict:
    """
    The verdict of the property that an attack is about.
    """
    if attacked.scenario.proves == IMPORTS_DETERMINISTIC:
        return imports_deterministic(attacked, subject, findings)
    return no_residue(attacked, subject, findings)
