"""
Facts about how often loops go round: ranks that fall on every back edge, found and proved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final

from conformance.bounds.check.semantics.layout import Edge
from conformance.bounds.prove.candidates import comparisons, split, step_of
from conformance.bounds.prove.obligations import Fact, inside_goals
from conformance.bounds.prove.solver import Model, Solver
from conformance.bounds.prove.states import State
from conformance.bounds.prove.subject import FunctionProof, Subject
from conformance.bounds.prove.terms import Term, Terms, evaluate, leaves, text
from conformance.bounds.prove.walks import Walk

_MOST_CANDIDATES: Final = 60
_MOST_INNER: Final = 4
"""Inner loops for each of which a measure of its own is tried."""


@dataclass(frozen=True, slots=True)
class Failure:
    """
    The best candidate that failed, and a state in which it does.
    """

    candidate: str
    state: tuple[str, ...]
    """Sentences `local 3 = 17`."""


@dataclass(slots=True)
class Ranker:
    """
    Searches ranks for the loops of one function, over what `settle` has left.
    """

    subject: Subject
    solver: Solver
    proof: FunctionProof
    failures: dict[int, Failure] = field(default_factory=dict)
    walks: Sequence[Walk] = ()
    """Loops of the function that walk over constants."""

    def back_edges(self, loop: int) -> list[Edge]:
        """
        The edges that go back to the head of a loop.
        """
        return [e for e in sorted(self.proof.layout.edges) if e[1] == loop + 1 and e[0] != loop]

    def zone(self, loop: int) -> list[int]:
        """
        The loop and the loops in it.
        """
        return [cut for cut in self.proof.layout.cuts if self.proof.layout.inside(cut, loop)]

    def facts(self, loop: int) -> list[Fact]:
        """
        The best facts of kind `most` and `least` that can be proved of a loop; empty: none.
        """
        dead = self._never_back(loop)
        if dead is not None:
            return [dead]
        walked = self._walked(loop)
        if walked:
            return walked
        best: Fact | None = None
        for step, term in self.candidates(loop):
            for measure in self._measures(loop, step, term):
                limit = None if best is None else best.bound * step // best.weight
                found = self._most(loop, step, measure, limit)
                if found is None:
                    continue
                if best is None or found.bound * best.weight < best.bound * found.weight:
                    best = found
                least = self._least(loop, step, measure)
                if least is not None and least.bound * found.weight == found.bound * least.weight:
                    return [found, least]
                break
        if best is None:
            return []
        amortised = self._amortised(loop, best)
        if amortised:
            return [best, *amortised]
        least = self._least(loop, best.weight, best.measure)
        return [best] if least is None or not least.bound else [best, least]

    def _amortised(self, loop: int, best: Fact) -> list[Fact]:
        """
        The same measure over loops around: what is used up once is not there again.
        """
        terms, term = self.subject.terms, best.measure[loop]
        more = terms.two("add", term, terms.const(term.width, best.weight))
        found: list[Fact] = []
        for around in reversed(self.proof.layout.around[loop]):
            if around not in self.proof.regions or not self.back_edges(around):
                continue
            tried = (
                self.proved(Fact(loop, "most", best.weight, 0, measure, around, also))
                for also in ((around,), ())
                for measure in (dict.fromkeys(self.zone(around), m) for m in (term, more))
            )
            whole = next((fact for fact in tried if fact is not None), None)
            if whole is None:
                break
            found.append(whole)
        return found

    def _walked(self, loop: int) -> list[Fact]:
        """
        Facts of a walk over constants: per entry, and in all passages of a loop around it.
        """
        found = []
        for walk in self.walks:
            if walk.loop != loop:
                continue
            own = self.proved(Fact(loop, "most", 1, 0, {loop: walk.height}))
            found += [own] if own is not None else []
            for around, measure in walk.sums.items():
                whole = self.proved(Fact(loop, "most", 1, 0, measure, around))
                found += [whole] if whole is not None else []
            if found:
                break
        return found

    # ---------------------------------------------------------------------------- candidates

    def candidates(self, loop: int) -> Iterator[tuple[int, Term]]:
        """
        (Step, measure at the head) from ranges, tests and orders, largest steps first.
        """
        terms = self.subject.terms
        found: dict[tuple[int, Term], None] = {}
        steps = self._steps(loop)
        for variable, sizes in steps.items():
            low, high = self._range(loop, variable)
            for step in sorted({*sizes, 1}, reverse=True):
                if high is not None:
                    top = terms.const(variable.width, high)
                    found[step, terms.two("sub", top, variable)] = None
                if low is not None:
                    found[step, terms.two("sub", variable, terms.const(variable.width, low))] = None
        for step, term in self._from_tests(loop, steps):
            found[step, term] = None
        usable = [item for item in found if item[1].value is None and text(item[1]) is not None]
        yield from usable[:_MOST_CANDIDATES]

    def _steps(self, loop: int) -> dict[Term, set[int]]:
        """
        Variables that move while the loop runs, and by how much from head to head.
        """
        state = self.proof.state(loop)
        moving: dict[Term, set[int]] = {}
        for cut in self.zone(loop):
            for target, end in self.proof.regions[cut].ends:
                if target not in self.zone(loop):
                    continue
                put = self.proof.put(target, end)
                for variable in (*state.locals, *state.stack, *state.globals, *state.cells):
                    after = put.get(variable)
                    if variable not in self.proof.relevant[loop] or variable.value is not None:
                        continue
                    if after is None or after is variable:
                        continue
                    sizes = moving.setdefault(variable, set())
                    step = step_of(variable, after)
                    if step:
                        sizes.add(abs(step))
        return moving

    def _range(self, loop: int, variable: Term) -> tuple[int | None, int | None]:
        """
        What is proved of a variable at the head: least and greatest value, unsigned.
        """
        low: int | None = None
        high: int | None = None
        for term in self.subject.holds.get((self.proof.function, loop), ()):
            if term.operator not in ("ule", "eq"):
                continue
            left, right = term.operands
            if left is variable and right.value is not None and term.operator == "ule":
                high = right.value if high is None else min(high, right.value)
            elif right is variable and left.value is not None and term.operator == "ule":
                low = left.value if low is None else max(low, left.value)
            elif left.operator == "add" and split(left)[0] is variable and right.value is not None:
                # x + c <= w, unsigned: x runs from -c through 0 up to w - c.
                low = -split(left)[1] % (1 << variable.width)
                high = (low + right.value) % (1 << variable.width)
        return (0 if low is None else low), high

    def _from_tests(self, loop: int, steps: Mapping[Term, set[int]]) -> Iterator[tuple[int, Term]]:
        """
        Differences of the two sides of tests, moved so that they count to nothing.
        """
        terms = self.subject.terms
        sizes = sorted({size for found in steps.values() for size in found} | {1}, reverse=True)
        known: dict[Term, frozenset[Term]] = {}
        for cut in self.zone(loop):
            for target, end in self.proof.regions[cut].ends:
                if target != loop:
                    continue
                for _, left, right in comparisons(end.guard):
                    names = leaves(left, known) | leaves(right, known)
                    if any(name.operator == "unknown" for name in names):
                        continue
                    if not names & steps.keys():
                        continue
                    for one, other in ((left, right), (right, left)):
                        difference = terms.two("sub", one, other)
                        for size in sizes:
                            yield size, difference
                            less = terms.const(difference.width, size)
                            yield size, terms.two("sub", difference, less)
                            yield size, terms.two("add", difference, less)
        yield from self._from_orders(loop, steps, sizes)

    def _from_orders(
        self, loop: int, steps: Mapping[Term, set[int]], sizes: Sequence[int]
    ) -> Iterator[tuple[int, Term]]:
        for term in self.subject.holds.get((self.proof.function, loop), ()):
            if term.operator in ("ule", "ult"):
                low, high = term.operands
                if low.value is None and high.value is None and {low, high} & steps.keys():
                    difference = self.subject.terms.two("sub", high, low)
                    for size in sizes:
                        yield size, difference
                        less = self.subject.terms.const(difference.width, size)
                        yield size, self.subject.terms.two("sub", difference, less)

    def _measures(self, loop: int, step: int, term: Term) -> Iterator[dict[int, Term]]:
        """
        Measures for all cuts of the zone: inner loops may run after the variable was moved.
        """
        terms = self.subject.terms
        inner = self.zone(loop)[1:]
        moved = [term, terms.two("add", term, terms.const(term.width, step))]
        choices = [moved] * len(inner)
        if len(inner) > _MOST_INNER:
            yield {loop: term, **dict.fromkeys(inner, term)}
            yield {loop: term, **dict.fromkeys(inner, moved[1])}
            return
        for chosen in product(*choices):
            yield {loop: term, **dict(zip(inner, chosen, strict=True))}

    def depends_on_memory(self, loop: int) -> bool:
        """
        Whether a test that decides if the loop repeats asks a value of which nothing is known.
        """
        known: dict[Term, frozenset[Term]] = {}
        return any(
            leaf.operator == "unknown"
            for cut in self.zone(loop)
            for target, end in self.proof.regions[cut].ends
            if target == loop
            for leaf in leaves(end.guard, known)
        )

    # ------------------------------------------------------------------------------- proofs

    def _at(self, measure: Mapping[int, Term], target: int, end: State) -> Term:
        put = self.proof.put(target, end)
        return self.subject.terms.substituted(measure[target], put)

    def _holds(self, cut: int, guard: Term, goal: Term) -> tuple[bool, Model | None]:
        given = [*self.subject.hypotheses(self.proof.function, cut), guard]
        verdict, model = self.solver.ask(given, goal)
        return verdict == "proved", model

    def _never_back(self, loop: int) -> Fact | None:
        """
        The fact that a loop never goes round.
        """
        zone = self.zone(loop)
        terms = self.subject.terms
        for cut in zone:
            for target, end in self.proof.regions[cut].ends:
                if target == loop and not self._holds(cut, end.guard, terms.false)[0]:
                    return None
        return Fact(loop, "most", 1, 0, dict.fromkeys(zone, terms.const(32, 0)))

    def falls(self, loop: int, step: int, measure: Mapping[int, Term]) -> bool:
        """
        Whether the measure falls by at least *step* on back edges, and rises nowhere in the loop.
        """
        fact = Fact(loop, "most", step, 0, measure)
        for goal in inside_goals(self.subject, self.proof, fact):
            proved, model = self._holds(goal.cut, goal.guard, goal.formula)
            if not proved:
                self._note(loop, measure[loop], goal.cut, model)
                return False
        return True

    def proved(self, fact: Fact) -> Fact | None:
        """
        *fact* with the best bound, where its measure changes as it must; else None.
        """
        for goal in inside_goals(self.subject, self.proof, fact):
            if not self._holds(goal.cut, goal.guard, goal.formula)[0]:
                return None
        bound = self._extreme(fact.of, fact.measure, highest=fact.kind == "most")
        return None if bound is None else replace(fact, bound=bound)

    def _note(self, loop: int, term: Term, cut: int, model: Model | None) -> None:
        """
        Remember the first failed candidate of a loop.
        """
        if loop in self.failures or model is None:
            return
        known: dict[Term, frozenset[Term]] = {}
        names = sorted(
            (v for v in leaves(term, known) | self.proof.relevant[cut] if v.operator != "unknown"),
            key=lambda v: (v.operator, v.numbers),
        )
        state = tuple(
            f"{v.operator}{''.join(f' {n}' for n in v.numbers)} = {model(v)}" for v in names[:12]
        )
        self.failures[loop] = Failure(text(term) or "a measure too long to show", state)

    def _most(
        self, loop: int, step: int, measure: Mapping[int, Term], limit: int | None = None
    ) -> Fact | None:
        """
        The fact that a measure gives; None where it falls too seldom, or begins above *limit*.
        """
        if not self.falls(loop, step, measure):
            return None
        if limit is not None and not self._begins_below(loop, measure, limit):
            return None
        bound = self._extreme(loop, measure, highest=True)
        return None if bound is None else Fact(loop, "most", step, bound, measure)

    def _least(self, loop: int, step: int, measure: Mapping[int, Term]) -> Fact | None:
        """
        The fact that a loop goes round at least so often, before it is left by returning or on.
        """
        fact = Fact(loop, "least", step, 0, measure)
        for goal in inside_goals(self.subject, self.proof, fact):
            if not self._holds(goal.cut, goal.guard, goal.formula)[0]:
                return None
        bound = self._extreme(loop, measure, highest=False)
        return None if bound is None else Fact(loop, "least", step, bound, measure)

    def _begins_below(self, loop: int, measure: Mapping[int, Term], limit: int) -> bool:
        """
        Whether a measure is at most *limit* wherever its loop is entered.
        """
        terms = self.subject.terms
        most = terms.const(measure[loop].width, limit)
        return all(
            self._holds(cut, end.guard, terms.two("ule", self._at(measure, loop, end), most))[0]
            for cut, end in self.subject.arriving(self.proof.function, loop)
            if cut not in measure
        )

    def _extreme(self, loop: int, measure: Mapping[int, Term], *, highest: bool) -> int | None:
        """
        The greatest (least) measure with which the loop is entered; None if it has no limit.
        """
        terms = self.subject.terms
        width = measure[loop].width
        found: int | None = None
        for cut, region in self.proof.regions.items():
            if cut in measure:
                continue
            for target, end in region.ends:
                if target != loop:
                    continue
                hypotheses = [*self.subject.hypotheses(self.proof.function, cut), end.guard]
                if self.solver.proves(hypotheses, terms.false):
                    continue
                value = self._at(measure, target, end)
                limit = search(self.solver, hypotheses, value, highest=highest)
                if limit is None or limit == (1 << width) - 1:
                    return None
                found = limit if found is None else (max if highest else min)(found, limit)
        return 0 if found is None else found


def search(solver: Solver, hypotheses: Sequence[Term], value: Term, *, highest: bool) -> int | None:
    """
    The extreme of *value*, by bisection in which models jump ahead; None: undecided.
    """
    made = solver.terms
    if value.value is not None:
        return value.value
    low, high = 0, (1 << value.width) - 1
    while low < high:
        middle = (low + high) // 2
        if highest:
            # Small bounds are tried first: most loops are short against 2^32.
            middle = min(middle, max(16, 16 * low + 15))
            goal = made.two("ule", value, made.const(value.width, middle))
        else:
            middle = max(middle, high // 16) + 1 if high - low > 1 else high
            middle = min(middle, high)
            goal = made.two("uge", value, made.const(value.width, middle))
        verdict, model = solver.ask(hypotheses, goal)
        if verdict == "undecided":
            return None
        if highest:
            if verdict == "proved":
                high = middle
            else:
                low = max(middle + 1, _seen(value, model, made) or 0)
        elif verdict == "proved":
            low = middle
        else:
            seen = _seen(value, model, made)
            high = min(middle - 1, high if seen is None else seen)
    return low


def _seen(value: Term, model: Model | None, made: Terms) -> int | None:
    return None if model is None else evaluate(value, model, made)
