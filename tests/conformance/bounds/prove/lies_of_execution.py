"""
Wrong ideas of how states meet and change, put into the prover's execution of code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from lies_of_meaning import Lie, Tell, about

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove import frames, minimise, prover, subject
from conformance.bounds.prove.segments import Executor, _Run
from conformance.bounds.prove.states import State
from conformance.bounds.prove.subject import FunctionProof
from conformance.bounds.prove.terms import Term, leaves

_rising = ("limit in a local", "limit in a global", "limit below a loop")


def _merged(part: str, *, keeps_old: bool) -> Tell:
    """
    Where paths meet, *part* is what one of them had, `guard` the path itself.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = _Run.merged

        def lying(run: _Run, old: State, new: State) -> State:
            found = right(run, old, new)
            setattr(found, part, getattr(old if keeps_old else new, part))
            return found

        patch.setattr(_Run, "merged", lying)

    return tell


def _turned(*names: str, forward: bool = False) -> Tell:
    """
    Conditions of some instructions mean the opposite.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = _Run.conditional

        def lying(run: _Run, at: int, name: str, state: State) -> State | None:
            if name in names and (not forward or run.layout.ways[at][0].target > at):
                state.stack[-1] = run.terms.bit(
                    run.terms.two("eq", state.stack[-1], run.terms.const(32, 0))
                )
            return right(run, at, name, state)

        patch.setattr(_Run, "conditional", lying)

    return tell


def _select_turned(patch: pytest.MonkeyPatch) -> None:
    right = _Run.plain

    def lying(run: _Run, at: int, instruction: Any, state: State) -> None:
        if instruction.opcode.name == "select":
            state.stack[-2], state.stack[-3] = state.stack[-3], state.stack[-2]
        right(run, at, instruction, state)

    patch.setattr(_Run, "plain", lying)


def _indexed(change: Callable[[_Run, Term], Term]) -> Tell:
    """
    `br_table` by something else than its index.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = _Run.table

        def lying(run: _Run, at: int, state: State) -> None:
            state.stack[-1] = change(run, state.stack[-1])
            right(run, at, state)

        patch.setattr(_Run, "table", lying)

    return tell


def _kept(*kinds: str) -> Tell:
    """
    What a loop does to variables of some kinds is forgotten.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = FunctionProof.put

        def lying(proof: FunctionProof, cut: int, end: State) -> dict[Term, Term]:
            put, known = right(proof, cut, end), dict[Term, frozenset[Term]]()
            return {
                variable: variable if _moves(variable, term, kinds, known) else term
                for variable, term in put.items()
            }

        patch.setattr(FunctionProof, "put", lying)

    return tell


def _moves(
    variable: Term, term: Term, kinds: tuple[str, ...], known: dict[Term, frozenset[Term]]
) -> bool:
    if variable.operator == "local" and variable.numbers[0] != 2:
        return False
    return variable.operator in kinds and variable in leaves(term, known)


def _as_at_entry(patch: pytest.MonkeyPatch) -> None:
    """
    Globals and pages at a loop are taken for those at the entry.
    """
    right = Executor.start

    def lying(executor: Executor, cut: int) -> State:
        found = right(executor, cut)
        if cut != ENTRY:
            found.globals, found.pages = executor.entry_globals[:], executor.entry_pages
        return found

    patch.setattr(Executor, "start", lying)


def _effects_of_calls(part: str) -> Tell:
    """
    Calls leave globals, or pages, as they were.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = _Run.affect

        def lying(run: _Run, at: int, state: State, functions: Any) -> None:
            kept = state.copy()
            right(run, at, state, functions)
            setattr(state, part, getattr(kept, part))

        patch.setattr(_Run, "affect", lying)

    return tell


def _result_is_small(patch: pytest.MonkeyPatch) -> None:
    right = _Run.call

    def lying(run: _Run, at: int, instruction: Any, state: State) -> None:
        before = len(state.stack)
        right(run, at, instruction, state)
        if len(state.stack) >= before and run.region.calls[-1].results:
            terms = run.terms
            state.stack[-1] = terms.two("and", state.stack[-1], terms.const(32, 3))

    patch.setattr(_Run, "call", lying)


