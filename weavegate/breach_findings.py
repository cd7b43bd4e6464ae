"""
From the breaches that an attack saw to findings: one for each group that says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from attacks.records import Breach
from conformance.differential.findings import RunFinding
from conformance.differential.records import Blame, Finding, FindingClass, Observed
from runners.hosts.setting import HostSetting
from runners.records import Level
from weavegate.attacking import Attacked, budget_of
from weavegate.nodes import Participant
from weavegate.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """
    How the findings of one property are told.
    """

    property: str
    kind: FindingClass
    module_guilty: bool
    """Whether the module is to blame for what every node shows; else the engines that show it."""
    group: Callable[[Breach], Hashable]
    """Breaches of one entry and one of these make one finding."""
    observed: Callable[[Breach, str], Iterator[Observed]]
    """What one node showed, whose code-generator family is given."""
    host: HostSetting | None = None
    """The manifest's host, where it had a part in it."""


def breach_findings(
    attacked: Attacked, subject: Subject, nodes: Sequence[Participant], nan: str, telling: Telling
) -> list[RunFinding]:
    """
    One finding for each entry and each group of breaches, in the order in which they were seen.
    """
    groups: dict[tuple[str, Hashable], list[Breach]] = {}
    for breach in attacked.result.breaches:
        groups.setdefault((breach.entry, telling.group(breach)), []).append(breach)
    families = {p.node.label(): p.launch.families.generator for p in nodes}
    found = []
    for breaches in groups.values():
        labels = tuple(sorted({breach.node.label() for breach in breaches}))
        finding = _finding(attacked, subject, breaches, labels, families, nan, telling)
        found.append(RunFinding(finding, labels, "other", (), 0))
    return found


def _finding(
    attacked: Attacked,
    subject: Subject,
    breaches: Sequence[Breach],
    labels: tuple[str, ...],
    families: dict[str, str],
    nan: str,
    telling: Telling,
) -> Finding:
    """
    The finding of nodes that fail at one entry in one way; it shows the first row that does.
    """
    run, first = subject.manifest.run, breaches[0]
    call = next(call for call in subject.calls if call.entry == first.entry)
    same_row = [breach for breach in breaches if breach.history == first.history]
    seen = {breach.node.label(): breach for breach in reversed(same_row)}
    sentences = "; ".join(breach.sentence for breach in breaches if breach.node == first.node)
    everywhere = set(labels) >= set(attacked.result.nodes)
    blamed = Blame("engine", labels, f"{sentences}.")
    if telling.module_guilty and everywhere:
        blamed = Blame("module", (), f"{sentences}.")
    return Finding(
        property=telling.property,
        kind=telling.kind,
        blame=blamed,
        module_sha256=subject.sha256,
        call=call,
        budget=budget_of(subject),
        level=Level.FULL,
        policy=run.policy,
        nan=nan,
        history=first.history,
        observed=tuple(
            shown
            for label in labels
            if label in seen
            for shown in telling.observed(seen[label], families[label])
        ),
        output_dtype=run.output.dtype if call.output and run.output else "",
        reset=run.reset or "",
        host=telling.host,
    )
