"""
A report as JUnit XML: a suite per property, a test case per node or class of finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from conformance.differential.records import FindingClass
from reports.console_findings import finding_text
from reports.escapes import shortened, visible
from reports.phrases import blame_words, cases_of, count, strength_words

if TYPE_CHECKING:
    from reports.model import FindingReport, NodeReport, PropertyVerdict, Report

REPLICATES = "replicates"
"""The property that is judged node by node."""

OWN_CLASS: Final = {
    "faithful": FindingClass.UNFAITHFUL,
    "no-residue": FindingClass.RESIDUE,
    "imports-deterministic": FindingClass.IMPORTS,
    "gas-bounded": FindingClass.BOUND,
    "memory-bounded": FindingClass.BOUND,
}
"""Properties that can fail in one way only."""


def _case(suite: ET.Element, part: str, name: str) -> ET.Element:
    classname = f"{suite.get('name')}.{part}"
    return ET.SubElement(suite, "testcase", classname=classname, name=shortened(name))


def _add(case: ET.Element, tag: str, message: str, kind: str, body: str = "") -> None:
    child = ET.SubElement(case, tag, message=shortened(message, 400))
    if tag != "skipped":
        child.set("type", kind)
    child.text = body or None


def _verdict_case(suite: ET.Element, verdict: PropertyVerdict) -> None:
    """
    Add the verdict itself: red, open and unasked verdicts show even without a finding.
    """
    case = _case(suite, "verdict", verdict.property)
    match verdict.verdict:
        case "fails":
            _add(case, "failure", verdict.sentence, "fails")
        case "undecided":
            _add(case, "error", verdict.sentence, "undecided")
        case "not-asked":
            _add(case, "skipped", verdict.sentence, "not-asked")
        case "holds":
            pass
    lines = [shortened(verdict.sentence, 1200), *map(strength_words, verdict.strength)]
    ET.SubElement(case, "system-out").text = "\n".join(lines)


def _show_findings(case: ET.Element, findings: list[FindingReport], words: str = "") -> None:
    """
    Red findings as one failure, allowed ones as output after *words*.

    Readers of the format differ on several failures in one case, so they are joined.
    """
    red = [item for item in findings if not item.allowed_by]
    if red:
        message = blame_words(red[0])
        if len(red) > 1:
            message += f" And {count(len(red) - 1, 'finding')} more."
        _add(case, "failure", message, red[0].finding.kind, "".join(map(finding_text, red)))
    out = [words] if words else []
    out += [
        f"allowed: {shortened(item.allowed_by, 300)}\n{finding_text(item)}"
        for item in findings
        if item.allowed_by
    ]
    if out:
        ET.SubElement(case, "system-out").text = "\n".join(out)


def _node_cases(suite: ET.Element, report: Report, findings: list[FindingReport]) -> None:
    """
    One test case per node, which fails with the findings that name it.
    """
    times = {item.label: item.busy_ms for item in report.run.engines}
    for item in report.nodes:
        case = _case(suite, "node", item.label)
        case.set("time", f"{times.get(item.label, 0.0) / 1000:.3f}")
        if item.role == "not asked":
            _add(case, "skipped", item.reason, "not-asked")
            continue
        named = [f for f in findings if item.label in f.finding.blame.nodes]
        _show_findings(case, named, _node_words(item))


def _node_words(item: NodeReport) -> str:
    return (
        f"{count(cases_of(item), 'case')}: {item.agreeing:,} agree, {item.differing:,} differ, "
        f"{item.abstained:,} abstained, {item.broken:,} broken"
    )


def _class_cases(suite: ET.Element, verdict: PropertyVerdict, rest: list[FindingReport]) -> None:
    """
    One test case per class of finding, for those that name none of the nodes listed.
    """
    if verdict.verdict == "not-asked":
        return
    own = OWN_CLASS.get(verdict.property)
    usual = [kind for kind in FindingClass if kind not in OWN_CLASS.values()]
    kinds = usual if verdict.property == REPLICATES else [own] if own else []
    kinds += [item.finding.kind for item in rest if item.finding.kind not in kinds]
    for kind in dict.fromkeys(kinds):
        _show_findings(_case(suite, "class", kind), [f for f in rest if f.finding.kind == kind])


def _property_suite(root: ET.Element, report: Report, verdict: PropertyVerdict) -> None:
    suite = ET.SubElement(root, "testsuite", name=shortened(verdict.property))
    _verdict_case(suite, verdict)
    found = [item for item in report.findings if item.finding.property == verdict.property]
    if verdict.property == REPLICATES:
        _node_cases(suite, report, found)
        listed = {item.label for item in report.nodes if item.role != "not asked"}
        found = [item for item in found if not listed & set(item.finding.blame.nodes)]
    _class_cases(suite, verdict, found)


def _other_suites(root: ET.Element, report: Report) -> None:
    """
    Add findings of properties without a verdict, and allowances that no longer stand.
    """
    judged = {verdict.property for verdict in report.verdicts}
    stray = [item for item in report.findings if item.finding.property not in judged]
    if stray:
        suite = ET.SubElement(root, "testsuite", name="other")
        _show_findings(_case(suite, "class", "findings"), stray)
    if report.allowances:
        suite = ET.SubElement(root, "testsuite", name="allowances")
    for item in report.allowances:
        given = item.allowance
        case = _case(suite, "allowance", f"{given.nodes} {given.property} {given.evidence}")
        message = f"{item.state} as of {report.as_of}: {given.reason}"
        if item.state == "stale":
            _add(case, "failure", message, item.state)
        elif item.state == "expired":
            _add(case, "skipped", message, item.state)
        ET.SubElement(case, "system-out").text = f"{item.state}: {shortened(given.reason, 300)}"


def _count_up(root: ET.Element, report: Report) -> None:
    """
    Set the totals that the format asks for, per suite and for the whole.
    """
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in root:
        cases = list(suite)
        numbers = {"tests": len(cases)}
        for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            numbers[key] = sum(case.find(tag) is not None for case in cases)
        for key, number in numbers.items():
            suite.set(key, str(number))
            totals[key] += number
        suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
        suite.set("timestamp", visible(report.run.started))
        suite.set("hostname", shortened(report.run.host))
    for key, number in totals.items():
        root.set(key, str(number))
    root.set("time", f"{report.run.wall_ms / 1000:.3f}")


def junit_xml(report: Report) -> str:
    """
    Write the report as a JUnit XML document.

    It has failures exactly if something is red (an expired allowance is not, what it no longer
    covers is), and errors where a verdict is undecided. Text that XML cannot carry is written as
    visible codes.
    """
    root = ET.Element("testsuites", name=f"weavegate {shortened(report.subject.name)}")
    for verdict in report.verdicts:
        _property_suite(root, report, verdict)
    _other_suites(root, report)
    _count_up(root, report)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
