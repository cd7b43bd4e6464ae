"""
Calls by contract: what a callee requires is proved, what it ensures is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from conformance.bounds.certificate import ENTRY, HostContract, Summary
from conformance.bounds.check.semantics.accesses import WIDE, ranges, written
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.check.semantics.memory import Havoc
from conformance.bounds.check.semantics.reading import Reading
from conformance.bounds.check.semantics.state import TRAP, State
from conformance.bounds.check.semantics.subject import Callee
from conformance.bounds.check.semantics.terms import Value
from conformance.wasm.instructions import Instruction

if TYPE_CHECKING:
    from conformance.bounds.check.semantics.execution import Region


def call(region: Region, at: int, instruction: Instruction, state: State) -> None:
    """
    A call by contract: prove what the callee requires, assume what it ensures.
    """
    terms, stack = region.terms, state.stack
    indirect = instruction.opcode.name == "call_indirect"
    index = stack.pop() if indirect else 0
    callees = region.subject.callees(region.summary, at)
    first: Any = instruction.immediates[0]
    module = region.subject.module
    kind = module.types[first].type if indirect else module.function_type(first)
    arguments = stack[len(stack) - len(kind.parameters) :]
    del stack[len(stack) - len(kind.parameters) :]
    chosen = [
        1 if callee.index is None else terms.two("eq", index, callee.index, 32)
        for callee in callees
    ]
    if indirect:
        narrowed(region, at, first, instruction, state, index, callees)
    for callee, when in zip(callees, chosen, strict=True):
        required(region, at, state, callee, arguments, when)
    before = state.copy()
    results = [terms.fresh(WIDTH[k]) for k in kind.results]
    affect(region, state, callees)
    write(region, at, state, before, callees, arguments)
    promises = [
        terms.both(when, *promised(region, callee, before, state, arguments, results))
        for callee, when in zip(callees, chosen, strict=True)
    ]
    if any(callee.contract.ensures for callee in callees) or indirect:
        region.ends.append((TRAP, before))
    state.guard = terms.both(state.guard, terms.either(*promises))
    stack += results


def narrowed(
    region: Region, at: int, type_index: int, instruction: Instruction, state: State, index: Value,
    callees: Sequence[Callee],
) -> None:  # fmt: skip
    """
    Where the certificate names entries of the table, others of the same type must not occur.
    """
    table: Any = instruction.immediates[1]
    named = {callee.index for callee in callees}
    others = [k for k, _ in region.subject.image.targets(table, type_index) if k not in named]
    terms = region.terms
    apart = [terms.two("ne", index, k, 32) for k in others]
    if others:
        what = "an indirect call goes to an entry that is named"
        region.demand(what, at, state, terms.both(*apart))


def callee_reading(
    region: Region, callee: Callee, before: State, after: State, arguments: Sequence[Value],
    results: Sequence[Value] = (),
) -> Reading:  # fmt: skip
    """
    A contract's expressions: what it calls entry is the state before the call.
    """
    inner = list(arguments)
    if isinstance(callee.contract, Summary):
        inner += [0] * (len(region.subject.layout(callee.contract).locals) - len(arguments))
    values = {
        "param": arguments,
        "local": inner,
        "global": after.globals,
        "pages": [after.pages],
        "result": results,
        "entry-global": before.globals,
        "entry-pages": [before.pages],
    }
    return Reading(region.terms, values, region.subject.tables, region.memory_of(before))


def required(
    region: Region, at: int, state: State, callee: Callee, arguments: Sequence[Value], when: Value
) -> None:
    """
    What the callee requires holds at the call; recursive calls use their potential up.
    """
    contract, terms = callee.contract, region.terms
    if isinstance(contract, HostContract):
        return
    reading = callee_reading(region, callee, state, state, arguments)
    if region.subject.cut(contract, ENTRY).dead:
        region.demand(f"{contract.name} is never called", at, state, terms.no(when))
    for text in region.subject.cut(contract, ENTRY).holds:
        wanted = reading.value(region.subject.formula(contract, ENTRY, text))
        what = f"{contract.name} may be called: {text}"
        region.demand(what, at, state, terms.either(terms.no(when), wanted))
    if contract.name in region.potentials:
        used = reading.value(region.potentials[contract.name])
        wide = terms.resize(used, region.potentials[contract.name].width, region.fact_widths[0])
        added = terms.ite(when, wide, 0, region.fact_widths[0])
        state.counts[0] = terms.two("add", state.counts[0], added, region.fact_widths[0])
    elif contract.recursion is not None:
        term = region.subject.term(contract, ENTRY, contract.recursion.potential)
        small = terms.two(
            "ule",
            reading.value(term),
            min(contract.recursion.most, (1 << term.width) - 1),
            term.width,
        )
        what = f"the potential of {contract.name} is small enough"
        region.demand(what, at, state, terms.either(terms.no(when), small))


def affect(region: Region, state: State, callees: Sequence[Callee]) -> None:
    """
    Globals and pages after a call.
    """
    terms = region.terms
    for callee in callees:
        if isinstance(callee.contract, HostContract):
            continue
        written, grows = region.subject.image.effects(callee.contract.function)
        for index in written:
            state.globals[index] = terms.fresh(region.global_width(index))
        if grows:
            pages, before = terms.fresh(32), state.pages
            more = terms.two("uge", pages, before, 32)
            most = terms.two("ule", pages, region.subject.certificate.pages, 32)
            # Pages that stay as they are satisfy this where the path is taken.
            known = terms.both(more, most)
            region.definitions.append(terms.either(terms.no(state.guard), known))
            state.pages = pages


def write(
    region: Region, at: int, state: State, before: State, callees: Sequence[Callee],
    arguments: Sequence[Value],
) -> None:  # fmt: skip
    """
    Memory after a call.
    """
    terms = region.terms
    for callee in callees:
        contract = callee.contract
        reading = callee_reading(region, callee, before, before, arguments)
        if contract.writes is None:
            if region.summary.writes is not None:
                region.demand("a callee writes only what it says", at, before, 0)
            if isinstance(contract, HostContract) and region.subject.certificate.regions:
                region.subject.misfit(f"{contract.key} may write anywhere, also over constants")
            if state.memory is not None:
                state.memory = region.memories.unknown()
            continue
        pairs = list(ranges(region, contract, reading, callee))
        for start, end in pairs:
            written(region, at, before, start, end)
        if region.summary.memory and state.memory is not None and pairs:
            narrow = [tuple(terms.resize(v, WIDE, 32) for v in pair) for pair in pairs]
            after = region.memories.unknown()
            state.memory = Havoc(state.memory, after, narrow)


def promised(
    region: Region, callee: Callee, before: State, after: State, arguments: Sequence[Value],
    results: Sequence[Value],
) -> Iterator[Value]:  # fmt: skip
    """
    What the callee ensures, in the state after the call.
    """
    reading = callee_reading(region, callee, before, after, arguments, results)
    for text in callee.contract.ensures:
        if isinstance(callee.contract, Summary):
            yield reading.value(region.subject.formula(callee.contract, None, text))
        else:
            yield reading.value(region.subject.hosted(callee, text, formula=True))
