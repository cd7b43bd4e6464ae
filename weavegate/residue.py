"""
From what a scenario saw to the findings and the verdict of its property.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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

PROPERTY = "no-residue"


def residue_findings(
    attacked: Attacked, subject: Subject, nodes: Sequence[Participant], nan: str
) -> list[RunFinding]:
    """
    One finding for each entry and each way in which nodes fail at it.
    """

    def observed(breach: Breach, family: str) -> Iterator[Observed]:
        yield Observed(breach.node, family, breach.outcome)

    telling = Telling(
        property=PROPERTY,
        kind=FindingClass.RESIDUE,
        module_guilty=subject.manifest.run.policy != "fresh",
        group=lambda breach: _manner(breach, attacked),
        observed=observed,
    )
    return breach_findings(attacked, subject, nodes, nan, telling)


def _manner(breach: Breach, attacked: Attacked) -> str:
    """
    The aspects in which a breach's node fails at its entry, as one word.
    """
    same = [
        b.aspect
        for b in attacked.result.breaches
        if b.entry == breach.entry and b.node == breach.node
    ]
    return " ".join(same)


def no_residue(
    attacked: Attacked, subject: Subject, findings: Sequence[FindingReport]
) -> PropertyVerdict:
    """
    Can one caller see what another left behind?
    """
    red = [f for f in findings if f.finding.property == PROPERTY and not f.allowed_by]
    lost = [item for item in attacked.result.unasked if item.lost]
    if red:
        first = red[0].finding
        sentence = (
            f"{len(red)} finding{'s' * (len(red) != 1)}: {first.call.entry}: {first.blame.reason}"
        )
        return PropertyVerdict(property=PROPERTY, verdict="fails", sentence=sentence)
    if lost or not attacked.result.nodes:
        reasons = [f"{item.node}: {item.reason}" for item in attacked.result.unasked]
        sentence = "nodes could not be asked: " + "; ".join(reasons)
        return PropertyVerdict(property=PROPERTY, verdict="undecided", sentence=sentence)
    if nothing_tried(attacked.result):
        sentence = f"nothing was learnt: {attack_ended(attacked.result)}"
        return PropertyVerdict(property=PROPERTY, verdict="undecided", sentence=sentence)
    return PropertyVerdict(
        property=PROPERTY, verdict="holds", sentence="; ".join(_facts(attacked, subject))
    )


def _facts(attacked: Attacked, subject: Subject) -> list[str]:
    """
    What was seen, and what was not looked at.
    """
    run, result = subject.manifest.run, attacked.result
    entries = f"{result.entries} entr{'y' if result.entries == 1 else 'ies'}"
    if result.entries < attacked.entries:
        entries = f"{result.entries} of {attacked.entries:,} entries"
    where = f"{len(result.nodes)} node{'s' * (len(result.nodes) != 1)}, {entries}"
    if run.policy == "fresh":
        fact = "the instance after a secret's starts and computes like one before it"
    elif run.reset:
        fact = (
            f"after the reset export {run.reset} nothing of a secret is left, and calls are as in"
            " a new instance"
        )
    elif not subject.module.stateful:
        fact = "the module has no memory, table or global in which anything could stay"
    else:
        fact = "nothing of a secret is left"
    ended = attack_ended(result)
    facts = [f"{where}: {fact}", *([ended] if ended else []), *result.remarks]
    if attacked.left_out:
        facts.append(f"{listed(attacked.left_out)} not asked: an interpreter, in a quick run")
    facts += [f"{item.node} not asked: {item.reason}" for item in result.unasked]
    return facts
