"""
The evaluator beside wasmtime with canonical NaNs, on modules that nobody chose.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
from evaluate_samples import end_of
from generated_modules import CARRIERS, EDGES, TYPES, Writer
from wasmtime import (
    Config,
    Engine,
    Global,
    Memory,
    Module,
    Store,
    Trap,
    TrapCode,
    wat2wasm,
)
from wasmtime import Instance as Running

from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.operations import OPERATIONS
from conformance.wasm.evaluate.program import Program

KINDS: Final[dict[TrapCode | None, str]] = {
    TrapCode.UNREACHABLE: "unreachable",
    TrapCode.MEMORY_OUT_OF_BOUNDS: "memory out of bounds",
    TrapCode.INTEGER_DIVISION_BY_ZERO: "integer divide by zero",
    TrapCode.INTEGER_OVERFLOW: "integer overflow",
    TrapCode.BAD_CONVERSION_TO_INTEGER: "invalid conversion to integer",
    TrapCode.INDIRECT_CALL_TO_NULL: "indirect call to null",
    TrapCode.TABLE_OUT_OF_BOUNDS: "table out of bounds",
    TrapCode.BAD_SIGNATURE: "indirect call type mismatch",
}
WIDTHS = {"i32": 32, "i64": 64}
MODULES = 150
CALLS = 4


@functools.cache
def engine() -> Engine:
    """
    Cranelift, whose every arithmetic NaN is the canonical one.

    Made when it is first used, never while tests are collected: the handler of SIGFPE that gmpy2
    installs when it is imported would take the place of the engine's, and a division by zero in
    a guest would then end the process.
    """
    config = Config()
    config.cranelift_nan_canonicalization = True
    return Engine(config)


def rows(seed: int) -> Iterator[tuple[int, ...]]:
    """
    Arguments of `run`: floats as the integers of their bits.
    """
    for number in range(CALLS):
        edges = [EDGES[kind] for kind in TYPES]
        yield tuple(
            values[(seed * 5 + number * 3 + place) % len(values)]
            for place, values in enumerate(edges)
        )


def run_wasmtime(module: Module, arguments: tuple[int, ...]) -> tuple[Any, bytes, list[int]]:
    """
    End, memory and globals of one call on a new instance.
    """
    store = Store(engine())
    exports = Running(store, module, []).exports(store)
    run, memory = exports["run"], exports["memory"]
    assert isinstance(memory, Memory)
    signed = [
        bits - (1 << WIDTHS[CARRIERS[kind]]) if bits >> (WIDTHS[CARRIERS[kind]] - 1) else bits
        for kind, bits in zip(TYPES, arguments, strict=True)
    ]
    end: Any
    try:
        given = run(store, *signed)  # type: ignore[operator]
        end = tuple(
            bits % (1 << WIDTHS[CARRIERS[kind]]) for kind, bits in zip(TYPES, given, strict=True)
        )
    except Trap as trap:
        end = f"trap: {KINDS.get(trap.trap_code, 'of no known kind')}"
    watched = []
    for kind in ("i32", "i64"):
        cell = exports[kind]
        assert isinstance(cell, Global)
        watched.append(cell.value(store) % (1 << WIDTHS[kind]))
    return end, bytes(memory.read(store)), watched


def run_evaluator(program: Program, arguments: tuple[int, ...]) -> tuple[Any, bytes, list[int]]:
    """
    The same by the evaluator.
    """
    evaluation = Instance(program)
    end = end_of(evaluation, "run", *arguments)
    watched = [evaluation.cell(kind).value for kind in ("i32", "i64")]
    return end, bytes(evaluation.memory("memory").data), watched


@functools.cache
def generated(seed: int) -> tuple[bytes, tuple[Any, ...]]:
    """
    The module made from *seed*, and what wasmtime makes of its calls.
    """
    data = bytes(wat2wasm(Writer(seed).module()))
    compiled = Module(engine(), data)
    return data, tuple(run_wasmtime(compiled, arguments) for arguments in rows(seed))


def differing(seed: int, operations: Any = OPERATIONS) -> Iterator[tuple[int, Any, Any]]:
    """
    Calls of the module made from *seed* that do not end alike.
    """
    data, ends = generated(seed)
    program = Program.load(data, operations)
    for number, (arguments, theirs) in enumerate(zip(rows(seed), ends, strict=True)):
        ours = run_evaluator(program, arguments)
        if ours != theirs:
            yield number, ours[0], theirs[0]


@pytest.mark.parametrize("seed", range(MODULES))
def test_generated_modules_end_alike(seed: int) -> None:
    assert list(differing(seed)) == []


def test_generated_modules_are_worth_running() -> None:
    ends: Counter[str] = Counter()
    names: set[str] = set()
    for seed in range(MODULES):
        program = Program.load(generated(seed)[0])
        for function in program.module.functions:
            names.update(instruction.opcode.name for instruction in function.body)
        for arguments in rows(seed):
            end = run_evaluator(program, arguments)[0]
            ends[end if isinstance(end, str) else "returned"] += 1
    assert set(OPERATIONS) <= names
    # Half of the calls return, and among the others every kind of trap but two is seen.
    assert ends["returned"] > MODULES * CALLS / 2
    assert len(ends) >= 7, ends


@pytest.mark.parametrize(("operator", "instead"), [
    ("f64.sub", "f64.add"), ("i32.extend8_s", "i32.extend16_s"), ("f32.max", "f32.min"),
    ("i64.shr_u", "i64.shr_s"), ("f64.nearest", "f64.floor"),
])  # fmt: skip
def test_a_wrong_operation_is_noticed(operator: str, instead: str) -> None:
    mutated = {**OPERATIONS, operator: OPERATIONS[instead]}
    found = (seed for seed in range(MODULES) if any(True for _ in differing(seed, mutated)))
    assert next(found, None) is not None


def test_the_same_seed_gives_the_same_module() -> None:
    assert Writer(3).module() == Writer(3).module() != Writer(4).module()
