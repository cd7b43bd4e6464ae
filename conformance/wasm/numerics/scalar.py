"""
Every scalar operator of WebAssembly by name: what it takes, what it gives, and its result.

MVP, sign extension and saturating conversion. Constants, locals, memory and control are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from conformance.wasm.numerics import integers, softfloat
from conformance.wasm.numerics.results import Exact, Result
from conformance.wasm.numerics.softfloat import F32, F64, Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NumberType = Literal["i32", "i64", "f32", "f64"]

WIDTH_BITS: Final[dict[str, int]] = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}
"""Size of one value of each number type, in bits."""


class UnknownOperatorError(ValueError):
    """
    A name is not that of a scalar operator.
    """


class BadOperandsError(ValueError):
    """
    Operands are too many, too few, or do not fit their types.
    """


@dataclass(frozen=True, slots=True)
class Operator:
    """
    One scalar operator.
    """

    name: str
    parameters: tuple[NumberType, ...]
    result: NumberType
    compute: Callable[..., Result]
    """Takes the operands' bits; unchecked."""


_INTEGER_UNARY = {"clz": integers.clz, "ctz": integers.ctz, "popcnt": integers.popcnt}
_INTEGER_BINARY = {
    "add": integers.add,
    "sub": integers.sub,
    "mul": integers.mul,
    "div_s": integers.div_s,
    "div_u": integers.div_u,
    "rem_s": integers.rem_s,
    "rem_u": integers.rem_u,
    "and": integers.and_,
    "or": integers.or_,
    "xor": integers.xor,
    "shl": integers.shl,
    "shr_s": integers.shr_s,
    "shr_u": integers.shr_u,
    "rotl": integers.rotl,
    "rotr": integers.rotr,
}
_INTEGER_COMPARISON = {
    "eq": integers.eq,
    "ne": integers.ne,
    "lt_s": integers.lt_s,
    "lt_u": integers.lt_u,
    "gt_s": integers.gt_s,
    "gt_u": integers.gt_u,
    "le_s": integers.le_s,
    "le_u": integers.le_u,
    "ge_s": integers.ge_s,
    "ge_u": integers.ge_u,
}
_FLOAT_UNARY = {
    "abs": softfloat.abs_,
    "neg": softfloat.neg,
    "ceil": softfloat.ceil,
    "floor": softfloat.floor,
    "trunc": softfloat.trunc,
    "nearest": softfloat.nearest,
    "sqrt": softfloat.sqrt,
}
_FLOAT_BINARY = {
    "add": softfloat.add,
    "sub": softfloat.sub,
    "mul": softfloat.mul,
    "div": softfloat.div,
    "min": softfloat.min_,
    "max": softfloat.max_,
    "copysign": softfloat.copysign,
}
_FLOAT_COMPARISON = {
    "eq": softfloat.eq,
    "ne": softfloat.ne,
    "lt": softfloat.lt,
    "gt": softfloat.gt,
    "le": softfloat.le,
    "ge": softfloat.ge,
}
_INTEGERS: tuple[NumberType, ...] = ("i32", "i64")
_FLOATS: tuple[tuple[NumberType, Format], ...] = (("f32", F32), ("f64", F64))


def _integer_operators(kind: NumberType) -> Iterator[Operator]:
    n = WIDTH_BITS[kind]
    yield Operator(f"{kind}.eqz", (kind,), "i32", partial(integers.eqz, n))
    for name, comparison in _INTEGER_COMPARISON.items():
        yield Operator(f"{kind}.{name}", (kind, kind), "i32", partial(comparison, n))
    for name, unary in _INTEGER_UNARY.items():
        yield Operator(f"{kind}.{name}", (kind,), kind, partial(unary, n))
    for name, binary in _INTEGER_BINARY.items():
        yield Operator(f"{kind}.{name}", (kind, kind), kind, partial(binary, n))
    for low in (8, 16, 32):
        if low < n:
            extend = partial(integers.extend_low_s, n, low)
            yield Operator(f"{kind}.extend{low}_s", (kind,), kind, extend)