def _one_target(place: int) -> Tell:
    def tell(patch: pytest.MonkeyPatch) -> None:
        right = _Run.targets

        def lying(run: _Run, index: Term, table: int, kind: int) -> list[tuple[Term, int]]:
            found = right(run, index, table, kind)
            return [found[place]]

        patch.setattr(_Run, "targets", lying)

    return tell


def _growth(*, granted: bool) -> Tell:
    """
    `memory.grow` is always, or never, granted.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = _Run.memory

        def lying(run: _Run, at: int, name: str, state: State) -> None:
            before, wanted, terms = state.pages, state.stack[-1] if state.stack else None, run.terms
            right(run, at, name, state)
            if name != "memory.grow" or wanted is None:
                return
            state.stack[-1] = before if granted else terms.const(32, -1)
            state.pages = terms.two("add", before, wanted) if granted else before

        patch.setattr(_Run, "memory", lying)

    return tell


def _always_entry(patch: pytest.MonkeyPatch) -> None:
    """
    Every function is said to begin with the globals of instantiation.
    """
    right = Executor

    def lying(terms: Any, image: Any, layout: Any, _: bool, reads: Any) -> Executor:  # noqa: FBT001 - as the class has it
        return right(terms, image, layout, True, reads)

    patch.setattr(subject, "Executor", lying)


def _given(change: Callable[[Term, prover.Prover], Term]) -> Tell:
    """
    The precondition says something else of the arguments.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = prover.Prover._given

        def lying(self: prover.Prover, found: subject.Subject) -> list[Term]:
            return [change(term, self) for term in right(self, found)]

        patch.setattr(prover.Prover, "_given", lying)

    return tell


def _lower_top(term: Term, self: prover.Prover) -> Term:
    left, right = term.operands
    if term.operator != "ule" or right.value is None:
        return term
    return self._terms.two("ule", left, self._terms.const(32, right.value - 1))


def _higher_bottom(term: Term, self: prover.Prover) -> Term:
    left, right = term.operands
    if term.operator != "ule" or left.value is None:
        return term
    return self._terms.two("ule", self._terms.const(32, left.value + 1), right)


def local_for_parameter(patch: pytest.MonkeyPatch, *, stated: bool) -> None:
    """
    The precondition is bound to local 0, as if no compiler ever reused the local of a parameter.

    *stated*: at every cut, where the certificate shows it; otherwise it is assumed in silence.
    """
    right = subject.Subject.hypotheses

    def of_locals(found: subject.Subject, cut: int) -> list[Term]:
        terms = found.terms
        params = found.functions[found.entry].executor.params
        put = {p: terms.variable("local", k, p.width) for k, p in enumerate(params)}
        given = found.holds.get((found.entry, ENTRY), ())
        return [] if cut == ENTRY else [terms.substituted(term, put) for term in given]

    def lying(found: subject.Subject, function: int, cut: int) -> list[Term]:
        if stated and cut != ENTRY:
            kept = found.holds[function, cut]
            kept += [term for term in of_locals(found, cut) if term not in kept]
        return [*right(found, function, cut), *of_locals(found, cut)]

    patch.setattr(subject.Subject, "hypotheses", lying)


def _private(patch: pytest.MonkeyPatch) -> None:
    """
    Cells are taken for written by their function alone, whatever else is written.
    """
    patch.setattr(prover, "shared_cells", lambda *_: {})
    patch.setattr(minimise, "frame_goals", lambda *_: iter(()))


