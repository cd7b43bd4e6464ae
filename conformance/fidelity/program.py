"""
A program of the strict-order language, checked, compiled and run under a budget of work.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FunctionType, TracebackType

from conformance.fidelity import arithmetic
from conformance.fidelity.errors import BadSemanticsError
from conformance.fidelity.kinds import Checker
from conformance.fidelity.language import BUILTIN_CODE, BUILTINS, Kind, parse

DEFAULT_WORK = 200_000_000
"""
What one evaluation may cost: expressions evaluated, counted as if no branch were skipped, and
elements of vectors. A few seconds.
"""

_MAX_VECTOR = 1 << 24
_OF_ONE_FLOAT: tuple[tuple[Kind, ...], Kind] = (("float",), "float")

Number = float | int
Vector = Sequence[float] | Sequence[int]
Matrix = Sequence[Sequence[float]] | Sequence[Sequence[int]]
Value = Number | Vector | Matrix
"""What a program computes with; vectors that it must not change are tuples."""


class _OutOfWorkError(Exception):
    """
    The evaluation has used up its budget.
    """


class _Meter:
    """
    Counts the work of one evaluation; the compiled program calls it.
    """

    def __init__(self, work: int) -> None:
        """
        Start with a full budget.
        """
        self.work = work
        self.left = work

    def spend(self, amount: int) -> None:
        """
        Use up work, or stop the evaluation.
        """
        self.left -= amount
        if self.left < 0:
            raise _OutOfWorkError

    def range(self, cost: int, *bounds: int) -> range:
        """
        A range whose rounds are all paid for in advance, at *cost* each.
        """
        if any(abs(bound) > sys.maxsize >> 1 for bound in bounds):
            raise _OutOfWorkError
        values = range(*bounds)
        self.spend(cost * len(values))
        return values

    def zeros(self, count: int) -> list[float]:
        """
        A vector of *count* zeros.
        """
        if not 0 <= count <= _MAX_VECTOR:
            message = f"zeros needs a count from 0 to {_MAX_VECTOR}, not {count}"
            raise arithmetic.OutOfRangeError(message)
        self.spend(count)
        return [0.0] * count


class Program:
    """
    Checked semantics: functions by name, tensors bound, ready to be evaluated.
    """

    def __init__(
        self,
        text: str,
        path: str,
        tensors: Mapping[str, tuple[Kind, Value]],
        entries: Mapping[str, tuple[Kind, ...]],
        *,
        work: int = DEFAULT_WORK,
        functions: Mapping[str, Callable[[float], float]] | None = None,
    ) -> None:
        """
        Check *text* against the grammar and the kinds of its *tensors* and *entries*.

        *functions* of one float are words of the language beside its built-ins. *path* appears in
        errors. Every function must be reachable from an entry. Raises
        BadSemanticsError.
        """
        self.path = path
        self._meter = _Meter(work)
        tree = parse(text, path)
        given = dict(functions or {})
        builtins = {**BUILTINS, **dict.fromkeys(given, _OF_ONE_FLOAT)}
        constants = _constants(tree, path, {"range", *builtins})
        definitions = _definitions(tree, path, {"range", *builtins, *tensors, *constants})
        kinds: dict[str, Kind] = {name: kind for name, (kind, _) in tensors.items()}
        for name, value in constants.items():
            if name in tensors:
                raise BadSemanticsError(path, 0, f"`{name}` names a tensor and a constant")
            kinds[name] = "float" if isinstance(value, float) else "int"
        checker = Checker(path, definitions, kinds, builtins)
        code = _check_and_compile(checker, entries, tree, path)
        self.signatures = checker.signatures
        """Parameter kinds and result kind of each function."""
        values = {name: value for name, (_, value) in tensors.items()}
        self._functions = self._execute(code, {**given, **values, **constants})

    def _execute(self, code: CodeType, named: dict[str, object]) -> dict[str, FunctionType]:
        """
        Define the functions in a namespace that holds their words and nothing of Python.
        """
        namespace: dict[str, object] = {
            "__builtins__": {},
            **BUILTIN_CODE,
            **named,
            "zeros": self._meter.zeros,
            "_range": self._meter.range,
            "_spend": self._meter.spend,
        }
        exec(code, namespace)  # noqa: S102 - the text passed the whitelist and has no builtins
        functions = {name: namespace[name] for name in self.signatures}
        return {name: f for name, f in functions.items() if isinstance(f, FunctionType)}

    def call(self, name: str, arguments: Sequence[Value]) -> Value:
        """
        Evaluate function *name* with a fresh budget.

        Raises BadSemanticsError at the line that had no value: an index out of range, work
        beyond the budget, an integer too large; BentFpuError when the process does not compute
        IEEE 754.
        """
        arithmetic.check_fpu()
        self._meter.left = self._meter.work
        try:
            result: Value = self._functions[name](*arguments)
        except _OutOfWorkError as error:
            sentence = f"the evaluation needs more work than {self._meter.work} expressions"
            raise self._located(error.__traceback__, sentence) from None
        except UnboundLocalError as error:
            sentence = f"a name is read before it has a value: {error}"
            raise self._located(error.__traceback__, sentence) from None
        except TypeError as error:
            sentence = f"an input or a tensor of the model cannot change: {error}"
            raise self._located(error.__traceback__, sentence) from None
        except (ArithmeticError, IndexError, ValueError) as error:
            raise self._located(error.__traceback__, str(error)) from None
        return result

    def _located(self, trace: TracebackType | None, sentence: str) -> BadSemanticsError:
        """
        An error at the innermost line of the program that was being evaluated.
        """
        line = 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.path:
                line = trace.tb_lineno
            trace = trace.tb_next
        return BadSemanticsError(self.path, line, sentence)


def _constants(tree: ast.Module, path: str, taken: set[str]) -> dict[str, Number]:
    """
    Named constants: `NAME = number`, `NAME = -number` or `NAME = from_bits(bits)`.
    """
    constants: dict[str, Number] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign):
            continue
        match statement.targets, statement.value:
            case [ast.Name(id=name)], ast.Constant(value=float() | int() as value):
                number: float | int = value
            case (
                [ast.Name(id=name)],
                ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float() | int() as value)),
            ):
                number = -value
            case (
                [ast.Name(id=name)],
                ast.Call(func=ast.Name(id="from_bits"), args=[ast.Constant(value=int() as value)]),
            ):
                number = arithmetic.float_of_bits(value)
            case _:
                sentence = "a constant is written NAME = number or NAME = from_bits(0x...)"
                raise BadSemanticsError(path, statement.lineno, sentence)
        if name in constants or name in taken:
            raise BadSemanticsError(path, statement.lineno, f"`{name}` is defined already")
        constants[name] = number
    return constants


def _definitions(tree: ast.Module, path: str, taken: set[str]) -> dict[str, ast.FunctionDef]:
    """
    Functions by name, none of them twice or under the name of something else.
    """
    definitions: dict[str, ast.FunctionDef] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef):
            continue
        name = statement.name
        if name in definitions or name in taken:
            raise BadSemanticsError(path, statement.lineno, f"`{name}` is defined already")
        definitions[name] = statement
    return definitions


def _check_and_compile(
    checker: Checker, entries: Mapping[str, tuple[Kind, ...]], tree: ast.Module, path: str
) -> CodeType:
    """
    Check all functions from the entries on and compile them.
    """
    try:
        for entry, kinds in entries.items():
            checker.function(entry, kinds, tree)
        for name, definition in checker.definitions.items():
            if name not in checker.rewritten:
                sentence = f"`{name}` is never called from {', '.join(entries)}"
                raise BadSemanticsError(path, definition.lineno, sentence)
        module = ast.Module(body=list(checker.rewritten.values()), type_ignores=[])
        return compile(ast.fix_missing_locations(module), path, "exec")
    except (RecursionError, MemoryError):
        raise BadSemanticsError(path, 0, "the program is nested too deeply") from None
    except SyntaxError as error:
        raise BadSemanticsError(path, error.lineno or 0, str(error.msg)) from None
