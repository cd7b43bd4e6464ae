"""
From hosts that answer differently to the findings and the verdict of imports-deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from attacks.records import Breach
from conformance.differential.blame import listed
from conformance.differential.findings import RunFinding
from conformance.differential.records import FindingClass, Observed
from reports.model import FindingReport, PropertyVerdict
from weavegate.attacking import Attacked
from weavegate.breach_findings import Telling, breach_findings
from weavegate.host_ends import attack_ended, nothing_tried
from weavegate.nodes import Participant
from weavegate.subject import Subject

PROPERTY = "imports-deterministic"


def imports_findings(
    attacked: Attacked, subject: Subject, nodes: Sequence[Participant], nan: str
) -> list[RunFinding]:
    """
    One finding for each entry and each set of imports that moves it.

    Each node is shown with the manifest's host, and with the one that made a difference.
    """
    host = subject.host

    def observed(breach: Breach, family: str) -> Iterator[Observed]:
        if breach.usual is None or host is None:
            return
        other = msgspec.structs.replace(breach.node, host=host.varied(breach.world).digest())
        yield Observed(breach.node, family, breach.usual)
        yield Observed(other, family, breach.outcome)

    telling = Telling(
        property=PROPERTY,
        kind=FindingClass.IMPORTS,
        module_guilty=True,
        group=lambda breach: breach.imports,
        observed=observed,
        host=host,
    )
    return breach_findings(attacked, subject, nodes, nan, telling)


def refused_imports(subject: Subject) -> PropertyVerdict:
    """
    The verdict of a module that is not run, because its imports are refused.
    """
    count = len(subject.refusals)
    more = f"; and {count - 1} more" if count > 1 else ""
    allowed = sum(key in subject.manifest.run.imports for key in subject.imports)
    sentence = (
        f"{subject.refusals[0]}{more} ({_imports(subject)}, {allowed} allowed; it was not run)"
    )
    return PropertyVerdict(property=PROPERTY, verdict="fails", sentence=sentence)


def imports_deterministic(
    attacked: Attacked, subject: Subject, findings: Sequence[FindingReport]
) -> PropertyVerdict:
    """
    Can a host that answers differently steer the result?
    """
    result = attacked.result
    if not subject.imports:
        sentence = "the module imports nothing, so no host can steer it"
        return PropertyVerdict(property=PROPERTY, verdict="holds", sentence=sentence)
    red = [f for f in findings if f.finding.property == PROPERTY and not f.allowed_by]
    numbers = _numbers(attacked, subject)
    if red:
        reason = red[0].finding.blame.reason.rstrip(".")
        sentence = f"{len(red)} finding{'s' * (len(red) != 1)}: {reason}; {numbers}"
        return PropertyVerdict(property=PROPERTY, verdict="fails", sentence=sentence)
    if any(item.lost for item in result.unasked) or not result.nodes:
        reasons = [f"{item.node}: {item.reason}" for item in result.unasked]
        sentence = "nodes could not be asked: " + "; ".join([*reasons, numbers])
        return PropertyVerdict(property=PROPERTY, verdict="undecided", sentence=sentence)
    ended = attack_ended(result)
    if nothing_tried(result):
        sentence = f"nothing was learnt: {ended}; {numbers}"
        return PropertyVerdict(property=PROPERTY, verdict="undecided", sentence=sentence)
    facts = [numbers, ended] if ended else [numbers]
    if result.worlds:
        facts.append("no outcome, page, global or fuel moves")
    facts += result.remarks
    if result.worlds and attacked.left_out:
        facts.append(f"{listed(attacked.left_out)} not asked: an interpreter, in a quick run")
    facts += [f"{item.node} not asked: {item.reason}" for item in result.unasked]
    return PropertyVerdict(property=PROPERTY, verdict="holds", sentence="; ".join(facts))


def _numbers(attacked: Attacked, subject: Subject) -> str:
    """
    How much was tried.
    """
    result, imports = attacked.result, subject.imports
    allowed = sum(key in subject.manifest.run.imports for key in imports)
    host = subject.manifest.run.host
    varied = sum(host.is_varying(key) for key in imports)
    words = [_imports(subject), f"{allowed} allowed", f"{varied} may be answered differently"]
    if result.worlds:
        nodes = len(result.nodes)
        words.append(
            f"{result.worlds} worlds tried on {nodes} node{'s' * (nodes != 1)},"
            f" {result.cases} case{'s' * (result.cases != 1)} each"
        )
    return ", ".join(words)


def _imports(subject: Subject) -> str:
    count = len(subject.module.imports)
    return f"{count} import{'s' * (count != 1)}"
