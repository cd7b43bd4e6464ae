"""
Gas and stack of summaries from what was proved about them: duals by model, and the call graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from conformance.bounds.certificate import Cost, Summary
from conformance.bounds.check.duals import FlowSystem, check_dual
from conformance.bounds.check.facts import Plan
from conformance.bounds.check.refusals import NotModelledError, Refusal, RefusedError
from conformance.bounds.check.semantics.bills import bill
from conformance.bounds.check.semantics.subject import Callee, Subject
from conformance.bounds.host_records import HostContract
from conformance.gas.charges import Charges, function_charges
from conformance.gas.records import GasModel
from conformance.wasm.components import components

GRANTED = "pages-granted"
_AMOUNTS = frozenset({"bytes", "pages-requested"})


def groups(subject: Subject) -> list[tuple[str, ...]]:
    """
    Summaries in strongly connected components of the call graph, callees before callers.
    """
    names = [summary.name for summary in subject.live]
    successors = [
        sorted(
            names.index(callee.contract.name)
            for callee in subject.all_callees(summary)
            if isinstance(callee.contract, Summary)
        )
        for summary in subject.live
    ]
    return [tuple(sorted(names[k] for k in found)) for found in components(successors)]


def recursive(subject: Subject, group: Sequence[str]) -> bool:
    """
    Whether a group of summaries calls itself.
    """
    if len(group) > 1:
        return True
    summary = subject.summaries[group[0]]
    return any(callee.contract == summary for callee in subject.all_callees(summary))


@dataclass(frozen=True, slots=True)
class Costs:
    """
    Gas of calls under one model, given what the summaries say of each other.
    """

    subject: Subject
    model: GasModel
    number: int
    """Of the model in the certificate."""
    group_of: Mapping[str, tuple[str, ...]]
    recursive: frozenset[tuple[str, ...]]

    def check(self, summary: Summary, plans: Sequence[Plan]) -> Iterator[Refusal]:
        """
        Refusals of one summary's gas.
        """
        cost = self.cost(summary)
        layout = self.subject.layout(summary)
        place = summary.function - self.subject.module.imported_functions
        charges = function_charges(self.subject.module, place, self.model)
        extra = self._dynamic(summary, charges)
        least, most, stops = dict[int, int](), dict[int, int](), set[int]()
        for first, last in layout.blocks.items():
            least[first] = most[first] = 0
            for at in range(first, last + 1):
                low, high = extra.get(at, (0, 0))
                if layout.code[at].opcode.name in ("call", "call_indirect"):
                    callees = self.subject.callees(summary, at)
                    bounds = [self._called(summary, at, callee) for callee in callees]
                    low += min((pair[0] for pair in bounds), default=0)
                    high += max((pair[1] for pair in bounds), default=0)
                    if layout.code[at].opcode.name == "call_indirect" or any(
                        callee.contract.ensures for callee in callees
                    ):
                        stops.add(first)
                least[first] += charges.before[at] + low
                most[first] += charges.before[at] + high
        title = f"{summary.name} under {self.model.id}"
        system = FlowSystem(layout, title, charges.entry, least, most, plans, frozenset(stops))
        yield from check_dual(system, cost.least, cost.lo, least=True)
        yield from check_dual(system, cost.most, cost.hi, least=False)

    def cost(self, summary: Summary) -> Cost:
        """
        What a summary claims under this model.
        """
        if self.number >= len(summary.costs) or (summary.costs[self.number].model != self.model.id):
            message = f"{summary.name} states no gas under {self.model.id} where it should"
            raise RefusedError("form", message)
        return summary.costs[self.number]

    def _called(self, caller: Summary, at: int, callee: Callee) -> tuple[int, int]:
        """
        Least and most gas of a call, 0 for one that the potential pays for.

        A host's own part is on the host's meter alone; what it calls is paid as any call is.
        """
        contract = callee.contract
        if isinstance(contract, HostContract):
            low, high = bill(caller, at, contract, self.model.id)
            for inner, times in self.subject.reentered(caller, at, callee):
                high += times * self._called(caller, at, inner)[1]
            return low, high
        if self.group_of[contract.name] == self.group_of[caller.name]:
            return 0, 0
        return self.total(contract)

    def total(self, summary: Summary) -> tuple[int, int]:
        """
        Least and most gas of a call from outside of the summary's recursive group.
        """
        group = self.group_of[summary.name]
        low, high = self.cost(summary).lo, self.cost(summary).hi
        if group in self.recursive:
            assert summary.recursion is not None  # noqa: S101 - its obligations have asked
            others = (self.cost(self.subject.summaries[name]).hi for name in group)
            high = summary.recursion.most * max(others)
        return low, high

    def _dynamic(self, summary: Summary, charges: Charges) -> dict[int, tuple[int, int]]:
        """
        Least and most of what each instruction charges beyond its static price.
        """
        found: dict[int, tuple[int, int]] = {}
        amounts = {item.at: item for item in summary.amounts}
        live = self.subject.layout(summary).blocks
        for term in charges.dynamic:
            where = f"{summary.name}, instruction {term.place}"
            if not any(first <= term.place <= last for first, last in live.items()):
                continue
            low, high = found.get(term.place, (0, 0))
            if term.kind == GRANTED and term.price is not None:
                # Any growth may be refused; what only granted pages cost is counted in `growth`.
                found[term.place] = (low - term.refund, high + term.most_refused)
                continue
            if term.price is None or term.kind not in _AMOUNTS:
                raise NotModelledError(f"gas by {term.kind} under {self.model.id}", where)
            amount = amounts.get(term.place)
            if amount is None and term.price:
                message = f"{where}: gas by {term.kind}, and no limits of the amount"
                raise RefusedError("form", message)
            if amount is not None:
                least, most = term.price * amount.least, term.price * amount.most
                found[term.place] = (low + least, high + most)
        return found

    def growth(self) -> int:
        """
        The most that pages granted cost during the whole call.
        """
        price = 0
        for summary in self.subject.live:
            place = summary.function - self.subject.module.imported_functions
            charges = function_charges(self.subject.module, place, self.model)
            granted = [t.price or 0 for t in charges.dynamic if t.kind == GRANTED and not t.always]
            price = max(price, *granted, 0)
        return price * max(0, self.subject.certificate.pages - self.subject.image.pages)


def stack(
    subject: Subject, order: Sequence[tuple[str, ...]], recursive_groups: frozenset[tuple[str, ...]]
) -> tuple[int, int]:
    """
    Most activations at once, and most words of their frames: locals and operands.
    """
    deepest: dict[tuple[str, ...], tuple[int, int]] = {}
    group_of = {name: group for group in order for name in group}
    for group in order:
        depth = words = below_depth = below_words = times = 0
        for name in group:
            summary = subject.summaries[name]
            layout = subject.layout(summary)
            words = max(words, len(layout.locals) + layout.deepest)
            if group in recursive_groups and summary.recursion is not None:
                times = max(times, summary.recursion.most)
            for callee in subject.all_callees(summary):
                if isinstance(callee.contract, Summary):
                    other = group_of[callee.contract.name]
                    if other != group:
                        below_depth = max(below_depth, deepest[other][0])
                        below_words = max(below_words, deepest[other][1])
        depth = max(1, times)
        deepest[group] = (depth + below_depth, depth * words + below_words)
    return deepest[group_of[subject.entry.name]]
