"""
The strict-order language that semantics are written in: its words and its grammar.

A program is a text in a small subset of Python's syntax. It holds functions and named constants,
and reads named tensors; the manifest's entry is one of its functions and returns the output row:

    LOG2E = from_bits(0x3FF71547652B82FE)

    def dense(x, weights, bias, rows, columns):
        out = zeros(rows)
        for j in range(rows):
            s = bias[j]
            for i in range(columns):
                s = s + weights[j][i] * x[i]
            out[j] = s
        return out

Every operation is one IEEE 754 operation, in the order written, left operand first; nothing is
fused or reassociated. Kinds are inferred and never mixed: `float`, `int`, `bool`, `floats` and
`ints` (vectors), `matrix` and `int matrix` (tensors of two dimensions). Loops are
`for NAME in range(...)` with `break`; there is no `while`, no recursion, no attribute, string,
import, comprehension or power. A tensor of shape [1, k] or [k] is a vector.

A program of class `correctly-rounded` may also call exp, log, tanh and the other functions of
`true_functions`, as MPFR rounds them; in any other class a program brings its own.
"""

from __future__ import annotations

import ast
from typing import Final, Literal

from conformance.fidelity import arithmetic
from conformance.fidelity.errors import BadSemanticsError

Kind = Literal["float", "int", "bool", "floats", "ints", "matrix", "int matrix"]

ELEMENT: Final[dict[Kind, Kind]] = {
    "floats": "float",
    "ints": "int",
    "matrix": "floats",
    "int matrix": "ints",
}
"""Kind of what a subscript gives."""

BUILTINS: Final[dict[str, tuple[tuple[Kind, ...], Kind]]] = {
    "sqrt": (("float",), "float"),
    "floor": (("float",), "float"),
    "nearest": (("float",), "float"),
    "abs": (("float",), "float"),
    "scale": (("float", "int"), "float"),
    "f32": (("float",), "float"),
    "bits": (("float",), "int"),
    "from_bits": (("int",), "float"),
    "float": (("int",), "float"),
    "int": (("float",), "int"),
    "zeros": (("int",), "floats"),
}
"""Built-in functions: parameter kinds and result kind. `range` belongs to the `for` statement."""

BUILTIN_CODE: Final[dict[str, object]] = {
    "sqrt": arithmetic.square_root,
    "floor": arithmetic.floor,
    "nearest": arithmetic.nearest,
    "abs": abs,
    "scale": arithmetic.scale,
    "f32": arithmetic.round_to_f32,
    "bits": arithmetic.bits_of_float,
    "from_bits": arithmetic.float_of_bits,
    "float": arithmetic.to_float,
    "int": arithmetic.truncate,
    "_divide": arithmetic.divide,
    "_bounded": arithmetic.bounded,
    "_shift_left": arithmetic.shift_left,
    "_shift_right": arithmetic.shift_right,
    "_at": arithmetic.at,
}
"""What the compiled program finds under these names; `zeros`, `_range`, `_spend` are metered."""

_MAX_SOURCE_BYTES: Final = 262_144
_MAX_FUNCTIONS: Final = 200

_EXPRESSIONS: Final = (
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Subscript,
    ast.Name, ast.Constant, ast.List,
)  # fmt: skip
_STATEMENTS: Final = (
    ast.FunctionDef, ast.Assign, ast.AugAssign, ast.For, ast.If, ast.Break, ast.Return,
)  # fmt: skip
_OPERATORS: Final = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift,
    ast.BitAnd, ast.BitOr, ast.BitXor, ast.USub, ast.Not, ast.And, ast.Or,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq,
)  # fmt: skip
_PARTS: Final = (ast.Module, ast.arguments, ast.arg, ast.Load, ast.Store)
_ALLOWED: Final = frozenset((*_EXPRESSIONS, *_STATEMENTS, *_OPERATORS, *_PARTS))

