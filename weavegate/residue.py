"""
From what a scenario saw to the findings and the verdict of its property.
"""

from __future__ import annotations

from collections.abc import Sequence

from attacks.records import Breach
from conformance.differential.blame import listed
from conformance.differential.findings import RunFinding
from conformance.differential.records import Blame, Finding, FindingClass, Observed
from reports.model import FindingReport, PropertyVerdict
from runners.records import Level
from weavegate.attacking import Attacked, budget_of
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
    groups: dict[tuple[str, str], list[Breach]] = {}
    for breach in attacked.result.breaches:
        groups.setdefault((breach.entry, _manner(breach, attacked)), []).append(breach)
    families = {p.node.label(): p.launch.families.generator for p in nodes}
    found = []
    for breaches in groups.values():
        labels = tuple(sorted({breach.node.label() for breach in breaches}))
        finding = _finding(attacked, subject, breaches, labels, families, nan)
        found.append(RunFinding(finding, labels, "other", (), 0))
    return found


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


def _finding(
    attacked: Attacked,
    subject: Subject,
    breaches: Sequence[Breach],
    labels: tuple[str, ...],
    families: dict[str, str],
    nan: str,
) -> Finding:
    """
    The finding of nodes that fail at one entry in one way.
    """
    run, first = subject.manifest.run, breaches[0]
    call = next(call for call in subject.calls if call.entry == first.entry)
    seen = {breach.node.label(): breach for breach in reversed(breaches)}
    sentences = [breach.sentence for breach in breaches if breach.node == first.node]
    return Finding(
        property=PROPERTY,
        kind=FindingClass.RESIDUE,
        blame=_blame(attacked, run.policy, labels, "; ".join(sentences)),
        module_sha256=subject.sha256,
        call=call,
        budget=budget_of(subject),
        level=Level.FULL,
        policy=run.policy,
        nan=nan,
        history=first.history,
        observed=tuple(
            Observed(seen[label].node, families[label], seen[label].outcome) for label in labels
        ),
        output_dtype=run.output.dtype if call.output and run.output else "",
        reset=run.reset or "",
    )


def _blame(attacked: Attacked, policy: str, labels: tuple[str, ...], what: str) -> Blame:
    """
    The module, if it is to wipe and leaves something on every node; else the engines that do.
    """
    if policy != "fresh" and set(labels) >= set(attacked.result.nodes):
        return Blame("module", (), f"{what}.")
    return Blame("engine", labels, f"{what}.")


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