def _promising(change: Callable[[subject.Subject], Any]) -> Tell:
    """
    What callees write is made up, and cells are believed to be private.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        _private(patch)
        patch.setattr(minimise, "promise_goals", lambda *_: iter(()))

        def lying(found: subject.Subject, _: Any) -> None:
            for function in found.functions:
                if function != found.entry:
                    found.writes[function] = change(found)

        patch.setattr(prover, "find_promises", lying)

    return tell


def _own_frame(found: subject.Subject) -> tuple[subject.Span, ...]:
    top = found.terms.variable("entry-global", 0, 32)
    return (subject.Span(found.terms.two("sub", top, found.terms.const(32, 16)), top),)


def _touched_kept(patch: pytest.MonkeyPatch) -> None:
    """
    A store to a part of a cell leaves it as it was.
    """
    right = _Run.store
    patch.setattr(frames, "pairwise", lambda _: ())

    def lying(run: _Run, address: Term, size: int, value: Term, state: State) -> bool:
        kept = state.cells[:]
        found = right(run, address, size, value, state)
        number = run.cell(address, size)
        state.cells[:] = [c if k == number else kept[k] for k, c in enumerate(state.cells)]
        return found

    patch.setattr(_Run, "store", lying)


def _parameters_fixed(patch: pytest.MonkeyPatch) -> None:
    """
    Parameters are taken for what was passed, also where the function sets them.
    """
    right = Executor.fixed

    def lying(executor: Executor) -> dict[int, Term]:
        return {**dict(enumerate(executor.params)), **right(executor)}

    patch.setattr(Executor, "fixed", lying)


def lies_of_execution() -> Iterator[Lie]:
    """
    All of them, in a fixed order.
    """
    for stated in (False, True):
        how = "stated" if stated else "assumed"
        yield about(f"the precondition is bound to the reused local, {how}",
                    partial(local_for_parameter, stated=stated),
                    "n reused", "n counts down from 500")  # fmt: skip
    for part, victims in (
        ("locals", ("then", "else")),
        ("globals", ("global on one path", "global on the other path")),
        ("guard", ("then", "else")),
    ):
        for keeps_old in (True, False):
            which = "first" if keeps_old else "second"
            yield about(f"where paths meet only the {which} one's {part} count",
                        _merged(part, keeps_old=keeps_old), *victims)  # fmt: skip
    yield about("then and else are exchanged", _turned("if"), "then never")
    yield about("the way out of a block is exchanged", _turned("br_if", forward=True), "out early")
    yield about("every way out is exchanged", _turned("br_if"), "nest", "up to n")
    yield about("select chooses the other", _select_turned, "grow refused", "grow granted")
    yield about("br_table is one further", _indexed(
        lambda run, index: run.terms.two("add", index, run.terms.const(32, 1))),
        "first of a table")  # fmt: skip
    yield about("br_table never takes its default", _indexed(
        lambda run, index: run.terms.two("and", index, run.terms.const(32, 1))),
        "default of a table")  # fmt: skip
    yield about("a local keeps its value in loops", _kept("local"), _rising[0])
    yield about("a global keeps its value in loops", _kept("global"), _rising[1])
    yield about("an operand below a loop keeps its value", _kept("stack"), _rising[2])
    yield about("pages stay the same in loops", _kept("pages"), "pages of its own")
    yield about("globals at a loop are those at the entry", _as_at_entry, _rising[1],
                "pages of its own")  # fmt: skip
    yield about("a callee writes no globals", _effects_of_calls("globals"),
                "limit in a callee's global")  # fmt: skip
    yield about("a callee does not grow memory", _effects_of_calls("pages"), "pages of a callee")
    yield about("a result is below 4", _result_is_small, "result")
    for place, which in ((0, "first"), (1, "last")):
        yield about(f"an indirect call reaches its {which} target only", _one_target(place),
                    "indirect")  # fmt: skip
    yield about("growth is always granted", _growth(granted=True), "grow refused")
    yield about("growth is never granted", _growth(granted=False), "grow granted")
    yield about("a callee begins with the globals of a fresh instance", _always_entry,
                "global for a callee")  # fmt: skip
    yield about("an argument never is its greatest", _given(_lower_top), "up to n")
    yield about("an argument never is its least", _given(_higher_bottom), "up to n, n least",
                "n counts")  # fmt: skip
    yield about("a store leaves constants alone", lambda _: None, "constants stored to")
    yield about("a store through a pointer stays off the frame", _private, "in a frame, stored to")
    yield about("a callee writes nothing", _promising(lambda _: ()),
                "in a frame, for a callee", "in a frame, below a callee's")  # fmt: skip
    yield about("a callee writes below its stack pointer only", _promising(_own_frame),
                "in a frame, for a callee", "in a frame, below a callee's")  # fmt: skip
    yield about("a store to a part of a cell leaves it alone", _touched_kept,
                "in a frame, touched")  # fmt: skip
    yield about("a cell keeps its value in loops", _kept("cell"), "limit in a frame")
    yield about("where paths meet only the first one's cells count",
                _merged("cells", keeps_old=True), "in a frame, by then")  # fmt: skip
    yield about("a parameter that is set keeps what was passed", _parameters_fixed,
                "in a frame, n reused")  # fmt: skip
