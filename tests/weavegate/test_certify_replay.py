from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from product_subject import SEMANTICS, Product
from rich.console import Console
from witnesses import honest, label, options, witness

from conformance.differential.records import FindingClass
from reports.model import Report
from runners.launch import Launch
from weavegate.certify import certify
from weavegate.replay_job import replay

ROWS = tuple((1.0 + i / 64, 1.5) for i in range(40))
CULPRIT: dict[str, Any] = {"at": 1.25}
PLAIN = Product(rows=ROWS)
SIMD = ("proposal:simd",)
SIGNALLING = {"after": 3, "bits": "7ff0000000000bad"}


def found(report: Report, kind: FindingClass) -> Path:
    (item,) = [item for item in report.findings if item.finding.kind is kind]
    return Path(item.file)


def replayed(finding: Path, launches: tuple[Launch, ...]) -> tuple[int, str]:
    """
    Exit status of a replay, and what it printed.
    """
    text = io.StringIO()
    console = Console(file=text, width=200)
    return replay(console, finding, None, (), launches), text.getvalue()


@pytest.mark.parametrize(
    ("program", "parameters", "product", "kind"),
    [
        ("flips_at", CULPRIT, PLAIN, FindingClass.VALUE),
        ("flips_at", CULPRIT, Product(rows=ROWS, semantics=SEMANTICS), FindingClass.UNFAITHFUL),
        ("swaps_zero_signs", {}, Product(low=-1.0, high=1.0), FindingClass.VALUE),
        ("traps_at", CULPRIT, PLAIN, FindingClass.KIND),
        (
            "changes_nan_payload_after_calls",
            SIGNALLING,
            Product(low=-1.0, high=1.0, special=True, instances="reuse(8)"),
            FindingClass.NAN_BITS,
        ),
        ("crashes", CULPRIT, PLAIN, FindingClass.BROKEN_WORKER),
        ("flushes_subnormals", {}, PLAIN, FindingClass.FPU_MODE),
    ],
)
def test_a_finding_shows_again_until_the_node_is_repaired(
    tmp_path: Path,
    program: str,
    parameters: dict[str, Any],
    product: Product,
    kind: FindingClass,
) -> None:
    others = honest("aa", "bb")
    liar = witness(program, "liar", **parameters)
    subject = product.write(tmp_path / "subject")
    report = certify(options(subject, tmp_path / "out", (*others, liar)))
    finding = found(report, kind)
    launches = [launch for launch, _ in others]
    status, text = replayed(finding, (*launches, liar[0]))
    assert status == 1
    assert "the finding shows again" in text
    assert "fake@1.0/liar" in text
    status, text = replayed(finding, (*launches, witness("honest", "liar")[0]))
    assert status == 0
    assert "the finding does not show" in text


def test_a_refusal_shows_again_until_the_node_takes_the_module(tmp_path: Path) -> None:
    others = tuple(witness("honest", name, capabilities=SIMD) for name in ("aa", "bb"))
    liar = witness("claims_simd", "liar", capabilities=SIMD)
    subject = Product(simd=True).write(tmp_path / "subject")
    report = certify(options(subject, tmp_path / "out", (*others, liar)))
    finding = found(report, FindingClass.REFUSED)
    launches = [launch for launch, _ in others]
    assert replayed(finding, (*launches, liar[0]))[0] == 1
    assert replayed(finding, (*launches, witness("honest", "liar")[0]))[0] == 0


def test_a_flaky_finding_shows_again_until_the_node_keeps_to_what_it_said(
    tmp_path: Path,
) -> None:
    flaky = witness("changes_between_processes", "liar", mark=tmp_path / "mark", **CULPRIT)
    witnesses = (*honest("aa", "bb"), flaky)
    subject = PLAIN.write(tmp_path / "subject")
    certify(options(subject, tmp_path / "out", witnesses))
    report = certify(options(subject, tmp_path / "out", witnesses, again=True))
    finding = found(report, FindingClass.FLAKY)
    assert replayed(finding, (flaky[0],))[0] == 1
    assert replayed(finding, (witness("honest", "liar")[0],))[0] == 0


def test_an_unfaithful_module_shows_again_with_all_nodes(tmp_path: Path) -> None:
    witnesses = honest("aa", "bb", "cc")
    other = SEMANTICS.replace("x[1]", "x[1] * 3.0")
    subject = Product(rows=ROWS, semantics=other).write(tmp_path / "subject")
    report = certify(options(subject, tmp_path / "out", witnesses))
    launches = tuple(launch for launch, _ in witnesses)
    assert replayed(found(report, FindingClass.UNFAITHFUL), launches)[0] == 1


def test_the_line_in_the_report_names_the_file_that_is_replayed(tmp_path: Path) -> None:
    liar = witness("flips_at", "liar", **CULPRIT)
    subject = PLAIN.write(tmp_path / "subject")
    report = certify(options(subject, tmp_path / "out", (*honest("aa", "bb"), liar)))
    (item,) = report.findings
    assert item.replay == f"weavegate replay {item.file}"
    assert item.finding.blame.nodes == (label("liar"),)
