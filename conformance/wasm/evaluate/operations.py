"""
Scalar operators as functions from bits to bits, under the deterministic profile.

Source: core specification 3.0, appendix "Profiles": where the specification leaves a NaN to the
engine, the result is the positive canonical NaN. The arithmetic itself is that of `numerics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from conformance.wasm.evaluate.stops import TrappedError
from conformance.wasm.numerics.results import Exact, Result, Trap
from conformance.wasm.numerics.scalar import OPERATORS, Operator
from conformance.wasm.numerics.softfloat import F32, F64

Operation = Callable[..., int]
"""Takes as many unsigned integers as the operator has operands; raises TrappedError."""

CANONICAL: Final = {"f32": F32.canonical, "f64": F64.canonical, "i32": 0, "i64": 0}
"""Bits of the positive canonical NaN; integer operators never give one."""


def settled(result: Result, canonical: int) -> int:
    """
    The one result that the deterministic profile allows; raises TrappedError for a trap.
    """
    if isinstance(result, Exact):
        return result.bits
    if isinstance(result, Trap):
        raise TrappedError(result.kind)
    return canonical


def _operation(operator: Operator) -> Operation:
    compute, canonical = operator.compute, CANONICAL[operator.result]
    if len(operator.parameters) == 1:

        def unary(value: int) -> int:
            result = compute(value)
            return result.bits if type(result) is Exact else settled(result, canonical)

        return unary

    def binary(left: int, right: int) -> int:
        result = compute(left, right)
        return result.bits if type(result) is Exact else settled(result, canonical)

    return binary


OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {name: _operation(operator) for name, operator in OPERATORS.items()}
)
"""By the name of the text format."""

ARITY: Final[Mapping[str, int]] = MappingProxyType(
    {name: len(operator.parameters) for name, operator in OPERATORS.items()}
)
"""Number of operands, by the name of the text format."""
