"""
The table of scalar operators: complete, and strict about what it is asked.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import WasmtimeError, wat2wasm

from conformance.fidelity.results import BadResultTextError, format_result, parse_result
from conformance.wasm.numerics.results import AnyNan, Exact, Result, Trap
from conformance.wasm.numerics.scalar import (
    OPERATORS,
    BadOperandsError,
    UnknownOperatorError,
    apply,
)


def test_the_table_holds_every_numeric_opcode() -> None:
    mvp, sign_extension, saturating = 0xBF - 0x45 + 1, 5, 8
    assert len(OPERATORS) == mvp + sign_extension + saturating


def test_an_assembler_accepts_every_signature_and_no_other() -> None:
    def source(name: str, parameters: tuple[str, ...], result: str) -> str:
        operands = " ".join(f"(local.get {index})" for index in range(len(parameters)))
        head = f"(param {' '.join(parameters)}) (result {result})"
        return f"(module (func {head} ({name} {operands})))"

    from wasmtime import Engine, Module  # noqa: PLC0415 - the engine serves as a type checker here

    engine = Engine()
    for operator in OPERATORS.values():
        Module.validate(
            engine, wat2wasm(source(operator.name, operator.parameters, operator.result))
        )
        other = "f32" if operator.result == "i64" else "i64"
        with pytest.raises(WasmtimeError):
            Module.validate(engine, wat2wasm(source(operator.name, operator.parameters, other)))


def test_unknown_operators_are_refused() -> None:
    with pytest.raises(UnknownOperatorError, match=r"f64\.fma"):
        apply("f64.fma", (0, 0, 0))


@pytest.mark.parametrize("operands", [(), (0,), (0, 0, 0), (0, -1), (0, 1 << 32)])
def test_operands_that_do_not_fit_are_refused(operands: tuple[int, ...]) -> None:
    with pytest.raises(BadOperandsError, match=r"i32\.add"):
        apply("i32.add", operands)


@pytest.mark.parametrize(("result", "text"), [
    (Exact(0x3FF8000000000000), "3ff8000000000000"),
    (Exact(1), "0000000000000001"),
    (AnyNan("arithmetic"), "nan:arithmetic"),
    (Trap("integer overflow"), "trap:integer overflow"),
])  # fmt: skip
def test_results_survive_their_text(result: Result, text: str) -> None:
    assert format_result(result, 64) == text
    assert parse_result(text, 64) == result


@settings(derandomize=True, deadline=None, database=None)
@given(st.one_of(st.text(max_size=20), st.sampled_from([
    "", "nan", "nan:", "nan:quiet", "trap:", "trap:boom", "0000000", "3FF80000", "00000001\n",
    "0000000000000001",
])))  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadResultTextError, match="expected outcome"):
        parse_result(text, 32)
