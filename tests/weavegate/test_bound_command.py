"""
`weavegate bound` from the command line: answers, files, limits, exit codes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import wasmtime
from click.testing import CliRunner, Result

from conformance.bounds.certificate import read_certificate
from weavegate.cli import main

pytestmark = pytest.mark.engines

FUEL = "wasmtime-fuel@50.0.1"
UP_TO = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (local $i i32)
    (loop $again
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                              (local.get $n))))))"""
BYTES = """(module (memory (export "memory") 1)
  (func (export "infer") (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.load8_u (local.get $i))))))"""
MODEL = Path(__file__).parents[2] / "vectors" / "models" / "digits-logistic"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.wasm").write_bytes(bytes(wasmtime.wat2wasm(UP_TO)))
    (tmp_path / "cut.json").write_bytes(b'{"module": "ab')
    (tmp_path / "bytes.wasm").write_bytes(bytes(wasmtime.wat2wasm(BYTES)))
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bound", *map(str, arguments)])


def up_to(folder: Path, most: int, *extra: object) -> Result:
    return run(folder / "m.wasm", "--entry", "infer", "--argument", f"1..{most}", *extra)


def test_a_shipped_model_has_the_same_gas_for_every_input() -> None:
    result = run(MODEL, "--model", FUEL)
    assert result.exit_code == 0, result.output
    assert f"gas {FUEL}: exact 8,225 (measured 8,225..8,225)" in result.stdout
    assert f"gas {FUEL} is the same for every input: proved" in result.stdout


def test_the_default_model_is_the_newest_cosmwasm_vm() -> None:
    result = run(MODEL, "--json")
    assert result.exit_code == 0, result.output
    (answer,) = json.loads(result.stdout)["gas"]
    assert answer["model"].startswith("cosmwasm-vm@3.")
    assert answer["answer"] == "exact"


def test_emitted_certificates_are_confirmed_by_check_bound(folder: Path) -> None:
    path = folder / "bound.json"
    result = up_to(folder, 48, "--model", FUEL, "--emit", path, "--smt", folder / "smt")
    assert result.exit_code == 0, result.output
    # 1 for the call, 7 each time round.
    assert f"gas {FUEL}: proved 8..337 (measured 8..337)" in result.stdout
    assert "is the same for every input: refuted" in result.stdout
    names = [file.name for file in (folder / "smt").glob("*.smt2")]
    assert any(re.fullmatch(r"f0-infer-loop-0-byte-0x[0-9a-f]+-.*\.smt2", n) for n in names)
    assert all(name.startswith("f0-infer-") for name in names)
    checked = CliRunner().invoke(main, ["check-bound", str(path), str(folder / "m.wasm")])
    assert checked.exit_code == 0, checked.output
    (bound,) = read_certificate(path.read_bytes()).bounds
    assert (bound.lo, bound.hi) == (8, 337)


def test_what_moved_against_an_earlier_certificate(folder: Path) -> None:
    path = folder / "bound.json"
    assert up_to(folder, 48, "--model", FUEL, "--emit", path).exit_code == 0
    assert "nothing moved" in up_to(folder, 48, "--model", FUEL, "--against", path).stdout
    moved = up_to(folder, 50, "--model", FUEL, "--against", path)
    assert f"moved: call: gas under {FUEL}: 8..337 to 8..351, +14 at most" in moved.stdout
    assert f"moved: infer: gas under {FUEL}: 8..337 to 8..351, +14 at most" in moved.stdout
    assert "moved: infer: loop 1: 0..47 to 0..49, +2 at most" in moved.stdout


def test_a_limit_that_is_exceeded_is_a_finding(folder: Path) -> None:
    fits = up_to(folder, 9, "--chain", "juno", "--max-sdk-gas", "3000000")
    assert fits.exit_code == 0, fits.output
    assert "juno: asked SDK gas: fits" in fits.stdout
    exceeds = up_to(folder, 9, "--chain", "juno", "--max-sdk-gas", "60000")
    assert exceeds.exit_code == 1, exceeds.output
    assert "juno: asked SDK gas: exceeds: up to 60," in exceeds.stdout
    assert "not covered" in exceeds.stdout


def test_unknown_is_an_exit_status_with_place_and_reason(folder: Path) -> None:
    result = run(folder / "bytes.wasm", "--entry", "infer", "--emit", folder / "none.json")
    assert result.exit_code == 3, result.output
    assert "unknown: function 0 (infer), byte 0x" in result.stdout
    assert "exit depends on input bytes" in result.stdout
    assert not (folder / "none.json").exists()


