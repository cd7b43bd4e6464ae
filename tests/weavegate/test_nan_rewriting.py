"""
Engines without a canonical mode keep the profile by a rewrite, and evidence knows it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from wasmtime import wat2wasm

from conformance.evidence.store import EvidenceStore
from reports.model import Report
from weavegate.certify import certify
from weavegate.cli import main
from weavegate.exits import Exit
from weavegate.options import Options

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("fuzz")]

ENGINES = ("wasmtime", "wasmer/llvm", "wasmer/singlepass", "pywasm")
TEXT = """(module (func (export "f") (param i64 i32) (result i64)
  (i64.reinterpret_f64 {converted}
    (f64.sub (f64.reinterpret_i64 (local.get 0)) (f64.reinterpret_i64 (local.get 0))) {end})))"""
"""x - x, which is a NaN of any sign for infinities and NaNs."""
MANIFEST = """schema = 1
[module]
name = "nans"
file = "nans.wasm"
[abi]
kind = "plain"
[judge]
nan = "exact"
[[call]]
entry = "f"
parameters = ["f64", "i32"]
results = ["f64"]
carried = true
"""


def subject(folder: Path, *, converts: bool) -> Path:
    text = TEXT.format(converted="", end="")
    if converts:
        text = TEXT.format(converted="(f64.promote_f32 (f32.demote_f64", end="))")
    (folder / "nans.wasm").write_bytes(bytes(wat2wasm(text)))
    (folder / "model.toml").write_text(MANIFEST)
    return folder


def certified(folder: Path, nan: str, *, converts: bool = False) -> Report:
    given = Options(
        argument=subject(folder, converts=converts), out=folder / nan, nan=nan, engines=ENGINES
    )
    return certify(given)


def roles(report: Report) -> dict[str, str]:
    return {node.label: node.reason for node in report.nodes}


def test_under_exact_nan_bits_differ(tmp_path: Path) -> None:
    report = certified(tmp_path, "exact")
    assert report.exit_code == Exit.FINDINGS
    assert {str(found.finding.kind) for found in report.findings} == {"nan-bits"}
    assert not any("rewritten" in reason for reason in roles(report).values())


def test_under_canonical_all_keep_the_profile(tmp_path: Path) -> None:
    report = certified(tmp_path, "canonical")
    assert report.exit_code == Exit.PASS
    told = roles(report)
    assert "nan-canonical@1" in told["wasmer@1.1.0/llvm"]
    assert "nan-canonical@1" in told["pywasm@2.2.3"]
    assert "nan-canonical@1" in told["wasmer@1.1.0/singlepass"]
    assert told["wasmtime@50.0.1/cranelift+nan=canonical"] == ""
    with EvidenceStore.open(tmp_path / "canonical" / "evidence.sqlite", read_only=True) as store:
        keys = store.keys_of(report.subject.sha256)
        assert {key.rewrite for key in keys} == {"", "nan-canonical@1"}


@pytest.mark.parametrize("profile", ["canonical", "cosmwasm"])
def test_conversions_part_the_two_profiles(profile: str, tmp_path: Path) -> None:
    report = certified(tmp_path, profile, converts=True)
    told = roles(report)
    rewritten = f"nan-{profile}@1"
    assert rewritten in told["wasmer@1.1.0/llvm"]
    assert rewritten in told["wasmer@1.1.0/singlepass"]
    assert any(label.startswith("wasmtime@50.0.1/cranelift") for label in told)
    assert report.exit_code == Exit.PASS


def test_a_finding_under_a_profile_is_replayed_under_it(tmp_path: Path) -> None:
    """
    pywasm quiets a signalling NaN in copysign; replayed without the rewrite more would differ.
    """
    text = """(module (func (export "f") (param i64 i32) (result i64)
      (i64.extend_i32_u (i32.reinterpret_f32 (f32.copysign (f32.reinterpret_i32 (local.get 1))
        (f32.div (f32.const 0) (f32.const 0)))))))"""
    folder = subject(tmp_path, converts=False)
    (folder / "nans.wasm").write_bytes(bytes(wat2wasm(text)))
    (folder / "model.toml").write_text(
        MANIFEST.replace('results = ["f64"]', 'results = ["i64"]').replace('"i32"', '"f32"')
    )
    report = certify(Options(argument=folder, out=folder / "out", nan="canonical", engines=ENGINES))
    assert report.exit_code == Exit.FINDINGS
    shown = CliRunner().invoke(main, ["replay", report.findings[0].file])
    assert shown.exit_code == Exit.FINDINGS, shown.output
    assert "the finding shows again" in shown.output
