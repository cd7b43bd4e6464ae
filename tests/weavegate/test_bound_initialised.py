"""
Bounds of an entry that a manifest calls after initialisers: proved, and measured by engines.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wasmtime
from click.testing import CliRunner, Result

from weavegate.cli import main

pytestmark = pytest.mark.engines

FUEL, VM = "wasmtime-fuel@50.0.1", "cosmwasm-vm@3.0.9"
COUNTS = """(module (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (func (export "setup") (global.set $count (i32.const 5)))
  (func (export "infer") (param i32) (result i32) (local i32)
    (local.set 1 (global.get $count))
    (block (loop
      (br_if 1 (i32.eqz (local.get 1)))
      (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
      (br 0)))
    (local.get 0)))"""
GAS = 1 + 2 + 8 * 5 + 3 + 1
MANIFEST = f"""schema = 1
[module]
name = "counts"
[abi]
initialize = ["setup"]
[[call]]
entry = "infer"
parameters = ["i32"]
results = ["i32"]
[limits]
pages = 3
[bounds]
models = ["{FUEL}", "{VM}"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.wasm").write_bytes(bytes(wasmtime.wat2wasm(COUNTS)))
    (tmp_path / "model.toml").write_text(MANIFEST)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_the_bound_is_that_of_the_initialised_instance(folder: Path) -> None:
    result = run("bound", folder, "--model", FUEL, "--emit", folder / "bound.json")
    assert result.exit_code == 0, result.output
    assert f"gas {FUEL}: exact {GAS} (measured {GAS}..{GAS})" in result.stdout
    checked = run("check-bound", folder / "bound.json", folder / "model.wasm")
    assert checked.exit_code == 0, checked.output
    assert "after setup" in checked.stdout


def test_a_certification_measures_the_initialised_instance(folder: Path) -> None:
    run("certify", folder, "--effort", "quick", "--engine", "wasmtime", "--engine", "wasmer",
        "--engine", "wasmtime/winch", "--out", folder / "out")  # fmt: skip
    report = json.loads((folder / "out" / "report.json").read_bytes())
    verdicts = {item["property"]: item for item in report["verdicts"]}
    assert verdicts["gas-bounded"]["verdict"] == "holds", verdicts["gas-bounded"]
    assert f"{FUEL} exact {GAS} (measured {GAS}..{GAS} by " in verdicts["gas-bounded"]["sentence"]


def test_an_initialiser_that_grows_memory_leaves_the_bound_unknown(folder: Path) -> None:
    grows = COUNTS.replace('"setup")', '"setup") (drop (memory.grow (i32.const 1)))')
    (folder / "model.wasm").write_bytes(bytes(wasmtime.wat2wasm(grows)))
    result = run("bound", folder, "--model", FUEL)
    assert result.exit_code == 3, result.output
    assert "memory.grow while a module initialises" in result.stdout