_CALLED: Final = {
    ast.Attribute: "attributes",
    ast.Import: "imports",
    ast.ImportFrom: "imports",
    ast.While: "`while` loops",
    ast.Lambda: "lambdas",
    ast.Pow: "powers",
    ast.ListComp: "comprehensions",
    ast.SetComp: "comprehensions",
    ast.DictComp: "comprehensions",
    ast.GeneratorExp: "comprehensions",
    ast.JoinedStr: "strings",
    ast.Global: "global state",
    ast.Nonlocal: "global state",
    ast.ClassDef: "classes",
    ast.AnnAssign: "annotations",
    ast.Expr: "statements without effect",
    ast.keyword: "arguments by name",
    ast.Slice: "slices",
    ast.Try: "exceptions",
}
"""What a user wrote, in the words of a sentence; other nodes are called by their class name."""


def parse(text: str, path: str) -> ast.Module:
    """
    Parse a program and refuse whatever lies outside of the grammar.

    Raises BadSemanticsError with the first offending line.
    """
    if len(text.encode()) > _MAX_SOURCE_BYTES:
        sentence = f"the program is longer than {_MAX_SOURCE_BYTES} bytes"
        raise BadSemanticsError(path, 0, sentence)
    try:
        tree = ast.parse(text, filename=path)
    except SyntaxError as error:
        sentence = f"this is not a program: {error.msg}"
        raise BadSemanticsError(path, error.lineno or 0, sentence) from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise BadSemanticsError(path, 0, f"this is not a program: {error}") from None
    _refuse_foreign_nodes(tree, path)
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef | ast.Assign):
            sentence = "outside of functions there are only functions and named constants"
            raise BadSemanticsError(path, statement.lineno, sentence)
        if isinstance(statement, ast.FunctionDef):
            _check_header(statement, path)
    functions = sum(isinstance(statement, ast.FunctionDef) for statement in tree.body)
    if functions > _MAX_FUNCTIONS:
        sentence = f"{functions} functions are more than the {_MAX_FUNCTIONS} allowed"
        raise BadSemanticsError(path, 0, sentence)
    return tree


def _refuse_foreign_nodes(tree: ast.Module, path: str) -> None:
    """
    Refuse every node that is not on the whitelist, and constants and names that are not words.
    """
    line = 1
    for node in ast.walk(tree):
        line = getattr(node, "lineno", line)
        if type(node) not in _ALLOWED:
            called = _CALLED.get(type(node), f"`{type(node).__name__}`")
            raise BadSemanticsError(path, line, f"the language has no {called}")
        if isinstance(node, ast.Constant):
            _check_constant(node, path)
        name = node.id if isinstance(node, ast.Name) else getattr(node, "arg", "")
        if name.startswith("_") and name != "_":
            raise BadSemanticsError(path, line, f"the name `{name}` begins with an underscore")


def _check_constant(node: ast.Constant, path: str) -> None:
    """
    Constants are floats, and integers of at most 64 bits.
    """
    if type(node.value) is float:
        return
    if type(node.value) is int and node.value < 1 << 64:
        return
    called = "strings" if isinstance(node.value, str | bytes) else f"constant {node.value!r:.40}"
    raise BadSemanticsError(path, node.lineno, f"the language has no {called}")


def _check_header(function: ast.FunctionDef, path: str) -> None:
    """
    A function has plain parameters, each once, and nothing else.
    """
    arguments = function.args
    plain = not (
        arguments.defaults
        or arguments.posonlyargs
        or arguments.kwonlyargs
        or arguments.vararg
        or arguments.kwarg
        or function.decorator_list
        or function.returns
        or any(argument.annotation for argument in arguments.args)
    )
    if not plain:
        sentence = f"`{function.name}` may have plain parameters only"
        raise BadSemanticsError(path, function.lineno, sentence)
    if function.name.startswith("_"):
        sentence = f"the name `{function.name}` begins with an underscore"
        raise BadSemanticsError(path, function.lineno, sentence)
