"""
`weavegate fuzz` with real engines: agreement, known defects, findings, replay.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from fuzz_samples import fuzzed

from conformance.generate.modules import generate
from conformance.wasm.decode import validated
from weavegate.cli import main
from weavegate.exits import Exit
from weavegate.findings_files import find_module, read_finding
from weavegate.fuzz_job import FuzzReport

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("fuzz")]

SIGN_OF_ZERO = {
    f"{kind}.{name}"
    for kind in ("f32", "f64")
    for name in ("ceil", "floor", "trunc", "nearest", "min", "max")
}
FAST = ("wasmtime", "wasmer/singlepass")
ALL = (*FAST, "pywasm")
SEED, FIRST = 4, 8
"""Modules from here on meet pywasm's defect soon."""


def told(report: FuzzReport) -> FuzzReport:
    """
    All of a report that does not depend on the clock or the folder.
    """
    findings = tuple(msgspec.structs.replace(f, file="") for f in report.findings)
    return msgspec.structs.replace(report, seconds=0.0, findings=findings)


def no_allowances(folder: Path) -> Path:
    path = folder / "allowances.toml"
    path.write_text("")
    return path


def test_engines_agree_and_gas_is_compared(tmp_path: Path) -> None:
    report = fuzzed(tmp_path, ("wasmtime", "wasmer/singlepass", "reference"), 32, seed=5)
    assert report.exit_code == Exit.PASS
    assert report.modules == 32
    assert report.counted >= 4
    assert {node.modules for node in report.nodes} == {32}
    assert report.cases == sum(len(generate(5, index).rows) for index in range(32))
    written = json.loads((tmp_path / "fuzz.json").read_text())
    assert written["modules"] == 32
    assert written["findings"] == []


def test_a_run_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    one = fuzzed(tmp_path / "a", FAST, 24, seed=9)
    assert told(one) == told(fuzzed(tmp_path / "b", FAST, 24, seed=9))
    other = fuzzed(tmp_path / "c", FAST, 24, seed=10)
    assert other.operators != one.operators
    part = fuzzed(tmp_path / "d", FAST, 12, seed=9, first=12)
    rows = sum(len(generate(9, index).rows) for index in range(12, 24))
    assert (part.modules, part.cases) == (12, rows)


def test_known_defects_are_set_aside(tmp_path: Path) -> None:
    report = fuzzed(tmp_path, ALL, 8, seed=SEED, first=FIRST)
    assert report.exit_code == Exit.PASS
    assert sum(modules for _, modules in report.known) >= 1
    assert all("pywasm" in reason for reason, _ in report.known)


def test_the_same_defect_is_a_finding_where_nobody_allowed_it(tmp_path: Path) -> None:
    said: list[str] = []
    report = fuzzed(
        tmp_path, ALL, 8, seed=SEED, first=FIRST, allowances=no_allowances(tmp_path), said=said
    )
    assert report.exit_code == Exit.FINDINGS
    assert report.known == ()
    found = report.findings[0]
    assert found.nodes == ("pywasm@2.2.3",)
    assert found.operator in SIGN_OF_ZERO
    assert found.operator in found.difference
    assert found.operators <= 12
    assert found.rows == 1
    assert f"module {found.index}" in "".join(said)

    finding = read_finding(Path(found.file))
    module = validated(find_module(finding.module_sha256, [tmp_path / "findings"]))
    assert found.operator in module.operators
    assert Path(found.file).with_suffix(".wat").read_text() == found.text
    result = CliRunner().invoke(main, ["replay", found.file])
    assert result.exit_code == Exit.FINDINGS, result.output
    assert "the finding shows again" in result.output
    assert f"first difference: {found.operator} at byte" in result.output


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    arguments = ["fuzz", "--modules", "8", "--seed", "4", "--out", str(tmp_path / "out")]
    for name in FAST:
        arguments += ["--engine", name]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == Exit.PASS, result.output
    assert "8 modules of seed 4" in result.output
    assert "nothing differs" in result.output
    assert (tmp_path / "out" / "fuzz.json").is_file()


def test_an_unknown_engine_is_one_sentence(tmp_path: Path) -> None:
    given = ["fuzz", "--engine", "wasmtome", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == Exit.USAGE
    assert "wasmtome" in result.output
    assert "Traceback" not in result.output
