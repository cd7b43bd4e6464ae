"""
The golden path with the real core engines: what ships passes, with the allowances that ship.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from conformance.differential.allowances import read_allowance_file
from conformance.differential.corpus import CorpusSize
from reports.model import Report
from weavegate.allowing import SHIPPED
from weavegate.certify import Options, certify

pytestmark = [
    pytest.mark.engines,
    pytest.mark.slow,
    pytest.mark.xdist_group("golden-path"),
]

VECTORS = SHIPPED.parent
SMALL = CorpusSize(dataset=24, uniform=24, edges=6)
"""Few cases: an inference takes pywasm a tenth of a second."""
REVIEWED = date(2026, 12, 1)
"""A day on which every shipped allowance is reviewed and none has expired."""
PROPERTIES = ("replicates", "faithful", "no-residue", "imports-deterministic")
CORE = ("wasmtime@", "wasmer@", "pywasm@")


def verdicts(report: Report) -> dict[str, str]:
    return {verdict.property: verdict.verdict for verdict in report.verdicts}


def test_a_shipped_model_passes_on_the_core_engines(tmp_path: Path) -> None:
    given = Options(
        argument=VECTORS / "models" / "digits-mlp-tanh",
        out=tmp_path,
        size=SMALL,
        as_of=REVIEWED,
    )
    report = certify(given)
    assert report.exit_code == 0
    assert verdicts(report) == dict.fromkeys(PROPERTIES, "holds")
    assert report.findings == ()
    assert [node.label.partition("@")[0] + "@" for node in report.nodes] == list(CORE)
    assert len({node.families.generator for node in report.nodes}) == 3
    assert {node.differing + node.abstained + node.broken for node in report.nodes} == {0}
    faithful = next(v.sentence for v in report.verdicts if v.property == "faithful")
    assert "24 rows against the author's expected bits (worst 0 ulp" in faithful
    assert " of 24 held-out rows right" in report.accuracy
    served = certify(given)
    assert {node.cases for node in served.run.engines} == {0}
    assert served.evidence_sha256 == report.evidence_sha256


def operators(out: Path, allowances: Path | None = None, as_of: date = REVIEWED) -> Report:
    """
    Certify the operators' module; evidence serves all runs but the first.
    """
    given = Options(
        argument=VECTORS / "operators",
        out=out,
        evidence=out.parent / "evidence.sqlite",
        allowances=allowances,
        as_of=as_of,
        shrink_most=0,
    )
    return certify(given)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """
    Folder and report of the sweep with the shipped allowances.
    """
    folder = tmp_path_factory.mktemp("operators")
    return folder, operators(folder / "shipped")


def without(folder: Path, reason: str, claim: str) -> Path:
    """
    The shipped allowances but for one, with their evidence.
    """
    shutil.copytree(SHIPPED, folder)
    file = folder / "allowances.toml"
    head, *entries = file.read_text(encoding="utf-8").split("[[allowance]]\n")
    kept = [
        entry
        for entry in entries
        if f'reason = "{reason}"' not in entry or f'property = "{claim}"' not in entry
    ]
    assert len(kept) == len(entries) - 1
    file.write_text("[[allowance]]\n".join([head, *kept]), encoding="utf-8")
    return file


def test_operators_pass_with_every_shipped_allowance_used(swept: tuple[Path, Report]) -> None:
    _, report = swept
    assert report.exit_code == 0
    assert verdicts(report) == dict.fromkeys(PROPERTIES, "holds")
    assert [item.state for item in report.allowances] == ["used"] * len(
        read_allowance_file(SHIPPED / "allowances.toml")
    )
    assert report.findings
    assert all(item.allowed_by for item in report.findings)
    named = {name.partition("@")[0] for i in report.findings for name in i.finding.blame.nodes}
    assert named == {"pywasm"}


@pytest.mark.parametrize("claim", ["replicates", "faithful"])
def test_without_one_shipped_allowance_the_sweep_is_red(
    swept: tuple[Path, Report], tmp_path: Path, claim: str
) -> None:
    folder, green = swept
    reason = "pywasm traps in i64.div_u when the quotient is 2^63 or more"
    report = operators(folder / f"less-{claim}", without(tmp_path / "less", reason, claim))
    assert report.exit_code == 1
    red = [item.finding for item in report.findings if not item.allowed_by]
    assert {(f.property, f.call.entry) for f in red} == {(claim, "i64.div_u")}
    assert verdicts(report)[claim] == "fails"
    assert report.evidence_sha256 == green.evidence_sha256
    assert {node.cases for node in report.run.engines} == {0}


def test_after_their_last_day_the_shipped_allowances_cover_nothing(
    swept: tuple[Path, Report],
) -> None:
    folder, green = swept
    report = operators(folder / "late", as_of=date(2028, 1, 1))
    assert report.exit_code == 1
    assert {item.state for item in report.allowances} == {"expired"}
    assert [item.allowed_by for item in report.findings] == [""] * len(green.findings)