def _float_operators(kind: NumberType, form: Format) -> Iterator[Operator]:
    for name, comparison in _FLOAT_COMPARISON.items():
        yield Operator(f"{kind}.{name}", (kind, kind), "i32", partial(comparison, form))
    for name, unary in _FLOAT_UNARY.items():
        yield Operator(f"{kind}.{name}", (kind,), kind, partial(unary, form))
    for name, binary in _FLOAT_BINARY.items():
        yield Operator(f"{kind}.{name}", (kind, kind), kind, partial(binary, form))


def _bounds(n: int, signedness: str) -> tuple[int, int]:
    return (-(1 << (n - 1)), (1 << (n - 1)) - 1) if signedness == "s" else (0, (1 << n) - 1)


def _number(n: int, signedness: str, bits: int) -> int:
    return integers.signed(n, bits) if signedness == "s" else bits


def _convert(form: Format, n: int, signedness: str, bits: int) -> Result:
    return softfloat.from_integer(form, _number(n, signedness, bits))


def _extend(signedness: str, bits: int) -> Result:
    return integers.wrapped(64, _number(32, signedness, bits))


def _conversions() -> Iterator[Operator]:
    yield Operator("i32.wrap_i64", ("i64",), "i32", partial(integers.wrapped, 32))
    for sign in ("s", "u"):
        yield Operator(f"i64.extend_i32_{sign}", ("i32",), "i64", partial(_extend, sign))
    for integer in _INTEGERS:
        n = WIDTH_BITS[integer]
        for kind, form in _FLOATS:
            for sign in ("s", "u"):
                low, high = _bounds(n, sign)
                trap = partial(softfloat.to_integer, form, n, low, high)
                yield Operator(f"{integer}.trunc_{kind}_{sign}", (kind,), integer, trap)
                saturate = partial(softfloat.to_integer_sat, form, n, low, high)
                yield Operator(f"{integer}.trunc_sat_{kind}_{sign}", (kind,), integer, saturate)
                convert = partial(_convert, form, n, sign)
                yield Operator(f"{kind}.convert_{integer}_{sign}", (integer,), kind, convert)
    demote = partial(softfloat.change_format, F64, F32)
    yield Operator("f32.demote_f64", ("f64",), "f32", demote)
    promote = partial(softfloat.change_format, F32, F64)
    yield Operator("f64.promote_f32", ("f32",), "f64", promote)
    pairs: tuple[tuple[NumberType, NumberType], ...] = (("i32", "f32"), ("i64", "f64"))
    for integer, kind in pairs:
        yield Operator(f"{integer}.reinterpret_{kind}", (kind,), integer, Exact)
        yield Operator(f"{kind}.reinterpret_{integer}", (integer,), kind, Exact)


def _all_operators() -> Iterator[Operator]:
    for integer in _INTEGERS:
        yield from _integer_operators(integer)
    for kind, form in _FLOATS:
        yield from _float_operators(kind, form)
    yield from _conversions()


OPERATORS: Final = MappingProxyType({operator.name: operator for operator in _all_operators()})
"""By name, as the text format spells it; in a fixed order."""


def apply(operator: str, operands: tuple[int, ...]) -> Result:
    """
    Apply a scalar operator to the bits of its operands (unsigned integers of their width).

    Raises UnknownOperatorError, or BadOperandsError when number or size of the operands is wrong.
    """
    known = OPERATORS.get(operator)
    if known is None:
        message = f"{operator!r} is no scalar operator: write its name in the text format, f64.min"
        raise UnknownOperatorError(message)
    if len(operands) != len(known.parameters):
        message = f"{operator} takes {len(known.parameters)} operands, not {len(operands)}"
        raise BadOperandsError(message)
    for kind, bits in zip(known.parameters, operands, strict=True):
        if not 0 <= bits < 1 << WIDTH_BITS[kind]:
            message = f"{operator} takes the bits of {kind} as an unsigned integer, not {bits:#x}"
            raise BadOperandsError(message)
    return known.compute(*operands)
