"""
Certificates written by hand: loops with their ranks are stated, prices of blocks are computed here.

The prices come from Bellman-Ford over exact rationals, with the multipliers of loops found from the
inside out: nothing of the checker's arithmetic is used, apart from its layout of a body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import wasmtime

from conformance.bounds.certificate import (
    ENTRY,
    Bound,
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
    Range,
    Stack,
    Summary,
    Weight,
)
from conformance.bounds.check.semantics.layout import Layout, lay_out
from conformance.gas.charges import function_charges
from conformance.gas.load import gas_model
from conformance.wasm.decode import validated
from conformance.wasm.instructions import Instruction
from conformance.wasm.module import Module

FUEL = "wasmtime-fuel@50.0.1"
COSMWASM = "cosmwasm-vm@3.0.4"


def assembled(text: str) -> Module:
    """
    A module from its text.
    """
    return validated(bytes(wasmtime.wat2wasm(text)))


@dataclass(frozen=True)
class Loop:
    """
    A loop with a rank: at its own cut and at the cuts inside of it.
    """

    at: int
    measure: Mapping[int, str]
    most: int
    step: int = 1
    least: int | None = None
    """Also claim at least so many repetitions for each entry."""


@dataclass(frozen=True)
class Function:
    """
    What is stated by hand about one function.
    """

    index: int
    loops: Sequence[Loop] = ()
    holds: Mapping[int, Sequence[str]] = field(default_factory=dict)
    facts: Sequence[FlowFact] = ()
    """Further facts, with their multipliers for the most gas."""
    multipliers: Mapping[str, Fraction] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the summary."""


def loop_facts(layout: Layout, loop: Loop) -> list[FlowFact]:
    """
    The facts of one loop.
    """
    backs = sorted(e for e in layout.edges if e[1] == loop.at + 1 and e[0] != loop.at)
    found = []
    for kind, bound in (("most", loop.most), ("least", loop.least)):
        if bound is not None:
            weights = tuple(Weight(source, target, loop.step) for source, target in backs)
            measures = tuple(Measure(at, term) for at, term in sorted(loop.measure.items()))
            name = f"{kind}-{loop.at}"
            found.append(FlowFact(name, kind, "entry", weights, bound, measures, loop.at))  # type: ignore[arg-type]
    return found


def _literal_pages(code: Sequence[Instruction], at: int) -> int:
    """
    Pages that wasmtime bills whether it grants them or not: a literal of at most 128. Winch does
    not, so the least has none.
    """
    before = code[at - 1]
    units = cast("int", before.immediates[0]) if before.opcode.name == "i32.const" else 0
    return units if 0 <= units <= 128 else 0


def _gas(
    module: Module, layout: Layout, model: str, callee: Mapping[int, tuple[int, int]], side: int,
    amounts: Mapping[int, tuple[int, int]],
) -> tuple[int, dict[int, int]]:  # fmt: skip
    charges = function_charges(
        module, layout.function - module.imported_functions, gas_model(model)
    )
    gas = {}
    for first, last in layout.blocks.items():
        gas[first] = sum(charges.before[first : last + 1])
        for at in range(first, last + 1):
            name, immediates = layout.code[at].opcode.name, layout.code[at].immediates
            if name == "memory.grow" and model.startswith("wasmtime"):
                gas[first] += _literal_pages(layout.code, at) if side else 0
            if name == "call" and immediates[0] != layout.function:
                gas[first] += callee[cast("int", immediates[0])][side]
            if name == "call_indirect":
                gas[first] += (max if side else min)(pair[side] for pair in callee.values())
            if name.startswith(("memory.fill", "memory.copy")):
                gas[first] += amounts[layout.function][side] if "fuel" in model else 0
    return charges.entry, gas


def _prices(
    layout: Layout, gas: Mapping[int, int], rows: Mapping[tuple[int, int], Fraction], *,
    least: bool,
) -> dict[int, Fraction] | None:  # fmt: skip
    """
    Most (least) gas from each block to the end; None where a cycle still pays.
    """
    best: dict[int, Fraction] = {}
    for _ in range(len(layout.blocks) + 1):
        changed = False
        for first, last in sorted(layout.blocks.items(), reverse=True):
            if least and layout.code[last].opcode.name == "unreachable":
                continue
            for target in layout.successors(last):
                if target >= 0 and target not in best:
                    continue
                after = Fraction(0) if target < 0 else best[target]
                value = gas[first] + after - rows.get((last, target), Fraction(0))
                old = best.get(first)
                if old is None or (value < old if least else value > old):
                    best[first] = value
                    changed = True
        if not changed:
            return best
    return None


