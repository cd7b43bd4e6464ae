from __future__ import annotations

import pytest
import wasmtime
from wasmtime_meter import counted, fuel_of

from benchmarks.fuel_probes import PRELUDE, of_operator
from conformance.gas.charges import function_charges, module_charges
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.load import catalogue, gas_model
from conformance.gas.metering import metered
from conformance.wasm.decode import validated
from conformance.wasm.module import Module
from conformance.wasm.opcodes import OPCODES, Opcode


def module(text: str) -> Module:
    return validated(bytes(wasmtime.wat2wasm(f"(module {text})")))


def before(model: str, body: str) -> tuple[int, ...]:
    return function_charges(module(f"(func {body})"), 0, gas_model(model)).before


# -------------------------------------------------- CosmWasm, as releases billed it

# Each row of the table of billed figures: code, then gas for one pass.
SNIPPETS = {
    "add": "(local.set 1 (i32.add (local.get 1) (i32.const 3)))",
    "f64.mul": "(local.set 2 (f64.mul (local.get 2) (f64.const 3)))",
    "load": "(drop (i32.load (i32.const 8)))",
    "store": "(i32.store (i32.const 8) (i32.const 7))",
    "sqrt": "(local.set 2 (f64.sqrt (local.get 2)))",
    "grow": "(drop (memory.grow (i32.const 0)))",
    "block": "(block)",
    "br": "(block (br 0))",
    "if taken": "(if (i32.const 1) (then nop))",
    "if not taken": "(if (i32.const 0) (then nop))",
    "else side": "(if (i32.const 0) (then nop) (else nop nop))",
    "br_table": "(block (block (br_table 0 1 0 (i32.const 0))) nop)",
    "br_table of 9": "(block (block (br_table 0 1 0 1 0 1 0 1 0 (i32.const 0))) nop)",
    "call": "(call $e)",
    "call_indirect": "(call_indirect (i32.const 0))",
}
ONE, TWO = ("add", "f64.mul"), ("load", "store", "sqrt", "grow")
ROWS: dict[str, tuple[int, ...]] = {
    # 0.16.7, 1.0-1.5.2, 1.5.3-4, 1.5.5, 2.0.1, 2.1.0, 2.0.3 and 2.1.2, 2.1.3 and later
    **dict.fromkeys(ONE, (4, 600_000, 460_000, 460_000, 600, 680, 460, 460)),
    **dict.fromkeys(TWO, (3, 450_000, 345_000, 345_000, 450, 510, 345, 345)),
    "block": (2, 300_000, 1_725_000, 1_725_000, 300, 340, 1_725, 1_725),
    "br": (2, 300_000, 1_725_000, 1_725_000, 300, 340, 1_725, 1_725),
    "if taken": (4, 600_000, 1_955_000, 3_450_000, 600, 680, 1_955, 3_450),
    "if not taken": (0, 0, 0, 1_725_000, 0, 0, 0, 1_725),
    "else side": (3, 450_000, 1_840_000, 3_565_000, 450, 510, 1_840, 3_565),
    "br_table": (6, 900_000, 3_680_000, 3_680_000, 900, 1_020, 3_680, 3_680),
    "br_table of 9": (6, 900_000, 3_680_000, 3_680_000, 900, 1_020, 3_680, 3_680),
    "call": (2, 300_000, 3_220_000, 3_220_000, 300, 340, 3_220, 3_220),
    "call_indirect": (3, 450_000, 3_335_000, 3_335_000, 450, 510, 3_335, 3_335),
}
COLUMNS = (
    ("0.16.7",), ("1.0.0", "1.2.4", "1.5.2"), ("1.5.6", "1.5.7"), ("1.5.8", "1.5.10", "1.5.11"),
    ("2.0.1",), ("2.1.0",), ("2.0.6", "2.1.3"),
    ("2.1.4", "2.1.6", "2.2.0", "2.2.1", "2.2.2", "2.3.4", "3.0.0", "3.0.4", "3.0.5", "3.0.9"),
)  # fmt: skip


def spent(model: str, snippet: str, turns: int) -> int:
    found = module(f"""{PRELUDE} (elem (i32.const 0) func $e)
        (func (export "f") (local i32 i32 f64) (local.set 0 (i32.const {turns}))
        (loop {snippet} (br_if 0 (i32.ne (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))
        (i32.const 0)))))""")
    result = metered(found, gas_model(model))
    ending, (gas,) = counted(result.binary, result.counters, "f")
    assert ending == "None"
    return gas