def test_a_budget_that_is_used_up_is_unknown(folder: Path) -> None:
    result = up_to(folder, 48, "--budget", "0")
    assert result.exit_code == 3, result.output
    assert "stopped" in result.stdout


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (("--model", "nonsense@1"), "nonsense"),
        (("--max-sdk-gas", "5"), "--max-sdk-gas needs --chain"),
        (("--chain", "nowhere"), "there is no chain file 'nowhere'"),
        (("--argument", "5..1"), "is no range"),
        (("--argument", "1"), "takes 1 arguments, 2 ranges are given"),
        (("--against", "missing.json"), "missing.json: cannot be read"),
        (("--against", "cut.json"), "this is no certificate of a bound"),
        (("--assume", "n<=48"), "is no condition such as"),
        (("--assume", "arg1<=48"), "takes 1 arguments, counted from 0"),
    ],
)
def test_one_sentence_for_each_error(folder: Path, extra: tuple[str, ...], sentence: str) -> None:
    named = [str(folder / part) if part == "cut.json" else part for part in extra]
    result = up_to(folder, 48, *named)
    assert result.exit_code == 2, result.output
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert "unknown" not in result.stdout


def test_without_a_manifest_the_entry_is_asked_for(folder: Path) -> None:
    result = run(folder / "m.wasm")
    assert result.exit_code == 2
    assert "name an exported function with --entry" in result.output


STEPS = """(module (memory (export "memory") 1)
  (func $small (param $x i32) (result i32) (i32.add (local.get $x) (i32.const 1)))
  (func $infer (export "infer") (param $n i32) (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 2)))
      (br_if $again (i32.le_u (local.get $i) (local.get $n))))
    (drop (call $small (local.get $n)))))"""


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    path = tmp_path / "steps.wasm"
    path.write_bytes(bytes(wasmtime.wat2wasm(STEPS)))
    return path


def test_an_unknown_tells_what_is_proved_and_what_would_do(steps: Path) -> None:
    result = run(steps, "--entry", "infer", "--model", FUEL, "--html", steps.parent / "b.html")
    assert result.exit_code == 3, result.output
    assert "unknown: function 1 (infer), byte 0x" in result.stdout
    assert "best measure that failed: " in result.stdout
    assert "it fails in the state local 0 = " in result.stdout
    # 1 for the call, 3 instructions.
    assert f"function 0 (small): {FUEL}: proved 4..4 for each call" in result.stdout
    assert "if argument 0 is at most 2,147,483,647" in result.stdout
    assert "to state it: --assume 'arg0<=2147483647'" in result.stdout
    page = (steps.parent / "b.html").read_text("utf-8")
    assert "What is missing" in page
    assert "Where the gas goes" not in page


def test_without_repair_nothing_else_is_tried(steps: Path) -> None:
    result = run(steps, "--entry", "infer", "--model", FUEL, "--no-repair", "--json")
    assert result.exit_code == 3, result.output
    shown = json.loads(result.stdout)
    assert shown["repair"] is None
    assert [(p["function"], p["lo"], p["hi"]) for p in shown["parts"]] == [
        ("function 0 (small)", 4, 4)
    ]
    assert shown["obstacles"][0]["state"]


def test_a_condition_is_stated_and_its_bound_drawn(steps: Path) -> None:
    page = steps.parent / "b.html"
    result = run(steps, "--entry", "infer", "--model", FUEL, "--assume", "arg0<=48", "--html", page)
    assert result.exit_code == 0, result.output
    # A turn costs 8, there are 1 to 25; 1 to enter, 2 for local.get and call, 4 in the callee.
    shown = f"gas {FUEL}: proved {8 + 7}..{25 * 8 + 7} if (ule (param 0) (i32 48))"
    assert shown in result.stdout, result.stdout
    text = page.read_text("utf-8")
    assert "Where the gas goes" in text
    assert 'aria-label="Call graph by share of gas' in text


def test_conditions_that_contradict_each_other_prove_nothing(steps: Path) -> None:
    result = run(steps, "--entry", "infer", "--assume", "arg0<=3", "--assume", "arg0>=9")
    assert result.exit_code == 3, result.output
    assert "contradiction: no call meets the precondition" in result.stdout
    assert "proved" not in result.stdout.replace("same for every input", "").partition("unknown")[0]
    assert "would be proved" not in result.stdout


def test_a_page_that_cannot_be_written(folder: Path) -> None:
    result = up_to(folder, 4, "--model", FUEL, "--html", folder / "nowhere" / "b.html")
    assert result.exit_code == 2, result.output
    assert "cannot be written" in result.output
    assert "Traceback" not in result.output
