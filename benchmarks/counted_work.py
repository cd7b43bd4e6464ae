"""
The work that declared semantics do: multiply-accumulates, calls of functions, levels of trees.

The program of a manifest is rewritten so that it tells what it does, and evaluated by the oracle's
own language; the results of its arithmetic stay the same.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from conformance.fidelity import elements
from conformance.fidelity.errors import BadSemanticsError
from conformance.fidelity.language import Kind, parse
from conformance.fidelity.oracle import row_shapes
from conformance.fidelity.program import Program, Value
from conformance.manifest.records import Manifest
from conformance.manifest.tables import read_tables

PRODUCTS: Final = "multiply-accumulates"
_LEAF: Final = -1


@dataclass(frozen=True, slots=True)
class Levels:
    """
    Decisions on the way from the roots of a model's trees to leaves, summed over its trees.
    """

    trees: int
    lo: int
    """With the shortest way in every tree, whether an input takes all of them or not."""
    hi: int


@dataclass(frozen=True, slots=True)
class Work:
    """
    What one evaluation does.
    """

    products: int
    """Statements `s = s + a * b`, those inside activations not counted."""
    calls: Mapping[str, int]
    """Of each function, activations that other activations call not counted."""
    products_in: Mapping[str, int]
    """Of each function: `products` of all its calls, callees included."""
    activations: tuple[str, ...]
    """Functions of one float that the manifest declares."""

    def per_call(self, function: str) -> int | None:
        """
        Multiply-accumulates of one call, None where calls differ.
        """
        whole, rest = divmod(self.products_in.get(function, 0), self.calls[function])
        return None if rest else whole


class UnequalWorkError(Exception):
    """
    Two inputs make a model do different work, so that there is no one number to divide by.
    """


def declared_work(manifest: Manifest) -> Work:
    """
    Count the work of a manifest's entry, the same for every input.

    It is evaluated where all inputs are zero, and on the first and the last held-out row; raises
    UnequalWorkError where they differ, BadSemanticsError as the oracle does.
    """
    semantics, entry = manifest.semantics, manifest.run.entry
    path = Path(manifest.path)
    if semantics is None or entry is None or not semantics.program:
        raise BadSemanticsError(str(path), 0, "there is no program of an entry to count")
    source = path / semantics.program
    shape = row_shapes(manifest)[entry]
    activations = tuple(name for name, _ in semantics.functions)
    tensors = tensors_of(path / semantics.weights) if semantics.weights else {}
    text = source.read_text(encoding="utf-8")
    rows = [bytes(shape.input_bytes)]
    if manifest.rows:
        held = read_tables(path / manifest.rows)["inputs"].rows
        rows += [held[0].tobytes(), held[-1].tobytes()]
    found = [
        count(text, str(source), tensors, entry, shape.kinds, shape.arguments(row), activations)
        for row in rows
    ]
    if any(work != found[0] for work in found):
        raise UnequalWorkError(manifest.name)
    return found[0]


def count(
    text: str, path: str, tensors: Mapping[str, tuple[Kind, Value]], entry: str,
    kinds: tuple[Kind, ...], arguments: Sequence[Value], activations: tuple[str, ...],
) -> Work:  # fmt: skip
    """
    Count the work of one evaluation of *entry* in the program *text*.
    """
    tree = parse(text, path)
    marks = _Marks(activations)
    told = ast.unparse(ast.fix_missing_locations(marks.visit(tree)))
    inside: list[str] = []
    calls: Counter[str] = Counter()
    products: Counter[str] = Counter()

    def enter(name: str) -> Callable[[float], float]:
        def run(value: float) -> float:
            calls[name] += not (name in activations and set(inside) & set(activations))
            inside.append(name)
            return value

        return run

    def leave(value: float) -> float:
        inside.pop()
        return value

    def product(value: float) -> float:
        if not set(inside) & set(activations):
            products.update(dict.fromkeys(inside, 1))
            products[PRODUCTS] += 1
        return value

    words = {f"enter_{name}": enter(name) for name in marks.functions}
    words |= {"leave_function": leave, "tell_product": product}
    program = Program(told, path, tensors, {entry: kinds},
                      functions={name: words[name] for name in sorted(words)})  # fmt: skip
    program.call(entry, arguments)
    whole = products.pop(PRODUCTS, 0)
    return Work(whole, dict(calls), dict(products), activations)


def tensors_of(path: Path) -> dict[str, tuple[Kind, Value]]:
    """
    Named tensors of a bits table: one row is a vector, more are a matrix.
    """
    found: dict[str, tuple[Kind, Value]] = {}
    for name, table in read_tables(path).items():
        real = table.dtype in ("f32", "f64")
        rows = tuple(elements.decode(table.dtype, row.tobytes()) for row in table.rows)
        if len(rows) == 1:
            found[name] = ("floats" if real else "ints", rows[0])
        else:
            found[name] = ("matrix" if real else "int matrix", cast("Value", rows))
    return found


def levels(tensors: Mapping[str, tuple[Kind, Value]]) -> Levels:
    """
    Levels of the trees in *tensors*: `left` and `right` by node, `root` by tree, else node 0.
    """
    left = cast("tuple[int, ...]", tensors["left"][1])
    right = cast("tuple[int, ...]", tensors["right"][1])
    roots = cast("tuple[int, ...]", tensors["root"][1]) if "root" in tensors else (0,)
    low = high = 0
    for root in roots:
        depths = []
        todo = [(root, 0)]
        while todo:
            node, depth = todo.pop()
            if left[node] == _LEAF:
                depths.append(depth)
            else:
                todo += [(left[node], depth + 1), (right[node], depth + 1)]
        low, high = low + min(depths), high + max(depths)
    return Levels(len(roots), low, high)


class _Marks(ast.NodeTransformer):
    """
    Puts words into a program that tell when a function is entered, left, and a product is added.

    A `return` leaves after its value is there: `value = ...` first, then the word.
    """

    def __init__(self, activations: tuple[str, ...]) -> None:
        self.activations = activations
        self.functions: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """
        Tell that it is entered.
        """
        self.functions.append(node.name)
        self.generic_visit(node)
        node.body.insert(0, _word("entered", f"enter_{node.name}"))
        return node

    def visit_Return(self, node: ast.Return) -> list[ast.stmt]:
        """
        Tell that the function is left.
        """
        assert node.value is not None  # noqa: S101 - the language has no other `return`
        value = ast.Assign([ast.Name("answered", ast.Store())], node.value)
        return [value, _word("left_now", "leave_function"),
                ast.Return(ast.Name("answered", ast.Load()))]  # fmt: skip

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        """
        Tell of `s = s + a * b`.
        """
        match node:
            case ast.Assign(
                [ast.Name(target)],
                ast.BinOp(ast.Name(summed), ast.Add(), ast.BinOp(_, ast.Mult(), _)),
            ) if target == summed:
                node.value = ast.Call(ast.Name("tell_product", ast.Load()), [node.value], [])
        return node


def _word(target: str, function: str) -> ast.Assign:
    """
    `target = function(0.0)`.
    """
    called = ast.Call(ast.Name(function, ast.Load()), [ast.Constant(0.0)], [])
    return ast.Assign([ast.Name(target, ast.Store())], called)
