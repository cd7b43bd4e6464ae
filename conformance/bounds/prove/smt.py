"""
Obligations as SMT-LIB scripts, for anybody's solver: each must answer `unsat`.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.bounds.prove.constants import Constants
from conformance.bounds.prove.houdini import ways
from conformance.bounds.prove.minimise import Ranking, all_goals
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.subject import RETURN, Subject


def export(
    subject: Subject, solver: Solver, ranking: Ranking, constants: Constants,
    shadow: tuple[int, int] | None,
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """
    (File name, script) of every obligation that is not true by its form.

    Names tell function, kind, cut where the code begins, and a number.
    """
    terms = subject.terms
    for function, proof in subject.functions.items():
        for cut in proof.regions:
            given = subject.hypotheses(function, cut)
            for number, way in enumerate(ways(subject, function, cut)):
                goal = terms.every(way.goals)
                if goal.value != 1:
                    target = "return" if way.target[1] == RETURN else str(way.target[1])
                    name = f"f{function}-invariant-{cut}-to-{target}-{number}.smt2"
                    yield name, solver.script([*given, way.guard], goal)
        goals = all_goals(subject, proof, ranking.get(function, {}), constants, shadow)
        for number, found in enumerate(goals):
            if found.formula.value != 1 and found.guard.value != 0:
                given = [*subject.hypotheses(function, found.cut), found.guard]
                name = f"f{function}-goal-{found.cut}-{number}.smt2"
                yield name, solver.script(given, found.formula)
