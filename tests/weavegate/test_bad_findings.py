"""
Findings that cannot be replayed, and engines that are not to be had: said, not guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_subjects import complaint, module_of, subject_in

from weavegate.allowing import SHIPPED

SHIPPED_FINDING = min((SHIPPED / "findings").glob("*.json"))


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """
    A copy of a shipped finding with something changed in it.
    """
    finding = json.loads(SHIPPED_FINDING.read_bytes())
    change(finding)
    path = tmp_path / "finding.json"
    path.write_text(json.dumps(finding))
    return path


@pytest.fixture(autouse=True)
def _without_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer": (lambda f: f.update(schema=2, kind="unheard-of"), "written by a newer weavegate"),
    "schema 0": (lambda f: f.update(schema=0), "there is no schema 0"),
    "kind": (lambda f: f.update(kind="unheard-of"), "Invalid enum value"),
    "no history": (lambda f: f.update(history=[]), "at least one case"),
    "nobody observed": (lambda f: f.update(observed=[]), "one node"),
    "short row": (lambda f: f.update(history=["bytes:00"]), "must have"),
    "decimal row": (lambda f: f.update(history=["2.5"]), "not a byte pattern"),
    "policy": (lambda f: f.update(policy="often"), "often"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_finding_is_refused(name: str, tmp_path: Path) -> None:
    change, words = CHANGES[name]
    assert words in complaint(2, "replay", changed(tmp_path, change))


def test_a_finding_in_order_gets_as_far_as_its_engines(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda finding: finding)
    assert "not installed: run `weavegate engines install" in complaint(3, "replay", path)


def test_other_files_are_no_findings(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s")
    assert "not a finding" in complaint(2, "replay", subject / "m.wasm")
    assert "cannot be read" in complaint(2, "replay", subject)
    assert "cannot be read" in complaint(2, "replay", tmp_path / "none.json")


def test_the_module_of_a_finding_must_be_there_and_be_it(tmp_path: Path) -> None:
    def another(finding: dict[str, Any]) -> None:
        finding["module_sha256"] = "ab" * 32

    path = changed(tmp_path, another)
    assert "--module" in complaint(2, "replay", path)
    wrong = subject_in(tmp_path / "s", module_of()) / "m.wasm"
    assert "but the finding is about" in complaint(2, "replay", path, "--module", wrong)
    assert "no such file" in complaint(2, "replay", path, "--module", tmp_path / "none.wasm")


@pytest.mark.parametrize(
    ("engine", "status", "words"),
    [
        ("nosuch", 2, "no engine is called 'nosuch'"),
        ("wasmtime@0.1", 2, "too old"),
        ("wasmtime@99", 2, "not catalogued"),
        ("wasmer/winch", 2, "no compiler 'winch'"),
        ("wasmtime+opt=9", 2, "opt cannot be '9'"),
        ("", 2, "is not an engine"),
        ("[bold]\x1b[31m", 2, "is not an engine"),
        ("wasmtime", 3, "weavegate engines install wasmtime@"),
        ("v8", 3, "node"),
    ],
)
def test_an_engine_that_is_not_to_be_had(
    engine: str, status: int, words: str, tmp_path: Path
) -> None:
    subject = subject_in(tmp_path / "s")
    bits = tmp_path / "in.json"
    bits.write_text('{"input": ["f64:0000000000000000", "f64:0000000000000000"]}')
    for command in (
        ("certify", subject, "--out", tmp_path / "out"),
        ("run", subject, "--input", bits),
        ("replay", SHIPPED_FINDING),
    ):
        assert words in complaint(status, *command, "--engine", engine)


def test_a_missing_core_engine_is_never_a_smaller_vote(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s")
    assert "is not installed" in complaint(3, "certify", subject, "--out", tmp_path / "out")


def test_an_engine_without_an_interpreter_says_which_to_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.chdir(tmp_path)
    said = complaint(3, "engines", "install", "wasmer@1.1.0")
    assert "no CPython" in said
    assert "uv python install" in said


def test_evidence_of_an_allowance_must_be_there(tmp_path: Path) -> None:
    text = (SHIPPED / "allowances.toml").read_text(encoding="utf-8")
    # The reference evaluator needs no environment, so that nothing else is missing.
    text = text.replace("pywasm@2.2.3*", "reference@*")
    (tmp_path / "allowances.toml").write_text(text, encoding="utf-8")
    said = complaint(
        2, "certify", subject_in(tmp_path / "s"), "--engine", "reference",
        "--allowances", tmp_path / "allowances.toml", "--out", tmp_path / "out",
    )  # fmt: skip
    assert "put the finding's file" in said
