"""
Writes what was proved as a certificate: texts, duals, costs of callees first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from conformance.bounds.certificate import (
    ENTRY,
    Bound,
    Bytes,
    Certificate,
    Cost,
    Cut,
    Dual,
    FlowFact,
    Input,
    Measure,
    Multiplier,
    Precondition,
    Price,
    Reading,
    Recursion,
    Stack,
    Summary,
    Table,
    Weight,
)
from conformance.bounds.check.semantics.layout import Edge
from conformance.bounds.host_records import ContractText, HostAmount, HostContract, Written
from conformance.bounds.prove.constants import Constants
from conformance.bounds.prove.frames import address, spans
from conformance.bounds.prove.hosts import host_cost
from conformance.bounds.prove.hosts import order as host_order
from conformance.bounds.prove.minimise import Ranking
from conformance.bounds.prove.obligations import Fact
from conformance.bounds.prove.prices import Row, Solution, System, solve
from conformance.bounds.prove.subject import RETURN, FunctionProof, Subject
from conformance.bounds.prove.terms import Term, text
from conformance.gas.charges import Charges, function_charges
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.records import GasModel
from conformance.wasm.calls import call_graph

Missing = list[tuple[int, int, str]]
"""(Function, instruction, sentence) of what could not be written."""


_CELL: Final = re.compile(r"\(cell (\d+)\)")


def summary_name(function: int) -> str:
    """
    The name of a function's summary.
    """
    return f"f{function}"


class _UnknownBillError(Exception):
    """
    What a host bills at a call has no bound.
    """

    def __init__(self, at: int, sentence: str) -> None:
        super().__init__(sentence)
        self.at = at


@dataclass(slots=True)
class Writer:
    """
    One certificate in the making.
    """

    subject: Subject
    ranking: Ranking
    models: Sequence[GasModel]
    precondition: Precondition
    inputs: Sequence[Input]
    constants: Constants
    shadow: tuple[int, int] | None = None
    contract: ContractText | None = None
    missing: Missing = field(default_factory=list)
    costs: dict[tuple[int, str], Cost] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)
    """Tables that some expression names."""

    def certificate(self) -> Certificate | None:
        """
        The certificate; None, and `missing` filled, where a part has no bound.
        """
        order = [
            function
            for group in host_order(self.subject.image, self.subject.entry)
            for function in group
        ]
        summaries = []
        for function in order:
            summary = self._summary(self.subject.functions[function])
            if summary is None:
                return None
            summaries.append(summary)
        return self._assembled(summaries, order)

    def complete(self) -> tuple[Summary, ...]:
        """
        Summaries of the functions that have a cost, and all whose callees have one.
        """
        module, found = self.subject.image.module, dict[int, Summary]()
        graph = call_graph(module)
        for function in (f for group in graph.order for f in group):
            proof = self.subject.functions.get(function)
            called = set(graph.callees(function)) - {function}
            if proof is None or called - found.keys() or not self.ranked(proof):
                continue
            if function in graph.callees(function) and function not in self.subject.potentials:
                continue
            summary = self._summary(proof)
            if summary is not None:
                found[function] = summary
        return tuple(found.values())

    def ranked(self, proof: FunctionProof) -> bool:
        """
        Whether each loop that goes back has facts.
        """
        cuts = proof.layout.cuts[1:]
        back = {e[1] - 1 for e in proof.layout.edges if e[1] - 1 in cuts and e[0] != e[1] - 1}
        return back <= self.ranking.get(proof.function, {}).keys()

    def _assembled(self, summaries: Sequence[Summary], order: Sequence[int]) -> Certificate:
        subject, module = self.subject, self.subject.image.module
        depth, words = self.stack(order)
        shadow = self.shadow or (None, 0)
        tables = tuple(Table(name, *subject.terms.tables[name]) for name in sorted(self.used))
        most = self.precondition.most_pages
        hosts = self._hosts()
        text = self.contract if hosts else None
        assumptions = []
        if text is not None:
            assumptions.append(text.assumption)
        if most < 65536:  # noqa: PLR2004 - all that 32 bits can address
            assumptions.append(f"the host refuses memory beyond {most} pages")
        return Certificate(
            module=module.sha256,
            models=tuple(model.id for model in self.models),
            precondition=self.precondition,
            entry=summary_name(subject.entry),
            summaries=tuple(reversed(summaries)),
            bounds=tuple(self.bound(model) for model in self.models),
            pages=subject.most_pages,
            stack=Stack(depth, words, shadow[0], shadow[1]),
            regions=tuple(Bytes(start, end) for start, end in self.constants.spans),
            tables=tables,
            hosts=hosts,
            contract=text,
            assumptions=tuple(assumptions),
            inputs=tuple(self.inputs),
        )

    def _hosts(self) -> tuple[HostContract, ...]:
        """
        Contracts of the imports that the call can reach.
        """
        image = self.subject.image
        called = sorted({c for f in self.subject.functions for c in image.called(f)})
        found = {function: image.host(function) for function in called}
        return tuple({host.key: host for host in found.values() if host is not None}.values())

    def bound(self, model: GasModel) -> Bound:
        """
        The whole call: the entry's gas, and what granted pages cost.
        """
        subject = self.subject
        cost = self.costs[subject.entry, model.id]
        price = 0
        for function in subject.functions:
            for term in self._charges(function, model).dynamic:
                if term.kind == "pages-granted" and not term.always:
                    price = max(price, term.price or 0)
        grown = price * max(0, subject.most_pages - subject.image.pages)
        high = self._whole(subject.entry, cost) + grown
        return Bound(model.id, cost.lo, high, 0, high)

    def _charges(self, function: int, model: GasModel) -> Charges:
        module = self.subject.image.module
        return function_charges(module, function - module.imported_functions, model)

    def _whole(self, function: int, cost: Cost) -> int:
        """
        The most gas of a call from outside, all activations of a recursive function included.
        """
        potential = self.subject.potentials.get(function)
        return cost.hi if potential is None else cost.hi * potential[1]

    def stack(self, order: Sequence[int]) -> tuple[int, int]:
        """
        Deepest activations and words of frames, without recursion.
        """
        deepest: dict[int, tuple[int, int]] = {}
        for function in order:
            layout = self.subject.functions[function].layout
            below = [deepest[f] for f in self.subject.image.called(function) if f in deepest]
            _, times = self.subject.potentials.get(function, (None, 1))
            depth = times + max((d for d, _ in below), default=0)
            own = times * (len(layout.locals) + layout.deepest)
            words = own + max((w for _, w in below), default=0)
            deepest[function] = (depth, words)
        return deepest[self.subject.entry]

    def _promises(self, function: int) -> bool:
        """
        Whether a callee ensures anything, in the certificate.
        """
        host = self.subject.image.host(function)
        if host is not None:
            return bool(host.ensures)
        return bool(self.subject.holds.get((function, RETURN)))

    def _called(
        self, proof: FunctionProof, at: int, function: int, model: GasModel
    ) -> tuple[int, int]:
        """
        Least and most gas of a call: of the host's contract and what it calls, or of a summary.
        """
        host = self.subject.image.host(function)
        if host is None:
            cost = self.costs[function, model.id]
            return cost.lo, self._whole(function, cost)
        found = host_cost(self.subject, proof.function, at, host, model)
        if isinstance(found, str):
            raise _UnknownBillError(at, found)
        low, high = found
        for item in host.reenters:
            export = self.subject.image.module.exported(item.export)
            if export is not None and export.kind == "function":
                inner = self.costs[export.index, model.id]
                high += item.times * self._whole(export.index, inner)
        return low, high

    # -------------------------------------------------------------------------- one function

    def _summary(self, proof: FunctionProof) -> Summary | None:
        holds = self.subject.holds
        cuts = []
        for cut in proof.layout.cuts:
            if self.subject.terms.false in holds.get((proof.function, cut), ()):
                cuts.append(Cut(cut, dead=True))
                continue
            texts = [self._text(term, proof) for term in holds.get((proof.function, cut), ())]
            texts = [*self._fixed(proof, cut), *texts]
            kept = tuple(dict.fromkeys(t for t in texts if t is not None))
            if kept or cut == ENTRY:
                cuts.append(Cut(cut, kept))
        promised = [self._text(term, proof) for term in holds.get((proof.function, RETURN), ())]
        rows, facts = self.facts(proof)
        costs = []
        for model in self.models:
            cost = self.cost(proof, model, rows)
            if cost is None:
                return None
            self.costs[proof.function, model.id] = cost
            costs.append(cost)
        reads = tuple(
            Reading(at, number)
            for (function, at), number in sorted(self.constants.regions.items())
            if function == proof.function
        )
        return Summary(
            name=summary_name(proof.function),
            function=proof.function,
            cuts=tuple(cuts),
            costs=tuple(costs),
            facts=tuple(facts),
            ensures=tuple(t for t in promised if t is not None),
            recursion=self._recursion(proof),
            reads=reads,
            title=self.subject.image.module.function_title(proof.function),
            host_amounts=tuple(
                HostAmount(*key[1:], *limits)
                for key, limits in sorted(self.subject.amounts.items())
                if key[0] == proof.function
            ),
            writes=self._writes(proof),
            cells=self._cells(proof),
        )

    def _fixed(self, proof: FunctionProof, cut: int) -> Iterator[str | None]:
        """
        That locals are what they were set to at the beginning, where the proof took them for it.
        """
        if cut != ENTRY:
            for number, value in sorted(proof.executor.fixed().items()):
                yield f"(eq (local {number}) {text(value)})"

    def _writes(self, proof: FunctionProof) -> tuple[Written, ...] | None:
        spans = self.subject.writes.get(proof.function)
        if spans is None:
            return None
        return tuple(Written(text(s.start) or "", text(s.end) or "") for s in spans)

    @staticmethod
    def _cells(proof: FunctionProof) -> tuple[Written, ...]:
        executor, frame = proof.executor, proof.executor.frame
        if frame is None:
            return ()
        return tuple(
            Written(*(text(address(executor, frame, at)) or "" for at in (start, start + size)))
            for start, size in spans(frame.cells)
        )

    def _recursion(self, proof: FunctionProof) -> Recursion | None:
        found = self.subject.potentials.get(proof.function)
        if found is None:
            return None
        terms, (potential, most) = self.subject.terms, found
        less = terms.two("sub", potential, terms.const(potential.width, 1))
        left = self._text(less, proof) or ""
        measure = tuple(Measure(cut, left) for cut in proof.layout.cuts if cut != ENTRY)
        return Recursion(self._text(potential, proof) or "", measure, most)

    def _text(self, term: Term, proof: FunctionProof) -> str | None:
        found = text(term)
        if found is not None and proof.executor.cells:
            found = _CELL.sub(lambda named: _loaded(proof, int(named[1])), found)
        if found is not None:
            self.used.update(
                (name, None) for name in self.subject.terms.tables if f"(lookup {name} " in found
            )
        return found

    def facts(self, proof: FunctionProof) -> tuple[list[Row], list[FlowFact]]:
        """
        The flow facts of a function, as rows and as records.
        """
        rows, records = [], []
        for loop, facts in sorted(self.ranking.get(proof.function, {}).items()):
            for fact in facts:
                counted = {loop, *fact.also}
                edges = [
                    edge
                    for edge in sorted(proof.layout.edges)
                    if edge[1] - 1 in counted and edge[0] != edge[1] - 1
                ]
                name = f"{fact.kind}-{loop}"
                if fact.around is not None:
                    name += f"-in-{fact.around}"
                rows.append(self._row(name, fact, edges))
                records.append(self._record(name, fact, edges, proof))
        return rows, records

    @staticmethod
    def _row(name: str, fact: Fact, edges: Sequence[Edge]) -> Row:
        per = frozenset([(fact.of, fact.of + 1)])
        weights = dict.fromkeys(edges, fact.weight)
        return Row(name, fact.kind == "least", weights, fact.bound, per)

    def _record(
        self, name: str, fact: Fact, edges: Sequence[Edge], proof: FunctionProof
    ) -> FlowFact:
        measure = tuple(
            Measure(cut, self._text(term, proof) or "")
            for cut, term in sorted(fact.measure.items())
        )
        return FlowFact(
            name=name,
            kind=fact.kind,
            scope="entry",
            weights=tuple(Weight(source, target, fact.weight) for source, target in edges),
            bound=fact.bound,
            measure=measure,
            of=fact.of,
        )

    def cost(self, proof: FunctionProof, model: GasModel, rows: Sequence[Row]) -> Cost | None:
        """
        Gas of one function under one model, with the prices that prove it.
        """
        try:
            charges = self._charges(proof.function, model)
        except RefusedOperatorError as error:
            self.missing.append((proof.function, ENTRY, str(error)))
            return None
        for term in charges.dynamic:
            if term.kind != "pages-granted":
                sentence = f"{model.id} charges by {term.kind}, which is not bounded here"
                self.missing.append((proof.function, term.place, sentence))
                return None
        solutions: dict[bool, Solution] = {}
        for least in (True, False):
            try:
                gas, stops = self.gas(proof, charges, model, least=least)
            except _UnknownBillError as error:
                self.missing.append((proof.function, error.at, str(error)))
                return None
            system = System(proof.layout, charges.entry, gas, rows, stops)
            found = solve(system, least=least)
            if found is None and least:
                found = Solution(0, {}, {})
            if found is None:
                sentence = f"the flow facts give no bound under {model.id}"
                self.missing.append((proof.function, ENTRY, sentence))
                return None
            solutions[least] = found
        least_side, most_side = solutions[True], solutions[False]
        return Cost(
            model.id, max(0, least_side.bound), most_side.bound, _dual(least_side), _dual(most_side)
        )

    def gas(
        self, proof: FunctionProof, charges: Charges, model: GasModel, *, least: bool
    ) -> tuple[dict[int, int], frozenset[int]]:
        """
        Gas of each block, callees included, and the blocks at whose calls a run may end.
        """
        found: dict[int, int] = {}
        stops = set()
        refused = {t.place: -t.refund if least else t.most_refused for t in charges.dynamic}
        for first, last in proof.layout.blocks.items():
            total = 0
            for at in range(first, last + 1):
                total += charges.before[at] + refused.get(at, 0)
                called = sorted(
                    {
                        c.function
                        for r in proof.regions.values()
                        for c in r.calls
                        if c.at == at and not c.reentered
                    }
                )
                costs = [
                    self._called(proof, at, function, model)
                    for function in called
                    if function != proof.function
                ]
                if proof.function in called:
                    costs.append((0, 0))
                if costs:
                    total += min(low for low, _ in costs) if least else max(h for _, h in costs)
                    if proof.layout.code[at].opcode.name == "call_indirect" or any(
                        self._promises(function) for function in called
                    ):
                        stops.add(first)
            found[first] = total
        return found, frozenset(stops)


def _loaded(proof: FunctionProof, number: int) -> str:
    """
    The content of a cell in the language of certificates.
    """
    executor, frame = proof.executor, proof.executor.frame
    if frame is None:
        raise AssertionError
    cell = frame.cells[number]
    return f"(load {cell.size} {text(address(executor, frame, cell.offset))})"


def _dual(solution: Solution) -> Dual:
    prices = tuple(
        Price(at, _rational(price)) for at, price in sorted(solution.prices.items()) if price
    )
    factors = tuple(
        Multiplier(name, _rational(value))
        for name, value in sorted(solution.multipliers.items())
        if value
    )
    return Dual(prices, factors)


def _rational(value: Fraction) -> str:
    return str(value)


def write(
    subject: Subject, ranking: Mapping[int, Mapping[int, Sequence[Fact]]],
    models: Sequence[GasModel], precondition: Precondition, inputs: Sequence[Input],
    constants: Constants, shadow: tuple[int, int] | None = None,
    contract: ContractText | None = None,
) -> tuple[Certificate | None, Missing]:  # fmt: skip
    """
    The certificate of what was proved, and what is missing where there is none.
    """
    writer = Writer(subject, ranking, models, precondition, inputs, constants, shadow,
                    contract)  # fmt: skip
    return writer.certificate(), writer.missing


def write_complete(
    subject: Subject, ranking: Mapping[int, Mapping[int, Sequence[Fact]]],
    models: Sequence[GasModel], precondition: Precondition,
) -> tuple[Summary, ...]:  # fmt: skip
    """
    Summaries of functions of which all is proved, where it is not of the whole call.
    """
    return Writer(subject, ranking, models, precondition, (), Constants()).complete()


def all_ranked(subject: Subject, ranking: Mapping[int, Mapping[int, Sequence[Fact]]]) -> bool:
    """
    Whether every loop has facts, and every function that calls itself a potential.
    """
    writer = Writer(subject, ranking, (), subject.image.precondition, (), Constants())
    recursive = {f for group in call_graph(subject.image.module).recursive for f in group}
    return all(
        writer.ranked(proof) and (function not in recursive or function in subject.potentials)
        for function, proof in subject.functions.items()
    )
