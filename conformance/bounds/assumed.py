"""
Further conditions on a call's arguments: `arg0<=48`, or a formula of certificates over `(param k)`.

A condition narrows which calls a bound is about. One that no call meets makes the precondition
contradict itself, which the proof reports and never uses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from conformance.bounds.certificate import Input, Range
from conformance.bounds.expressions import (
    BadExpressionError,
    Expression,
    Scope,
    State,
    evaluate,
    read_formula,
)
from conformance.bounds.precondition import CannotStateError, Stated
from conformance.wasm.module import Module

_WIDTHS: Final = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}
_SHORT: Final = re.compile(
    r"arg(\d{1,4})\s*(<=|>=|<|>|==)\s*(?:arg(\d{1,4})|(0[xX][0-9a-fA-F]+|\d+))"
)
_SHORT_RUN: Final = 1 << 20
_ORDERS: Final = {"<=": "ule", "<": "ult", ">=": "uge", ">": "ugt", "==": "eq"}


def narrowed(stated: Stated, module: Module, conditions: Sequence[str]) -> Stated:
    """
    The calls that meet *conditions* as well, and those inputs that do.

    Raises CannotStateError for what is no condition on the entry's arguments.
    """
    if not conditions:
        return stated
    precondition = stated.precondition
    export = module.exported(precondition.entry)
    kinds = module.function_type(export.index).parameters if export else ()
    widths = [_WIDTHS[kind] for kind in kinds]
    texts = [formula_of(condition, widths) for condition in conditions]
    formulas = [_read(text, widths) for text in texts]
    inputs = list(stated.inputs)
    for condition in conditions:
        inputs = [_moved(given, condition, precondition.arguments) for given in inputs]
        # What a condition allows at most is run as well, where such a run comes to an end.
        inputs += [_topped(given, condition, precondition.arguments) for given in inputs[:1]]
    met = [given for given in inputs if all(_holds(formula, given) for formula in formulas)]
    kept = tuple({(given.arguments, given.memory): given for given in met}.values())
    assume = tuple(dict.fromkeys((*precondition.assume, *texts)))
    return replace(
        stated, precondition=msgspec.structs.replace(precondition, assume=assume), inputs=kept
    )


def formula_of(condition: str, widths: Sequence[int]) -> str:
    """
    The formula that a short condition stands for, unsigned; a formula stands for itself.
    """
    if condition.lstrip().startswith("("):
        return condition.strip()
    found = _SHORT.fullmatch(condition.strip())
    if found is None:
        message = (
            f"{condition[:80]!r} is no condition such as 'arg0<=48', 'arg1>=arg0' or"
            " '(ule (param 0) (i32 48))'"
        )
        raise CannotStateError(message)
    left, order, right, number = found.groups()
    for place in (left, right):
        if place is not None and int(place) >= len(widths):
            message = f"{condition!r}: the entry takes {len(widths)} arguments, counted from 0"
            raise CannotStateError(message)
    width = widths[int(left)]
    if right is not None:
        other = f"(param {int(right)})"
        if widths[int(right)] != width:
            message = f"{condition!r} compares arguments of {width} and {widths[int(right)]} bits"
            raise CannotStateError(message)
    else:
        value = int(number, 0)
        if value >> width:
            message = f"{condition!r}: {number} has more than the {width} bits of the argument"
            raise CannotStateError(message)
        other = f"(i{width} {value})"
    return f"({_ORDERS[order]} (param {int(left)}) {other})"


def _read(text: str, widths: Sequence[int]) -> Expression:
    try:
        return read_formula(text, Scope({"param": widths}, loads=False))
    except BadExpressionError as error:
        message = f"{text[:80]!r} is no formula over the arguments: {error}"
        raise CannotStateError(message) from error


def _holds(formula: Expression, given: Input) -> bool:
    return bool(evaluate(formula, State({"param": given.arguments})))


def _moved(given: Input, condition: str, ranges: Sequence[Range]) -> Input:
    """
    An input with the argument moved to the end that a short condition sets, where it lies beyond.
    """
    found = _SHORT.fullmatch(condition.strip())
    if found is None or found.group(3) is not None:
        return given
    place, order, number = int(found.group(1)), found.group(2), int(found.group(4), 0)
    value = given.arguments[place]
    if order in ("<=", "<", "=="):
        value = min(value, number - (order == "<"))
    if order in (">=", ">", "=="):
        value = max(value, number + (order == ">"))
    return _put(given, place, value, ranges)


def _topped(given: Input, condition: str, ranges: Sequence[Range]) -> Input:
    """
    An input with the argument at the most that a short condition allows, if that is not large.
    """
    found = _SHORT.fullmatch(condition.strip())
    if found is None or found.group(3) is not None or found.group(2) not in ("<=", "<"):
        return given
    most = int(found.group(4), 0) - (found.group(2) == "<")
    return _put(given, int(found.group(1)), most, ranges) if most < _SHORT_RUN else given


def _put(given: Input, place: int, value: int, ranges: Sequence[Range]) -> Input:
    """
    An input with another argument; as it was where the argument may not have that value.
    """
    if not ranges[place].lo <= value <= ranges[place].hi:
        return given
    arguments = tuple(value if k == place else v for k, v in enumerate(given.arguments))
    return msgspec.structs.replace(given, arguments=arguments)
