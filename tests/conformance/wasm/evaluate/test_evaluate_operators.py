"""
Every operator case of `vectors/operators`, put to the evaluator.

The expected outcomes were computed with the same soft arithmetic that the evaluator executes, so
this judges its plumbing (decoding, operand order, stack, traps, choice of NaN), not the arithmetic:
that one is judged against z3, MPFR and the host's floats in `tests/conformance/wasm/numerics`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest
from evaluate_samples import end_of

from conformance.fidelity.results import parse_result
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.operations import OPERATIONS, Operation
from conformance.wasm.evaluate.program import Program
from conformance.wasm.numerics.results import AnyNan, Exact, Trap
from conformance.wasm.numerics.scalar import OPERATORS, WIDTH_BITS

FOLDER = Path(__file__).parents[4] / "vectors" / "operators"
MODULE = (FOLDER / "operators.wasm").read_bytes()
EXPECTED: dict[str, list[str]] = json.loads((FOLDER / "expected.json").read_bytes())["calls"]
EDGES = json.loads((FOLDER / "edges.json").read_bytes())
POSITIVE_CANONICAL = {"f32": 0x7FC00000, "f64": 0x7FF8000000000000}


def edges(kind: str) -> list[int]:
    """
    Edge values of a type, as bits.
    """
    return [int(bits, 16) for bits in EDGES["edges"][kind]]


def wanted(operator: str, text: str) -> tuple[int, ...] | str:
    """
    What the deterministic profile makes of an expected outcome.
    """
    kind = OPERATORS[operator].result
    match parse_result(text, WIDTH_BITS[kind]):
        case Exact(bits):
            return (bits,)
        case AnyNan():
            return (POSITIVE_CANONICAL[kind],)
        case Trap(trap):
            return f"trap: {trap}"


def wrong(names: list[str], operations: Mapping[str, Operation]) -> Iterator[tuple[str, int]]:
    """
    Operator and number of each case that does not come out as expected.
    """
    evaluation = Instance(Program.load(MODULE, operations))
    for name in names:
        rows = product(*(edges(kind) for kind in OPERATORS[name].parameters))
        for number, (row, text) in enumerate(zip(rows, EXPECTED[name], strict=True)):
            if end_of(evaluation, name, *row) != wanted(name, text):
                yield name, number


def test_the_sweep_is_whole() -> None:
    assert list(EXPECTED) == list(OPERATORS)
    assert sum(map(len, EXPECTED.values())) == 39_424


@pytest.mark.slow
def test_every_case_comes_out_as_expected() -> None:
    assert list(wrong(list(OPERATORS), OPERATIONS)) == []


@pytest.mark.parametrize(("operator", "instead"), [
    ("f64.add", "f64.sub"), ("f64.min", "f64.max"), ("i32.shr_s", "i32.shr_u"),
    ("i64.div_s", "i64.div_u"), ("f32.nearest", "f32.trunc"), ("i32.rotl", "i32.rotr"),
    ("i64.trunc_sat_f64_s", "i64.trunc_sat_f64_u"), ("f64.promote_f32", "f64.convert_i32_s"),
])  # fmt: skip
def test_a_wrong_operation_is_noticed_and_named(operator: str, instead: str) -> None:
    mutated = {**OPERATIONS, operator: OPERATIONS[instead]}
    assert {name for name, _ in wrong(list(OPERATORS), mutated)} == {operator}


@pytest.mark.parametrize("operator", ["f32.sub", "f64.div", "i64.shl", "i32.lt_u"])
def test_swapped_operands_are_noticed(operator: str) -> None:
    def swapped(left: int, right: int) -> int:
        return OPERATIONS[operator](right, left)

    assert next(wrong([operator], {**OPERATIONS, operator: swapped}), None) is not None


def test_a_negative_nan_is_noticed() -> None:
    def negative(left: int, right: int) -> int:
        result = OPERATIONS["f64.add"](left, right)
        return result | 1 << 63 if result == POSITIVE_CANONICAL["f64"] else result

    assert next(wrong(["f64.add"], {**OPERATIONS, "f64.add": negative}), None) is not None
