from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec
import pytest
from sample_reports import SAMPLES, all_green, hostile, value_red

from reports.junit import junit_xml

BUILDERS = {**SAMPLES, "hostile": hostile}
CHILDREN = ("failure", "error", "skipped", "system-out")


def parsed(name: str) -> ET.Element:
    return ET.fromstring(junit_xml(BUILDERS[name]()))  # noqa: S314 - our own text


def check_structure(root: ET.Element) -> None:
    """
    Check what readers of JUnit XML rely on: names, nesting, order, and totals that add up.
    """
    assert root.tag == "testsuites"
    sums = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in root:
        assert suite.tag == "testsuite"
        cases = list(suite)
        assert len({(c.get("classname"), c.get("name")) for c in cases}) == len(cases)
        for case in cases:
            assert case.tag == "testcase"
            assert case.get("name")
            assert case.get("classname")
            tags = [child.tag for child in case]
            assert tags == sorted(set(tags), key=CHILDREN.index)
            assert len(set(tags) - {"system-out"}) <= 1
        found = {
            "tests": len(cases),
            "failures": len(suite.findall("testcase/failure")),
            "errors": len(suite.findall("testcase/error")),
            "skipped": len(suite.findall("testcase/skipped")),
        }
        for key, number in found.items():
            assert suite.get(key) == str(number)
            sums[key] += number
    assert {key: root.get(key) for key in sums} == {k: str(n) for k, n in sums.items()}


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_document_is_sound_and_red_exactly_when_the_run_is(name: str) -> None:
    root = parsed(name)
    check_structure(root)
    code = BUILDERS[name]().exit_code
    assert (root.get("failures") != "0") == (code == 1)
    assert (root.get("errors") != "0") == (code == 3)


def test_the_structure_check_can_fail() -> None:
    root = parsed("value_red")
    root[0].set("failures", "0")
    with pytest.raises(AssertionError):
        check_structure(root)


def test_a_finding_fails_the_node_that_it_names_and_carries_the_replay_line() -> None:
    report = value_red()
    root = parsed("value_red")
    failed = [c for c in root.iter("testcase") if c.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["replicates", "pywasm@2.2.3"]
    text = failed[1].findtext("failure") or ""
    assert f"replay: {report.findings[0].replay}\n" in text
    assert "3fe6666666666667" in text


def test_a_finding_that_names_nobody_fails_its_class() -> None:
    root = parsed("nan_red")
    failed = [c.get("name") for c in root.iter("testcase") if c.find("failure") is not None]
    assert failed == ["replicates", "nan-bits"]


def test_a_finding_on_a_node_that_is_not_listed_is_not_lost() -> None:
    report = value_red()
    fewer = msgspec.structs.replace(report, nodes=report.nodes[:3])
    root = ET.fromstring(junit_xml(fewer))  # noqa: S314 - our own text
    failed = [c.get("name") for c in root.iter("testcase") if c.find("failure") is not None]
    assert failed == ["replicates", "value"]


def test_a_finding_of_a_property_without_verdict_is_not_lost() -> None:
    report = value_red()
    unjudged = msgspec.structs.replace(report, verdicts=report.verdicts[1:])
    root = ET.fromstring(junit_xml(unjudged))  # noqa: S314 - our own text
    assert root.find("testsuite[@name='other']/testcase/failure") is not None


def test_two_findings_on_one_node_are_one_failure() -> None:
    report = value_red()
    twice = msgspec.structs.replace(report, findings=report.findings * 2)
    root = ET.fromstring(junit_xml(twice))  # noqa: S314 - our own text
    check_structure(root)
    failure = root.find("testsuite/testcase[@name='pywasm@2.2.3']/failure")
    assert failure is not None
    assert "1 finding more" in failure.get("message", "")


def test_an_allowed_finding_is_shown_and_fails_nothing() -> None:
    root = parsed("allowed")
    case = root.find("testsuite/testcase[@name='pywasm@2.2.3']")
    assert case is not None
    assert "allowed: pywasm divides" in (case.findtext("system-out") or "")


def test_a_control_character_left_in_would_break_the_document() -> None:
    text = junit_xml(all_green())
    ET.fromstring(text)  # noqa: S314 - our own text
    with pytest.raises(ET.ParseError):
        ET.fromstring(text.replace("mlp-16-32-10", "mlp\x1b"))  # noqa: S314 - our own text
