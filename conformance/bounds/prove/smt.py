"""
Obligations as SMT-LIB scripts, for anybody's solver: each must answer `unsat`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove.constants import Constants
from conformance.bounds.prove.houdini import ways
from conformance.bounds.prove.minimise import Ranking, all_goals
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.subject import RETURN, Subject
from conformance.wasm.module import Module


def export(
    subject: Subject, solver: Solver, ranking: Ranking, constants: Constants,
    shadow: tuple[int, int] | None,
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """
    (File name, script) of every obligation that is not true by its form.

    A name tells function and name of the function, the loop where the code begins with the byte
    of the file, what is to be shown, and a number.
    """
    terms = subject.terms
    for function, proof in subject.functions.items():
        places = {cut: _place(subject.image.module, function, cut) for cut in proof.regions}
        for cut in proof.regions:
            given = subject.hypotheses(function, cut)
            for number, way in enumerate(ways(subject, function, cut)):
                goal = terms.every(way.goals)
                if goal.value != 1:
                    target = _target(way.target, function)
                    name = f"{places[cut]}-invariant-{target}-{number}.smt2"
                    yield name, solver.script([*given, way.guard], goal)
        goals = all_goals(subject, proof, ranking.get(function, {}), constants, shadow)
        for number, found in enumerate(goals):
            if found.formula.value != 1 and found.guard.value != 0:
                given = [*subject.hypotheses(function, found.cut), found.guard]
                name = f"{places[found.cut]}-goal-{number}.smt2"
                yield name, solver.script(given, found.formula)


def _place(module: Module, function: int, cut: int) -> str:
    """
    `f3-dense-loop-17-byte-0x2a4`, or `f3-dense-entry-byte-0x280`.
    """
    title = re.sub(r"[^A-Za-z0-9_]+", "_", module.function_title(function))[:40].strip("_")
    named = f"f{function}-{title}" if title else f"f{function}"
    offsets = module.functions[function - module.imported_functions].body.offsets
    byte = int(offsets[max(cut, 0)])
    return f"{named}-{'entry' if cut == ENTRY else f'loop-{cut}'}-byte-{byte:#x}"


def _target(target: tuple[int, int], function: int) -> str:
    """
    What an invariant is carried to: a loop, a return, the entry of a callee.
    """
    callee, cut = target
    if cut == RETURN:
        return "to-return"
    if cut == ENTRY:
        return f"to-call-of-f{callee}"
    return f"to-loop-{cut}" if callee == function else f"to-f{callee}-loop-{cut}"
