"""
What a user can get wrong before anything runs: one sentence, the right status, no traceback.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from bad_subjects import (
    BODY,
    HOSTILE,
    MANIFEST,
    SCALARS,
    complaint,
    module_of,
    subject_in,
    text_of,
    wat,
    weavegate,
)

from reports.model import Report

GOOD = module_of()
MODULES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 2, "is empty"),
    "truncated": (GOOD[:-7], 2, "ends inside the code section"),
    "text": (text_of().encode(), 2, "assemble it first"),
    "another file": (b"hello\n", 2, "no WebAssembly module"),
    "gzip": (b"\x1f\x8b\x08\0", 2, "unpack it first"),
    "component": (b"\0asm\x0d\0\1\0", 2, "component"),
    "invalid": (wat('(module (func (export "f") (result i32) i64.const 1))'), 2, "type-mismatch"),
    "no entry": (module_of(entry="g"), 2, "no function 'f'"),
    "entry of another type": (module_of("(param i64)"), 2, "(i64) -> ()"),
    "no pointer export": (wat(text_of().replace("in_ptr", "inp")), 2, "'in_ptr'"),
    "no memory export": (module_of(memory="(memory 1)"), 2, "no exported memory"),
    "too much memory": (
        module_of(memory='(memory (export "memory") 65536)'), 1, "asks for 65,536 pages",
    ),
}  # fmt: skip
MANIFESTS: dict[str, tuple[str, str]] = {
    "unknown key": (MANIFEST.replace("pages", "pagez"), "model.toml:24: unknown key `pagez`"),
    "no TOML": (MANIFEST + "[x\n", "is not TOML"),
    "another digest": (
        MANIFEST.replace("[abi]", f'sha256 = "{"0" * 64}"\n[abi]'), "but",
    ),
    "wrong type": (MANIFEST.replace("pages = 16", 'pages = "16"'), "must be an integer"),
    "hostile name": (MANIFEST.replace('"sum"', r'"\u001b[31m"'), "control characters"),
    "long name": (MANIFEST.replace('"sum"', f'"{"n" * 10_000}"'), "at most 4096"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_cannot_be_judged_is_refused(name: str, tmp_path: Path) -> None:
    wasm, status, words = MODULES[name]
    subject = subject_in(tmp_path / "subject", wasm)
    said = complaint(status, "certify", subject, "--out", tmp_path / "out")
    assert words in said
    assert not (tmp_path / "out").exists()


def test_the_good_module_is_not_refused(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "subject")
    said = complaint(2, "certify", subject, "--engine", "nosuch", "--out", tmp_path / "out")
    assert "no engine is called 'nosuch'" in said


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_says_nonsense_is_refused(name: str, tmp_path: Path) -> None:
    manifest, words = MANIFESTS[name]
    subject = subject_in(tmp_path / "subject", manifest=manifest)
    assert words in complaint(2, "certify", subject, "--out", tmp_path / "out")


IMPORTS: dict[str, tuple[str, str, str]] = {
    "not allowed": ('(import "env" "now" (func))', "[]", "'env.now'"),
    "neural network of the host": (
        '(import "wasi_ephemeral_nn" "load" (func))', '["wasi_ephemeral_nn.load"]',
        "native inference outside wasm semantics",
    ),
    "hostile": ('(import "e\\1b[31m" "[bold]\\0a" (func))', "[]", r"e\x1b[31m.[bold]\n"),
    "memory": ('(import "env" "memory2" (table 1 funcref))', '["env.memory2"]', "functions alone"),
    "allowed without anybody who answers": (
        '(import "env" "now" (func))', '["env.now"]', "which the plain ABI does not know",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPORTS)
def test_refused_imports_are_a_report_and_a_sentence(name: str, tmp_path: Path) -> None:
    imports, allowed, words = IMPORTS[name]
    manifest = f"{MANIFEST}[host]\nimports = {allowed}\n"
    subject = subject_in(tmp_path / "s", module_of(imports=imports), manifest)
    result = weavegate("certify", subject, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    report = msgspec.json.decode((tmp_path / "out" / "report.json").read_bytes(), type=Report)
    (verdict,) = [v for v in report.verdicts if v.verdict != "not-asked"]
    assert (verdict.property, verdict.verdict) == ("imports-deterministic", "fails")
    assert words in verdict.sentence
    (tmp_path / "case.json").write_text('{"input": []}', "utf-8")
    assert words in complaint(1, "run", subject, "--input", tmp_path / "case.json")


@pytest.mark.parametrize("command", ["certify", "init"])
def test_what_is_no_subject_is_named(command: str, tmp_path: Path) -> None:
    assert "no such file" in complaint(2, command, tmp_path / "nothing")
    assert r"a\u{a}b" in complaint(2, command, tmp_path / "a\nb")
    assert "no such file" in complaint(2, command, os.fsdecode(b"\xff\xfe"))
    assert len(complaint(2, command, "x" * 100_000)) < 3000
    assert "nor a .wasm" in complaint(2, command, tmp_path)
    os.mkfifo(tmp_path / "pipe.wasm")
    assert "not an ordinary file" in complaint(2, command, tmp_path / "pipe.wasm")


def test_a_folder_without_manifest_is_told_how_to_get_one(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s", manifest=None)
    assert "weavegate init" in complaint(2, "certify", subject)
    assert "weavegate init" in complaint(2, "certify", subject / "m.wasm")
    assert "there is no such manifest" in complaint(
        2, "certify", subject / "m.wasm", "--manifest", tmp_path / "none.toml"
    )


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s")
    good: dict[str, Any] = {"inputs": np.zeros((3, 2)), "expected": np.zeros((3, 1))}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"inputs": np.zeros((3, 2), np.float32)}, "rows of 2 f32, the manifest wants 2 f64"),
        ({"inputs": np.zeros((3, 5))}, "rows of 5 f64"),
        ({"expected": np.zeros((3, 4))}, "rows of 4 f64"),
        ({"expected": np.zeros((4, 1))}, "4 rows"),
        ({"labels": np.zeros((3, 2))}, "a label is one number"),
        ({"inputs": np.zeros((0, 2)), "expected": np.zeros((0, 1))}, "no rows"),
        ({"inputs": np.array(["a", "b", "c"])}, "dtype <U1"),
        ({"strange": np.zeros(3)}, "unknown array 'strange'"),
    ]
    for change, words in cases:
        path = tmp_path / "rows.npz"
        np.savez(path, **{**good, **change})
        assert words in complaint(2, "certify", subject, "--expect", path)
    path.write_bytes(b"PK")
    assert "no numpy archive" in complaint(2, "certify", subject, "--expect", path)
    assert "no such file" in complaint(2, "certify", subject, "--expect", tmp_path / "no.npz")


def test_allowances_are_read_before_anything_runs(tmp_path: Path) -> None:
    subject, path, out = subject_in(tmp_path / "s"), tmp_path / "a.toml", tmp_path / "out"
    for text, words in (
        ('[[allowance]]\nsubject = "*"\nnodez = "x"\n', ":3: unknown key `nodez`"),
        ("[[allowance\n", "not TOML"),
    ):
        path.write_text(text)
        said = complaint(2, "certify", subject, "--allowances", path, "--out", out)
        assert words in said
    assert "cannot be read" in complaint(
        2, "certify", subject, "--allowances", tmp_path / "none", "--out", out
    )
    assert not out.exists()


def test_the_input_of_a_run_is_bits(tmp_path: Path) -> None:
    thrice = wat('(module (func (export "f") (param i32) (result i32) local.get 0))')
    subject, path = subject_in(tmp_path / "s", thrice, SCALARS), tmp_path / "in.json"
    cases: list[tuple[object, str]] = [
        ({"input": ["i32:00000001", "i32:00000002"]}, "f takes 1, 2 given"),
        ({"input": []}, "f takes 1, 0 given"),
        ({"input": ["f64:0000000000000001"]}, "value 0 is f64, f takes i32"),
        ({"input": ["2.5"]}, "value 0: '2.5' is not a typed bit pattern"),
        ({"input": ["i32:2"]}, "value 0: 'i32:2' has 1 digits"),
        ({"input": [2.5]}, "got `float`"),
        ({"entry": "g", "input": ["i32:00000001"]}, "entry 'g' is none of f"),
        ({"entry": HOSTILE, "input": ["i32:00000001"]}, "is none of f"),
        ({"inputs": []}, "unknown field"),
        ([], "got `array`"),
    ]
    for given, words in cases:
        path.write_text(json.dumps(given))
        assert words in complaint(2, "run", subject, "--input", path)
    path.write_bytes(b"")
    assert "truncated" in complaint(2, "run", subject, "--input", path)
    assert "cannot be read" in complaint(2, "run", subject, "--input", tmp_path / "none")


def test_a_draft_needs_exports_and_leaves_manifests_alone(tmp_path: Path) -> None:
    bare = subject_in(tmp_path / "bare", wat("(module (func))"), None)
    assert "m.wasm: the module exports no function" in complaint(2, "init", bare / "m.wasm")
    good = subject_in(tmp_path / "good")
    assert "move it away first" in complaint(2, "init", good / "m.wasm", "--write")
    drafted = weavegate("init", good / "m.wasm")
    assert (drafted.exit_code, drafted.stderr) == (0, "")
    assert 'entry = "f"' in drafted.stdout
    hostile = module_of(BODY, more='(func (export "[bold]\\1b[31m\\0a"))')
    result = weavegate("init", subject_in(tmp_path / "h", hostile, None) / "m.wasm")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
