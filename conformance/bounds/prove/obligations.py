"""
What must be shown beside the invariants: of flow facts, of constants in memory, of the stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove.frames import address, spans
from conformance.bounds.prove.states import TRAP, Access, Cell, Region
from conformance.bounds.prove.subject import FunctionProof, Span, Subject
from conformance.bounds.prove.terms import Term, Terms

_WIDE = 40


@dataclass(frozen=True, slots=True)
class Fact:
    """
    A flow fact of a loop: sum of weights of its back edges against a bound per entry of `of`.
    """

    loop: int
    """Whose repetitions are counted."""
    kind: Literal["most", "least"]
    weight: int
    """Of each back edge of the loop."""
    bound: int
    measure: Mapping[int, Term]
    """By cut of the zone: the loop `of` and the loops in it."""
    around: int | None = None
    """A loop around it, per entry of which it is bounded; None: per entry of the loop itself."""

    also: tuple[int, ...] = ()
    """Further loops whose repetitions are counted with the same weight: a joint rank."""

    @property
    def of(self) -> int:
        """
        The loop whose entries the bound is for.
        """
        return self.loop if self.around is None else self.around


class Goal(NamedTuple):
    """
    Something to be shown in the region behind a cut, wherever *guard* holds.
    """

    cut: int
    guard: Term
    formula: Term


def inside_goals(subject: Subject, proof: FunctionProof, fact: Fact) -> Iterator[Goal]:
    """
    How the measure must change between the cuts of the zone, and what it is where it is left.
    """
    terms = subject.terms
    measure = fact.measure
    for cut in sorted(measure, key=lambda c: (c != fact.of, c)):
        before = measure[cut]
        for target, end in proof.regions[cut].ends:
            if target in measure:
                put = proof.put(target, end)
                after = terms.substituted(measure[target], put)
                counted = target == fact.loop or target in fact.also
                back = counted and proof.layout.inside(cut, target)
                step = fact.weight if back else 0
                yield Goal(cut, end.guard, _step(terms, fact.kind, before, after, step))
            elif fact.kind == "least" and target != TRAP:
                zero = terms.const(before.width, 0)
                yield Goal(cut, end.guard, terms.two("eq", before, zero))


def _step(terms: Terms, kind: str, before: Term, after: Term, step: int) -> Term:
    number = terms.const(before.width, step)
    if kind == "most":
        rest = terms.two("sub", before, number)
        return terms.every([terms.two("ule", number, before), terms.two("ule", after, rest)])
    total = terms.two("add", after, number)
    return terms.every([terms.two("ule", before, total), terms.two("ule", after, total)])


def entering_goals(subject: Subject, proof: FunctionProof, fact: Fact) -> Iterator[Goal]:
    """
    That the measure is at most (least) the bound where the loop is entered.
    """
    terms = subject.terms
    width = fact.measure[fact.of].width
    bound = terms.const(width, fact.bound)
    for cut, end in subject.arriving(proof.function, fact.of):
        if cut not in fact.measure:
            value = terms.substituted(fact.measure[fact.of], proof.put(fact.of, end))
            order = ("ule", value, bound) if fact.kind == "most" else ("ule", bound, value)
            yield Goal(cut, end.guard, terms.two(*order))


def region_goals(
    subject: Subject, proof: FunctionProof, spans: Sequence[tuple[int, int]],
    shadow: tuple[int, int] | None = None,
) -> Iterator[Goal]:  # fmt: skip
    """
    That stores leave the regions of constants alone, loads from them lie inside, and so on.

    *shadow*: the global that is the stack pointer of linear memory, and its least value.
    """
    terms = subject.terms
    for cut, region in proof.regions.items():
        for access in region.writes:
            yield Goal(cut, access.guard, _apart(terms, access, spans))
        for loaded in region.loads:
            read = proof.executor.reads.tables.get(loaded.at)
            if read is not None:
                first, length, _ = read
                last = terms.const(32, first + length - loaded.size)
                low = terms.two("uge", loaded.address, terms.const(32, first))
                inside = terms.every([low, terms.two("ule", loaded.address, last)])
                yield Goal(cut, loaded.guard, inside)
        for grown in region.growths:
            most = terms.const(_WIDE, subject.most_pages)
            yield Goal(cut, grown.granted, terms.two("ule", grown.after, most))
        for item in region.assigned:
            if shadow is not None and item.index == shadow[0]:
                least = terms.const(item.value.width, shadow[1])
                yield Goal(cut, item.guard, terms.two("uge", item.value, least))


def frame_goals(subject: Subject, proof: FunctionProof) -> Iterator[Goal]:
    """
    That all writes stay off the cells of the function, unless they are followed.
    """
    if not proof.executor.cells:
        return
    for cut, region in proof.regions.items():
        for access in written(subject, region):
            if not access.followed:
                for formula in off_cells(subject, proof, access):
                    yield Goal(cut, access.guard, formula)


def off_cells(
    subject: Subject, proof: FunctionProof, access: Access, cells: Sequence[Cell] | None = None
) -> Iterator[Term]:
    """
    For each span of *cells*, by default of all cells, that an access lies outside of it.
    """
    terms, frame = subject.terms, proof.executor.frame
    if frame is None:
        return
    for offset, size in spans(frame.cells if cells is None else cells):
        low = terms.extend(address(proof.executor, frame, offset), _WIDE)
        high = terms.two("add", low, terms.const(_WIDE, size))
        inside = terms.two("ule", high, terms.const(_WIDE, 1 << 32))
        before = terms.two("ule", access.end, low)
        yield terms.every([inside, terms.some([before, terms.two("ule", high, access.start)])])


def written(subject: Subject, region: Region) -> Iterator[Access]:
    """
    Everything that is written behind a cut, by its instructions and by what they call.
    """
    yield from region.writes
    for called in region.calls:
        for span in subject.written(called) or ():
            start, end = (subject.terms.extend(t, _WIDE) for t in (span.start, span.end))
            yield Access(called.at, called.guard, start, end)


def promise_goals(subject: Subject, proof: FunctionProof) -> Iterator[Goal]:
    """
    That a function writes only what it is said to.
    """
    promised = subject.writes.get(proof.function)
    if promised is None:
        return
    for cut, region in proof.regions.items():
        for access in written(subject, region):
            yield Goal(cut, access.guard, within_spans(subject.terms, access, promised))


def within_spans(terms: Terms, access: Access, promised: Sequence[Span]) -> Term:
    """
    That an access writes nothing, or lies in one of some spans.
    """
    found = [terms.two("uge", access.start, access.end)]
    for span in promised:
        low, high = (terms.extend(term, _WIDE) for term in (span.start, span.end))
        inside = [terms.two("ule", low, access.start), terms.two("ule", access.end, high)]
        found.append(terms.every(inside))
    return terms.some(found)


def _apart(terms: Terms, access: Access, spans: Sequence[tuple[int, int]]) -> Term:
    parts = []
    for start, end in spans:
        before = terms.two("ule", access.end, terms.const(_WIDE, start))
        behind = terms.two("uge", access.start, terms.const(_WIDE, end))
        parts.append(terms.some([before, behind]))
    return terms.every(parts)


def recursion_goals(subject: Subject, proof: FunctionProof) -> Iterator[Goal]:
    """
    That the potential pays for an activation and for all recursive calls that it makes.

    At the cuts behind the entry all of it but 1 is still there, so loops make no recursive calls.
    """
    if proof.function not in subject.potentials:
        return
    terms = subject.terms
    potential, _ = subject.potentials[proof.function]
    one = terms.const(potential.width, 1)
    yield Goal(ENTRY, terms.true, terms.two("uge", potential, one))
    left = terms.extend(terms.two("sub", potential, one), 64)
    nothing = terms.const(64, 0)
    for cut, region in proof.regions.items():
        used = nothing
        for called in region.calls:
            if called.function in subject.potentials:
                part = terms.ite(called.guard, subject.potential(called), nothing)
                used = terms.two("add", used, part)
        for target, end in region.ends:
            wanted = nothing if target >= 0 else left
            yield Goal(cut, end.guard, terms.two("ule", used, wanted))


def calling_goals(subject: Subject, proof: FunctionProof) -> Iterator[Goal]:
    """
    That calls from outside give a recursive function no more potential than is claimed.
    """
    terms = subject.terms
    for cut, region in proof.regions.items():
        for called in region.calls:
            if called.function in subject.potentials and called.function != proof.function:
                most = terms.const(64, subject.potentials[called.function][1])
                yield Goal(cut, called.guard, terms.two("ule", subject.potential(called), most))
