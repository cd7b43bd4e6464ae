"""
The whole call of a contract: every part that the VM and the chain bill, against limits.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wasmtime
from click.testing import CliRunner, Result

from conformance.admission.fitting import DEALLOCATE, READ, WRITE
from conformance.bounds.bound import BoundReport
from conformance.bounds.certificate import Precondition, Range
from conformance.gas.load import gas_model
from conformance.wasm.decode import decode
from weavegate.bound_shape import Sizes, shape
from weavegate.cli import main

pytestmark = pytest.mark.engines

CONTRACT = """(module
  (import "env" "db_read" (func $read (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  (func (export "interface_version_8"))
  (func (export "allocate") (param i32) (result i32) (local $at i32)
    (local.set $at (global.get $top))
    (i32.store (local.get $at) (i32.add (local.get $at) (i32.const 12)))
    (i32.store offset=4 (local.get $at) (local.get 0))
    (global.set $top (i32.add (local.get $at) (i32.add (i32.const 16) (local.get 0))))
    (local.get $at))
  (func (export "deallocate") (param i32) {free})
  (func (export "query") (param i32 i32) (result i32)
    (drop (call $read (local.get 1)))
    (local.get 1)))"""
OPERATOR, CONTROL = 115, 14 * 115
# By the table of cosmwasm-vm 2.2.2: operators 115, calls and `end` 14 times as much.
ALLOCATE = 17 * OPERATOR + CONTROL
QUERY = 3 * OPERATOR + 2 * CONTROL
HOST = 18_000 + 200_000 + 115 * 65_536
ASKED = ("--message-bytes", 1_000, "--context-bytes", 500, "--answer-bytes", 300)


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "contract.wasm"
    path.write_bytes(bytes(wasmtime.wat2wasm(CONTRACT.format(free=""))))
    return path


def run(path: Path, *extra: object, entry: str = "query") -> Result:
    given = ("bound", path, "--entry", entry, "--chain", "juno", "--contract", "cosmwasm-env")
    return CliRunner().invoke(main, [*map(str, given), *map(str, extra)])


def test_every_part_of_a_query_is_on_a_line_of_its_own(contract: Path) -> None:
    result = run(contract, *ASKED, "--json", "--emit", contract.with_suffix(".json"))
    assert result.exit_code == 0, result.output
    whole = json.loads(result.stdout)["sdk_gas"]
    terms = {term["name"]: (term["vm_gas"], term["sdk_gas"]) for term in whole["terms"]}
    # What the host calls is the module's own: one `allocate` for the value of db_read.
    vm = {
        "allocate": 2 * ALLOCATE,
        "write of the message": 0,
        "entry": QUERY + ALLOCATE,
        "host calls": HOST,
        "read of the answer": 200_000 + 115 * 300,
        "deallocate": CONTROL,
    }
    assert {name: gas for name, (gas, _) in terms.items() if gas is not None} == vm
    assert terms["instance"] == (None, 60_000)
    assert whole["total"] == 60_000 + -(-sum(vm.values()) // 140_000)
    assert "submessages and their replies" in whole["outside"]
    for name in ("allocate", "deallocate"):
        checked = CliRunner().invoke(
            main, ["check-bound", str(contract.with_suffix(f".{name}.json")), str(contract)]
        )
        assert checked.exit_code == 0, checked.output


def test_one_unit_less_than_the_whole_call_is_exceeded(contract: Path) -> None:
    billed = 3 * ALLOCATE + QUERY + HOST + 200_000 + 115 * 300 + CONTROL
    total = 60_000 + -(-billed // 140_000)
    result = run(contract, *ASKED, "--max-sdk-gas", total - 1)
    assert result.exit_code == 1, result.output
    assert f"asked SDK gas: exceeds: up to {total:,}" in result.stdout


def test_a_part_that_nobody_knows_makes_the_whole_unknown(contract: Path) -> None:
    result = run(contract, "--message-bytes", 1_000, "--max-sdk-gas", 3_000_000)
    assert result.exit_code == 3, result.output
    assert "juno: the whole call in SDK gas: unknown" in result.stdout
    assert "read of the answer: unknown: the most bytes of the answer are not said" in result.stdout


def test_an_allocator_without_a_bound_is_not_taken_for_free(contract: Path) -> None:
    forever = "(loop $l (br_if $l (i32.load8_u (local.get 0))))"
    contract.write_bytes(bytes(wasmtime.wat2wasm(CONTRACT.format(free=forever))))
    result = run(contract, *ASKED, "--max-sdk-gas", 3_000_000)
    assert result.exit_code == 3, result.output
    assert f"  {DEALLOCATE}: unknown" in result.stdout


def test_a_bare_entry_takes_no_message(contract: Path) -> None:
    result = run(contract, "--message-bytes", 8, "--max-sdk-gas", 9, entry="interface_version_8")
    assert result.exit_code == 3, result.output
    assert "no message can be passed to it" in result.stdout
    result = run(contract, "--max-sdk-gas", 60_001, entry="interface_version_8")
    assert result.exit_code == 0, result.output


def test_moving_bytes_costs_what_releases_billed() -> None:
    """
    A query of 8 bytes, with an env of 94, was billed 227,945 by cosmwasm-vm 2.2.2 and 746,085 by
    3.0.4: what is more is the writes of two regions.
    """
    module = decode(bytes(wasmtime.wat2wasm(CONTRACT.format(free=""))))

    def unproved(entry: str, argument: Range) -> BoundReport:
        given = Precondition(entry, (argument,))
        return BoundReport(module.sha256, given, (), None, None, (), (), 0)

    moved = {}
    for version in ("2.2.2", "3.0.4"):
        model = gas_model(f"cosmwasm-vm@{version}")
        found = shape(module, "query", model, Sizes(8, 94, 0), unproved)
        moved[version] = sum(t.gas or 0 for t in found.terms if t.name in (WRITE, READ))
    assert moved["3.0.4"] - moved["2.2.2"] == 746_085 - 227_945
