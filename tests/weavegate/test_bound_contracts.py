"""
Bounds under a contract of the host, from the command line and in a certification.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import wasmtime
from click.testing import CliRunner, Result

from conformance.bounds.certificate import read_certificate, write_certificate
from weavegate.cli import main

pytestmark = pytest.mark.engines

FUEL = "wasmtime-fuel@50.0.1"
CLOCK = Path(__file__).parents[2] / "vectors" / "attacks" / "ignores-clock"
COUNTED = """(module (import "env" "count" (func (result i32))) (memory (export "memory") 1)
  (func (export "infer") (param i32) (result i32) (local i32)
    (local.set 1 (call 0))
    (block (loop
      (br_if 1 (i32.eqz (local.get 1)))
      (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
      (br 0)))
    (local.get 0)))"""
"""Fuel: 1 for the call, 2 to ask, 8 each time round, 3 for the last test, 1 for the result."""
MANIFEST = """schema = 1
[module]
name = "counted"
[[call]]
entry = "infer"
parameters = ["i32"]
results = ["i32"]
[limits]
pages = 3
[host]
imports = ["env.count"]
script = "host.script"
[bounds]
models = ["wasmtime-fuel@50.0.1"]
contract = "count.toml"
"""
CONTRACT = """schema = 1
id = "count@1"
[[import]]
name = "env.count"
results = [{ high = 9 }]
writes = "nothing"
may_trap = false
[[import.gas]]
models = ["wasmtime-fuel@*"]
most = 5
"""
HIGH = 1 + 2 + 8 * 9 + 3 + 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.wasm").write_bytes(bytes(wasmtime.wat2wasm(COUNTED)))
    (tmp_path / "model.toml").write_text(MANIFEST)
    (tmp_path / "count.toml").write_text(CONTRACT)
    (tmp_path / "host.script").write_text("env.count() -> i32:00000009\n")
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def bare(folder: Path, *extra: object) -> Result:
    """
    The module without its manifest.
    """
    (folder / "bare.wasm").write_bytes((folder / "model.wasm").read_bytes())
    (folder / "model.toml").unlink()
    return run("bound", folder / "bare.wasm", "--entry", "infer", "--argument", "0..9",
               "--model", FUEL, *extra)  # fmt: skip


def test_a_shipped_contract_and_the_host_that_keeps_it() -> None:
    result = run("bound", CLOCK, "--contract", "emscripten-clock", "--model", FUEL, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    own, host = answer["gas"]
    assert (own["model"], host["model"], host["hi"]) == (FUEL, f"host:{FUEL}", 0)
    assert own["sentence"].startswith("proved 102..102 if the host keeps the contract emscripten-")
    assert answer["host"]["kept"]
    assert answer["host"]["calls"] == 4 * 5 * 2
    assert answer["contract"]["id"] == "emscripten-clock@1"


def test_without_a_contract_the_answer_is_unknown_and_names_the_import() -> None:
    result = run("bound", CLOCK, "--model", FUEL)
    assert result.exit_code == 3, result.output
    assert f"gas {FUEL}: unknown" in result.stdout
    assert "host env.emscripten_get_now is called and has no contract" in result.stdout


def test_a_model_that_the_contract_does_not_price_is_unknown() -> None:
    result = run("bound", CLOCK, "--contract", "emscripten-clock")
    assert result.exit_code == 3, result.output
    assert "gives no gas of env.emscripten_get_now under cosmwasm-vm@" in result.stdout


def test_the_manifest_names_a_contract(folder: Path) -> None:
    result = run("bound", folder, "--model", FUEL, "--emit", folder / "bound.json")
    assert result.exit_code == 0, result.output
    assert f"gas {FUEL}: proved 7..{HIGH} if the host keeps the contract count@1" in result.stdout
    assert "the contract is kept in 5 calls on 5 inputs" in result.stdout
    checked = run("check-bound", folder / "bound.json", folder / "model.wasm")
    assert checked.exit_code == 0, checked.output
    assert "assumed: the host keeps the contract count@1, SHA-256" in checked.stdout


def test_a_host_that_breaks_the_contract_is_red(folder: Path) -> None:
    (folder / "host.script").write_text("env.count() -> i32:0000000a\n")
    result = run("bound", folder, "--model", FUEL)
    assert result.exit_code == 1, result.output
    assert "the contract is broken" in result.stdout
    assert "env.count gave 10, and promises (ule (result 0) (i32 9))" in result.stdout


def test_a_certification_is_red_where_the_host_breaks_the_contract(folder: Path) -> None:
    given = ("certify", folder, "--effort", "quick", "--engine", "wasmtime", "--engine", "wasmer",
             "--engine", "wasmtime/winch")  # fmt: skip
    kept = run(*given, "--out", folder / "kept")
    report = json.loads((folder / "kept" / "report.json").read_bytes())
    verdicts = {item["property"]: item for item in report["verdicts"]}
    assert verdicts["gas-bounded"]["verdict"] == "holds", (verdicts["gas-bounded"], kept.output)
    assert "if the host keeps the contract count@1" in verdicts["gas-bounded"]["sentence"]
    (folder / "host.script").write_text("env.count() -> i32:0000000a\n")
    run(*given, "--out", folder / "broken")
    report = json.loads((folder / "broken" / "report.json").read_bytes())
    verdicts = {item["property"]: item for item in report["verdicts"]}
    assert verdicts["gas-bounded"]["verdict"] == "fails"
    assert "env.count gave 10" in verdicts["gas-bounded"]["sentence"]


def test_an_altered_contract_in_a_certificate_is_refused(folder: Path) -> None:
    assert bare(folder, "--contract", folder / "count.toml", "--emit", folder / "b").exit_code == 0
    certificate = read_certificate((folder / "b").read_bytes())
    given = certificate.contract
    assert given is not None
    text = given.text.replace("high = 9", "high = 8")
    altered = msgspec.structs.replace(
        certificate, contract=msgspec.structs.replace(given, text=text)
    )
    (folder / "b").write_bytes(write_certificate(altered))
    result = run("check-bound", folder / "b", folder / "bare.wasm")
    assert result.exit_code == 1, result.output
    assert "its contract has the id count@1 and the SHA-256" in result.output


@pytest.mark.parametrize(
    ("contract", "sentence"),
    [
        ("nobody", "there is no contract 'nobody': name a .toml, or one of cosmwasm-env, emscr"),
        ("missing.toml", "the contract cannot be read: No such file"),
        ("bad.toml", "bad.toml:6: unknown key `write`"),
    ],
)
def test_one_sentence_for_a_contract_that_cannot_be_read(
    folder: Path, contract: str, sentence: str
) -> None:
    wrong = CONTRACT.replace("writes =", "write =")
    (folder / "bad.toml").write_text(wrong)
    path = folder / contract if contract.endswith(".toml") else contract
    result = bare(folder, "--contract", path)
    assert result.exit_code == 2, result.output
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_the_manifest_names_a_contract_that_is_not_there(folder: Path) -> None:
    (folder / "model.toml").write_text(MANIFEST.replace("count.toml", "other.toml"))
    result = run("bound", folder)
    assert result.exit_code == 2, result.output
    assert "model.toml:15" in result.output