def dual(
    layout: Layout, gas: Mapping[int, int], facts: Sequence[FlowFact],
    fixed: Mapping[str, Fraction], *, least: bool,
) -> tuple[Fraction, Dual]:  # fmt: skip
    """
    The value of a dual solution, and the solution; loops inner before outer.
    """
    kind = "least" if least else "most"
    multipliers = dict(fixed)
    usable = [fact for fact in facts if fact.kind == kind or fact.name in fixed]
    rows: dict[tuple[int, int], Fraction] = {}

    def add(fact: FlowFact, value: Fraction) -> None:
        sign = value if fact.kind == kind else -value
        for w in fact.weights:
            edge = (w.source, w.target)
            rows[edge] = rows.get(edge, Fraction(0)) + sign * w.weight
        for edge in layout.edges:
            entered = fact.scope == "entry" and edge == (fact.of, fact.of + 1)
            visited = fact.scope == "visit" and edge[1] == fact.of + 1
            if entered or visited:
                rows[edge] = rows.get(edge, Fraction(0)) - sign * fact.bound

    for fact in usable:
        if fact.name in fixed:
            add(fact, fixed[fact.name])
    inner_first = sorted(
        (f for f in usable if f.name not in fixed and f.scope == "entry"),
        key=lambda f: -len(layout.around[f.of]),
    )
    for fact in inner_first:
        step = fact.weights[0].weight if fact.weights else 1
        turn = _cycle(layout, gas, rows, fact.of, least=least)
        multipliers[fact.name] = turn / step
        add(fact, turn / step)
    prices = _prices(layout, gas, rows, least=least)
    assert prices is not None, "a loop has no fact"
    value = prices[0]
    for fact in usable:
        if fact.scope == "call":
            price = multipliers.get(fact.name, Fraction(0))
            value += price * fact.bound * (1 if fact.kind == kind else -1)
    return value, Dual(
        tuple(Price(at, str(p)) for at, p in sorted(prices.items()) if p),
        tuple(Multiplier(name, str(p)) for name, p in sorted(multipliers.items()) if p),
    )


def _cycle(
    layout: Layout, gas: Mapping[int, int], rows: Mapping[tuple[int, int], Fraction], loop: int, *,
    least: bool,
) -> Fraction:  # fmt: skip
    """
    Most (least) gas of one turn of a loop, inner loops paid for.
    """
    head = loop + 1
    best: dict[int, Fraction] = {}
    for _ in range(len(layout.blocks) + 1):
        for first, last in sorted(layout.blocks.items(), reverse=True):
            for target in layout.successors(last):
                after = Fraction(0) if target == head else best.get(target)
                if after is None or (last == loop and target == head):
                    continue
                value = gas[first] + after - rows.get((last, target), Fraction(0))
                old = best.get(first)
                if old is None or (value < old if least else value > old):
                    best[first] = value
    return max(best.get(head, Fraction(0)), Fraction(0))


def certify(
    module: Module, functions: Sequence[Function], *, entry: str = "infer",
    arguments: Sequence[tuple[int, int]] = (), models: Sequence[str] = (FUEL, COSMWASM),
    inputs: Sequence[Input] = (), pages: int | None = None, stack: Stack | None = None,
    precondition: Mapping[str, Any] | None = None,
    amounts: Mapping[int, tuple[int, int]] | None = None, extra: Mapping[str, Any] | None = None,
) -> Certificate:  # fmt: skip
    """
    A certificate; *functions* stand in the order callees first, the entry last.
    """
    summaries = []
    bounds: list[Bound] = []
    known: dict[str, dict[int, tuple[int, int]]] = {model: {} for model in models}
    for function in functions:
        layout = lay_out(module, function.index - module.imported_functions)
        facts = [fact for loop in function.loops for fact in loop_facts(layout, loop)]
        facts += function.facts
        costs = []
        for model in models:
            sides = []
            for side in (0, 1):
                start, gas = _gas(module, layout, model, known[model], side, amounts or {})
                fixed = function.multipliers if side else {}
                value, solution = dual(layout, gas, facts, fixed, least=not side)
                total = value + start
                whole = -(-total.numerator // total.denominator) if not side else (
                    total.numerator // total.denominator
                )  # fmt: skip
                sides.append((max(0, whole), solution))
            (lo, least), (hi, most) = sides
            known[model][function.index] = (lo, hi)
            costs.append(Cost(model, lo, hi, least, most))
        cuts = tuple(Cut(at, tuple(held)) for at, held in sorted(function.holds.items()))
        summaries.append(
            Summary(f"f{function.index}", function.index, cuts, tuple(costs), tuple(facts),
                    **function.extra)
        )  # fmt: skip
    limits = module.memory_limits or (0, 0)
    most_pages = limits[0] if pages is None else pages
    billed = [
        _literal_pages(list(function.body), at)
        for function in module.functions
        for at, instruction in enumerate(function.body)
        if instruction.opcode.name == "memory.grow"
    ]
    growth = 0 if all(billed) else max(0, most_pages - limits[0])
    for cost in summaries[-1].costs:
        recursion = summaries[-1].recursion
        times = 1 if recursion is None else recursion.most
        hi = times * cost.hi + (growth if cost.model.startswith("wasmtime") else 0)
        bounds.append(Bound(cost.model, cost.lo, hi, 0, hi))
    claimed = Precondition(entry, tuple(Range(lo, hi) for lo, hi in arguments),
                           **(precondition or {}))  # fmt: skip
    return Certificate(
        module.sha256, tuple(models), claimed, summaries[-1].name, tuple(summaries), tuple(bounds),
        most_pages, stack or Stack(len(functions), 1000), inputs=tuple(inputs), **(extra or {}),
    )  # fmt: skip


__all__ = ["COSMWASM", "ENTRY", "FUEL", "Function", "Loop", "assembled", "certify"]
