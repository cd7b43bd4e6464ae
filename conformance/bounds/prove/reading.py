"""
Expressions of certificates as terms of the proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.bounds.expressions import Expression, interpret
from conformance.bounds.prove.terms import Term, Terms


@dataclass(frozen=True, slots=True)
class _Meaning:
    """
    An interpretation that makes terms.
    """

    terms: Terms

    def variable(self, kind: str, index: int, width: int) -> Term:
        return self.terms.variable(kind, index, width)

    def load(self, width: int, address: Term) -> Term:
        del address
        return self.terms.unknown(width)

    def table(self, name: str, width: int, index: Term, index_width: int) -> Term:
        del width, index_width
        return self.terms.lookup(name, index)

    def constant(self, width: int, value: int) -> Term:
        return self.terms.const(width, value)

    def apply(  # noqa: PLR0911 - one return for each operator
        self, operator: str, numbers: tuple[int, ...], width: int, operands: Sequence[Term],
        widths: Sequence[int],
    ) -> Term:  # fmt: skip
        del widths
        terms = self.terms
        match operator:
            case "all" | "any":
                return terms.every(operands) if operator == "all" else terms.some(operands)
            case "no":
                return terms.no(operands[0])
            case "not":
                return terms.two("xor", operands[0], terms.const(width, -1))
            case "neg":
                return terms.two("sub", terms.const(width, 0), operands[0])
            case "ite":
                return terms.ite(operands[0], operands[1], operands[2])
            case "zext" | "sext":
                return terms.extend(operands[0], width, sign=operator == "sext")
            case "extract":
                return terms.extract(operands[0], numbers[0], numbers[1])
            case _:
                return terms.two(operator, operands[0], operands[1])


def as_term(expression: Expression, terms: Terms) -> Term:
    """
    The term that *expression* means; a load is unknown.
    """
    found: Term = interpret(expression, _Meaning(terms))
    return found
