"""
What the language refuses, and that every refusal names its line.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.fidelity.errors import BadSemanticsError
from conformance.fidelity.language import Kind
from conformance.fidelity.program import Program, Value

TENSORS: dict[str, tuple[Kind, Value]] = {
    "w": ("matrix", ((1.0, 2.0), (3.0, 4.0))),
    "b": ("floats", (0.5, 0.25)),
    "n": ("ints", (7, -1)),
}


def load(text: str) -> Program:
    return Program(text, "model.semantics", TENSORS, {"infer": ("floats",)})


def body(*lines: str) -> str:
    return "def infer(x):\n" + "".join(f"    {line}\n" for line in lines)


REFUSED = [
    pytest.param(body("while x[0] > 0.0:", "    break", "return x"), 2, "`while`", id="while"),
    pytest.param(body("return x.real"), 2, "attributes", id="attribute"),
    pytest.param(body("return ().__class__"), 2, "no", id="escape through a class"),
    pytest.param("import os\n" + body("return x"), 1, "imports", id="import"),
    pytest.param(body("import os", "return x"), 2, "imports", id="import inside"),
    pytest.param(body("return __import__"), 2, "underscore", id="dunder name"),
    pytest.param(body("return [x[0] ** 2.0]"), 2, "powers", id="power"),
    pytest.param(body("return [a for a in x]"), 2, "comprehensions", id="comprehension"),
    pytest.param(body("f = lambda: 1.0", "return x"), 2, "lambdas", id="lambda"),
    pytest.param(body("return 'x'"), 2, "strings", id="string"),
    pytest.param(body("return b'x'"), 2, "strings", id="bytes"),
    pytest.param(body("return 1j"), 2, "constant", id="complex"),
    pytest.param(body("return True"), 2, "constant", id="truth value"),
    pytest.param(body("return [18446744073709551616]"), 2, "constant", id="wide integer"),
    pytest.param(body("global g", "return x"), 2, "global", id="global"),
    pytest.param(body("x[0]", "return x"), 2, "without effect", id="bare expression"),
    pytest.param(body("return x[0:1]"), 2, "slices", id="slice"),
    pytest.param(body("return scale(x=x[0])"), 2, "by name", id="keyword"),
    pytest.param(body("return [*x]"), 2, "Starred", id="star"),
    pytest.param(body("a, c = x[0], x[1]", "return x"), 2, "Tuple", id="unpacking"),
    pytest.param(body("return (y := x)"), 2, "NamedExpr", id="walrus"),
    pytest.param(body("yield x"), 2, "", id="yield"),
    pytest.param(body("try:", "    return x", "except E:", "    return x"), 2, "excep", id="try"),
    pytest.param(body("with x:", "    return x"), 2, "With", id="with"),
    pytest.param(body("def g(y):", "    return y", "return x"), 2, "stand here", id="inner def"),
    pytest.param("class C:\n    pass\n" + body("return x"), 1, "no", id="class"),
    pytest.param("@f\n" + body("return x"), 2, "plain parameters", id="decorator"),
    pytest.param("def infer(x, y=1.0):\n    return x\n", 1, "plain parameters", id="default"),
    pytest.param("def infer(*x):\n    return x\n", 1, "plain parameters", id="variadic"),
    pytest.param("def infer(x: float):\n    return x\n", 1, "plain parameters", id="annotation"),
    pytest.param("x = y\n" + body("return x"), 1, "constant is written", id="computed constant"),
    pytest.param("if 1.0:\n    x = 1.0\n", 1, "only functions", id="statement outside"),
    pytest.param("def infer(x:\n", 1, "not a program", id="syntax"),
    pytest.param(body("return x", "  return x"), 3, "not a program", id="indentation"),
    pytest.param("\0", 0, "not a program", id="null byte"),
    pytest.param("# " + "x" * 300_000, 0, "longer than", id="too long"),
    pytest.param(
        body("return [" + "(" * 250 + "1.0" + ")" * 250 + "]"), 2, "not a program", id="parentheses"
    ),
    pytest.param(body("return [" + "-" * 5000 + "x[0]]"), 0, "", id="nesting"),
    pytest.param(body("return y"), 2, "`y` has no value", id="unknown name"),
    pytest.param(body("return [sin(x[0])]"), 2, "no function `sin`", id="unknown function"),
    pytest.param(body("return [print]"), 2, "no value", id="python's built-in"),
    pytest.param(body("return [x[0] + 1]"), 2, "combines float with int", id="mixed kinds"),
    pytest.param(body("return [1 / 2]"), 2, "// and %", id="integer division"),
    pytest.param(body("return [x[0] % 2.0]"), 2, "+ - * /", id="float remainder"),
    pytest.param(body("return x + x"), 2, "combines floats", id="vector sum"),
    pytest.param(body("return x * 3"), 2, "combines floats", id="vector repeated"),
    pytest.param(body("return [x[0.0]]"), 2, "float where int", id="float index"),
    pytest.param(body("return [x[0][0]]"), 2, "no elements", id="too many indices"),
    pytest.param(body("if x[0]:", "    return x", "return x"), 2, "bool is needed", id="truth"),
    pytest.param(body("return [0.0 < x[0] < 1.0]"), 2, "`and`", id="chain"),
    pytest.param(body("return [x == x]"), 2, "cannot be compared", id="compare vectors"),
    pytest.param(body("return [not x[0]]"), 2, "no such sign", id="not a number"),
    pytest.param(body("return [x]"), 2, "numbers only", id="list of vectors"),
    pytest.param(body("return [1.0, 2]"), 2, "int where float", id="mixed list"),
    pytest.param(body("return []"), 2, "cannot stand", id="empty list"),
    pytest.param(body("a = 1.0", "a = 1", "return x"), 3, "cannot become", id="changed kind"),
    pytest.param(body("w = 1.0", "return x"), 2, "already names", id="hides a tensor"),
    pytest.param(body("sqrt = 1.0", "return x"), 2, "already names", id="hides a built-in"),
    pytest.param(body("range = 1", "return x"), 2, "`range` belongs", id="hides range"),
    pytest.param("def infer(w):\n    return w\n", 1, "already names", id="parameter hides"),
    pytest.param(body("b[0] = 1.0", "return x"), 2, "cannot change", id="writes a tensor"),
    pytest.param(body("x[0] = 1", "return x"), 2, "cannot become int", id="element of wrong kind"),
    pytest.param(body("break", "return x"), 2, "outside of a loop", id="break outside"),
    pytest.param(body("for i in x:", "    break", "return x"), 2, "range", id="loop over vector"),
    pytest.param(
        body("for i in range(2):", "    i = 3", "return x"), 3, "loop variable", id="assigned count"
    ),
    pytest.param(
        body("for i in range(2):", "    for i in range(3):", "        break", "return x"),
        3,
        "already counts",
        id="same count twice",
    ),
    pytest.param(
        body("for i in range(2):", "    break", "else:", "    return x", "return x"),
        2,
        "without `else`",
        id="loop else",
    ),
    pytest.param(
        "def infer(x):\n    for x in range(2):\n        break\n    return x\n",
        1,
        "loop variable as well",
        id="parameter counts",
    ),
    pytest.param(body("return range(2)"), 2, "no function `range`", id="range as a value"),
    pytest.param(body("if x[0] > 0.0:", "    return x"), 1, "without `return`", id="falls through"),
    pytest.param(body("return"), 2, "stand here", id="empty return"),
    pytest.param(
        body("if x[0] > 0.0:", "    return x", "return [1]"), 4, "elsewhere floats", id="two kinds"
    ),
    pytest.param(body("return infer(x)"), 2, "calls itself", id="recursion"),
    pytest.param(
        "def f(x):\n    return g(x)\ndef g(x):\n    return f(x)\n" + body("return f(x)"),
        4,
        "calls itself",
        id="mutual recursion",
    ),
    pytest.param(
        "def f(y):\n    return y\n" + body("a = f(1)", "return [f(x[0])]"),
        5,
        "is called with (float)",
        id="two signatures",
    ),
    pytest.param("def f(y):\n    return y\n" + body("return x"), 1, "never called", id="unused"),
    pytest.param(
        "def f(y):\n    return y\n" + body("return f(x, x)"), 4, "takes 1 arguments", id="arity"
    ),
    pytest.param(body("return x") + body("return x"), 3, "defined already", id="defined twice"),
    pytest.param("abs = 1.0\n" + body("return x"), 1, "defined already", id="constant hides"),
    pytest.param("w = 1.0\n" + body("return x"), 0, "tensor and a constant", id="twice named"),
    pytest.param("def w(x):\n    return x\n", 1, "defined already", id="function hides tensor"),
    pytest.param("def other(x):\n    return x\n", 0, "no function `infer`", id="no entry"),
    pytest.param(body("return [sqrt(1)]"), 2, "takes (float), not (int)", id="wrong argument"),
    pytest.param(body("return [bits(x[0]) + 1.0]"), 2, "combines int", id="bits are integers"),
]


@pytest.mark.parametrize(("text", "line", "words"), REFUSED)
def test_refused(text: str, line: int, words: str) -> None:
    with pytest.raises(BadSemanticsError) as caught:
        load(text)
    assert words in caught.value.sentence
    assert caught.value.line == line
    assert str(caught.value).startswith("model.semantics")
    assert "\n" not in str(caught.value)


ACCEPTED = [
    pytest.param(body("return x"), id="identity"),
    pytest.param(body("# a comment", "s = 0.0", "s += x[0]", "x2 = [s, s]", "return x2"), id="sum"),
    pytest.param(body("return [w[1][0] * x[1] + b[n[0] - 7]]"), id="tensors"),
    pytest.param("A = -2.5\nB = 7\n" + body("return [A * float(B)]"), id="constants"),
    pytest.param(
        body("for _ in range(3):", "    if x[0] > 1.0 and not x[1] == 2.0:", "        break")
        + "    return [x[0] if x[0] != 0.0 or x[1] < 1.0 else 1.0]\n",
        id="conditions",
    ),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_accepted(text: str) -> None:
    load(text)


LINES = st.sampled_from(
    [
        "s = 0.0", "s = s + x[0]", "i = 0", "for i in range(3):", "    s = x[i]", "return [s]",
        "if s > 0.0:", "    break", "else:", "return x", "x[0] = s", "i += 1", "    return [i]",
        "s = w[0][i]", "y = zeros(i)", "s /= i", "def f(a):", "b = b", "s = sqrt(s)", "~i", "(",
    ]
)  # fmt: skip


@settings(derandomize=True, max_examples=300)
@given(st.one_of(st.text(max_size=60), st.lists(LINES, max_size=8).map(lambda ls: body(*ls))))
def test_any_text_is_a_program_or_refused_in_one_sentence(text: str) -> None:
    try:
        program = load(text)
        program.call("infer", [(1.0, 2.0)])
    except BadSemanticsError as error:
        assert "\n" not in error.sentence  # noqa: PT017 - both ends are fine
