"""
The language's arithmetic, which is the hardware's, against software floats in plain integers.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.fidelity.arithmetic import bits_of_float, float_of_bits
from conformance.fidelity.program import Program
from conformance.wasm.numerics.results import Exact
from conformance.wasm.numerics.scalar import apply

PAIRS = {
    "f64.add": "x[0] + x[1]",
    "f64.sub": "x[0] - x[1]",
    "f64.mul": "x[0] * x[1]",
    "f64.div": "x[0] / x[1]",
}
SINGLE = {
    "f64.sqrt": "sqrt(x[0])",
    "f64.floor": "floor(x[0])",
    "f64.nearest": "nearest(x[0])",
    "f64.abs": "abs(x[0])",
    "f64.neg": "-x[0]",
}
PROGRAMS = {
    name: Program(f"def infer(x):\n    return [{text}]\n", name, {}, {"infer": ("floats",)})
    for name, text in (PAIRS | SINGLE).items()
}

ANY = st.integers(0, (1 << 64) - 1)
EDGES = st.sampled_from(
    [0, 1, 1 << 63, (1 << 52) - 1, 1 << 52, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000,
     0xFFF0000000000000, 0x3FE0000000000000, 0x3FF0000000000000, 0x4330000000000001,
     0xBFDFFFFFFFFFFFFF, 0x4004000000000000]
)  # fmt: skip
NEAR = st.integers(0x3FE0000000000000, 0x4050000000000000)
BITS = st.one_of(ANY, EDGES, NEAR)


def evaluated(name: str, *operands: int) -> float:
    """
    Result of one operation of the language.
    """
    result = PROGRAMS[name].call("infer", [tuple(float_of_bits(bits) for bits in operands)])
    assert isinstance(result, list)
    assert isinstance(result[0], float)
    return result[0]


def agrees(name: str, *operands: int) -> bool:
    """
    Whether both give the same bits, or both a NaN.
    """
    value = evaluated(name, *operands)
    soft = apply(name, operands)
    if math.isnan(value) or not isinstance(soft, Exact):
        nan = not isinstance(soft, Exact) or math.isnan(float_of_bits(soft.bits))
        return math.isnan(value) and nan
    return soft.bits == bits_of_float(value)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(BITS, BITS)
def test_two_operands(left: int, right: int) -> None:
    for name in PAIRS:
        assert agrees(name, left, right)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(BITS)
def test_one_operand(value: int) -> None:
    for name in SINGLE:
        assert agrees(name, value)


@pytest.mark.parametrize(("name", "wrong"), [("f64.add", "f64.sub"), ("f64.mul", "f64.div")])
def test_another_operation_is_noticed(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = (0x4004000000000000, 0x3FF8000000000000)
    assert agrees(name, *operands)
    monkeypatch.setitem(PROGRAMS, name, PROGRAMS[wrong])
    assert not agrees(name, *operands)
