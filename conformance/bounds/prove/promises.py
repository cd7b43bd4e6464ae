"""
What functions write: their frames, and the parts of memory that their other stores stay in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.bounds.prove.obligations import off_cells, within_spans, written
from conformance.bounds.prove.ranks import search
from conformance.bounds.prove.solver import Solver
from conformance.bounds.prove.states import Access, Cell
from conformance.bounds.prove.subject import FunctionProof, Span, Subject
from conformance.bounds.prove.terms import VARIABLES, Term, leaves
from conformance.wasm.calls import call_graph

_WIDE: Final = 40
_LONGEST: Final = 1 << 20
"""Bytes of a part of memory that is told by numbers."""
_MOST_SPANS: Final = 16
_ELEMENTS: Final = (1, 2, 4, 8)


def find_promises(subject: Subject, solver: Solver) -> None:
    """
    Fill `subject.writes`, callees first; functions for which nothing is proved are left out.
    """
    deepest: dict[int, int] = {}
    for group in call_graph(subject.image.module).order:
        for function in group:
            proof = subject.functions.get(function)
            if proof is None or function == subject.entry:
                continue
            frame = proof.executor.frame
            below = [deepest.get(f, 0) for f in subject.image.called(function)]
            deepest[function] = (frame.size if frame else 0) + max(below, default=0)
            recursive = function in subject.image.called(function)
            found = None if recursive else _Search(subject, solver, proof).spans(deepest[function])
            if found is not None:
                subject.writes[function] = found


def shared_cells(subject: Subject, solver: Solver) -> dict[int, frozenset[Cell]]:
    """
    By function, cells of which it is not proved that nothing else writes to them.
    """
    found: dict[int, frozenset[Cell]] = {}
    for function, proof in subject.functions.items():
        cells = _shared(subject, solver, proof)
        if cells:
            found[function] = cells
    return found


def _shared(subject: Subject, solver: Solver, proof: FunctionProof) -> frozenset[Cell]:
    frame, terms = proof.executor.frame, subject.terms
    if frame is None or not frame.cells:
        return frozenset()
    calls = [called for region in proof.regions.values() for called in region.calls]
    found: set[Cell] = set()
    if any(subject.written(called) is None for called in calls):
        return frozenset(frame.cells)
    for cut, region in proof.regions.items():
        for access in written(subject, region):
            if access.followed:
                continue
            given = [*subject.hypotheses(proof.function, cut), access.guard]
            if solver.proves(given, terms.every(list(off_cells(subject, proof, access)))):
                continue
            for cell in frame.cells:
                goals = list(off_cells(subject, proof, access, (cell,)))
                if not solver.proves(given, terms.every(goals)):
                    found.add(cell)
    return frozenset(found)


@dataclass(slots=True)
class _Search:
    """
    The search for one function.
    """

    subject: Subject
    solver: Solver
    proof: FunctionProof

    def spans(self, deepest: int) -> tuple[Span, ...] | None:
        """
        Spans in which all writes are proved to lie, the frames of *deepest* bytes first.
        """
        found: list[Span] = []
        if deepest:
            found.append(self._frames(deepest))
        regions = self.proof.regions
        if any(
            self.subject.written(called) is None
            for region in regions.values()
            for called in region.calls
        ):
            return None
        for cut, region in regions.items():
            for access in written(self.subject, region):
                if self._inside(cut, access, found):
                    continue
                new = next(
                    (s for s in self._around(cut, access) if self._inside(cut, access, [s])), None
                )
                if new is None:
                    return None
                found = self._joined(found, new)
                if len(found) > _MOST_SPANS:
                    return None
        return tuple(found)

    def _frames(self, deepest: int) -> Span:
        terms, executor = self.subject.terms, self.proof.executor
        pointer = executor.frame.pointer if executor.frame else self._pointer()
        top = executor.entry_globals[pointer]
        return Span(terms.two("sub", top, terms.const(32, deepest)), top)

    def _pointer(self) -> int:
        return next(
            proof.executor.frame.pointer
            for proof in self.subject.functions.values()
            if proof.executor.frame is not None
        )

    def _given(self, cut: int, access: Access) -> list[Term]:
        return [*self.subject.hypotheses(self.proof.function, cut), access.guard]

    def _inside(self, cut: int, access: Access, spans: Sequence[Span]) -> bool:
        goal = within_spans(self.subject.terms, access, spans)
        return self.solver.proves(self._given(cut, access), goal)

    def _around(self, cut: int, access: Access) -> Iterator[Span]:
        """
        Parts of memory that an access may lie in: from a parameter on, or between two numbers.
        """
        terms = self.subject.terms
        given = self._given(cut, access)
        start = self._by_parameters(cut, access.start)
        known: dict[Term, frozenset[Term]] = {}
        for param in sorted(
            (v for v in leaves(start, known) if v.operator == "param" and v.width == 32),  # noqa: PLR2004 - i32
            key=lambda v: v.numbers,
        ):
            wide = terms.extend(param, _WIDE)
            if not self.solver.proves(given, terms.two("ule", wide, access.start)):
                continue
            yield from self._counted(param)
            size = search(self.solver, given, terms.two("sub", access.end, wide), highest=True)
            if size is not None and size <= _LONGEST:
                yield Span(param, terms.two("add", param, terms.const(32, size)))
        low = search(self.solver, given, access.start, highest=False)
        high = search(self.solver, given, access.end, highest=True)
        if low is not None and high is not None and high - low <= _LONGEST and high < 1 << 32:
            yield Span(terms.const(32, low), terms.const(32, high))

    def _counted(self, param: Term) -> Iterator[Span]:
        """
        As many elements as another parameter says.
        """
        terms = self.subject.terms
        for count in self.proof.executor.params:
            if count is not param and count.width == 32:  # noqa: PLR2004 - i32
                for size in _ELEMENTS:
                    length = terms.two("mul", count, terms.const(32, size))
                    yield Span(param, terms.two("add", param, length))

    def _by_parameters(self, cut: int, term: Term) -> Term:
        """
        *term* with variables that are proved to be parameters, or not, replaced by them.
        """
        holds = self.subject.holds.get((self.proof.function, cut), ())
        equal = {
            one: other
            for held in holds
            if held.operator == "eq"
            for one, other in (held.operands, held.operands[::-1])
            if one.operator in VARIABLES - {"param"} and other.operator == "param"
        }
        return self.subject.terms.substituted(term, equal)

    @staticmethod
    def _joined(spans: Sequence[Span], new: Span) -> list[Span]:
        """
        Spans with one more; those from the same start become the longest of them.
        """
        kept = []
        for span in spans:
            same_start = span.start is new.start
            lengths = [
                (s.end.value if s.end.value is not None else _offset(s)) for s in (span, new)
            ]
            if same_start and None not in lengths:
                new = max(span, new, key=lambda s: s.end.value or _offset(s) or 0)
            else:
                kept.append(span)
        return [*kept, new]


def _offset(span: Span) -> int | None:
    """
    The length of a span that ends a number behind its start.
    """
    end = span.end
    if end.operator == "add" and end.operands[0] is span.start:
        return end.operands[1].value
    return None
