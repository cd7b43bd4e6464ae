"""
Cells on replayed rows: what the claims of a certificate load is mirrored where rows are noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.expressions import Expression
from conformance.wasm.rewrite.mirror import Mirror, Part, mirrored

_WRAP: Final = 1 << 32
Base = tuple[Literal["global", "param", "nothing"], int]
_NOTHING: Final[Base] = ("nothing", 0)


def mirror_of(subject: Subject) -> Mirror:
    """
    The module with everything in locals that claims about loops load from cells.
    """
    parts: dict[int, dict[Part, None]] = {}
    if subject.module.memory_limits is None:
        return mirrored(subject.image.running, {})
    for summary in subject.live:
        place = summary.function - subject.module.imported_functions
        for cut in summary.cuts if summary.cells else ():
            for text in cut.holds if cut.at >= 0 else ():
                for load in _loads(subject.formula(summary, cut.at, text)):
                    part = _part(load)
                    if part is not None and _is_i32(subject, summary.function, part):
                        parts.setdefault(place, {})[part] = None
    return mirrored(subject.image.running, {place: tuple(found) for place, found in parts.items()})


def _loads(expression: Expression) -> Iterator[Expression]:
    if expression.operator == "load":
        yield expression
    for operand in expression.operands:
        yield from _loads(operand)


def _part(load: Expression) -> Part | None:
    """
    What a load reads, where its address is a number or one added to what the entry finds.
    """
    found = _sum(load.operands[0])
    if found is None:
        return None
    (base, index), offset = found
    return Part(base, index, offset % _WRAP, int(load.numbers[0]))


def _sum(term: Expression) -> tuple[Base, int] | None:
    """
    Base and number whose sum a term is.
    """
    numbers = term.numbers
    match term.operator:
        case "i32" | "const":
            return ("nothing", 0), int(numbers[-1])
        case "param":
            return ("param", int(numbers[0])), 0
        case "entry-global":
            return ("global", int(numbers[0])), 0
        case "add" | "sub":
            left, right = map(_sum, term.operands)
            return _added(left, right, -1 if term.operator == "sub" else 1)
        case _:
            return None


def _added(
    left: tuple[Base, int] | None, right: tuple[Base, int] | None, sign: int
) -> tuple[Base, int] | None:
    if left is None or right is None:
        return None
    if right[0] == _NOTHING:
        return left[0], left[1] + sign * right[1]
    return (right[0], left[1] + right[1]) if left[0] == _NOTHING and sign > 0 else None


def _is_i32(subject: Subject, function: int, part: Part) -> bool:
    if part.base == "param":
        return subject.module.function_type(function).parameters[part.index] == "i32"
    if part.base == "global":
        return subject.module.global_types[part.index].type == "i32"
    return True
