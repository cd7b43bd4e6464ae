"""
Wrong inferences: of invariants, of the solver, of ranks, of prices, each with a victim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from lies_of_meaning import Lie, Tell, about

from conformance.bounds.certificate import ENTRY
from conformance.bounds.prove import (
    houdini,
    prover,
    ranks,
    recursion,
    solver,
    stack,
    subject,
    walks,
    writing,
)
from conformance.bounds.prove import prices as prices_room
from conformance.bounds.prove.candidates import arguments
from conformance.bounds.prove.houdini import Way
from conformance.bounds.prove.obligations import Fact
from conformance.bounds.prove.prices import Row, Solution, System
from conformance.bounds.prove.ranks import Ranker
from conformance.bounds.prove.subject import RETURN
from conformance.bounds.prove.terms import Term
from conformance.bounds.prove.writing import Writer

Change = Callable[..., Any]


def _after(where: Any, name: str, change: Change) -> Tell:
    """
    What *name* gives is changed: *change* is called with it and the arguments.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = getattr(where, name)

        def lying(*given: Any, **named: Any) -> Any:
            return change(right(*given, **named), *given, **named)

        patch.setattr(where, name, lying)

    return tell


def _instead(where: Any, name: str, answer: Any) -> Tell:
    """
    *name* always gives *answer*.
    """
    return lambda patch: patch.setattr(where, name, lambda *_, **__: answer)


# ------------------------------------------------------------------------------------ invariants


def _unshown(left_out: Callable[[Way], bool]) -> Tell:
    """
    Invariants need not be shown on some ways.
    """
    return _after(
        houdini, "ways", lambda found, *_: iter([way for way in found if not left_out(way)])
    )


def _first_call(patch: pytest.MonkeyPatch) -> None:
    """
    A callee requires what its first call gives, and no other call is looked at.
    """
    right = arguments

    def lying(terms: Any, callers: Any, function: int) -> list[Term]:
        found = right(terms, callers, function)
        numbers = sorted({
            part.value for term in found for part in term.operands if part.value is not None
        })  # fmt: skip
        if not numbers:
            return found
        param = terms.variable("param", 0, 32)
        return [terms.two("eq", param, terms.const(32, numbers[0]))]

    patch.setattr(prover, "arguments", lying)
    _unshown(lambda way: way.target[1] == ENTRY)(patch)


def _bury(patch: pytest.MonkeyPatch) -> None:
    """
    What is supposed at loops is said to contradict itself.
    """

    def lying(found: subject.Subject, _: solver.Solver) -> None:
        for function, proof in found.functions.items():
            for cut in proof.layout.cuts[1:]:
                found.holds[function, cut] = [found.terms.false]

    patch.setattr(prover, "bury", lying)


# ---------------------------------------------------------------------------------------- solver


