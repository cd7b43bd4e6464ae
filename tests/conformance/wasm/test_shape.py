"""
Whether a module can be called as its manifest says.
"""

from __future__ import annotations

import msgspec
import pytest
from wasm_samples import wat

from conformance.wasm.decode import decode
from conformance.wasm.shape import check_call
from runners.records import (
    AtAddress,
    Buffer,
    ByAllocator,
    ByExport,
    ByResult,
    Call,
    Constant,
    InputPointer,
    OutputPointer,
    Slot,
)

MODULE = decode(
    wat("""(module
    (memory (export "memory") 1 2) (global (export "calls") (mut i32) (i32.const 0))
    (global (export "r") funcref (ref.null func)) (table (export "table") 1 funcref)
    (func (export "infer") (param i32 i32 f64 i64) (result i32) i32.const 0)
    (func (export "in_ptr") (result i32) i32.const 0)
    (func (export "out_ptr") (result i32) i32.const 800)
    (func (export "alloc") (param i32) (result i32) i32.const 0)
    (func (export "_initialize")) (func (export "setup") (param i32)))""")
)
GOOD = Call(
    entry="infer",
    arguments=(
        InputPointer(),
        OutputPointer(),
        Slot(0, "f64"),
        Constant("i64:0000000000000007"),
    ),
    results=("i32",),
    input=Buffer(ByExport("in_ptr"), 64),
    output=Buffer(ByExport("out_ptr"), 80),
    initialize=("_initialize",),
    memory="memory",
    globals=("calls",),
    grows=False,
)


def test_a_fitting_call_has_no_problem() -> None:
    assert check_call(MODULE, GOOD) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"input": Buffer(ByAllocator("alloc"), 64)},
        {"output": Buffer(ByResult(), 64)},
        {"output": Buffer(AtAddress(65_536 - 64), 64)},
        {"initialize": ()},
        {"globals": ()},
        {"grows": True},
    ],
)
def test_other_fitting_calls_have_no_problem(changes: dict[str, object]) -> None:
    assert check_call(MODULE, msgspec.structs.replace(GOOD, **changes)) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"entry": "inferr"}, ["no function 'inferr'", "near it are 'infer'"]),
        ({"entry": "memory"}, ["'memory' is a memory", "must be a function"]),
        ({"arguments": GOOD.arguments[:3]}, ["(i32, i32, f64, i64) -> (i32)", "(i32, i32, f64)"]),
        ({"arguments": (*GOOD.arguments[:2], Slot(0, "f32"), GOOD.arguments[3])}, ["f32"]),
        ({"results": ()}, ["(i32, i32, f64, i64) -> ()"]),
        ({"initialize": ("setup",)}, ["'setup'", "without arguments"]),
        ({"initialize": ("_initialise",)}, ["'_initialise'", "'_initialize'"]),
        ({"input": Buffer(ByExport("alloc"), 1)}, ["'alloc'", "() -> (i32)", "input buffer"]),
        ({"input": Buffer(ByAllocator("in_ptr"), 1)}, ["'in_ptr'", "(i32) -> (i32)"]),
        ({"output": Buffer(ByExport("optr"), 1)}, ["'optr'", "'out_ptr'"]),
        ({"input": Buffer(ByResult(), 1)}, ["comes before"]),
        ({"output": Buffer(AtAddress(65_536), 1)}, ["65536", "outside", "1 pages"]),
        ({"output": Buffer(AtAddress(-1), 1)}, ["outside"]),
        ({"memory": "mem"}, ["no memory 'mem'"]),
        ({"memory": "table"}, ["'table' is a table, not a memory"]),
        ({"globals": ("call",)}, ["no global 'call'", "'calls'"]),
        ({"globals": ("memory",)}, ["is a memory, not a global"]),
        ({"globals": ("r",)}, ["reference"]),
    ],
)
def test_each_misfit_has_one_sentence(changes: dict[str, object], words: list[str]) -> None:
    (sentence,) = check_call(MODULE, msgspec.structs.replace(GOOD, **changes))
    for word in words:
        assert word in sentence


def test_buffers_need_a_memory() -> None:
    found = check_call(MODULE, msgspec.structs.replace(GOOD, memory=None))
    assert [("input" in s, "output" in s) for s in found] == [(True, False), (False, True)]


def test_a_result_that_is_no_address_cannot_place_the_output() -> None:
    module = decode(
        wat('(module (memory (export "memory") 1) (func (export "f") (result i64) i64.const 0))')
    )
    call = Call("f", results=("i64",), output=Buffer(ByResult(), 8), memory="memory", grows=False)
    assert check_call(module, call) == (
        "the output buffer lies where the first result says, which is not an i32",
    )


def test_a_module_without_functions_says_so() -> None:
    (sentence,) = check_call(decode(wat("(module)")), Call("f"))
    assert sentence.endswith("it exports no function at all")


def test_growth_that_the_call_denies_is_told() -> None:
    text = '(module (memory 1) (func (export "f") (drop (memory.grow (i32.const 1)))))'
    (sentence,) = check_call(decode(wat(text)), Call("f", grows=False))
    assert "can grow it" in sentence
    assert check_call(decode(wat(text)), Call("f", grows=True)) == ()


def test_an_address_may_lie_where_memory_grows_to() -> None:
    text = (
        '(module (memory (export "m") 1 3) (func (export "f") (drop (memory.grow (i32.const 1)))))'
    )
    module = decode(wat(text))
    for address, fits in ((3 * 65_536 - 8, True), (3 * 65_536 - 7, False)):
        call = Call("f", output=Buffer(AtAddress(address), 8), memory="m")
        assert (check_call(module, call) == ()) is fits


def test_an_export_that_leads_nowhere_is_told() -> None:
    module = decode(wat('(module (func) (export "f" (func 9)))'))
    (sentence,) = check_call(module, Call("f"))
    assert "leads nowhere" in sentence


def test_v128_slots_are_refused() -> None:
    module = decode(wat('(module (func (export "f") (param v128)))'))
    (sentence,) = check_call(module, Call("f", arguments=(Slot(0, "v128"),), grows=False))
    assert "at most 8 bytes" in sentence
