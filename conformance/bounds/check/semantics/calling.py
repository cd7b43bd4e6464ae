"""
Calls by contract: what a callee requires is proved, what it ensures is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from conformance.bounds.certificate import ENTRY, Summary
from conformance.bounds.check.refusals import NotModelledError
from conformance.bounds.check.semantics.accesses import WIDE, ranges, wide, written
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.check.semantics.memory import Havoc
from conformance.bounds.check.semantics.reading import Reading
from conformance.bounds.check.semantics.state import TRAP, State
from conformance.bounds.check.semantics.subject import Callee
from conformance.bounds.check.semantics.terms import Value
from conformance.bounds.host_records import HostContract
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
    affect(region, at, state, callees)
    write(region, at, state, before, callees, arguments)
    for callee, when in zip(callees, chosen, strict=True):
        billed(region, at, before, callee, arguments, when)
        reentered(region, at, state, callee, when)
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
    contract = callee.contract
    if isinstance(contract, Summary):
        entered(
            region,
            at,
            state,
            contract,
            callee_reading(region, callee, state, state, arguments),
            when,
        )


def entered(
    region: Region, at: int, state: State, contract: Summary, reading: Reading, when: Value
) -> None:
    """
    The obligations of a call of one of the module's own functions.
    """
    terms = region.terms
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


def billed(
    region: Region, at: int, state: State, callee: Callee, arguments: Sequence[Value], when: Value
) -> None:
    """
    Lengths that a host bills by lie within the limits that the certificate gives them, if any.
    """
    contract, terms = callee.contract, region.terms
    if isinstance(contract, Summary):
        return
    for item in region.host_amounts.get((at, contract.key), ()):
        term = region.subject.hosted(callee, item.of, formula=False, loads=True)
        if term.width != 32:  # noqa: PLR2004 - lengths are i32
            region.subject.misfit(f"{item.of[:80]!r} is no length of 32 bits")
        value = callee_reading(region, callee, state, state, arguments).value(term)
        low = terms.two("uge", value, min(item.least, 0xFFFFFFFF), 32)
        high = terms.two("ule", value, min(item.most, 0xFFFFFFFF), 32)
        what = f"a length that {contract.key} bills by lies within its limits"
        region.demand(what, at, state, terms.either(terms.no(when), terms.both(low, high)))


def reentered(region: Region, at: int, state: State, callee: Callee, when: Value) -> None:
    """
    A host calls the module's own functions, with any arguments, in the state after its own call.

    That state is one of unknown globals, pages and memory wherever a re-entered function changes
    them, so it stands for every moment at which the host may call.
    """
    for inner, _ in region.subject.reentered(region.summary, at, callee):
        contract = inner.contract
        where = f"{region.layout.name}, instruction {at}"
        if not isinstance(contract, Summary):
            raise NotModelledError("a host that calls a host", where)
        if contract.name in region.potentials or contract.name == region.subject.entry.name:
            raise NotModelledError("a host that calls what is waiting for it", where)
        given = [region.terms.fresh(WIDTH[kind]) for kind in inner.type.parameters]
        reading = callee_reading(region, inner, state, state, given)
        entered(region, at, state, contract, reading, when)


def affect(region: Region, at: int, state: State, callees: Sequence[Callee]) -> None:
    """
    Globals and pages after a call.
    """
    terms, image = region.terms, region.subject.image
    for callee in callees:
        contract = callee.contract
        if isinstance(contract, Summary):
            effects = [image.effects(contract.function)]
        else:
            effects = [
                image.effects(inner.contract.function)
                for inner, _ in region.subject.reentered(region.summary, at, callee)
                if isinstance(inner.contract, Summary)
            ]
            if contract.grows:
                grown(region, at, state, contract)
        for index in sorted(frozenset().union(*[changed for changed, _ in effects])):
            state.globals[index] = terms.fresh(region.global_width(index))
        if any(grows for _, grows in effects):
            later_pages(region, state, region.subject.certificate.pages)


def later_pages(region: Region, state: State, most: Value) -> None:
    """
    Memory has become larger by an unknown number of pages, *most* pages in all.
    """
    terms = region.terms
    pages = terms.fresh(32)
    # Pages that stay as they are satisfy this where the path is taken.
    known = terms.both(terms.two("uge", pages, state.pages, 32), terms.two("ule", pages, most, 32))
    region.definitions.append(terms.either(terms.no(state.guard), known))
    state.pages = pages


def grown(region: Region, at: int, state: State, contract: HostContract) -> None:
    """
    A host makes memory larger, as far as that is granted to anybody.
    """
    terms, certificate = region.terms, region.subject.certificate
    after = terms.two("add", wide(region, state.pages), contract.grows, WIDE)
    beyond = terms.two("ult", region.subject.image.most_pages, after, WIDE)
    most = terms.ite(beyond, region.subject.image.most_pages, after, WIDE)
    region.demand("memory stays within its pages", at, state,
                  terms.two("ule", most, certificate.pages, WIDE))  # fmt: skip
    least = terms.two("ult", most, wide(region, state.pages), WIDE)
    later_pages(region, state, terms.ite(least, state.pages, terms.resize(most, WIDE, 32), 32))


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
        if any(region.subject.reentered(region.summary, at, callee)):
            if region.summary.writes is not None:
                region.demand("a host calls only what writes nothing else", at, before, 0)
            if state.memory is not None:
                state.memory = region.memories.unknown()
        if contract.writes is None:
            if region.summary.writes is not None:
                region.demand("a callee writes only what it says", at, before, 0)
            _spares_constants(region, contract)
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


def _spares_constants(region: Region, contract: Summary | HostContract) -> None:
    """
    A host that may write anywhere does not go together with constants.
    """
    if isinstance(contract, HostContract) and region.subject.certificate.regions:
        region.subject.misfit(f"{contract.key} may write anywhere, also over constants")


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
