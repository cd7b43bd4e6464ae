"""
The solver: cvc5, limited by its own count of resources, never by seconds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cvc5

from conformance.bounds.check.refusals import Answer
from conformance.bounds.check.semantics.terms import Terms, Value

RESOURCES: Final = 20_000_000
"""Default limit of one query, in cvc5's units."""


@dataclass(slots=True)
class Solving:
    """
    Asks queries about values, and counts them.
    """

    terms: Terms
    resources: int = RESOURCES
    queries: int = 0
    seconds: float = 0.0

    def implied(
        self, hypotheses: Sequence[Value], goals: Sequence[Value], shown: Sequence[Any] = ()
    ) -> tuple[Answer, list[str]]:
        """
        Whether the hypotheses imply all goals; if not, values of *shown* for which they do not.
        """
        terms = self.terms
        refuted = terms.either(*(terms.no(goal) for goal in goals))
        answer, values = self.satisfiable([*hypotheses, refuted], shown)
        turned: dict[Answer, Answer] = {"holds": "fails", "fails": "holds"}
        return turned.get(answer, answer), values

    def satisfiable(
        self, formulas: Sequence[Value], shown: Sequence[Any] = ()
    ) -> tuple[Answer, list[str]]:
        """
        Whether formulas hold for some values, and such values of *shown*.
        """
        if any(isinstance(formula, int) and not formula for formula in formulas):
            return "fails", []
        began = time.perf_counter()
        solver = cvc5.Solver(self.terms.manager)
        solver.setOption("rlimit-per", str(self.resources))
        solver.setOption("produce-models", "true" if shown else "false")
        for formula in formulas:
            if not isinstance(formula, int):
                solver.assertFormula(formula)
        result = solver.checkSat()
        values = []
        if result.isSat() and shown:
            values = [str(solver.getValue(term)) for term in shown]
        self.queries += 1
        self.seconds += time.perf_counter() - began
        if result.isSat():
            return "holds", values
        return ("fails" if result.isUnsat() else "undecided"), []
