"""
Where the gas of a proved maximum goes: functions, calls and loops on a dearest run.

The maximum of a function is the optimum of a linear program over passages of its edges, as its flow
facts allow; the certificate has the dual. Here the primal is solved, so passages times gas add up
to the proved maximum or stay below it, by weak duality; what they leave over is said to be so. The
dearest run of the program need not be one of the module: it is what the bound pays for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from conformance.bounds.certificate import OUT, Certificate, Summary
from conformance.bounds.check.facts import Plan, plan
from conformance.bounds.check.semantics.layout import Edge, Layout
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.host_records import HostContract
from conformance.bounds.prove.solver import load_solver
from conformance.gas.charges import Charges, function_charges
from conformance.gas.records import GasModel
from conformance.wasm.calls import call_graph
from conformance.wasm.module import Module

_MOST_EDGES: Final = 4_000
"""Larger functions with loops are not looked into: the program would take minutes."""


@dataclass(frozen=True, slots=True)
class LoopShare:
    """
    One loop in all its passages during the call.
    """

    loop: int
    """Number of its instruction."""
    gas: Fraction
    """Loops inside and callees included."""
    entries: Fraction
    rounds: Fraction
    """Times that it goes back to its head."""


@dataclass(frozen=True, slots=True)
class FunctionShare:
    """
    One function in the whole call.
    """

    function: int
    calls: Fraction
    own: Fraction
    """Gas of its own instructions in all its calls."""
    callees: Mapping[int, Fraction]
    """Function -> calls of it from here."""
    loops: tuple[LoopShare, ...]
    looked_into: bool = True
    """False: its gas was not divided, all of it counts as its own."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """
    The proved maximum of the call under one model, divided.
    """

    model: str
    most: int
    functions: tuple[FunctionShare, ...]
    """By index; those that the dearest run never calls are there with 0 calls."""

    @property
    def left(self) -> Fraction:
        """
        What the division leaves over: growth of memory, hosts, rounding, and where a bound is not
        tight.
        """
        return self.most - sum((share.own for share in self.functions), Fraction(0))


@dataclass(slots=True)
class _Divided:
    """
    One call of one function: passages of blocks, own gas, callees.
    """

    layout: Layout
    passages: dict[int, Fraction]
    """First instruction of a block -> passages."""
    edges: dict[Edge, Fraction]
    own: Fraction
    callees: dict[int, Fraction]
    gas: dict[int, int]
    """Of a block, callees included."""
    looked_into: bool = True


@dataclass(slots=True)
class _Work:
    module: Module
    subject: Subject
    model: GasModel
    costs: dict[str, int] = field(default_factory=dict)
    """Summary -> most gas of a call from outside."""

    def charges(self, summary: Summary) -> Charges:
        return function_charges(
            self.module, summary.function - self.module.imported_functions, self.model
        )

    def blocks(
        self, summary: Summary, layout: Layout
    ) -> tuple[dict[int, int], dict[int, list[int]], dict[int, int]]:
        """
        Of each block: gas with callees, functions called, own gas.
        """
        charges = self.charges(summary)
        amounts = {item.at: item.most for item in summary.amounts}
        dynamic: dict[int, int] = {}
        for term in charges.dynamic:
            paid = (term.price or 0) * amounts.get(term.place, 0)
            dynamic[term.place] = dynamic.get(term.place, 0) + paid
        gas: dict[int, int] = {}
        called: dict[int, list[int]] = {}
        own: dict[int, int] = {}
        for first, last in layout.blocks.items():
            own[first] = sum(
                charges.before[at] + dynamic.get(at, 0) for at in range(first, last + 1)
            )
            gas[first] = own[first]
            for at in range(first, last + 1):
                if layout.code[at].opcode.name in ("call", "call_indirect"):
                    cost, function = self._dearest(summary, at)
                    gas[first] += cost
                    if function is not None:
                        called.setdefault(first, []).append(function)
        return gas, called, own

    def _dearest(self, summary: Summary, at: int) -> tuple[int, int | None]:
        """
        Most gas of a call at one place, and the function that costs it.
        """
        found: list[tuple[int, int | None]] = [(0, None)]
        for callee in self.subject.callees(summary, at):
            if isinstance(callee.contract, HostContract):
                found += [(c.hi, None) for c in callee.contract.costs if c.model == self.model.id]
            elif callee.contract.function != summary.function:
                found.append((self.costs[callee.contract.name], callee.contract.function))
        return max(found, key=lambda pair: (pair[0], -(pair[1] or 0)))

    def divided(self, summary: Summary, most: int) -> _Divided:
        """
        One call at its dearest.
        """
        layout = self.subject.layout(summary)
        gas, called, own = self.blocks(summary, layout)
        plans = [plan(self.subject, summary, fact) for fact in summary.facts]
        edges = _passages(layout, gas, [p for p in plans if not p.least])
        if edges is None:
            return _Divided(layout, {}, {}, Fraction(most), {}, gas, looked_into=False)
        passages = {
            first: sum((x for edge, x in edges.items() if edge[0] == last), Fraction(0))
            for first, last in layout.blocks.items()
        }
        calls: dict[int, Fraction] = {}
        for first, functions in called.items():
            for function in functions:
                calls[function] = calls.get(function, Fraction(0)) + passages[first]
        total = self.charges(summary).entry + sum(
            (own[first] * count for first, count in passages.items()), Fraction(0)
        )
        return _Divided(layout, passages, edges, total, calls, gas)


def _passages(
    layout: Layout, gas: Mapping[int, int], plans: list[Plan]
) -> dict[Edge, Fraction] | None:
    """
    Passages of edges at the optimum; None where they are not to be had.
    """
    edges = [
        (first, (last, target))
        for first, last in layout.blocks.items()
        for target in layout.successors(last)
    ]
    path = _longest(layout, gas)
    if path is not None:
        return path
    if len(edges) > _MOST_EDGES:
        return None
    z3 = load_solver()
    optimizer = z3.Optimize()
    passed = {edge: z3.Real(f"x{k}") for k, (_, edge) in enumerate(edges)}
    into: dict[int, list[Any]] = {first: [] for first in layout.blocks}
    out: dict[int, list[Any]] = {first: [] for first in layout.blocks}
    for first, edge in edges:
        optimizer.add(passed[edge] >= 0)
        out[first].append(passed[edge])
        if edge[1] != OUT:
            into[edge[1]].append(passed[edge])
    for first in layout.blocks:
        begun = 1 if first == 0 else 0
        optimizer.add(z3.Sum([*out[first], z3.RealVal(0)]) == z3.Sum([*into[first], begun]))
    for item in plans:
        counted = z3.Sum([w * passed[edge] for edge, w in item.weights.items() if edge in passed])
        times = 1 if item.per is None else z3.Sum([passed[e] for e in sorted(item.per)])
        optimizer.add(counted <= item.bound * times)
    optimizer.maximize(z3.Sum([gas[first] * z3.Sum(out[first]) for first in layout.blocks]))
    if optimizer.check() != z3.sat:
        return None
    model = optimizer.model()
    found = {}
    for edge, variable in passed.items():
        value = model.eval(variable, model_completion=True)
        if not z3.is_rational_value(value):
            return None
        found[edge] = Fraction(value.numerator_as_long(), value.denominator_as_long())
    return found


def _longest(layout: Layout, gas: Mapping[int, int]) -> dict[Edge, Fraction] | None:
    """
    The dearest path of a function without a loop, each edge once; None with one.
    """
    best: dict[int, tuple[int, int]] = {}
    for first in sorted(layout.blocks, reverse=True):
        last = layout.blocks[first]
        after = []
        for target in layout.successors(last):
            if target != OUT and target <= first:
                return None
            after.append((0 if target == OUT else best[target][0], target))
        dearest = max(after, default=(0, OUT))
        best[first] = (gas[first] + dearest[0], dearest[1])
    found: dict[Edge, Fraction] = {}
    at = 0
    while at != OUT:
        target = best[at][1]
        found[layout.blocks[at], target] = Fraction(1)
        at = target
    return found


def _loops(item: _Divided, calls: Fraction) -> Iterator[LoopShare]:
    for loop in item.layout.cuts[1:]:
        members = [first for first in item.passages if _in_loop(item.layout, first, loop)]
        gas = sum((item.passages[first] * item.gas[first] for first in members), Fraction(0))
        heads = [(e, x) for e, x in item.edges.items() if e[1] == loop + 1]
        rounds = sum((x for edge, x in heads if edge[0] != loop), Fraction(0))
        entries = sum((x for edge, x in heads if edge[0] == loop), Fraction(0))
        yield LoopShare(loop, gas * calls, entries * calls, rounds * calls)


def _in_loop(layout: Layout, first: int, loop: int) -> bool:
    """
    Whether a block lies between a `loop` and its `end`.
    """
    return loop < first <= _ends(layout)[loop]


def _ends(layout: Layout) -> dict[int, int]:
    """
    `loop` -> its `end`.
    """
    found: dict[int, int] = {}
    opened: list[int] = []
    for at, instruction in enumerate(layout.code):
        name = instruction.opcode.name
        if name in ("block", "loop", "if"):
            opened.append(at)
        elif name == "end" and opened:
            found[opened.pop()] = at
    return found


def attribute(module: Module, certificate: Certificate, model: GasModel) -> Attribution:
    """
    Divide the proved maximum of a confirmed *certificate* under one of its models.
    """
    subject = Subject(module, certificate)
    work = _Work(module, subject, model)
    number = certificate.models.index(model.id)
    by_function = {summary.function: summary for summary in subject.live}
    order = [f for group in call_graph(module).order for f in group if f in by_function]
    divided: dict[int, _Divided] = {}
    for function in order:
        summary = by_function[function]
        most = summary.costs[number].hi
        divided[function] = work.divided(summary, most)
        activations = 1 if summary.recursion is None else summary.recursion.most
        work.costs[summary.name] = most * activations
    calls: dict[int, Fraction] = {subject.entry.function: Fraction(1)}
    shares: list[FunctionShare] = []
    for function in reversed(order):
        recursion = by_function[function].recursion
        times = calls.get(function, Fraction(0)) * (1 if recursion is None else recursion.most)
        item = divided[function]
        callees = {callee: count * times for callee, count in item.callees.items()}
        for callee, count in callees.items():
            calls[callee] = calls.get(callee, Fraction(0)) + count
        shares.append(
            FunctionShare(
                function, times, item.own * times, callees, tuple(_loops(item, times)),
                item.looked_into,
            )
        )  # fmt: skip
    bound = next(item for item in certificate.bounds if item.model == model.id)
    return Attribution(model.id, bound.any_hi, tuple(sorted(shares, key=lambda s: s.function)))
