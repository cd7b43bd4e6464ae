"""
What programs compute, and how an evaluation without a value ends.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.fidelity.errors import BadSemanticsError
from conformance.fidelity.language import Kind
from conformance.fidelity.program import Program, Value

TENSORS: dict[str, tuple[Kind, Value]] = {
    "w": ("matrix", ((1.0, 2.0), (3.0, 4.0))),
    "b": ("floats", (0.5, 0.25)),
}


def load(*lines: str, work: int = 100_000) -> Program:
    text = "def infer(x):\n" + "".join(f"    {line}\n" for line in lines)
    return Program(text, "model.semantics", TENSORS, {"infer": ("floats",)}, work=work)


def run(*lines: str, x: tuple[float, ...] = (1.0, 2.0)) -> Value:
    return load(*lines).call("infer", [x])


def test_sums_go_left_to_right() -> None:
    # 1 + 2^-53 stays 1, twice; from the right the two halves add up first.
    x = (1.0, 2.0**-53, 2.0**-53)
    assert run("return [x[0] + x[1] + x[2]]", x=x) == [1.0]
    assert run("return [x[0] + (x[1] + x[2])]", x=x) == [1.0 + 2.0**-52]


def test_nothing_is_fused() -> None:
    # (1 + 2^-30)^2 - (1 + 2^-29) is 2^-60 exactly and 0 when the square is rounded first.
    x = (1.0 + 2.0**-30, -(1.0 + 2.0**-29))
    assert run("return [x[0] * x[0] + x[1]]", x=x) == [0.0]


def test_division_follows_ieee() -> None:
    assert run("return [x[0] / x[1], -x[0] / x[1]]", x=(1.0, 0.0)) == [math.inf, -math.inf]


def test_augmented_assignment_is_the_plain_one() -> None:
    assert run("y = zeros(2)", "y[1] += x[1]", "y[1] *= 3.0", "y[1] /= 4.0", "return y") == [
        0.0,
        1.5,
    ]
    assert run("k = 7", "k //= 2", "k <<= 3", "k -= 1", "return [k % 5, k & 6, k | 8, k ^ 1]") == [
        3,
        6,
        31,
        22,
    ]


def test_loops_count_and_break() -> None:
    lines = ("s = 0", "for i in range(10, 0, -3):", "    if i < 4:", "        break", "    s += i")
    assert run(*lines, "return [s, i]") == [21, 1]


def test_matrix_rows_are_vectors() -> None:
    assert run("r = w[1]", "return [r[0] * b[1]]") == [0.75]


def test_built_ins() -> None:
    assert run("return [sqrt(16.0), floor(-0.5), nearest(2.5), abs(-3.0), f32(0.1)]") == [
        4.0,
        -1.0,
        2.0,
        3.0,
        0.10000000149011612,
    ]
    assert run("return [bits(1.0), int(-2.5), int(nearest(x[1]))]") == [1023 << 52, -2, 2]
    assert run("return [from_bits(4607182418800017408), float(3), scale(3.0, -1)]") == [
        1.0,
        3.0,
        1.5,
    ]


@settings(derandomize=True, max_examples=50)
@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=1, max_size=8))
def test_evaluation_leaves_no_state(pairs: list[tuple[float, float]]) -> None:
    program = load("y = zeros(2)", "y[0] = x[0] * w[0][1]", "y[1] = x[1] / x[0]", "return y")
    once = [program.call("infer", [pair]) for pair in pairs]
    again = [program.call("infer", [pair]) for pair in reversed(pairs)]
    assert repr(once) == repr(again[::-1])


FAILING = [
    pytest.param(("return [x[2]]",), 2, "out of range", id="index too large"),
    pytest.param(("i = 0 - 1", "return [x[i]]"), 3, "index -1 is negative", id="negative index"),
    pytest.param(("return [x[-1]]",), 2, "index -1 is negative", id="written negative index"),
    pytest.param(
        ("for i in range(-2, 0):", "    s = x[i]", "return x"), 3, "negative", id="negative count"
    ),
    pytest.param(
        ("for i in range(3):", "    if x[i] > 9.0:", "        break", "return x"),
        3,
        "out of range",
        id="counts too far",
    ),
    pytest.param(("x[0] = 1.0", "return x"), 2, "cannot change", id="writes the input"),
    pytest.param(("y = w[0]", "y[0] = 9.0", "return y"), 3, "cannot change", id="writes a row"),
    pytest.param(
        ("if x[0] > 5.0:", "    y = 1.0", "return [y]"), 4, "before it has a value", id="unbound"
    ),
    pytest.param(("return [int(x[0] / 0.0)]",), 2, "fits 64 bits", id="infinite integer"),
    pytest.param(("return [1 // int(x[0] - 1.0)]",), 2, "zero", id="integer by zero"),
    pytest.param(("return [1 << 200]",), 2, "shift left", id="shift"),
    pytest.param(("return zeros(0 - 1)",), 2, "zeros needs", id="negative length"),
    pytest.param(("return zeros(1 << 60)",), 2, "zeros needs", id="huge vector"),
    pytest.param(
        ("k = 3", "for _ in range(9):", "    k = k * k", "return [k]"), 4, "127 bits", id="grows"
    ),
    pytest.param(("return [scale(1.0, 1024)]",), 2, "exponent", id="scale"),
    pytest.param(("return [from_bits(-1)]",), 2, "unsigned", id="bits"),
    pytest.param(
        ("for i in range(1 << 40):", "    break", "return x"), 2, "more work", id="long loop"
    ),
    pytest.param(
        ("for i in range(1 << 100):", "    break", "return x"), 2, "more work", id="endless loop"
    ),
    pytest.param(
        ("for i in range(1, 9, 0):", "    break", "return x"), 2, "must not be zero", id="no step"
    ),
]


@pytest.mark.parametrize(("lines", "line", "words"), FAILING)
def test_no_value(lines: tuple[str, ...], line: int, words: str) -> None:
    program = load(*lines)
    with pytest.raises(BadSemanticsError, match=words) as caught:
        program.call("infer", [(1.0, 2.0)])
    assert caught.value.line == line


def test_the_budget_is_fresh_for_each_evaluation() -> None:
    program = load("for i in range(100):", "    s = x[0]", "return [s]", work=600)
    for _ in range(5):
        assert program.call("infer", [(4.0,)]) == [4.0]


def test_calls_cost_as_well() -> None:
    depth = 40
    text = "def g0(a):\n    return a\n" + "".join(
        f"def g{k}(a):\n    return g{k - 1}(a) + g{k - 1}(a)\n" for k in range(1, depth)
    )
    text += f"def infer(x):\n    return [g{depth - 1}(x[0])]\n"
    program = Program(text, "model.semantics", {}, {"infer": ("floats",)}, work=10_000)
    with pytest.raises(BadSemanticsError, match="more work"):
        program.call("infer", [(1.0,)])


def test_the_line_is_that_of_the_inner_function() -> None:
    text = "def f(a):\n    b = [a]\n    return b[3]\ndef infer(x):\n    return [f(x[0])]\n"
    program = Program(text, "model.semantics", {}, {"infer": ("floats",)})
    with pytest.raises(BadSemanticsError) as caught:
        program.call("infer", [(1.0,)])
    assert caught.value.line == 3
