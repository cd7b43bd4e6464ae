"""
Small pieces of syntax that checking a program puts together or asks about.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence


def counts_from_zero(call: ast.expr) -> bool:
    """
    Whether a range's values are plainly never negative: from 0 or a literal, in steps upwards.
    """
    if not isinstance(call, ast.Call):
        return False
    arguments = call.args
    start = len(arguments) == 1 or isinstance(arguments[0], ast.Constant)
    step = len(arguments) < 3 or isinstance(arguments[2], ast.Constant)  # noqa: PLR2004 - arity
    return start and step


def always_returns(statements: Sequence[ast.stmt]) -> bool:
    """
    Whether control cannot run past these statements.
    """
    last = statements[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and always_returns(last.body) and always_returns(last.orelse)
    return isinstance(last, ast.Return)


def loaded(target: ast.expr) -> ast.expr:
    """
    The expression that reads what an augmented assignment writes.
    """
    if isinstance(target, ast.Subscript):
        return ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target)
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(target.id, ast.Load()), target)
    return target


def placed(node: ast.AST, new: ast.BinOp) -> ast.expr:
    """
    *new* at the place of *node*, which may be a statement.
    """
    return ast.copy_location(new, node)


def called(node: ast.AST, name: str, arguments: list[ast.expr]) -> ast.expr:
    """
    A call of a name at the place of *node*.
    """
    function = ast.copy_location(ast.Name(name, ast.Load()), node)
    return ast.copy_location(ast.Call(function, arguments, []), node)


def cost(node: ast.AST, statements: Sequence[ast.stmt]) -> ast.expr:
    """
    What running these statements once costs: the expressions written in them.

    A loop inside pays for its own rounds as well, so that this is never too little.
    """
    nodes = (node for statement in statements for node in ast.walk(statement))
    count = sum(isinstance(node, ast.expr) for node in nodes)
    return ast.copy_location(ast.Constant(1 + count), node)


def payment(definition: ast.FunctionDef) -> ast.stmt:
    """
    The statement by which a function pays for one call of it.
    """
    spent = called(definition, "_spend", [cost(definition, definition.body)])
    return ast.copy_location(ast.Expr(spent), definition)
