"""
Expressions of a certificate as values, in a state of symbolic execution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from conformance.bounds.check.refusals import RefusedError
from conformance.bounds.check.semantics.terms import Terms, Value
from conformance.bounds.expressions import Expression, interpret


@dataclass(slots=True)
class Reading:
    """
    What the leaves of an expression mean.
    """

    terms: Terms
    values: Mapping[str, Sequence[Value]]
    """By kind of variable and index."""
    tables: Mapping[str, tuple[int, Sequence[int]]]
    memory: Callable[[Value, int], Value | None]
    """Address and size in bytes -> value; None where the summary does not follow memory."""

    def value(self, expression: Expression) -> Value:
        """
        The value of an expression.
        """
        return interpret(expression, self)

    def variable(self, kind: str, index: int, width: int) -> Value:
        """
        A variable of the state.
        """
        del width
        return self.values[kind][index]

    def load(self, width: int, address: Value) -> Value:
        """
        Memory at an address.
        """
        found = self.memory(address, width // 8)
        if found is None:
            message = "an expression reads memory that its summary does not follow"
            raise RefusedError("form", message)
        return found

    def table(self, name: str, width: int, index: Value, index_width: int) -> Value:
        """
        An entry of a table.
        """
        return self.terms.choose(index, index_width, self.tables[name][1], width)

    def constant(self, width: int, value: int) -> Value:
        """
        A number.
        """
        del width
        return value

    def apply(
        self, operator: str, numbers: tuple[int, ...], width: int, operands: Sequence[Value],
        widths: Sequence[int],
    ) -> Value:  # fmt: skip
        """
        An operator.
        """
        return self.terms.apply(operator, numbers, width, operands, widths)
