"""
How far the pointer of the stack in linear memory can fall, and how far memory can grow.
"""

from __future__ import annotations

from conformance.bounds.prove.ranks import search
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.subject import Subject


def shadow_stack(subject: Subject, solver: Solver) -> tuple[int, int] | None:
    """
    (Global, least value it has) of the stack pointer in linear memory; None if there is none.

    By the convention of LLVM it is the first mutable i32 global and starts above 0; a pointer whose
    least value has no proof is not told.
    """
    image = subject.image
    for index, kind in enumerate(image.module.global_types):
        initial = image.initial_globals[index]
        if kind.type == "i32" and kind.mutable and initial:
            lowest = _lowest(subject, solver, index, initial)
            return None if lowest is None else (index, lowest)
    return None


def _lowest(subject: Subject, solver: Solver, index: int, initial: int) -> int | None:
    lowest = initial
    for function, proof in subject.functions.items():
        for cut, region in proof.regions.items():
            for item in region.assigned:
                if item.index != index:
                    continue
                given = [*subject.hypotheses(function, cut), item.guard]
                found = search(solver, given, item.value, highest=False)
                if not found:
                    return None
                lowest = min(lowest, found)
    return lowest


def most_pages(subject: Subject, solver: Solver) -> int:
    """
    The most pages that growth can reach, where that is less than what the host allows.
    """
    found = subject.image.pages
    for function, proof in subject.functions.items():
        for cut, region in proof.regions.items():
            for grown in region.growths:
                given = [*subject.hypotheses(function, cut), grown.granted]
                if solver.proves(given, subject.terms.false):
                    continue
                limit = search(solver, given, grown.after, highest=True)
                if limit is None:
                    return subject.most_pages
                found = max(found, limit)
    return min(found, subject.most_pages)
