"""
The language of a certificate: bit-vector terms and formulas over the state at a cut.

A text is one parenthesised expression, `(ule (local 3) (i32 48))`. Widths are checked when it is
read, against the widths that the variables have at that cut. Arithmetic is that of fixed-width
unsigned integers, modulo 2^width; division by zero is that of SMT-LIB (`udiv` gives all ones,
`urem` the dividend). An interpretation gives the leaves and operators their meaning: `evaluate`
does so with integers, a solver's terms are another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

MOST_TEXT: Final = 1 << 16
"""Most characters of one expression."""
MOST_DEPTH: Final = 100
"""Most nested parentheses."""
MOST_WIDTH: Final = 128
"""Widest bit vector, in bits."""
BOOLEAN: Final = 0
"""The width that stands for "a formula"."""

VARIABLES: Final = (
    "param", "local", "stack", "global", "pages", "result", "entry-global", "entry-pages",
)  # fmt: skip
"""Names of the leaves that the state gives a value."""
BINARY: Final = (
    "add", "sub", "mul", "udiv", "urem", "sdiv", "srem", "and", "or", "xor", "shl", "lshr", "ashr",
)  # fmt: skip
COMPARISONS: Final = ("eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge")
_TOKEN: Final = re.compile(r"[()]|[^\s()]+")


class BadExpressionError(ValueError):
    """
    A text is no expression, or one whose widths do not fit; the message quotes the place.
    """


@dataclass(frozen=True, slots=True)
class Scope:
    """
    Widths in bits of the variables that an expression may name, by kind and index.
    """

    widths: Mapping[str, Sequence[int]]
    """`param`, `local`, `stack`, `global`, `result`, `entry-global`; `pages` is always 32 wide."""
    tables: Mapping[str, tuple[int, Sequence[int]]] = field(default_factory=dict)
    """Name -> width of an entry in bits, entries."""
    loads: bool = True
    """Whether linear memory may be read."""


@dataclass(frozen=True, slots=True)
class Expression:
    """
    One node: operator, plain numbers or a table's name, operands, width (0 for a formula).
    """

    operator: str
    numbers: tuple[int | str, ...]
    operands: tuple[Expression, ...]
    width: int

    def names(self, operator: str) -> bool:
        """
        Whether *operator* occurs in it.
        """
        return self.operator == operator or any(part.names(operator) for part in self.operands)


class Interpretation(Protocol):
    """
    What leaves and operators mean; values are whatever it returns.
    """

    def variable(self, kind: str, index: int, width: int) -> Any:
        """
        The value of a variable of the state.
        """

    def load(self, width: int, address: Any) -> Any:
        """
        *width* bits of memory at *address*, little-endian.
        """

    def table(self, name: str, width: int, index: Any, index_width: int) -> Any:
        """
        Entry *index* of a table, 0 beyond its end.
        """

    def constant(self, width: int, value: int) -> Any:
        """
        A number.
        """

    def apply(
        self, operator: str, numbers: tuple[int, ...], width: int, operands: Sequence[Any],
        widths: Sequence[int],
    ) -> Any:  # fmt: skip
        """
        The result, *width* bits, of an operator on operands that are *widths* bits wide.
        """


def read(text: str, scope: Scope) -> Expression:
    """
    Parse a term or formula; raises BadExpressionError.
    """
    if len(text) > MOST_TEXT:
        message = f"an expression has {len(text)} characters, more than {MOST_TEXT}"
        raise BadExpressionError(message)
    tokens = _TOKEN.findall(text)
    try:
        found, after = _read(tokens, 0, scope, 0)
    except IndexError:
        message = f"{text[:80]!r} ends too early"
        raise BadExpressionError(message) from None
    if after != len(tokens):
        message = f"{text[:80]!r} goes on after its end"
        raise BadExpressionError(message)
    return found


def read_formula(text: str, scope: Scope) -> Expression:
    """
    Parse a formula; raises BadExpressionError for a term.
    """
    found = read(text, scope)
    if found.width != BOOLEAN:
        message = f"{text[:80]!r} is a term of {found.width} bits, where a formula is wanted"
        raise BadExpressionError(message)
    return found


def read_term(text: str, scope: Scope) -> Expression:
    """
    Parse a term; raises BadExpressionError for a formula.
    """
    found = read(text, scope)
    if found.width == BOOLEAN:
        message = f"{text[:80]!r} is a formula, where a term is wanted"
        raise BadExpressionError(message)
    return found


def _read(tokens: list[str], at: int, scope: Scope, depth: int) -> tuple[Expression, int]:
    if tokens[at] != "(" or depth > MOST_DEPTH:
        what = "is nested too deeply" if depth > MOST_DEPTH else "stands where `(` must"
        message = f"{tokens[at][:40]!r} {what}"
        raise BadExpressionError(message)
    operator, at = tokens[at + 1], at + 2
    numbers: list[int | str] = []
    while tokens[at] not in "()":
        numbers.append(int(tokens[at]) if tokens[at].isdecimal() else tokens[at])
        at += 1
    operands = []
    while tokens[at] != ")":
        operand, at = _read(tokens, at, scope, depth + 1)
        operands.append(operand)
    return _node(operator, tuple(numbers), tuple(operands), scope), at + 1


def _node(
    operator: str, numbers: tuple[int | str, ...], operands: tuple[Expression, ...], scope: Scope
) -> Expression:
    rule = _RULES.get(operator)
    if rule is None:
        message = f"{operator[:40]!r} is no operator of the language of certificates"
        raise BadExpressionError(message)
    try:
        width = rule(operator, numbers, tuple(operand.width for operand in operands), scope)
    except (ValueError, TypeError, LookupError):
        width = None
    if width is None:
        shown = " ".join(str(part)[:40] for part in (operator, *numbers))
        widths = ", ".join(str(operand.width) for operand in operands)
        message = f"({shown} ...) does not fit here, with operands of widths ({widths})"
        raise BadExpressionError(message)
    return Expression(operator, numbers, operands, width)


# ------------------------------------------------------------------- widths, operator by operator

_Rule = Callable[[str, tuple[Any, ...], tuple[int, ...], Scope], int | None]


def _variable(kind: str, numbers: tuple[Any, ...], widths: tuple[int, ...], scope: Scope) -> Any:
    (index,) = numbers
    return None if widths else scope.widths.get(kind, ())[index]


def _pages(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    return None if numbers or widths else 32


def _constant(kind: str, numbers: tuple[Any, ...], widths: tuple[int, ...], _: Scope) -> Any:
    width, value = (int(kind[1:]), *numbers) if kind[0] == "i" else numbers
    fits = 0 < width <= MOST_WIDTH and 0 <= value < 1 << width
    return width if fits and not widths else None


def _load(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], scope: Scope) -> Any:
    (size,) = numbers
    return 8 * size if scope.loads and size in (1, 2, 4, 8) and widths == (32,) else None


def _lookup(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], scope: Scope) -> Any:
    (name,) = numbers
    return scope.tables[name][0] if len(widths) == 1 and widths[0] else None


def _binary(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    left, right = widths
    return left if left == right and left and not numbers else None


def _comparison(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    left, right = widths
    return BOOLEAN if left == right and left and not numbers else None


def _unary(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    (width,) = widths
    return width if width and not numbers else None


def _extension(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    (target,), (width,) = numbers, widths
    return target if 0 < width <= target <= MOST_WIDTH else None


def _extract(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    (high, low), (width,) = numbers, widths
    return high - low + 1 if 0 <= low <= high < width else None


def _choice(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    condition, left, right = widths
    return left if condition == BOOLEAN and left == right and left and not numbers else None


def _connective(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    return None if numbers or any(widths) else BOOLEAN


def _negation(_: str, numbers: tuple[Any, ...], widths: tuple[int, ...], __: Scope) -> Any:
    return BOOLEAN if widths == (BOOLEAN,) and not numbers else None


_RULES: Final[dict[str, _Rule]] = {
    **dict.fromkeys(VARIABLES, _variable), "pages": _pages, "entry-pages": _pages,
    "i32": _constant, "i64": _constant, "const": _constant, "load": _load, "lookup": _lookup,
    **dict.fromkeys(BINARY, _binary), **dict.fromkeys(COMPARISONS, _comparison),
    "not": _unary, "neg": _unary, "zext": _extension, "sext": _extension, "extract": _extract,
    "ite": _choice, "all": _connective, "any": _connective, "no": _negation,
}  # fmt: skip


# --------------------------------------------------------------------------------------- meaning


def interpret(expression: Expression, meaning: Interpretation) -> Any:
    """
    The value of *expression* under an interpretation.
    """
    operator, numbers, width = expression.operator, expression.numbers, expression.width
    if operator in ("pages", "entry-pages"):
        return meaning.variable(operator, 0, width)
    if operator in VARIABLES:
        return meaning.variable(operator, int(numbers[0]), width)
    if operator in ("i32", "i64", "const"):
        return meaning.constant(width, int(numbers[-1]))
    operands = [interpret(operand, meaning) for operand in expression.operands]
    widths = [operand.width for operand in expression.operands]
    if operator == "load":
        return meaning.load(width, operands[0])
    if operator == "lookup":
        return meaning.table(str(numbers[0]), width, operands[0], widths[0])
    return meaning.apply(operator, tuple(map(int, numbers)), width, operands, widths)


def signed(value: int, width: int) -> int:
    """
    The two's complement reading of *width* bits.
    """
    return value - (1 << width) if value >> (width - 1) else value


def _divide(a: int, b: int) -> int:
    """
    The quotient rounded towards zero.
    """
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _sdiv(a: int, b: int, width: int) -> int:
    x, y = signed(a, width), signed(b, width)
    if y == 0:
        return 1 if x < 0 else -1
    return _divide(x, y)


def _srem(a: int, b: int, width: int) -> int:
    x, y = signed(a, width), signed(b, width)
    return x if y == 0 else x - y * _divide(x, y)


_INTEGERS: Final[dict[str, Callable[[int, int, int], int]]] = {
    "add": lambda a, b, _: a + b,
    "sub": lambda a, b, _: a - b,
    "mul": lambda a, b, _: a * b,
    "udiv": lambda a, b, _: a // b if b else -1,
    "urem": lambda a, b, _: a % b if b else a,
    "sdiv": _sdiv,
    "srem": _srem,
    "and": lambda a, b, _: a & b,
    "or": lambda a, b, _: a | b,
    "xor": lambda a, b, _: a ^ b,
    "shl": lambda a, b, width: a << b if b < width else 0,
    "lshr": lambda a, b, width: a >> min(b, width),
    "ashr": lambda a, b, width: signed(a, width) >> min(b, width),
    "eq": lambda a, b, _: a == b,
    "ne": lambda a, b, _: a != b,
    "ult": lambda a, b, _: a < b,
    "ule": lambda a, b, _: a <= b,
    "ugt": lambda a, b, _: a > b,
    "uge": lambda a, b, _: a >= b,
    "slt": lambda a, b, width: signed(a, width) < signed(b, width),
    "sle": lambda a, b, width: signed(a, width) <= signed(b, width),
    "sgt": lambda a, b, width: signed(a, width) > signed(b, width),
    "sge": lambda a, b, width: signed(a, width) >= signed(b, width),
}


def apply_integers(  # noqa: PLR0911 - one return for each kind of operator
    operator: str, numbers: tuple[int, ...], width: int, operands: Sequence[int],
    widths: Sequence[int],
) -> int:  # fmt: skip
    """
    The meaning of one operator on unsigned integers; formulas give 0 or 1.
    """
    if operator in ("all", "any"):
        return int(all(operands) if operator == "all" else any(operands))
    if operator == "ite":
        return operands[1] if operands[0] else operands[2]
    value, mask = operands[0], (1 << (width or 1)) - 1
    if len(operands) > 1:
        return _INTEGERS[operator](value, operands[1], widths[0]) & mask
    match operator:
        case "no":
            return 1 - value
        case "not":
            return ~value & mask
        case "neg":
            return -value & mask
        case "sext":
            return signed(value, widths[0]) & mask
        case "extract":
            return value >> numbers[1] & mask
        case _:
            return value


@dataclass(frozen=True, slots=True)
class State:
    """
    Concrete values of variables, unsigned, for `evaluate`.
    """

    values: Mapping[str, Sequence[int]]
    """By kind and index; `pages` and `entry-pages` hold one value."""
    memory: Callable[[int, int], int] | None = None
    """Address and size in bytes -> unsigned little-endian value; None where nobody looked."""
    tables: Mapping[str, tuple[int, Sequence[int]]] = field(default_factory=dict)

    def variable(self, kind: str, index: int, width: int) -> int:
        """
        The value of a variable; LookupError where the state does not have it.
        """
        return self.values[kind][index] & ((1 << width) - 1)

    def load(self, width: int, address: int) -> int:
        """
        Bytes of memory; LookupError where nobody looked.
        """
        if self.memory is None:
            message = "the state holds no memory"
            raise LookupError(message)
        return self.memory(address, width // 8)

    def table(self, name: str, width: int, index: int, index_width: int) -> int:
        """
        Entry *index*, 0 beyond the end.
        """
        del width, index_width
        entries = self.tables[name][1]
        return entries[index] if index < len(entries) else 0

    def constant(self, width: int, value: int) -> int:
        """
        A number.
        """
        del width
        return value

    apply = staticmethod(apply_integers)


def evaluate(expression: Expression, state: State) -> int:
    """
    The value of *expression* in *state*, formulas as 0 or 1; LookupError for what it lacks.
    """
    value: int = interpret(expression, state)
    return value
