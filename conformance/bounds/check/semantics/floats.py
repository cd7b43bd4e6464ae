"""
Float operators: unknown bits, or, where a summary asks for it, the theory of floating point.

The bits of a NaN result are left open: any NaN, as the specification allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cvc5 import Kind, RoundingMode

from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.check.semantics.terms import Terms, Value
from conformance.wasm.opcodes import Signature

_SIZES: Final = {32: (8, 24), 64: (11, 53)}
_COMPARED: Final = {
    "eq": Kind.FLOATINGPOINT_EQ, "lt": Kind.FLOATINGPOINT_LT, "gt": Kind.FLOATINGPOINT_GT,
    "le": Kind.FLOATINGPOINT_LEQ, "ge": Kind.FLOATINGPOINT_GEQ,
}  # fmt: skip
_ROUNDED: Final = {
    "add": Kind.FLOATINGPOINT_ADD, "sub": Kind.FLOATINGPOINT_SUB, "mul": Kind.FLOATINGPOINT_MULT,
    "div": Kind.FLOATINGPOINT_DIV, "sqrt": Kind.FLOATINGPOINT_SQRT,
}  # fmt: skip
_MODES: Final = {
    "ceil": RoundingMode.ROUND_TOWARD_POSITIVE, "floor": RoundingMode.ROUND_TOWARD_NEGATIVE,
    "trunc": RoundingMode.ROUND_TOWARD_ZERO, "nearest": RoundingMode.ROUND_NEAREST_TIES_TO_EVEN,
}  # fmt: skip


@dataclass(slots=True)
class Floats:
    """
    Makes values of float operators.
    """

    terms: Terms
    used: bool = False
    """Whether a query needs the theory of floating point."""
    definitions: Callable[[Any], None] | None = None
    """Takes formulas that say what an unknown value is; each has a solution."""

    def bits(  # noqa: PLR0911 - one return for each kind of operator
        self, name: str, signature: Signature, operands: Sequence[Value], *, follow: bool
    ) -> Value:
        """
        The bits of the result of a float operator.
        """
        terms = self.terms
        width = WIDTH[signature.results[0]]
        source = WIDTH[signature.parameters[0]]
        operator = name.partition(".")[2]
        sign = 1 << (source - 1)
        if operator in ("abs", "neg", "copysign"):
            if operator == "neg":
                return terms.two("xor", operands[0], sign, width)
            plain = terms.two("and", operands[0], sign - 1, width)
            if operator == "abs":
                return plain
            return terms.two("or", plain, terms.two("and", operands[1], sign, width), width)
        comparing = operator in (*_COMPARED, "ne")
        if not follow or self.definitions is None:
            return terms.bit(terms.two("eq", terms.fresh(1), 1, 1)) if comparing else terms.fresh(
                width
            )  # fmt: skip
        self.used = True
        if operator.startswith("convert"):
            return self._defined(width, self._converted(operator, operands[0], source, width))
        values = [self._float(operand, source) for operand in operands]
        if comparing:
            kind = _COMPARED.get(operator, Kind.FLOATINGPOINT_EQ)
            found = terms.manager.mkTerm(kind, *values)
            return terms.bit(terms.no(found) if operator == "ne" else found)
        if operator.startswith("trunc_"):
            return self._truncated(operator, values[0], source, width)
        return self._defined(width, self._computed(operator, values, width))

    def _float(self, bits: Value, width: int) -> Any:
        """
        The number that bits stand for.
        """
        manager = self.terms.manager
        op = manager.mkOp(Kind.FLOATINGPOINT_TO_FP_FROM_IEEE_BV, *_SIZES[width])
        return manager.mkTerm(op, self.terms.term(bits, width))

    def _defined(self, width: int, number: Any) -> Value:
        """
        Unknown bits that stand for a number.
        """
        found = self.terms.fresh(width)
        assert self.definitions is not None  # noqa: S101 - asked by the caller
        self.definitions(
            self.terms.manager.mkTerm(Kind.EQUAL, self._float(found, width), number)
        )  # fmt: skip
        return found

    def _mode(self, mode: RoundingMode = RoundingMode.ROUND_NEAREST_TIES_TO_EVEN) -> Any:
        return self.terms.manager.mkRoundingMode(mode)

    def _converted(self, operator: str, value: Value, source: int, width: int) -> Any:
        manager = self.terms.manager
        kind = (
            Kind.FLOATINGPOINT_TO_FP_FROM_UBV
            if operator.endswith("_u")
            else Kind.FLOATINGPOINT_TO_FP_FROM_SBV
        )
        op = manager.mkOp(kind, *_SIZES[width])
        return manager.mkTerm(op, self._mode(), self.terms.term(value, source))

    def _truncated(self, operator: str, number: Any, source: int, width: int) -> Value:
        """
        `trunc` and `trunc_sat`: outside of the range `trunc` traps, so any value will do.
        """
        terms, manager = self.terms, self.terms.manager
        signed = operator.endswith("_s")
        kind = Kind.FLOATINGPOINT_TO_SBV if signed else Kind.FLOATINGPOINT_TO_UBV
        toward = self._mode(RoundingMode.ROUND_TOWARD_ZERO)
        inner = manager.mkTerm(manager.mkOp(kind, width), toward, number)
        if not operator.startswith("trunc_sat"):
            return inner
        low, high = (-(1 << (width - 1)), 1 << (width - 1)) if signed else (0, 1 << width)
        integral = manager.mkTerm(Kind.FLOATINGPOINT_RTI, toward, number)
        bounds = [self._number(edge, source) for edge in (low, high)]
        over = manager.mkTerm(Kind.FLOATINGPOINT_GEQ, integral, bounds[1])
        under = manager.mkTerm(Kind.FLOATINGPOINT_LT, integral, bounds[0])
        mask = (1 << width) - 1
        found = terms.ite(under, low & mask, terms.ite(over, high - 1, inner, width), width)
        return terms.ite(manager.mkTerm(Kind.FLOATINGPOINT_IS_NAN, number), 0, found, width)

    def _number(self, value: int, width: int) -> Any:
        """
        A power of two, its negative, or zero, as a float; all are exact.
        """
        manager = self.terms.manager
        op = manager.mkOp(Kind.FLOATINGPOINT_TO_FP_FROM_SBV, *_SIZES[width])
        return manager.mkTerm(op, self._mode(), self.terms.term(value & ((1 << 80) - 1), 80))

    def _computed(self, operator: str, values: list[Any], width: int) -> Any:
        """
        A float from floats.
        """
        manager = self.terms.manager
        if operator in ("demote_f64", "promote_f32"):
            op = manager.mkOp(Kind.FLOATINGPOINT_TO_FP_FROM_FP, *_SIZES[width])
            return manager.mkTerm(op, self._mode(), *values)
        if operator in _MODES:
            return manager.mkTerm(Kind.FLOATINGPOINT_RTI, self._mode(_MODES[operator]), *values)
        if operator in _ROUNDED:
            return manager.mkTerm(_ROUNDED[operator], self._mode(), *values)
        return self._extreme(operator, *values)

    def _extreme(self, operator: str, left: Any, right: Any) -> Any:
        """
        `min` or `max`: a NaN wins, and -0 is below +0.
        """
        manager, smaller = self.terms.manager, operator == "min"
        zeros = manager.mkTerm(
            Kind.AND, *(manager.mkTerm(Kind.FLOATINGPOINT_IS_ZERO, v) for v in (left, right))
        )
        negative = manager.mkTerm(Kind.FLOATINGPOINT_IS_NEG, left)
        less = manager.mkTerm(Kind.FLOATINGPOINT_LT, left, right)
        left_is_less = manager.mkTerm(Kind.ITE, zeros, negative, less)
        pair = (left, right) if smaller else (right, left)
        found = manager.mkTerm(Kind.ITE, left_is_less, *pair)
        for value in (right, left):
            nan = manager.mkTerm(Kind.FLOATINGPOINT_IS_NAN, value)
            found = manager.mkTerm(Kind.ITE, nan, value, found)
        return found
