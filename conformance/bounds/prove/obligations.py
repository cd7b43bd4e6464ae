"""
What must be shown beside the invariants: of flow facts, of constants in memory, of the stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove.states import TRAP, Access
from conformance.bounds.prove.subject import FunctionProof, Subject
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