@pytest.mark.parametrize("column", range(len(COLUMNS)))
def test_operators_cost_what_releases_billed(column: int) -> None:
    for version in COLUMNS[column]:
        model = f"cosmwasm-vm@{version}"
        empty = spent(model, "", 9) - spent(model, "", 4)
        for name, billed in ROWS.items():
            snippet = SNIPPETS[name]
            if "f64" in snippet and "f64.mul" not in gas_model(model).weights:
                continue
            full = spent(model, snippet, 9) - spent(model, snippet, 4)
            assert full - empty == 5 * billed[column], (version, name)


@pytest.mark.parametrize(
    ("version", "billed"),
    [("0.16.7", 7), ("1.5.2", 1_050_000), ("1.5.7", 2_300_000), ("2.0.1", 1_050),
     ("2.1.0", 1_190), ("2.1.3", 2_300), ("3.0.4", 2_300)],
)  # fmt: skip
def test_an_empty_iteration_costs_what_releases_billed(version: str, billed: int) -> None:
    model = f"cosmwasm-vm@{version}"
    assert spent(model, "", 9) - spent(model, "", 8) == billed


@pytest.mark.parametrize(
    ("version", "locals_", "billed"),
    [("2.3.4", 29, 0), ("2.3.4", 30, 115), ("3.0.9", 90, 7_015), ("2.3.3", 90, 0),
     ("3.0.5", 90, 0), ("2.2.9", 31, 230)],
)  # fmt: skip
def test_many_locals_are_paid_at_entry(version: str, locals_: int, billed: int) -> None:
    found = module(f"(func (param i64 i64) (local {'i32 ' * locals_}))")
    assert function_charges(found, 0, gas_model(f"cosmwasm-vm@{version}")).entry == billed


def test_code_behind_a_branch_enlarges_a_charge_that_never_runs() -> None:
    body = "(block (br 0) nop nop) nop"
    assert before("cosmwasm-vm@3.0.4", body) == (0, 1_725, 0, 0, 1_840, 0, 1_725)
    assert before("wasmtime-fuel", body) == (0, 1, 0, 0, 0, 0, 0)


# ----------------------------------------------------------------- wasmtime, by measurement


@pytest.mark.parametrize("operator", OPCODES.values(), ids=lambda operator: operator.name)
def test_wasmtime_takes_the_fuel_that_the_model_says(operator: Opcode) -> None:
    found = of_operator(operator)
    wanted = [OPCODES[int(code)].name for code in found.functions[1].body.codes]
    assert operator.name in wanted
    result = metered(found, gas_model("wasmtime-fuel"))
    ending, fuel = fuel_of(found.binary, "f")
    assert (ending, fuel) == (ending, sum(counted(result.binary, result.counters, "f")[1]))
    assert fuel > 0


@pytest.mark.parametrize("pages", [0, 1, 2, 127, 128, 129, 130, 1000, 70_000, -1])
@pytest.mark.parametrize("limits", ["1 1", "1 3", "1 200", "0"])
def test_growth_takes_the_fuel_that_the_model_says(pages: int, limits: str) -> None:
    found = module(
        f'(memory {limits}) (func (export "f") (result i32) (memory.grow (i32.const {pages})))'
    )
    result = metered(found, gas_model("wasmtime-fuel"))
    ending, fuel = fuel_of(found.binary, "f")
    assert counted(result.binary, result.counters, "f") == (ending, (fuel,))


# ---------------------------------------------------------------- meters that pay ahead


