"""
`weavegate validate`: verdicts, exit statuses, and what engines are asked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import msgspec
import pytest
from bad_subjects import HOSTILE, complaint, module_of, subject_in, wat, weavegate

from reports.acceptance import Validation
from vectors.invalid_forms import FORMS
from weavegate.terminal import Output
from weavegate.validate_job import validate_files


def _written(folder: Path, name: str = "m.wasm", data: bytes | None = None) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(module_of() if data is None else data)
    return str(path)


def test_a_valid_module_and_a_folder_pass(tmp_path: Path) -> None:
    result = weavegate("validate", _written(tmp_path), str(subject_in(tmp_path / "s")))
    assert result.exit_code == 0
    assert result.stdout.count(": valid; ") == 2


def test_an_invalid_one_has_rule_and_byte(tmp_path: Path) -> None:
    bad = _written(tmp_path, data=wat("(module (func (result i32) i64.const 1))"))
    result = weavegate("validate", bad)
    assert result.exit_code == 1
    assert result.stdout == (
        f"{bad}: invalid: end in function 0: i32 is wanted, i64 is on the stack "
        "(byte 26, 0x1a; rule type-mismatch)\n"
    )


def test_one_bad_file_among_good_ones_is_a_negative_verdict(tmp_path: Path) -> None:
    good, bad = _written(tmp_path), _written(tmp_path, "text.wasm", b"(module)")
    result = weavegate("validate", good, bad, good)
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 3
    assert "malformed: this is the text format" in result.stdout


def test_json_is_the_record(tmp_path: Path) -> None:
    bad = _written(tmp_path, data=FORMS["cut off"][0])
    result = weavegate("validate", _written(tmp_path / "g"), bad, "--json")
    assert result.exit_code == 1
    files = msgspec.json.decode(result.stdout, type=Validation).files
    assert [file.verdict.kind for file in files] == ["valid", "malformed"]
    assert json.loads(result.stdout)["files"][1]["verdict"]["rule"] == "truncated"


def test_what_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    assert "no such file" in complaint(2, "validate", tmp_path / "none.wasm")
    assert "no regular file" in complaint(2, "validate", "/dev/null")
    assert "MODULE" in complaint(2, "validate")
    assert "'nothing'" in complaint(2, "validate", _written(tmp_path), "--engine", "nothing")


def test_all_files_are_judged_although_some_cannot_be_read(tmp_path: Path) -> None:
    good, bad = _written(tmp_path), _written(tmp_path / "b", data=b"(module)")
    result = weavegate("validate", bad, tmp_path / "none.wasm", good)
    assert result.exit_code == 2
    assert [line.split(": ")[1] for line in result.stdout.splitlines()] == [
        "malformed",
        f"valid; {len(module_of())} bytes, needs nothing beyond the MVP",
    ]
    (said,) = result.stderr.splitlines()
    assert said == f"weavegate: {tmp_path / 'none.wasm'}: there is no such file or folder"
    result = weavegate("validate", bad, tmp_path / "none.wasm", good, "--json")
    assert result.exit_code == 2
    found = msgspec.json.decode(result.stdout, type=Validation)
    assert [file.path for file in found.files] == [bad, good]
    assert [(one.path, one.sentence.count("no such")) for one in found.unreadable] == [
        (str(tmp_path / "none.wasm"), 1)
    ]


def test_a_folder_without_a_manifest_is_one_sentence_that_names_no_file_of_it(
    tmp_path: Path,
) -> None:
    folder = Path(_written(tmp_path / "many", "aaa.wasm")).parent
    for command in ("validate", "inspect"):
        said = complaint(2, command, folder)
        assert said.count(str(folder)) == 1
        assert "aaa.wasm" not in said
        assert "holds no model.toml" in said
    (folder / "model.toml").write_text("schema = 7")
    assert complaint(2, "validate", folder).count("model.toml") == 1


def test_the_verdict_is_printed_before_engines_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    class Slow:
        def __init__(self, *_: object) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def ask(self, *_: object) -> tuple[()]:
            asked.append(capsys.readouterr().out)
            return ()

    monkeypatch.setattr("weavegate.validate_job.Acceptance", Slow)
    monkeypatch.setattr("weavegate.validate_job.choose_engines", lambda *_: [])
    path = Path(_written(tmp_path))
    assert validate_files(Output(), Output(stderr=True), [path], [], ask=True, as_json=False) == 0
    (before,) = asked
    assert before.startswith(f"{path}: valid; ")


def test_hostile_names_are_made_visible(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "_").replace("\x00", "")
    result = weavegate("validate", _written(tmp_path, name, b"\0asm\2\0\0\0"))
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 1
    assert "\x1b" not in result.stdout


@pytest.mark.engines
@pytest.mark.slow
def test_pywasm_accepts_invalid_modules_and_wasmtime_does_not(tmp_path: Path) -> None:
    bad = _written(tmp_path, data=FORMS["operand missing"][0])
    engines = ["--engine", "pywasm", "--engine", "wasmtime", "--engine", "wasmer"]
    result = weavegate("validate", bad, *engines, "--json")
    assert result.exit_code == 1
    (file,) = msgspec.json.decode(result.stdout, type=Validation).files
    found = {answer.engine.partition("@")[0]: answer for answer in file.engines}
    assert found["pywasm"].standing == "accepts-invalid"
    assert (found["wasmtime"].answer, found["wasmtime"].standing) == ("refused", "right")
    assert (found["wasmer"].answer, found["wasmer"].standing) == ("refused", "right")
    text = weavegate("validate", bad, "--engine", "pywasm").stdout
    assert "FINDING: compiles what is no valid module" in text
    assert file.verdict.sha256 in text
    assert f"again: weavegate validate {bad} --engine pywasm@" in text


@pytest.mark.engines
@pytest.mark.slow
def test_an_engine_that_looks_only_at_instantiation_is_told_apart(tmp_path: Path) -> None:
    late = _written(tmp_path, data=FORMS["minimum over maximum"][0])
    result = weavegate("validate", late, "--engine", "pywasm")
    assert result.exit_code == 1
    assert "refused late (trap): " in result.stdout
    assert "FINDING: compiles what is no valid module" in result.stdout


@pytest.mark.engines
@pytest.mark.slow
def test_engines_accept_a_valid_module_and_the_status_is_0(tmp_path: Path) -> None:
    result = weavegate("validate", _written(tmp_path), "--engine", "wasmtime", "--engine", "pywasm")
    assert result.exit_code == 0
    assert result.stdout.count("accepted") == 2


@pytest.mark.engines
@pytest.mark.slow
def test_an_engine_without_a_proposal_is_not_asked(tmp_path: Path) -> None:
    data = wat("(module (table 1 externref))")
    result = weavegate("validate", _written(tmp_path, data=data), "--engine", "wasmtime/winch")
    assert result.exit_code == 0
    assert "not asked: it does not have reference-types" in result.stdout