def _every(number: int) -> Tell:
    """
    Each *number*th question is answered with yes.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right, asked = solver.Solver._check, [0]

        def lying(self: solver.Solver, terms: Sequence[Term]) -> Any:
            asked[0] += 1
            return ("proved", None) if asked[0] % number == 0 else right(self, terms)

        patch.setattr(solver.Solver, "_check", lying)

    return tell


def _operator(name: str, made: Callable[..., Any]) -> Tell:
    return lambda patch: patch.setitem(solver._MEANING, name, made)


def _signed(patch: pytest.MonkeyPatch) -> None:
    _operator("ule", lambda _, a, b: a <= b)(patch)
    _operator("ult", lambda _, a, b: a < b)(patch)


# ----------------------------------------------------------------------------------------- ranks


def _extreme(change: Callable[[int], int], *, highest: bool) -> Tell:
    def lying(found: int | None, *_: Any, **named: Any) -> int | None:
        wanted = found is not None and named["highest"] == highest
        return change(found) if wanted and found is not None else found

    return _after(Ranker, "_extreme", lying)


def _first_way_in(patch: pytest.MonkeyPatch) -> None:
    """
    Only the least of the ways into a loop is looked at.
    """
    right = Ranker._extreme

    def lying(self: Ranker, loop: int, measure: Mapping[int, Term], *, highest: bool) -> int | None:
        del highest
        return right(self, loop, measure, highest=False)

    patch.setattr(Ranker, "_extreme", lying)


def _doubled(found: Fact | None, *_: Any) -> Fact | None:
    return None if found is None else replace(found, weight=2 * found.weight)


def _once_in_all(found: list[Fact], self: Ranker, loop: int, best: Fact) -> list[Fact]:
    """
    What is per entry of a loop is said to be for all passages of the loop around it.
    """
    if found or not self.proof.layout.around[loop]:
        return found
    around = self.proof.layout.around[loop][-1]
    measure = dict.fromkeys(self.zone(around), best.measure[loop])
    return [Fact(loop, "most", best.weight, best.bound, measure, around)]


def _as_least(self: Ranker, loop: int, step: int, measure: Mapping[int, Term]) -> Fact | None:
    bound = self._extreme(loop, measure, highest=True)
    return None if bound is None else Fact(loop, "least", step, bound, measure)


def _jointly(found: list[Fact], self: Ranker, loop: int) -> list[Fact]:
    inner = tuple(cut for cut in self.zone(loop) if cut != loop)
    return [replace(fact, also=inner) for fact in found]


# ------------------------------------------------------------------------------ prices and claims


def _solved(change: Callable[[Solution, bool], Solution]) -> Tell:
    def lying(found: Solution | None, _: System, *, least: bool) -> Solution | None:
        return None if found is None else change(found, least)

    return _after(writing, "solve", lying)


def _system(change: Callable[[System], System], *, of_least: bool | None = None) -> Tell:
    """
    The flow system is another one than the code has.
    """

    def tell(patch: pytest.MonkeyPatch) -> None:
        right = prices_room.solve

        def lying(system: System, *, least: bool) -> Solution | None:
            return right(change(system) if of_least in (None, least) else system, least=least)

        patch.setattr(writing, "solve", lying)

    return tell


def _gas(change: Callable[[int], int]) -> Callable[[System], System]:
    return lambda system: replace(
        system, gas={first: change(paid) for first, paid in system.gas.items()}
    )


def _rows(change: Callable[[Row], Row]) -> Callable[[System], System]:
    return lambda system: replace(system, rows=[change(row) for row in system.rows])


def _other_end(patch: pytest.MonkeyPatch) -> None:
    right = prices_room._paths
    patch.setattr(prices_room, "_paths", lambda s, *, least: right(s, least=not least))


def _fewer_edges(found: list[Any], *_: Any, **__: Any) -> list[Any]:
    """
    Where a block has two ways on, the second is forgotten.
    """
    return list({first: (first, edge) for first, edge in reversed(found)}.values())


def _free_callees(cost: Any, self: Writer, function: int, *_: Any) -> int:
    return int(cost) if function == self.subject.entry else 0


def _cheapest(patch: pytest.MonkeyPatch) -> None:
    right = Writer.gas

    def lying(self: Writer, *given: Any, least: bool) -> Any:
        del least
        return right(self, *given, least=True)

    patch.setattr(Writer, "gas", lying)


def _alone(found: tuple[int, int], *_: Any) -> tuple[int, int]:
    return 1, found[1]


def _potential_of_one(patch: pytest.MonkeyPatch) -> None:
    """
    One activation pays for all of them.
    """

    def lying(found: Any, _: Any, proof: Any, __: Any) -> bool:
        param = proof.executor.params[0]
        found.potentials[proof.function] = (found.terms.two(
            "add", param, found.terms.const(32, 1)), 1)  # fmt: skip
        return True

    patch.setattr(prover, "find_potential", lying)


def _lower_heights(found: tuple[int, ...] | None, *_: Any) -> tuple[int, ...] | None:
    return None if found is None else tuple(max(0, height - 1) for height in found)


def _altered_tables(found: Any, *_: Any) -> Any:
    tables = {n: (w, tuple(min(e, 2) for e in entries)) for n, (w, entries) in found.tables.items()}
    return replace(found, tables=tables)


def _no_growth(found: Any, self: Writer, *_: Any) -> Any:
    cost = self.costs[self.subject.entry, found.model]
    return type(found)(found.model, found.lo, cost.hi, 0, cost.hi)


def lies_of_reasoning() -> Iterator[Lie]:
    """
    All of them, in a fixed order.
    """
    yield from _of_invariants()
    yield from _of_ranks()
    yield from _of_prices()


def _of_invariants() -> Iterator[Lie]:
    rising = ("limit in a local", "limit in a global", "limit below a loop")
    yield about("candidates are invariants", _instead(prover, "settle", None), "nest",
                "asks for 5", *rising)  # fmt: skip
    yield about("invariants need not be kept", _unshown(
        lambda way: way.target == (way.function, way.cut)), *rising)  # fmt: skip
    yield about("invariants need not hold at first",
                _unshown(lambda way: way.cut == ENTRY and way.target[1] >= 0),
                "asks for 5", "n reused")  # fmt: skip
    yield about("promises need not be kept", _unshown(lambda way: way.target[1] == RETURN),
                "limit in a callee's global", "pages of a callee")  # fmt: skip
    yield about("all calls of a function are like the first", _first_call, "two calls", "callee")
    yield about("nothing is needed of what was proved",
                _instead(prover, "minimise", None), "nest")  # fmt: skip
    yield about("hypotheses are left out of the certificate", _after(
        prover, "minimise", lambda _, found, *__: found.holds.clear()),
        "nest", "up to n")  # fmt: skip
    yield about("loops are never reached", _bury, "nest", "up to n", "callee")
    yield about("pages never change", _after(
        subject.Subject, "page_facts", lambda found, self, state, _: [
            *found, self.terms.two("eq", state.pages, self.terms.const(32, self.image.pages))]),
        "pages of its own", "pages of a callee")  # fmt: skip
    yield about("every answer of the solver is yes", _every(1), "nest", "up to n", *rising)
    yield about("every second answer of the solver is yes", _every(2), "nest", "up to n")
    yield about("every third answer of the solver is yes", _every(3), "nest", "up to n")
    yield about("unsigned comparisons are put to the solver as signed ones",
                _signed, "asks for 5", "up to n")  # fmt: skip
    yield about("sums are put to the solver as differences",
                _operator("add", lambda _, a, b: a - b), "up to n", "n counts")  # fmt: skip
    yield about("choices are put to the solver turned round",
                _operator("ite", lambda z, a, b, c: z.If(a, c, b)), "then", "else")  # fmt: skip


def _of_ranks() -> Iterator[Lie]:
    yield about("a rank begins one lower", _extreme(lambda n: max(0, n - 1), highest=True), "nest",
                "up to n", "n reused", "callee")  # fmt: skip
    yield about("a rank begins at half", _extreme(lambda n: n // 2, highest=True), "nest")
    yield about("a least rank begins one higher", _extreme(lambda n: n + 1, highest=False),
                "nest", "n counts")  # fmt: skip
    yield about("a rank begins at its least value", _first_way_in, "up to n", "n counts")
    yield about("every measure falls", _instead(Ranker, "_holds", (True, None)), "nest", "up to n",
                "limit in a local")  # fmt: skip
    yield about("no loop goes round", _after(
        Ranker, "_never_back", lambda _, self, loop: Fact(
            loop, "most", 1, 0, dict.fromkeys(self.zone(loop), self.subject.terms.const(32, 0)))),
        "nest", "up to n", "callee")  # fmt: skip
    yield about("a rank falls by twice its step", _after(Ranker, "_most", _doubled), "nest",
                "up to n")  # fmt: skip
    yield about("what is per entry is for all entries", _after(Ranker, "_amortised", _once_in_all),
                "n times in a loop")  # fmt: skip
    yield about("a loop goes round at least as often as at most",
                lambda patch: patch.setattr(Ranker, "_least", _as_least), "up to n",
                "two ways back")  # fmt: skip
    yield about("one rank counts the inner loops too", _after(Ranker, "facts", _jointly), "nest")
    yield about("only the first way back is counted", lambda patch: patch.setattr(
        Writer, "_row", staticmethod(_first_row)), "two ways back")  # fmt: skip
    yield about("one activation pays for all", _potential_of_one, "recursion")
    yield about("a call from outside gives one less", _after(
        recursion, "_most", lambda found, *_: None if found is None else found - 1),
        "recursion")  # fmt: skip
    yield about("walks are one shorter", _after(walks, "_longest", _lower_heights), "walk")
    yield about("constants are other ones", _after(prover, "find_constants", _altered_tables),
                "constants", "walk")  # fmt: skip
    yield about("the extreme is the first value seen", lambda patch: patch.setattr(
        ranks, "search", _seen_first), "up to n", "n counts")  # fmt: skip


def _first_row(name: str, fact: Fact, edges: Sequence[Any]) -> Row:
    per = frozenset([(fact.of, fact.of + 1)])
    return Row(name, fact.kind == "least", dict.fromkeys(edges, 2 * fact.weight), fact.bound, per)


def _seen_first(asker: Any, hypotheses: Any, value: Term, *, highest: bool) -> int | None:
    """
    A value that the solver finds possible, instead of the greatest or least.
    """
    del highest
    terms = asker.terms
    _, model = asker.ask(hypotheses, terms.two("ne", value, terms.const(value.width, 4)))
    return 4 if model is not None else 0


def _of_prices() -> Iterator[Lie]:
    yield about("the most is one less", _solved(
        lambda found, least: found if least else replace(found, bound=found.bound - 1)),
        "nest", "up to n", "then")  # fmt: skip
    yield about("the least is one more", _solved(
        lambda found, least: replace(found, bound=found.bound + 1) if least else found),
        "nest", "then")  # fmt: skip
    yield about("blocks cost one less", _system(_gas(lambda paid: max(0, paid - 1))), "nest")
    yield about("blocks cost one more", _system(_gas(lambda paid: paid + 1)), "nest", "then")
    yield about("entering a function costs nothing",
                _system(lambda system: replace(system, entry=0)), "nest", "callee")  # fmt: skip
    yield about("longest and shortest paths are exchanged", _other_end, "grows", "branching")
    yield about("the second way on is forgotten", _after(prices_room, "_edges", _fewer_edges),
                "branching")  # fmt: skip
    yield about("a bound per entry is once per call",
                _system(_rows(lambda row: replace(row, per=None))), "nest")  # fmt: skip
    yield about("a bound in the system is one less", _system(
        _rows(lambda row: replace(row, bound=max(0, row.bound - 1))), of_least=False),
        "nest", "up to n")  # fmt: skip
    yield about("callees cost nothing", _after(Writer, "_whole", _free_callees), "callee",
                "two calls")  # fmt: skip
    yield about("of callees the cheapest is paid", _cheapest, "indirect")
    yield about("pages that are granted cost nothing", _after(Writer, "bound", _no_growth), "grows")
    yield about("memory does not grow", _after(
        prover, "most_pages", lambda _, found, *__: found.image.pages), "grows",
        "grow granted")  # fmt: skip
    yield about("the stack is one function deep", _after(Writer, "stack", _alone), "callee",
                "recursion")  # fmt: skip
    yield about("the stack pointer does not fall", _after(
        stack, "_lowest", lambda _, __, ___, ____, initial: initial), "callee")  # fmt: skip
    yield about("no run ends inside of a block",
                _system(lambda system: replace(system, stops=frozenset())),
                "trap in a callee", "indirect")  # fmt: skip
