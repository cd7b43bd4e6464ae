from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from product_subject import Product
from witnesses import honest, label, options, witness

from reports.model import Report
from runners.launch import Launch
from weavegate.certify import certify

SIGNED = Product(low=-1.0, high=1.0)
LIAR = witness("swaps_zero_signs", "liar")
DAY = date(2026, 12, 1)

ENTRY = """
[[allowance]]
subject = "*"
nodes = "{nodes}"
property = "replicates"
differs = {{ kinds = ["value"], bound = "{bound}" }}
reason = "swaps the signs of zeros"
evidence = "{evidence}"
author = "a reviewer"
date = 2026-11-01
expiry = 2026-12-31
"""


def certified(
    folder: Path,
    product: Product,
    liar: tuple[Launch, bool],
    allowances: Path | None = None,
    as_of: date = DAY,
) -> Report:
    given: dict[str, object] = {"as_of": as_of}
    if allowances is not None:
        given["allowances"] = allowances
    subject = product.write(folder / "subject")
    return certify(options(subject, folder / "out", (*honest("aa", "bb"), liar), **given))


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    """
    A file that allows what the liar does, with the finding of a red run as its evidence.
    """
    red = certified(tmp_path / "red", SIGNED, LIAR)
    assert red.exit_code == 1
    return write_allowance(tmp_path / "reviewed", red)


def write_allowance(
    folder: Path, red: Report, bound: str = "sign-of-zero", nodes: str = "fake@1.0/liar*"
) -> Path:
    (item,) = red.findings
    source = Path(item.file).parent
    shutil.copytree(source, folder / "findings", dirs_exist_ok=True)
    file = folder / "allowances.toml"
    file.write_text(ENTRY.format(nodes=nodes, evidence=item.id, bound=bound), encoding="utf-8")
    return file


def states(report: Report) -> list[str]:
    return [item.state for item in report.allowances]


def test_an_allowance_in_use_lets_the_run_pass_and_is_named(tmp_path: Path, reviewed: Path) -> None:
    report = certified(tmp_path, SIGNED, LIAR, reviewed)
    assert (report.exit_code, states(report)) == (0, ["used"])
    (item,) = report.findings
    assert item.allowed_by == "swaps the signs of zeros"
    assert "no difference but 1 that allowances cover" in report.verdicts[0].sentence


def test_without_its_allowance_the_same_finding_is_red(tmp_path: Path, reviewed: Path) -> None:
    reviewed.write_bytes(b"")
    report = certified(tmp_path, SIGNED, LIAR, reviewed)
    assert (report.exit_code, states(report)) == (1, [])


def test_an_allowance_whose_finding_no_longer_shows_is_stale_and_red(
    tmp_path: Path, reviewed: Path
) -> None:
    repaired = witness("honest", "liar")
    report = certified(tmp_path, SIGNED, repaired, reviewed)
    assert report.findings == ()
    assert (report.exit_code, states(report)) == (1, ["stale"])


def test_an_allowance_is_expired_after_its_last_day_and_no_sooner(
    tmp_path: Path, reviewed: Path
) -> None:
    last = certified(tmp_path, SIGNED, LIAR, reviewed, as_of=date(2026, 12, 31))
    assert (last.exit_code, states(last)) == (0, ["used"])
    after = certified(tmp_path, SIGNED, LIAR, reviewed, as_of=date(2027, 1, 1))
    assert (after.exit_code, states(after)) == (1, ["expired"])
    assert (last.as_of, after.as_of) == ("2026-12-31", "2027-01-01")
    (item,) = after.findings
    assert item.allowed_by == ""


def test_an_allowance_that_is_merely_not_met_is_not_red(tmp_path: Path, reviewed: Path) -> None:
    # The same module over a domain without zeros: the defect is there and does not show.
    report = certified(tmp_path, Product(), LIAR, reviewed)
    assert report.findings == ()
    assert (report.exit_code, states(report)) == (0, ["not met"])


def test_an_allowance_for_zeros_does_not_cover_other_bits(tmp_path: Path) -> None:
    flips = witness("flips_at", "liar", at=1.0)
    red = certified(tmp_path / "red", SIGNED, flips)
    narrow = write_allowance(tmp_path / "narrow", red)
    report = certified(tmp_path / "1", SIGNED, flips, narrow)
    assert (report.exit_code, states(report)) == (1, ["not met"])
    wide = write_allowance(tmp_path / "wide", red, bound="any")
    report = certified(tmp_path / "2", SIGNED, flips, wide)
    assert (report.exit_code, states(report)) == (0, ["used"])


def test_an_allowance_of_another_node_covers_nothing(tmp_path: Path) -> None:
    red = certified(tmp_path / "red", SIGNED, LIAR)
    other = write_allowance(tmp_path / "other", red, nodes="fake@2.0/*")
    report = certified(tmp_path / "1", SIGNED, LIAR, other)
    assert (report.exit_code, states(report)) == (1, [])
    assert report.findings[0].finding.blame.nodes == (label("liar"),)
