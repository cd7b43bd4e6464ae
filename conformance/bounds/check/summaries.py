"""
Everything that must be proved about one summary: cuts, promises, facts, and what is in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.bounds.certificate import ENTRY, Summary
from conformance.bounds.check.facts import Plan, check_zone, fact_goals, plan, start_goals
from conformance.bounds.check.refusals import Reason, Refusal, RefusedError
from conformance.bounds.check.semantics.execution import Region
from conformance.bounds.check.semantics.layout import Edge
from conformance.bounds.check.semantics.state import EXIT, TRAP, Goal, State
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.check.semantics.terms import Value
from conformance.bounds.check.solving import Solving
from conformance.bounds.expressions import Expression

RECURSION = "recursion"
_COUNTER_WIDTH = 64
_POTENTIAL_WIDTH = 32


@dataclass(slots=True)
class Findings:
    """
    What checking found so far.
    """

    refusals: list[Refusal] = field(default_factory=list)
    obligations: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """
    What a summary's obligations are made of.
    """

    subject: Subject
    summary: Summary
    group: frozenset[str]
    """Summaries that it calls recursively, itself included; empty without recursion."""
    solving: Solving
    findings: Findings

    def plans(self) -> list[Plan]:
        """
        Flow facts, the recursion's first if there is one.
        """
        plans = [plan(self.subject, self.summary, fact) for fact in self.summary.facts]
        return [self._recursion(), *plans] if self.group else plans

    def potentials(self) -> dict[str, Expression]:
        """
        Potential of each summary of the recursive group.
        """
        found = {}
        for name in sorted(self.group):
            other = self.subject.summaries[name]
            if other.recursion is None:
                raise RefusedError("structure", f"{name} is recursive and has no potential")
            found[name] = self.subject.term(other, ENTRY, other.recursion.potential)
            if found[name].width > _POTENTIAL_WIDTH:
                raise RefusedError("form", f"{name}: its potential has more than 32 bits")
        return found

    def _recursion(self) -> Plan:
        """
        The potential as a flow fact: each recursive call counts its own potential.
        """
        recursion = self.summary.recursion
        layout = self.subject.layout(self.summary)
        potential = self.potentials()[self.summary.name]
        assert recursion is not None  # noqa: S101 - potentials() has asked
        measures = {m.at: self.subject.term(self.summary, m.at, m.term) for m in recursion.measure}
        one = Expression("const", (potential.width, 1), (), potential.width)
        measures[ENTRY] = Expression("sub", (), (potential, one), potential.width)
        if set(measures) != set(layout.cuts) or any(
            m.width > _COUNTER_WIDTH for m in measures.values()
        ):
            message = f"{self.summary.name}: its potential is not measured at every cut"
            raise RefusedError("form", message)
        wide = {
            at: Expression("zext", (_COUNTER_WIDTH,), (measure,), _COUNTER_WIDTH)
            for at, measure in measures.items()
        }
        cuts = frozenset(layout.cuts)
        most = (1 << _COUNTER_WIDTH) - 1
        return Plan(RECURSION, False, most, _COUNTER_WIDTH, cuts, cuts, wide, {}, None)

    # --------------------------------------------------------------------------------- checks

    def check(self) -> None:
        """
        Prove all obligations; refusals go to the findings.
        """
        plans = self.plans()
        layout = self.subject.layout(self.summary)
        weights: dict[Edge, list[tuple[int, Value]]] = {}
        for number, fact in enumerate(plans):
            for edge, weight in fact.weights.items():
                weights.setdefault(edge, []).append((number, weight))
        potentials = self.potentials() if self.group else {}
        widths = [fact.width for fact in plans]
        segments: dict[int, frozenset[int]] = {}
        for cut in layout.cuts:
            if self.subject.cut(self.summary, cut).dead:
                continue
            region = Region(self.subject, self.summary, cut, self.solving.terms, weights, widths,
                            potentials)  # fmt: skip
            region.run()
            segments[cut] = frozenset(target for target, _ in region.ends if target >= 0)
            self._region(region, plans)
        for fact in plans:
            check_zone(fact, segments, self.summary.name)
        self._terminates(plans, segments)

    def _terminates(self, plans: Sequence[Plan], segments: dict[int, frozenset[int]]) -> None:
        """
        Each repetition of each loop must be counted, per call or per passage of what is around it.

        By induction over the nesting no run then goes on for ever, so every run is the beginning of
        one that ends, and what bounds the gas of those bounds its own.
        """
        layout = self.subject.layout(self.summary)
        for source, target in sorted(layout.edges):
            loop = target - 1
            if loop not in segments or source == loop or loop not in layout.loops:
                continue
            counted = any(
                not fact.least and loop in fact.scope and fact.weights.get((source, target))
                for fact in plans
            )
            if not counted:
                sentence = f"{self.summary.name}: no fact counts the repetitions of loop {loop}"
                self.findings.refusals.append(Refusal("structure", f"{sentence} from {source}"))

    def _hypotheses(self, region: Region) -> list[Value]:
        cut = self.subject.cut(self.summary, region.cut)
        reading = region.reading(region.start)
        held = [
            reading.value(self.subject.formula(self.summary, region.cut, text))
            for text in cut.holds
        ]
        return [region.facts(), *held]

    def _region(self, region: Region, plans: Sequence[Plan]) -> None:
        """
        Everything about the code that begins at one cut.
        """
        hypotheses = self._hypotheses(region)
        where = f"{self.summary.name}, cut {region.cut}"
        self.findings.obligations += 1
        answer, _ = self.solving.satisfiable([*hypotheses])
        if answer != "holds":
            reason: Reason = "contradiction" if answer == "fails" else "undecided"
            what = "contradict each other" if answer == "fails" else "could not be satisfied"
            self.findings.refusals.append(Refusal(reason, f"{where}: its hypotheses {what}"))
            return
        hypotheses += region.definitions
        self._prove(where, region, hypotheses, [*region.goals, *start_goals(region, plans)])
        if self.group and region.cut == ENTRY:
            self._prove(where, region, hypotheses, [self._positive(region)])
        for target, state in region.ends:
            goals = [*self._end(region, target, state), *fact_goals(region, plans, target, state)]
            self._prove(where, region, hypotheses, goals)

    def _positive(self, region: Region) -> Goal:
        value = region.reading(region.start).value(self.potentials()[self.summary.name])
        width = self.potentials()[self.summary.name].width
        return Goal(
            "the potential is at least 1", ENTRY, 1, region.terms.two("uge", value, 1, width)
        )

    def _end(self, region: Region, target: int, state: State) -> Iterator[Goal]:
        """
        What must hold where a segment ends.
        """
        if target == TRAP:
            return
        if target == EXIT:
            count = len(region.layout.type.results)
            results = state.stack[len(state.stack) - count :] if count else []
            reading = region.reading(state, results)
            for text in self.summary.ensures:
                value = reading.value(self.subject.formula(self.summary, None, text))
                yield Goal(f"on return {text}", region.cut, state.guard, value)
            return
        cut = self.subject.cut(self.summary, target)
        if cut.dead:
            yield Goal(f"cut {target} is never reached", region.cut, state.guard, 0)
            return
        reading = region.reading(state)
        for text in cut.holds:
            value = reading.value(self.subject.formula(self.summary, target, text))
            yield Goal(f"at cut {target} {text}", region.cut, state.guard, value)

    def _prove(
        self, where: str, region: Region, hypotheses: Sequence[Value], goals: Sequence[Goal]
    ) -> None:
        """
        Prove goals together; one by one where that fails, to say which one it is.
        """
        terms = region.terms
        formulas = [terms.either(terms.no(goal.guard), goal.formula) for goal in goals]
        self.findings.obligations += len(goals)
        if all(isinstance(formula, int) and formula for formula in formulas):
            return
        if self.solving.implied(hypotheses, formulas)[0] == "holds":
            return
        hypotheses = [*hypotheses, *region.lookups]
        if region.lookups and self.solving.implied(hypotheses, formulas)[0] == "holds":
            return
        shown = self._shown(region)
        for goal, formula in zip(goals, formulas, strict=True):
            if isinstance(formula, int) and formula:
                continue
            names, symbols = [name for name, _ in shown], [symbol for _, symbol in shown]
            answer, values = self.solving.implied(hypotheses, [formula], symbols)
            if answer == "holds":
                continue
            state = ", ".join(f"{n} = {_number(v)}" for n, v in zip(names, values, strict=False))
            at = f"{where}, instruction {goal.place}" if goal.place >= 0 else where
            if answer == "fails":
                example = f"; false for {state}" if state else ""
                sentence = f"{at}: {goal.what[:200]} is not true{example}"
                self.findings.refusals.append(Refusal("obligation", sentence))
            else:
                sentence = f"{at}: {goal.what[:200]} could not be decided within the solver's limit"
                self.findings.refusals.append(Refusal("undecided", sentence))

    @staticmethod
    def _shown(region: Region) -> list[tuple[str, Any]]:
        """
        Variables of the state at the cut, for counterexamples.
        """
        start = region.start
        kinds: list[tuple[str, Sequence[Value]]] = [
            ("local", start.locals), ("stack", start.stack), ("global", start.globals),
            ("pages", [start.pages]),
        ]  # fmt: skip
        named = [(f"{kind} {k}", v) for kind, values in kinds for k, v in enumerate(values)]
        return [(name, value) for name, value in named if not isinstance(value, int)][:12]


def _number(text: str) -> str:
    """
    A solver's bit vector as a decimal number.
    """
    return str(int(text[2:], 2 if text[1] == "b" else 16)) if text[:1] == "#" else text
