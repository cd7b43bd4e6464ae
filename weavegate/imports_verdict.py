"""
From hosts that answer differently to the findings and the verdict of imports-deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

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

PROPERTY = "imports-deterministic"


def imports_findings(
    attacked: Attacked, subject: Subject, nodes: Sequence[Participant], nan: str
) -> list[RunFinding]:
    """
    One finding for each entry and each set of imports that moves it.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Breach]] = {}
    for breach in attacked.result.breaches:
        groups.setdefault((breach.entry, breach.imports), []).append(breach)
    families = {p.node.label(): p.launch.families.generator for p in nodes}
    found = []
    for breaches in groups.values():
        labels = tuple(sorted({breach.node.label() for breach in breaches}))
        finding = _finding(attacked, subject, breaches, labels, families, nan)
        found.append(RunFinding(finding, labels, "other", (), 0))
    return found


def _finding(
    attacked: Attacked,
    subject: Subject,
    breaches: Sequence[Breach],
    labels: tuple[str, ...],
    families: dict[str, str],
    nan: str,
) -> Finding:
    """
    Each node with the manifest's host, and the same node with the one that made a difference.
    """
    run, first, host = subject.manifest.run, breaches[0], subject.host
    call = next(call for call in subject.calls if call.entry == first.entry)
    same_row = [b for b in breaches if b.history == first.history]
    seen = {breach.node.label(): breach for breach in reversed(same_row)}
    observed = []
    for label in labels:
        breach = seen.get(label)
        if breach is None or breach.usual is None or host is None:
            continue
        other = msgspec.structs.replace(breach.node, host=host.varied(breach.world).digest())
        observed.append(Observed(breach.node, families[label], breach.usual))
        observed.append(Observed(other, families[label], breach.outcome))
    sentences = [breach.sentence for breach in breaches if breach.node == first.node]
    return Finding(
        property=PROPERTY,
        kind=FindingClass.IMPORTS,
        blame=_blame(attacked, labels, "; ".join(sentences)),
        module_sha256=subject.sha256,
        call=call,
        budget=budget_of(subject),
        level=Level.FULL,
        policy=run.policy,
        nan=nan,
        history=first.history,
        observed=tuple(observed),
        output_dtype=run.output.dtype if call.output and run.output else "",
        reset=run.reset or "",
        host=host,
    )


def _blame(attacked: Attacked, labels: tuple[str, ...], what: str) -> Blame:
    """
    The module, if every node shows it: it uses what its host answers. Else the engines that do.
    """
    if set(labels) >= set(attacked.result.nodes):
        return Blame("module", (), f"{what}.")
    return Blame("engine", labels, f"{what}.")


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
