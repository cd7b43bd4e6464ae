"""
The functions that a call can enter, their regions, and what is supposed to hold at each cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from conformance.bounds.certificate import ENTRY
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.check.semantics.layout import Layout
from conformance.bounds.prove.segments import Executor
from conformance.bounds.prove.states import Called, Frame, Reads, Region, State
from conformance.bounds.prove.terms import VARIABLES, Term, Terms, leaves

RETURN: Final = -2
"""The place of promises: where a function returns."""
Key = tuple[int, int]
"""(Function, cut or RETURN)."""


@dataclass(frozen=True, slots=True)
class Span:
    """
    Addresses from *start* up to, not including, *end*: 32 bits, by what a function's entry finds.
    """

    start: Term
    end: Term


@dataclass(slots=True)
class FunctionProof:
    """
    One function of the module's own, under the requirement at its ENTRY.
    """

    function: int
    layout: Layout
    executor: Executor
    regions: dict[int, Region]
    relevant: dict[int, frozenset[Term]] = field(default_factory=dict)
    """Cut -> variables of its state that can influence control, growth or required addresses."""

    def state(self, cut: int) -> State:
        """
        The variables at a cut.
        """
        return self.regions[cut].start

    def put(self, cut: int, end: State) -> dict[Term, Term]:
        """
        Variables at *cut* -> their terms in a state that arrives there.
        """
        start = self.regions[cut].start
        pairs = [
            *zip(start.locals, end.locals, strict=True),
            *zip(start.stack, end.stack, strict=False),
            *zip(start.globals, end.globals, strict=True),
            (start.pages, end.pages),
            *zip(start.cells, end.cells, strict=True),
        ]
        fixed = set(self.executor.entry_globals) | {self.executor.entry_pages}
        fixed |= set(self.executor.params)
        return {
            var: term
            for var, term in pairs
            if var not in fixed and var.operator in VARIABLES and var.value is None
        }

    def put_result(self, terms: Terms, end: State) -> dict[Term, Term]:
        """
        Variables of a promise -> their terms in a state that returns.
        """
        results = self.layout.type.results
        found = {
            terms.variable("result", k, value.width): value
            for k, value in enumerate(end.stack[len(end.stack) - len(results) :])
        }
        for k, value in enumerate(end.globals):
            found[terms.variable("global", k, value.width)] = value
        found[terms.variable("pages", 0, 32)] = end.pages
        return found


@dataclass(slots=True)
class Subject:
    """
    All functions of a proof; `holds` is what is supposed, or by now proved.
    """

    terms: Terms
    image: Image
    functions: dict[int, FunctionProof]
    entry: int
    holds: dict[Key, list[Term]] = field(default_factory=dict)
    potentials: dict[int, tuple[Term, int]] = field(default_factory=dict)
    """
    Recursive function -> what one activation may use up, over its parameters, and the most that
    calls from outside give it.
    """
    most_pages: int = 65536
    """The most pages of linear memory that are claimed."""
    amounts: dict[tuple[int, int, str, str], tuple[int, int]] = field(default_factory=dict)
    """(Function, call, host, length that it bills by) -> the least and the most of it."""
    writes: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    """
    What functions are said to write, over `param` and `entry-global`; one that is not there may
    write anything.
    """

    def required(self, called: Called) -> Sequence[Term]:
        """
        What the callee requires, in the caller's terms.
        """
        put = self._at_call(called, called.before)
        known: dict[Term, Term] = {}
        wanted = self.holds.get((called.function, ENTRY), ())
        return [self.terms.substituted(term, put, known) for term in wanted]

    def potential(self, called: Called) -> Term:
        """
        The potential that a recursive call uses up, in the caller's terms, 64 bits.
        """
        term, _ = self.potentials[called.function]
        used = self.terms.substituted(term, self._at_call(called, called.before))
        return self.terms.extend(used, 64)

    def written(self, called: Called) -> list[Span] | None:
        """
        What a call may write, in the caller's terms; None: anything.
        """
        spans = self.writes.get(called.function)
        if spans is None:
            return None
        put, known = self._at_call(called, called.before), dict[Term, Term]()
        return [
            Span(*(self.terms.substituted(term, put, known) for term in (span.start, span.end)))
            for span in spans
        ]

    def promised(self, called: Called) -> list[Term]:
        """
        What the callee promises, in the caller's terms.
        """
        put = self._at_call(called, called.before)
        for k, value in enumerate(called.results):
            put[self.terms.variable("result", k, value.width)] = value
        for k, value in enumerate(called.after.globals):
            put[self.terms.variable("global", k, value.width)] = value
        put[self.terms.variable("pages", 0, 32)] = called.after.pages
        known: dict[Term, Term] = {}
        if called.reentered:
            # A host may call more than once, or not at all: nothing is known afterwards.
            return [self.terms.true for _ in self.holds.get((called.function, RETURN), ())]
        made = [
            self.terms.substituted(term, put, known)
            for term in self.holds.get((called.function, RETURN), ())
        ]
        return [self.terms.some([self.terms.no(called.guard), term]) for term in made]

    def _at_call(self, called: Called, before: State) -> dict[Term, Term]:
        put = {
            self.terms.variable("param", k, value.width): value
            for k, value in enumerate(called.arguments)
        }
        for k, value in enumerate(before.globals):
            put[self.terms.variable("entry-global", k, value.width)] = value
        put[self.terms.variable("entry-pages", 0, 32)] = before.pages
        return put

    def hypotheses(self, function: int, cut: int) -> list[Term]:
        """
        What may be assumed in the region behind a cut.
        """
        region = self.functions[function].regions[cut]
        found = list(self.holds.get((function, cut), ()))
        found += self.page_facts(region.start, self.functions[function].executor)
        for called in region.calls:
            found += self.promised(called)
            found += self.grown(called)
        return found

    def page_facts(self, state: State, executor: Executor) -> list[Term]:
        """
        What is known of pages at any cut: they lie within limits and never become fewer.
        """
        terms = self.terms
        found: list[Term] = []
        for pages in dict.fromkeys((executor.entry_pages, state.pages)):
            if pages.value is None:
                found.append(terms.two("ule", pages, terms.const(32, self.most_pages)))
                if self.image.precondition.fresh:
                    found.append(terms.two("uge", pages, terms.const(32, self.image.pages)))
        found.append(terms.two("ule", executor.entry_pages, state.pages))
        return [term for term in found if term.value != 1]

    def grown(self, called: Called) -> list[Term]:
        """
        What is known of pages after a call that may have grown memory.
        """
        terms, after, before = self.terms, called.after.pages, called.before.pages
        if after is before:
            return []
        return [
            terms.two("uge", after, before),
            terms.two("ule", after, terms.const(32, self.most_pages)),
        ]

    def arriving(self, function: int, target: int) -> list[tuple[int, State]]:
        """
        (Cut, state) of the segments of a function that end at *target* (a cut or EXIT).
        """
        return [
            (cut, state)
            for cut, region in self.functions[function].regions.items()
            for to, state in region.ends
            if to == target
        ]


def open_subject(
    image: Image, entry: int, most_pages: int, reads: Mapping[int, Reads], terms: Terms,
    frames: Mapping[int, Frame] = MappingProxyType({}),
) -> Subject:  # fmt: skip
    """
    Execute all regions of every function that a call of *entry* can enter.
    """
    functions: dict[int, FunctionProof] = {}
    called = {callee for f in image.reachable(entry) for callee in image.called(f)}
    for function in sorted(image.reachable(entry)):
        layout = image.layout(function)
        alone = function == entry and entry not in called
        executor = Executor(terms, image, layout, alone, reads.get(function, Reads()))
        executor.frame = frames.get(function)
        regions = {cut: executor.region(cut) for cut in layout.cuts}
        functions[function] = FunctionProof(function, layout, executor, regions)
    subject = Subject(terms, image, functions, entry, most_pages=most_pages)
    for proof in functions.values():
        proof.relevant = relevant(proof)
    return subject


def _deciding(proof: FunctionProof, known: dict[Term, frozenset[Term]]) -> dict[int, set[Term]]:
    """
    Variables at each cut that the region behind it depends on.
    """
    found: dict[int, set[Term]] = {cut: set() for cut in proof.regions}
    for cut, region in proof.regions.items():
        wanted = [state.guard for _, state in region.ends]
        wanted += [grown.after for grown in region.growths]
        wanted += [item.value for item in region.assigned]
        wanted += [loaded.address for loaded in region.loads if loaded.value.operator == "lookup"]
        if proof.executor.cells:
            apart = [access for access in region.writes if not access.followed]
            wanted += [term for access in apart for term in (access.start, access.end)]
        for called in region.calls:
            wanted += [called.guard, *called.arguments, *called.before.globals]
        for term in wanted:
            found[cut] |= leaves(term, known)
    return found


def relevant(proof: FunctionProof) -> dict[int, frozenset[Term]]:
    """
    The cone of influence: variables that guards, addresses, arguments and growth depend on.
    """
    known: dict[Term, frozenset[Term]] = {}
    found = _deciding(proof, known)
    frame = proof.executor.frame
    if frame is not None:
        top = leaves(proof.executor.entry_globals[frame.pointer], known)
        found = {cut: variables | top for cut, variables in found.items()}
    changed = True
    while changed:
        changed = False
        for cut, region in proof.regions.items():
            for target, state in region.ends:
                if target < ENTRY:
                    continue
                put = proof.put(target, state)
                need = {v for v in found[target] if v not in put and v.operator != "unknown"}
                for variable in list(found[target]):
                    if variable in put:
                        need |= leaves(put[variable], known)
                if not need <= found[cut]:
                    found[cut] |= need
                    changed = True
    return {
        cut: frozenset(v for v in variables if v.operator != "unknown")
        for cut, variables in found.items()
    }
