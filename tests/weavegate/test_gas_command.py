"""
`weavegate gas` and `weavegate gas-models`: bills side by side, what they lack, what they refuse.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from bad_subjects import MANIFEST, SCALARS, module_of, subject_in, wat, weavegate

from conformance.gas.load import catalogue
from reports.gas import Bill, GasReport, Share
from runners.records import GasReading, NotObserved
from weavegate.gas_command import print_gas
from weavegate.gas_job import exit_code
from weavegate.terminal import Output

pytestmark = pytest.mark.engines
CASE = '{"input": ["f64:3ff8000000000000", "f64:4000000000000000"]}'
NUMBER = '{"input": ["i32:00000005"]}'


def case_in(folder: Path, text: str = CASE) -> str:
    path = folder / "case.json"
    path.write_text(text)
    return str(path)


def billed(folder: Path, *words: str, case: str = CASE) -> tuple[int, dict[str, Any]]:
    result = weavegate("gas", str(folder), "--input", case_in(folder, case), "--json", *words)
    return result.exit_code, json.loads(result.stdout)


def scalars(folder: Path, body: str, more: str = "") -> Path:
    text = f'(module {more} (func (export "f") (param i32) (result i32) {body}))'
    return subject_in(folder, wat(text), SCALARS)


def test_the_newest_cosmwasm_model_is_billed_by_default(tmp_path: Path) -> None:
    status, report = billed(subject_in(tmp_path, module_of(), MANIFEST))
    assert status == 0
    (bill,) = report["bills"]
    # Const, const, load, const, load, add, store and end: what the entry does, and nothing else.
    assert (bill["model"], bill["vm_part"]) == ("cosmwasm-vm@3.0.9", 7 * 115 + 1_610)
    assert bill["host_part"] == 0
    assert bill["functions"] == [{"function": "function 2 (f)", "gas": 2_415}]
    assert report["meters"][0]["meter"] == "fuel:wasmtime@50.0.1"
    assert report["meters"][0]["vm_part"] == 8


@pytest.mark.parametrize("engine", ["wasmtime", "wasmtime/pulley", "wasmer/singlepass", "pywasm"])
def test_any_model_is_counted_on_any_engine(tmp_path: Path, engine: str) -> None:
    folder = subject_in(tmp_path, module_of(), MANIFEST)
    words = ("--model", "cosmwasm-vm@2.1.0", "--model", "wasmtime-fuel", "--model", "near")
    status, report = billed(folder, *words, "--engine", engine)
    assert status == 0
    assert [bill["vm_part"] for bill in report["bills"]] == [8 * 170, 8, 7 * 822_756]


def test_functions_are_billed_apart_and_add_up(tmp_path: Path) -> None:
    more = "(func $twice (param i32) (result i32) (i32.add (local.get 0) (local.get 0)))"
    folder = scalars(tmp_path, "(call $twice (call $twice (local.get 0)))", more)
    status, report = billed(folder, case=NUMBER)
    assert status == 0
    (bill,) = report["bills"]
    # The callee pays three operators and an `end`, twice; the entry one operator, calls, an `end`.
    gas = {share["function"]: share["gas"] for share in bill["functions"]}
    assert gas == {"function 1 (f)": 115 + 3 * 1_610, "function 0 (twice)": 2 * (3 * 115 + 1_610)}
    assert bill["vm_part"] == sum(gas.values())


def test_a_trap_is_billed_with_what_was_charged_until_then(tmp_path: Path) -> None:
    folder = scalars(tmp_path, "(block nop) (i32.div_s (local.get 0) (i32.const 0))")
    words = ("--model", "cosmwasm-vm@3.0.4", "--model", "wasmtime-fuel", "--model", "near")
    status, report = billed(folder, *words, case=NUMBER)
    assert status == 0
    assert report["outcome"] == "trapped (integer divide by zero)"
    assert [bill["vm_part"] for bill in report["bills"]] == [2 * 115 + 1_610, 0, 4 * 822_756]
    assert report["meters"][0]["vm_part"] == 0


def test_a_model_that_refuses_the_module_says_where_and_the_others_are_billed(
    tmp_path: Path,
) -> None:
    folder = subject_in(tmp_path, module_of(), MANIFEST)
    result = weavegate("gas", str(folder), "--input", case_in(folder), "--model", "stylus",
                       "--model", "cosmwasm-vm@3.0.4")  # fmt: skip
    assert result.exit_code == 1
    assert "stylus@3 refuses f64.load in function 2 (f) (byte" in result.stdout
    assert "2,415" in result.stdout


def test_a_bill_that_lacks_a_price_says_so_and_is_not_decided(tmp_path: Path) -> None:
    body = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 9)) (local.get 0)"
    folder = scalars(tmp_path, body, "(memory 1)")
    result = weavegate("gas", str(folder), "--input", case_in(folder, NUMBER), "--model", "near")
    assert result.exit_code == 3
    assert "at least" in result.stdout
    assert "memory.fill in function 0 (f) (byte" in result.stdout
    assert "its price per bytes is not known" in result.stdout


def test_a_limit_of_the_engine_is_no_bill(tmp_path: Path) -> None:
    more = "(func $again (param i32) (result i32) (call $again (local.get 0)))"
    folder = scalars(tmp_path, "(call $again (local.get 0))", more)
    status, report = billed(folder, case=NUMBER)
    assert status == 3
    assert "met a limit of the engine" in report["bills"][0]["vm_part"]["reason"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--model", "cosmwasm-vm@3.0.44"), "nearest is cosmwasm-vm@3.0.4"),
        (("--model", "fuel"), "there is no gas model 'fuel'"),
        (("--engine", "wasmtim"), "wasmtim"),
    ],
)
def test_what_does_not_exist_is_one_sentence(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    folder = subject_in(tmp_path, module_of(), MANIFEST)
    result = weavegate("gas", str(folder), "--input", case_in(folder), *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


REGION = b"\x10\0\0\0\x05\0\0\0\x05\0\0\0"
"""Offset 16, capacity 5, length 5."""
HOST = '[host]\nimports = ["env.{0}"]\nscript = "host.txt"\n'


def asking(folder: Path, function: str, answer: str) -> Path:
    """
    A module that hands the host a region with `hello` at 0, and what the host does.
    """
    place = scalars(
        folder,
        "(call $ask (i32.const 0))",
        f'(import "env" "{function}" (func $ask (param i32) (result i32)))'
        ' (memory (export "memory") 1)'
        ' (data (i32.const 0) "\\10\\00\\00\\00\\05\\00\\00\\00\\05\\00\\00\\00")'
        ' (data (i32.const 16) "hello")',
    )
    with (place / "model.toml").open("a") as manifest:
        manifest.write(HOST.format(function))
    (place / "host.txt").write_text(answer)
    return place


def peeked(address: int, data: bytes) -> str:
    return f"peek {address}+{len(data)} sha256:{hashlib.sha256(data).hexdigest()}"


READ = f"{peeked(0, REGION)}; {peeked(16, b'hello')}"
ZERO = "i32:00000000"


@pytest.mark.parametrize(
    ("function", "version", "billed_host"),
    [
        # What releases billed for a missing key, and for an address, of 5 bytes, less the guest's.
        ("db_read", "3.0.4", 220_415 - 1_840),
        ("db_read", "2.1.4", 0),
        ("addr_validate", "2.2.2", 256_115 - 1_840),
    ],
)
def test_calls_of_the_host_are_billed_by_what_they_read(
    tmp_path: Path, function: str, version: str, billed_host: int
) -> None:
    place = asking(tmp_path, function, f"env.{function}(*) {{{READ}}} -> {ZERO}\n")
    status, report = billed(place, "--model", f"cosmwasm-vm@{version}", case=NUMBER)
    assert report["outcome"] == "returned"
    assert report["bills"][0]["host_part"] == billed_host
    assert report["bills"][0]["vm_part"] > 0
    assert status == 0


def test_a_region_that_is_written_is_billed_as_written(tmp_path: Path) -> None:
    step = f"{READ}; poke 16 bytes:0102; poke 8 bytes:02000000"
    place = asking(tmp_path, "db_read", f"env.db_read(*) {{{step}}} -> {ZERO}\n")
    status, report = billed(place, "--model", "cosmwasm-vm@3.0.4", case=NUMBER)
    assert status == 0
    assert report["bills"][0]["host_part"] == 220_415 - 1_840 + 230_000 + 2 * 570


@pytest.mark.parametrize(
    ("function", "steps", "model", "words"),
    [
        ("db_read", READ, "wasmtime-fuel", "has no prices of host calls"),
        ("now", READ, "cosmwasm-vm@3.0.4", "has no price of env.now"),
        # Bytes that are in no region of the call.
        ("db_read", peeked(17, b"ello"), "cosmwasm-vm@3.0.4", "is in no region"),
    ],
)
def test_what_has_no_price_is_unknown_and_never_0(
    tmp_path: Path, function: str, steps: str, model: str, words: str
) -> None:
    place = asking(tmp_path, function, f"env.{function}(*) {{{steps}}} -> {ZERO}\n")
    given = ("gas", place, "--input", case_in(tmp_path, NUMBER), "--model", model)
    result = weavegate(*given)
    assert result.exit_code == 3
    assert "host part unknown: " in result.stdout
    assert words in result.stdout
    found = json.loads(weavegate(*given, "--json").stdout)["bills"][0]
    assert words in found["host_part"]["reason"]
    assert isinstance(found["vm_part"], int)


@pytest.mark.parametrize("answer", ["", f"env.db_read(*) {{{READ}}} -> host error\n"])
def test_a_host_that_ends_the_call_is_no_pass(tmp_path: Path, answer: str) -> None:
    place = asking(tmp_path, "db_read", answer)
    result = weavegate("gas", place, "--input", case_in(tmp_path, NUMBER))
    assert result.exit_code == 3
    assert "trapped (host error)" in result.stdout
    assert "the host ended the call: " in result.stdout


def test_a_narrow_terminal_shows_whole_ids_of_models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"cosmwasm-vm@{version}" for version in ("2.1.0", "3.0.4")] + ["wasm-instrument@0.4.0"]
    shares = (Share("function 12 (a_name_that_is_long_but_not_too_long)", 10**12),)
    bills = tuple(
        Bill(name, "", "CosmWasm gas", 10**12, 10**9, shares, "", (), "") for name in names
    )
    meter = GasReading("fuel:wasmtime@50.0.1", "fuel", 8, NotObserved("one meter"))
    print_gas(Output(), GasReport("", "f", "wasmtime@50.0.1", "returned", "", (meter,), bills))
    shown = capsys.readouterr().out
    assert "…" not in shown
    for name in names:
        assert shown.count(name) == 2, shown
    assert max(map(len, shown.splitlines())) <= 80


def test_readings_that_contradict_are_findings() -> None:
    def report(
        vm_part: int, outcome: str = "", node: str = "wasmtime@50.0.1/cranelift"
    ) -> GasReport:
        bill = Bill("wasmtime-fuel@50.0.1", "", "fuel", vm_part, 0, (), "", (), outcome)
        meter = GasReading("fuel:wasmtime@50.0.1", "fuel", 8, NotObserved("one meter"))
        return GasReport("", "f", node, "returned", "", (meter,), (bill,))

    assert exit_code(report(8)) == 0
    assert exit_code(report(9)) == 1
    assert "counts 9, the engine 8" in report(9).contradictions[0]
    assert exit_code(report(8, "trapped (unreachable)")) == 1


def test_gas_models_lists_versions_prices_and_what_is_unknown() -> None:
    result = weavegate("gas-models")
    assert result.exit_code == 0
    for model in catalogue().values():
        assert model.version in result.stdout
    assert "unknown: what calls of the host cost" in result.stdout
    assert "source of" not in result.stdout


def test_gas_models_of_one_meter_gives_sources() -> None:
    result = weavegate("gas-models", "stylus")
    assert "source of weights: OffchainLabs/nitro" in result.stdout
    assert "cosmwasm" not in result.stdout
    assert weavegate("gas-models", "stylish").exit_code == 2


def test_gas_models_as_data_has_every_price() -> None:
    found = json.loads(weavegate("gas-models", "--json").stdout)
    assert sum(len(model["alike"]) for model in found) == len(catalogue())
    by_name = {model["name"]: model for model in found}
    assert by_name["stylus"]["weights"]["i32.add"] == 70
    assert by_name["cosmwasm-vm"]["weights"]["call"] == 1_610
