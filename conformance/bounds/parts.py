"""
Bounds of single functions, where the call as a whole has none: each confirmed by the checker.

The checker judges calls of exports. So the module is written once more with the function exported
under a name of its own, all bodies as they are, and the certificate speaks of a call of that export
on an instance in any state: whatever holds there holds of each call in the original.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from conformance.bounds.certificate import (
    ENTRY,
    Bound,
    Certificate,
    Cost,
    Precondition,
    Range,
    Stack,
    Summary,
)
from conformance.bounds.check.judge import judge
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.gas.records import GasModel
from conformance.wasm.calls import call_graph
from conformance.wasm.decode import validated
from conformance.wasm.encode import Rewrite
from conformance.wasm.limits import MOST_PAGES
from conformance.wasm.module import Module
from conformance.wasm.rewrite.additions import add_export

_EXPORT: Final = "function to be bounded"
_FIXED: Final = re.compile(r"\(eq (\((?:param|entry-global) \d+\)) \(i(?:32|64) \d+\)\)")
_VARIABLE: Final = re.compile(r"\((?:param|local|stack|global|entry-global) \d+\)|pages")
_DEEP: Final = 1 << 40
"""Activations and words that are claimed of stacks: nothing is told of them."""


@dataclass(frozen=True, slots=True)
class FunctionBound:
    """
    Gas of one call of a function, callees included, on an instance in any state.
    """

    function: int
    requires: tuple[str, ...]
    """What the call must meet, over `param` and globals; empty: any call."""
    costs: tuple[Cost, ...]
    """By model; `hi` of a recursive function is that of one activation."""
    most: int = 1
    """Activations of a recursive function in one call from outside."""


def needed(part: FunctionBound) -> tuple[str, ...]:
    """
    What a call must meet, without what another requirement fixes: `(eq (param 0) (i32 40))` says
    all that can be said of this parameter alone.
    """
    fixed = {found[1] for text in part.requires if (found := _FIXED.fullmatch(text))}
    return tuple(
        text
        for text in part.requires
        if _FIXED.fullmatch(text) or not fixed.issuperset(_VARIABLE.findall(text))
    )


def function_bounds(
    module: Module, summaries: Sequence[Summary], models: Sequence[GasModel],
    stop: Callable[[], bool] = lambda: False,
) -> tuple[FunctionBound, ...]:  # fmt: skip
    """
    Those of *summaries* that the checker confirms; each one's callees must be among them.

    A confirmed function confirms its callees, so callers are tried first, and what they call only
    where they are refused. With *stop* true no more are tried.
    """
    found: dict[int, FunctionBound] = {}
    by_function = {summary.function: summary for summary in summaries}
    graph = call_graph(module)
    order = [f for group in graph.order for f in group if f in by_function]
    for function in reversed(order):
        if function in found or stop():
            continue
        own = [by_function[f] for f in sorted(graph.reached([function])) if f in by_function]
        if not _speaks(module, own):
            continue
        if _confirmed(module, by_function[function], own, models):
            for summary in own:
                if summary.function not in found:
                    found[summary.function] = _told(_freed(module, summary, own, models))
    return tuple(found[function] for function in sorted(found))


def _freed(
    module: Module, summary: Summary, summaries: Sequence[Summary], models: Sequence[GasModel]
) -> Summary:
    """
    The confirmed *summary* without what it requires, where it is confirmed so as well.

    A proof that was stopped supposes more than it needs: calls that it saw, not calls that matter.
    """
    cuts = tuple(replace(cut, holds=()) if cut.at == ENTRY else cut for cut in summary.cuts)
    if cuts == summary.cuts:
        return summary
    free = replace(summary, cuts=cuts)
    others = [free if other is summary else other for other in summaries]
    return free if _confirmed(module, free, others, models) else summary


def _told(summary: Summary) -> FunctionBound:
    required = next((cut.holds for cut in summary.cuts if cut.at == ENTRY), ())
    most = 1 if summary.recursion is None else summary.recursion.most
    return FunctionBound(summary.function, required, summary.costs, most)


def _speaks(module: Module, summaries: Sequence[Summary]) -> bool:
    """
    Whether summaries lean on nothing that only the whole call gives: tables, constants in memory,
    limits of growth, a function that is never entered.
    """
    for summary in summaries:
        own = module.functions[summary.function - module.imported_functions]
        if any(at.opcode.name == "memory.grow" for at in own.body):
            return False
        if summary.reads or any(cut.dead and cut.at == ENTRY for cut in summary.cuts):
            return False
        measures = [measure.term for fact in summary.facts for measure in fact.measure]
        texts = [*measures, *summary.ensures, *(text for cut in summary.cuts for text in cut.holds)]
        if any("(lookup " in text for text in texts):
            return False
    return True


def _confirmed(
    module: Module, summary: Summary, summaries: Sequence[Summary], models: Sequence[GasModel]
) -> bool:
    """
    Whether the checker confirms a call of one function, by proof alone; nothing is run.
    """
    rewrite = Rewrite(module)
    add_export(rewrite, _EXPORT, "function", summary.function)
    shown = validated(rewrite.binary())
    kinds = module.function_type(summary.function).parameters
    if set(kinds) - WIDTH.keys():
        return False
    required = next((cut.holds for cut in summary.cuts if cut.at == ENTRY), ())
    precondition = Precondition(
        _EXPORT,
        tuple(Range(0, (1 << WIDTH[kind]) - 1) for kind in kinds),
        assume=required,
        fresh=False,
    )
    most = 1 if summary.recursion is None else summary.recursion.most
    limits = module.memory_limits or (0, 0)
    most_pages = MOST_PAGES if limits[1] is None else limits[1]
    claimed = Certificate(
        module=shown.sha256,
        models=tuple(model.id for model in models),
        precondition=precondition,
        entry=summary.name,
        summaries=tuple(summaries),
        bounds=tuple(
            Bound(cost.model, cost.lo, cost.hi * most, 0, cost.hi * most) for cost in summary.costs
        ),
        pages=most_pages,
        stack=Stack(_DEEP, _DEEP),
    )
    return judge(claimed, shown).confirmed
