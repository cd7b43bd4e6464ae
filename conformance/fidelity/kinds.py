"""
Infers the kind of every expression of a program, and rewrites what Python means otherwise.

One pass per function: `/` becomes IEEE 754 division, integer results are bounded, subscripts that
could be negative are checked, loops and calls are metered.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from conformance.fidelity.errors import BadSemanticsError
from conformance.fidelity.language import BUILTINS, ELEMENT, Kind
from conformance.fidelity.rewriting import (
    always_returns,
    called,
    cost,
    counts_from_zero,
    loaded,
    payment,
    placed,
)

Typed = tuple[Kind, ast.expr]

_INT_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "_bounded",
    ast.Sub: "_bounded",
    ast.Mult: "_bounded",
    ast.FloorDiv: "_bounded",
    ast.Mod: "_bounded",
    ast.BitAnd: "",
    ast.BitOr: "",
    ast.BitXor: "",
    ast.LShift: "_shift_left",
    ast.RShift: "_shift_right",
}
"""Integer operators, and what guards each: a wrapper, or for shifts a replacement."""


@dataclass(slots=True)
class _Scope:
    """
    What is known inside of one function while it is read.
    """

    kinds: dict[str, Kind]
    loop_names: set[str]
    """Loop variables: assigned by `for` alone."""
    counting: set[str]
    """Loop variables that are never negative."""
    active: set[str] = field(default_factory=set)
    """Loop variables of the loops around the statement being read."""
    result: Kind | None = None


@dataclass(slots=True)
class Checker:
    """
    Reads functions as they are called, the entries first, and keeps their rewritten form.
    """

    path: str
    definitions: Mapping[str, ast.FunctionDef]
    globals: Mapping[str, Kind]
    """Tensors and named constants."""
    builtins: Mapping[str, tuple[tuple[Kind, ...], Kind]] = field(default_factory=lambda: BUILTINS)
    rewritten: dict[str, ast.FunctionDef] = field(default_factory=dict)
    signatures: dict[str, tuple[tuple[Kind, ...], Kind]] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def fail(self, node: ast.AST, sentence: str) -> NoReturn:
        """
        Raise BadSemanticsError at a node.
        """
        raise BadSemanticsError(self.path, getattr(node, "lineno", 0), sentence)

    def function(self, name: str, kinds: tuple[Kind, ...], caller: ast.AST) -> Kind:
        """
        Check function *name* for arguments of these kinds and return the kind of its result.
        """
        definition = self.definitions.get(name)
        if definition is None:
            self.fail(caller, f"there is no function `{name}`")
        if name in self._open:
            self.fail(caller, f"`{name}` calls itself: the language has no recursion")
        if name in self.signatures:
            known, result = self.signatures[name]
            if known != kinds:
                sentence = f"`{name}` is called with {_list(kinds)} here, elsewhere with "
                self.fail(caller, sentence + _list(known))
            return result
        names = [argument.arg for argument in definition.args.args]
        if len(names) != len(kinds):
            sentence = f"`{name}` takes {len(names)} arguments and is given {len(kinds)}"
            self.fail(caller, sentence)
        self._open.append(name)
        result = self._body(definition, dict(zip(names, kinds, strict=True)))
        self._open.pop()
        self.signatures[name] = (kinds, result)
        return result

    def _body(self, definition: ast.FunctionDef, parameters: dict[str, Kind]) -> Kind:
        """
        Check one function's statements and store its rewritten form.
        """
        for name in parameters:
            self._own_name(definition, name)
        loops = [node for node in ast.walk(definition) if isinstance(node, ast.For)]
        names = {loop.target.id for loop in loops if isinstance(loop.target, ast.Name)}
        signed = {
            loop.target.id
            for loop in loops
            if isinstance(loop.target, ast.Name) and not counts_from_zero(loop.iter)
        }
        scope = _Scope(parameters, names, names - signed)
        if names & set(parameters):
            self.fail(definition, "a parameter cannot be a loop variable as well")
        body = self._block(definition.body, scope)
        if scope.result is None or not always_returns(definition.body):
            self.fail(definition, f"`{definition.name}` can end without `return`")
        self.rewritten[definition.name] = ast.copy_location(
            ast.FunctionDef(
                name=definition.name,
                args=definition.args,
                body=[payment(definition), *body],
                decorator_list=[],
                returns=None,
            ),
            definition,
        )
        return scope.result

    def _own_name(self, node: ast.AST, name: str) -> None:
        """
        Refuse a local name that would hide a tensor, a constant, a function or a built-in.
        """
        if name in self.globals or name in self.definitions or name in self.builtins:
            self.fail(node, f"`{name}` already names something else")
        if name == "range":
            self.fail(node, "`range` belongs to the `for` statement")

    # ------------------------------------------------------------------------ statements

    def _block(self, statements: Sequence[ast.stmt], scope: _Scope) -> list[ast.stmt]:
        """
        Check and rewrite a sequence of statements.
        """
        return [self._rewrite(statement, scope) for statement in statements]

    def _rewrite(self, statement: ast.stmt, scope: _Scope) -> ast.stmt:
        """
        Check and rewrite one statement.
        """
        match statement:
            case ast.Assign(targets=[target], value=value):
                new: ast.stmt = self._assign(target, self._expression(value, scope), scope)
            case ast.AugAssign(target=target, op=op, value=value):
                before = self._expression(loaded(target), scope)
                whole = self._binary(statement, op, before, self._expression(value, scope))
                new = self._assign(target, whole, scope)
            case ast.If(test=test, body=body, orelse=orelse):
                condition = self._expect("bool", test, scope)
                new = ast.If(condition, self._block(body, scope), self._block(orelse, scope))
            case ast.For():
                new = self._for(statement, scope)
            case ast.Break():
                if not scope.active:
                    self.fail(statement, "`break` stands outside of a loop")
                new = statement
            case ast.Return(value=ast.expr() as value):
                kind, node = self._expression(value, scope)
                if scope.result not in (None, kind):
                    self.fail(statement, f"returns {kind} here, elsewhere {scope.result}")
                scope.result = kind
                new = ast.Return(node)
            case _:
                self.fail(statement, "this statement cannot stand here")
        return ast.copy_location(new, statement)

    def _assign(self, target: ast.expr, typed: Typed, scope: _Scope) -> ast.Assign:
        """
        Assign to a local name, or to an element of a local vector.
        """
        kind, node = typed
        if isinstance(target, ast.Name):
            self._own_name(target, target.id)
            if target.id in scope.loop_names:
                self.fail(target, f"`{target.id}` is a loop variable and cannot be assigned")
            known = scope.kinds.setdefault(target.id, kind)
            if known != kind:
                self.fail(target, f"`{target.id}` is {known} and cannot become {kind}")
            return ast.Assign([target], node)
        if not isinstance(target, ast.Subscript):
            self.fail(target, "assign to one name, or to one element of a vector")
        if isinstance(target.value, ast.Name) and target.value.id in self.globals:
            self.fail(target, f"`{target.value.id}` is a tensor of the model and cannot change")
        vector, base = self._expression(target.value, scope)
        if ELEMENT.get(vector) != kind or kind not in {"float", "int"}:
            self.fail(target, f"an element of {vector} cannot become {kind}")
        place = ast.Subscript(base, self._index(target.slice, scope), ast.Store())
        return ast.Assign([ast.copy_location(place, target)], node)

    def _for(self, loop: ast.For, scope: _Scope) -> ast.For:
        """
        Check `for NAME in range(...)` and meter it.
        """
        target, call = loop.target, loop.iter
        match call:
            case ast.Call(func=ast.Name(id="range"), args=written) if 1 <= len(written) <= 3:  # noqa: PLR2004 - range's own arity
                pass
            case _:
                self.fail(loop, "a loop counts through `range(...)`")
        if not isinstance(target, ast.Name) or loop.orelse:
            self.fail(loop, "a loop is written `for NAME in range(...)`, without `else`")
        self._own_name(target, target.id)
        if target.id in scope.active:
            self.fail(loop, f"`{target.id}` already counts a loop around this one")
        bounds = [self._expect("int", bound, scope) for bound in written]
        if scope.kinds.setdefault(target.id, "int") != "int":
            self.fail(loop, f"`{target.id}` is {scope.kinds[target.id]}")
        outer = scope.active
        scope.active = outer | {target.id}
        body = self._block(loop.body, scope)
        scope.active = outer
        return ast.For(target, called(call, "_range", [cost(call, loop.body), *bounds]), body, [])

    # ----------------------------------------------------------------------- expressions

    def _expect(self, kind: Kind, node: ast.expr, scope: _Scope) -> ast.expr:
        """
        Rewrite an expression that must have a given kind.
        """
        found, new = self._expression(node, scope)
        if found != kind:
            self.fail(node, f"this is {found} where {kind} is needed")
        return new

    def _expression(self, node: ast.expr, scope: _Scope) -> Typed:  # noqa: PLR0911 - one return per form
        """
        Kind and rewritten form of an expression.
        """
        match node:
            case ast.Constant(value=value):
                return ("float" if isinstance(value, float) else "int"), node
            case ast.Name(id=name):
                return self._name(node, name, scope), node
            case ast.BinOp(left=left, op=op, right=right):
                first = self._expression(left, scope)
                return self._binary(node, op, first, self._expression(right, scope))
            case ast.UnaryOp():
                return self._unary(node, scope)
            case ast.Subscript(value=value, slice=index):
                vector, base = self._expression(value, scope)
                if vector not in ELEMENT:
                    self.fail(node, f"{vector} has no elements")
                place = ast.Subscript(base, self._index(index, scope), ast.Load())
                return ELEMENT[vector], ast.copy_location(place, node)
            case ast.List(elts=elements) if elements:
                return self._list(node, elements, scope)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(node, name, arguments, scope)
        return self._choice(node, scope)

    def _choice(self, node: ast.expr, scope: _Scope) -> Typed:
        """
        Conditions, and what is chosen by one.
        """
        match node:
            case ast.BoolOp(op=junction, values=values):
                parts = [self._expect("bool", value, scope) for value in values]
                return "bool", ast.copy_location(ast.BoolOp(junction, parts), node)
            case ast.Compare():
                return self._compare(node, scope)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition = self._expect("bool", test, scope)
                kind, yes = self._expression(body, scope)
                no = self._expect(kind, orelse, scope)
                return kind, ast.copy_location(ast.IfExp(condition, yes, no), node)
            case _:
                raise BadSemanticsError(self.path, node.lineno, "this expression cannot stand here")

    def _name(self, node: ast.expr, name: str, scope: _Scope) -> Kind:
        """
        Kind of a local name, a tensor or a constant.
        """
        kind = scope.kinds.get(name) or self.globals.get(name)
        if kind is None:
            self.fail(node, f"`{name}` has no value here")
        return kind

    def _binary(self, node: ast.AST, op: ast.operator, left: Typed, right: Typed) -> Typed:
        """
        Two floats or two integers; never one of each.
        """
        kind = left[0]
        if kind != right[0] or kind not in {"float", "int"}:
            sentence = f"this combines {left[0]} with {right[0]}: convert one with float() or int()"
            self.fail(node, sentence)
        whole = placed(node, ast.BinOp(left[1], op, right[1]))
        if kind == "float":
            if isinstance(op, ast.Div):
                return "float", called(node, "_divide", [left[1], right[1]])
            if not isinstance(op, ast.Add | ast.Sub | ast.Mult):
                self.fail(node, "floats have + - * / only")
            return "float", whole
        guard = _INT_OPERATORS.get(type(op))
        if guard is None:
            self.fail(node, "integers have // and % instead of /")
        if guard.startswith("_shift"):
            return "int", called(node, guard, [left[1], right[1]])
        return "int", called(node, guard, [whole]) if guard else whole

    def _unary(self, node: ast.UnaryOp, scope: _Scope) -> Typed:
        """
        Minus of a number, `not` of a condition.
        """
        kind, operand = self._expression(node.operand, scope)
        wanted = {"bool"} if isinstance(node.op, ast.Not) else {"float", "int"}
        if kind not in wanted:
            self.fail(node, f"{kind} has no such sign")
        return kind, ast.copy_location(ast.UnaryOp(node.op, operand), node)

    def _compare(self, node: ast.Compare, scope: _Scope) -> Typed:
        """
        One comparison of two numbers of the same kind.
        """
        if len(node.ops) != 1:
            self.fail(node, "write two comparisons with `and` instead of a chain")
        kind, left = self._expression(node.left, scope)
        if kind not in {"float", "int"}:
            self.fail(node, f"{kind} cannot be compared")
        right = self._expect(kind, node.comparators[0], scope)
        return "bool", ast.copy_location(ast.Compare(left, node.ops, [right]), node)

    def _list(self, node: ast.expr, elements: Sequence[ast.expr], scope: _Scope) -> Typed:
        """
        A vector written out: all floats or all integers.
        """
        kind, first = self._expression(elements[0], scope)
        if kind not in {"float", "int"}:
            self.fail(node, "a written list holds numbers only")
        rest = [self._expect(kind, element, scope) for element in elements[1:]]
        vector: Kind = "floats" if kind == "float" else "ints"
        return vector, ast.copy_location(ast.List([first, *rest], ast.Load()), node)

    def _call(
        self, node: ast.expr, name: str, arguments: Sequence[ast.expr], scope: _Scope
    ) -> Typed:
        """
        A call of a built-in or of a function of the program.
        """
        typed = [self._expression(argument, scope) for argument in arguments]
        kinds = tuple(kind for kind, _ in typed)
        if name in self.builtins:
            wanted, result = self.builtins[name]
            if kinds != wanted:
                self.fail(node, f"`{name}` takes {_list(wanted)}, not {_list(kinds)}")
        else:
            result = self.function(name, kinds, node)
        return result, called(node, name, [argument for _, argument in typed])

    def _index(self, index: ast.expr, scope: _Scope) -> ast.expr:
        """
        A subscript, checked at run time unless it plainly cannot be negative.
        """
        new = self._expect("int", index, scope)
        if isinstance(index, ast.Constant):
            return new
        if isinstance(index, ast.Name) and index.id in scope.counting:
            return new
        return called(index, "_at", [new])


def _list(kinds: Sequence[Kind]) -> str:
    """
    Kinds in a sentence.
    """
    return "(" + ", ".join(kinds) + ")"