def test_metered_blocks_go_on_past_blocks_that_nothing_leaves() -> None:
    model = "wasm-instrument"
    # block, three constants and drops, and what follows are one run of eight.
    assert before(model, "nop (block nop nop (drop (i32.const 1))) nop nop") == (
        8, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    # A branch out of the outer block parts what it may jump over from what runs in any case.
    assert before(model, "(block (block (br_if 1 (i32.const 0)) nop) nop) nop") == (
        5, 0, 0, 0, 1, 0, 1, 0, 0, 0,
    )  # fmt: skip
    # A loop is a run of its own, and does not part what is around it.
    assert before(model, "nop (loop (br_if 0 (i32.const 0))) nop nop") == (4, 0, 2, 0, 0, 0, 0, 0)


def test_an_if_parts_runs_at_its_ends() -> None:
    body = "(if (i32.const 1) (then nop nop) (else nop)) nop"
    assert before("wasm-instrument", body) == (3, 0, 2, 0, 0, 1, 0, 0, 0)
    assert before("internet-computer", body) == (3, 0, 2, 0, 0, 1, 0, 1, 0)
    assert before("stylus", body) == (
        2450 + 766, 0, 2450 + 3, 0, 0, 2450 + 2, 0, 2450 + 2, 0,
    )  # fmt: skip


def test_near_pays_a_loop_in_every_iteration() -> None:
    unit = 822_756
    body = "(loop (br_if 0 (i32.const 0)))"
    assert before("near", body) == (0, 2 * unit, unit, 0, 0)
    loop = "(loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))"
    found = [
        module(f'(func (export "f") (local i32) (local.set 0 (i32.const {n})) {loop})')
        for n in (2, 3)
    ]
    turns = [metered(one, gas_model("near")) for one in found]
    two, three = (counted(one.binary, one.counters, "f")[1][0] for one in turns)
    assert three - two == 6 * unit


def test_stylus_prices_immediates() -> None:
    found = module("(table 1 funcref) (type $t (func (param i32 i32)))"
                   "(func (call_indirect (type $t) (i32.const 1) (i32.const 1) (i32.const 0))"
                   "(block (br_table 0 0 0 0 (i32.const 0))))")  # fmt: skip
    charges = function_charges(found, 0, gas_model("stylus"))
    assert charges.before[0] == 2450 + 3 + 13_610 + 2 * 650
    assert charges.before[4] == 2450 + 2 + 2_400 + 3 * 325


def test_a_trap_in_mid_run_is_paid_ahead_by_some_and_not_at_all_by_others() -> None:
    found = module('(func (export "f") nop (drop (i32.div_s (i32.const 1) (i32.const 0))) nop nop)')
    gas = {}
    for name in ("cosmwasm-vm", "wasmtime-fuel", "wasm-instrument", "near", "internet-computer"):
        result = metered(found, gas_model(name))
        ending, (gas[name],) = counted(result.binary, result.counters, "f")
        assert "divide by zero" in ending
        assert gas_model(name).pays_ahead == (name in ("wasm-instrument", "internet-computer"))
    unit = 822_756
    assert gas == {
        "cosmwasm-vm": 0, "wasmtime-fuel": 0, "wasm-instrument": 7, "near": 4 * unit,
        "internet-computer": 16,
    }  # fmt: skip


# ---------------------------------------------------------------------------- refusals


def test_a_meter_says_what_it_refuses_and_where() -> None:
    found = module('(func (export "infer") nop (drop (f64.add (f64.const 1) (f64.const 2))))')
    for name in ("stylus", "cosmwasm-vm@1.4.5"):
        with pytest.raises(RefusedOperatorError) as caught:
            module_charges(found, gas_model(name))
        offset = int(found.functions[0].body.offsets[1])
        assert f"refuses f64.const in function 0 (infer) (byte {offset}" in str(caught.value)
        assert caught.value.offset == offset
    assert module_charges(found, gas_model("cosmwasm-vm@1.5.0"))


def test_bulk_memory_is_unpriced_for_near_and_priced_for_others() -> None:
    found = module("(memory 1) (func (memory.fill (i32.const 0) (i32.const 1) (i32.const 9)))")
    (item,) = function_charges(found, 0, gas_model("near")).unpriced
    assert (item.place, item.kind) == (3, "bytes")
    for name in ("wasmtime-fuel", "internet-computer", "stylus"):
        charges = function_charges(found, 0, gas_model(name))
        assert not charges.unpriced
        assert charges.dynamic
    with pytest.raises(RefusedOperatorError, match=r"memory\.fill"):
        function_charges(found, 0, gas_model("cosmwasm-vm"))


def test_every_model_charges_every_function_it_accepts() -> None:
    found = module(f"{PRELUDE} (func (result i32) (if (result i32) (i32.const 1)"
                   "(then (i32.const 2)) (else (i32.const 3))))")  # fmt: skip
    for model in {entry.alike: entry for entry in catalogue().values()}.values():
        for function, charges in zip(found.functions, module_charges(found, model), strict=True):
            assert len(charges.before) == len(function.body)
            assert all(amount >= 0 for amount in charges.before)
