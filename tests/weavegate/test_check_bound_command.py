"""
`weavegate check-bound` from the command line: verdicts, exit codes, one sentence for each refusal.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wasmtime
from click.testing import CliRunner, Result

from conformance.bounds.certificate import (
    Bound,
    Certificate,
    Cost,
    Cut,
    Dual,
    FlowFact,
    Input,
    Measure,
    Multiplier,
    Precondition,
    Price,
    Range,
    Stack,
    Summary,
    Weight,
    write_certificate,
)
from conformance.wasm.decode import validated
from weavegate.cli import main

FUEL = "wasmtime-fuel@50.0.1"
TEXT = """(module (memory 1) (func (export "infer") (param i32)
  (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0)))))"""
MODULE = bytes(wasmtime.wat2wasm(TEXT))
# Instructions: 0 loop, 1 local.get, 2 i32.const, 3 i32.sub, 4 local.set, 5 local.get, 6 br_if,
# 7 end, 8 end. Fuel: 1 for the call, 6 for each turn.


def written(most: int = 9, bound: int = 61) -> Certificate:
    holds = ("(uge (local 0) (i32 1))",)
    fact = FlowFact("turns", "most", "entry", (Weight(6, 1, 1),), most,
                    (Measure(0, "(sub (local 0) (i32 1))"),), 0)  # fmt: skip
    dual = Dual((Price(0, str(6 * most + 6)), Price(1, "6")), (Multiplier("turns", "6"),))
    cost = Cost(FUEL, 7, bound, Dual((Price(0, "6"), Price(1, "6"))), dual)
    required = Cut(-1, ("(ule (param 0) (i32 10))", "(uge (param 0) (i32 1))"))
    summary = Summary("infer", 0, (required, Cut(0, holds)), (cost,), (fact,))
    return Certificate(
        validated(MODULE).sha256, (FUEL,), Precondition("infer", (Range(1, 10),)), "infer",
        (summary,), (Bound(FUEL, 7, bound, 0, bound),), 1, Stack(1, 3),
        inputs=(Input((1,)), Input((10,))),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.wasm").write_bytes(MODULE)
    (tmp_path / "bound.json").write_bytes(write_certificate(written()))
    return tmp_path


def run(folder: Path, certificate: str = "bound.json", *extra: str) -> Result:
    arguments = ["check-bound", str(folder / certificate), str(folder / "m.wasm"), *extra]
    return CliRunner().invoke(main, arguments)


@pytest.mark.engines
def test_a_true_certificate_is_confirmed(folder: Path) -> None:
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert "confirmed" in result.output
    assert "argument 0 in 1 .. 10" in result.output
    assert "judgement" in result.output
    shown = json.loads(run(folder, "bound.json", "--json").stdout)
    assert shown["confirmed"] is True
    assert shown["measured"] == {FUEL: [7, 61]}
    assert (shown["bounds"][0]["lo"], shown["bounds"][0]["hi"]) == (7, 61)
    assert shown["counts"]["rows"] == shown["counts"]["rows_looked_at"] == 13
    (judgement,) = [p["lines"] for p in shown["trusted_base"] if p["part"] == "judgement"]
    assert judgement <= 700


@pytest.mark.engines
def test_a_false_certificate_is_refused_and_shows_no_bound(folder: Path) -> None:
    (folder / "low.json").write_bytes(write_certificate(written(most=8, bound=55)))
    result = run(folder, "low.json")
    assert result.exit_code == 1
    assert "is not true; false for local 0 = 10" in result.output
    assert "whatever its outcome" not in result.stdout
    assert "whatever its outcome" in run(folder).stdout
    shown = json.loads(run(folder, "low.json", "--json").stdout)
    assert shown["confirmed"] is False
    assert shown["bounds"] is None
    assert shown["refusals"][0]["reason"] == "obligation"


@pytest.mark.engines
def test_a_certificate_of_another_module_is_refused(folder: Path) -> None:
    (folder / "m.wasm").write_bytes(bytes(wasmtime.wat2wasm(TEXT.replace("(memory 1)", ""))))
    result = run(folder)
    assert result.exit_code == 1
    assert "the certificate is about module" in result.output


@pytest.mark.engines
def test_what_the_solver_cannot_answer_is_undecided(folder: Path) -> None:
    result = run(folder, "bound.json", "--resources", "1")
    assert result.exit_code == 3
    assert "could not" in result.output


def test_files_that_are_no_certificate(folder: Path) -> None:
    whole = (folder / "bound.json").read_bytes()
    cases = {
        "truncated": (whole[:100], "truncated"),
        "nothing": (b"", "truncated"),
        "other": (b'{"schema": 1}', "missing required field"),
        "model": (whole.replace(b"fuel@50.0.1", b"fuel@49.9.9"), "there is no gas model"),
        "bytes": (b"\xff\xfe\x00", "no certificate"),
    }
    for name, (data, words) in cases.items():
        (folder / name).write_bytes(data)
        result = run(folder, name)
        assert result.exit_code == 2, (name, result.output)
        assert words in result.output
        assert result.output.count("\n") == 1
    assert run(folder, "absent.json").exit_code == 2


def test_help_teaches() -> None:
    result = CliRunner().invoke(main, ["check-bound", "--help"])
    assert result.exit_code == 0
    assert "weavegate check-bound bound.json model.wasm" in result.output
