"""
Random operator soup: expressions of scalar operators, nothing else. A measure for the generator.

Its modules have the same entry, exports and rows as those of `modules`, so that what it finds, and
how soon, can be compared.
"""

from __future__ import annotations

from conformance.generate.body import Body
from conformance.generate.choices import Choices, Replayed, Seeded, more, part
from conformance.generate.modules import GLOBALS, GeneratedModule, Plan, described, entry_body
from conformance.generate.operators import SCALARS, Access, Operator


def soup(seed: int, index: int = 0) -> GeneratedModule:
    """
    The soup number *index* of a seed.
    """
    source = Seeded(seed, index)
    return cooked(source)


def recooked(sequence: tuple[int, ...]) -> GeneratedModule:
    """
    The soup that a sequence of decisions gives, whatever numbers are in it.
    """
    source = Replayed(sequence)
    return cooked(source)


def cooked(choices: Choices) -> GeneratedModule:
    """
    A soup from any source of decisions.
    """
    plan = Plan(choices)
    entry = entry_body(plan)
    while entry.room > 0:
        with part(choices):
            if not more(choices, 6):
                break
            kind = SCALARS[choices.below(len(SCALARS))]
            _stir(entry, kind, 4)
            entry.emit("global.set", GLOBALS.index(kind))
    _stir(entry, "i64", 3)
    plan.finish_entry(entry)
    return described(plan, choices)


def _stir(body: Body, kind: str, depth: int) -> None:
    """
    An expression of operators, constants, locals and loads at any address of the page.
    """
    if depth == 0 or body.room <= 0:
        body.leaf(kind)  # type: ignore[arg-type]
        return
    operators, loads = body.pools(kind)  # type: ignore[arg-type]
    with part(body.choices):
        _pick(body, operators, loads, depth)


def _pick(
    body: Body, operators: tuple[Operator, ...], loads: tuple[Access, ...], depth: int
) -> None:
    chosen = body.choices.below(len(operators) + len(loads))
    if chosen < len(operators):
        for parameter in operators[chosen].parameters:
            _stir(body, parameter, depth - 1)
        body.emit(operators[chosen].name)
        return
    access = loads[chosen - len(operators)]
    _stir(body, "i32", depth - 1)
    body.emit("i32.const", 0x7FFF)
    body.emit("i32.and")
    body.access(access, 0)
