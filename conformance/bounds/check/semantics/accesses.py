"""
Instructions about linear memory, and what they must leave alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from conformance.bounds.certificate import ENTRY, Summary
from conformance.bounds.check.refusals import NotModelledError
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.check.semantics.memory import Havoc, Store
from conformance.bounds.check.semantics.reading import Reading
from conformance.bounds.check.semantics.state import State
from conformance.bounds.check.semantics.subject import Callee
from conformance.bounds.check.semantics.terms import Value
from conformance.bounds.host_records import HostContract
from conformance.wasm.instructions import Instruction
from conformance.wasm.limits import MOST_PAGES

if TYPE_CHECKING:
    from conformance.bounds.check.semantics.execution import Region

WIDE: Final = 40
"""Bits in which addresses are compared: no sum of an address, an offset and a size wraps."""
_LONGEST_TABLE: Final = 1 << 16


def wide(region: Region, value: Value) -> Value:
    """
    An i32 in 40 bits.
    """
    return region.terms.resize(value, 32, WIDE)


def access(region: Region, at: int, instruction: Instruction, state: State) -> None:
    """
    A load or a store.
    """
    terms, stack, opcode = region.terms, state.stack, instruction.opcode
    memarg: Any = instruction.immediates[0]
    size = 1 << (opcode.alignment or 0)
    kind, _, operator = opcode.name.partition(".")
    value = stack.pop() if operator.startswith("store") else None
    base = stack.pop()
    address = terms.two("add", base, memarg.offset & 0xFFFFFFFF, 32)
    reach = terms.two("add", wide(region, base), memarg.offset, WIDE)
    if value is not None:
        place = region.cells.place(address, size)
        end = terms.two("add", reach, size, WIDE)
        written(region, at, state, reach, end, followed=place != "unknown")
        if state.memory is not None and (region.summary.memory or place in ("inside", "across")):
            narrow = terms.resize(value, WIDTH[kind], 8 * size)
            state.memory = Store(state.memory, address, size, narrow)
        return
    found = loaded(region, at, state, address, size)
    sign = operator.endswith("_s")
    stack.append(terms.resize(found, 8 * size, WIDTH[kind], sign=sign))


def loaded(region: Region, at: int, state: State, address: Value, size: int) -> Value:
    """
    The bytes that a load gives, unknown ones where nothing is known of them.
    """
    if at in region.reads:
        return from_region(region, at, state, address, size, region.reads[at])
    found: Value | None = region.memory_of(state)(address, size)
    return region.terms.fresh(8 * size) if found is None else found


def from_region(
    region: Region, at: int, state: State, address: Value, size: int, number: int
) -> Value:
    """
    A load that the certificate says to lie in a region: prove it, and look the value up.
    """
    terms, certificate = region.terms, region.subject.certificate
    if number >= len(certificate.regions):
        region.subject.misfit(f"{region.summary.name} reads a region {number} that does not exist")
    span = certificate.regions[number]
    first, last = span.start, span.end - size
    inside = 0 if last < first else terms.both(
        terms.two("uge", address, first, 32), terms.two("ule", address, last, 32)
    )  # fmt: skip
    region.demand("a load lies in its region of constants", at, state, inside)
    image = region.subject.image
    for values in certificate.precondition.values:
        if values.start <= span.start and span.end <= values.end and values.size == size:
            return input_value(region, at, state, address, values)
    known = image.known(span.start, max(0, span.end - span.start))
    if known is None or span.end - span.start > _LONGEST_TABLE:
        return terms.fresh(8 * size)
    content = known.to_bytes(span.end - span.start, "little")
    entries = [
        int.from_bytes(content[k : k + size], "little") for k in range(len(content) - size + 1)
    ]
    offset = terms.two("sub", address, first, 32)
    if isinstance(offset, int):
        return entries[offset] if offset < len(entries) else terms.fresh(8 * size)
    # A known residue of the address leaves only some places of the region to look at.
    base, known_part = terms.split(address)
    zeros = terms.trailing_zeros(base)
    skipped = (known_part - first) % (1 << zeros)
    place = terms.two("sub", offset, skipped, 32)
    index = terms.apply("extract", (31, zeros), 32 - zeros, [place], [32])
    possible = entries[skipped :: 1 << zeros] or [0]
    found = terms.fresh(8 * size)
    low = terms.two("uge", found, min(possible), 8 * size)
    high = terms.two("ule", found, max(possible), 8 * size)
    chosen = terms.choose(index, 32 - zeros, possible, 8 * size)
    # Outside of the region nothing is known; that it is not left is proved beside this.
    region.definitions.append(terms.either(terms.no(inside), terms.both(low, high)))
    exact = terms.two("eq", found, chosen, 8 * size)
    region.lookups.append(terms.either(terms.no(inside), exact))
    return found


def input_value(region: Region, at: int, state: State, address: Value, values: Any) -> Value:
    """
    An element of the input, whose range the precondition states.
    """
    terms, width = region.terms, 8 * values.size
    offset = terms.two("sub", address, values.start & 0xFFFFFFFF, 32)
    aligned = terms.two("eq", terms.two("urem", offset, values.size, 32), 0, 32)
    region.demand("a load reads one element of the input", at, state, aligned)
    found = terms.fresh(width)
    low, high = (terms.two(op, found, bound, width) for op, bound in
                 (("uge", values.lo), ("ule", values.hi)))  # fmt: skip
    region.definitions.append(terms.both(low, high))
    return found


def written(
    region: Region, at: int, state: State, start: Value, end: Value, *, followed: bool = False
) -> None:
    """
    Bytes from *start* to *end* (40 bits) are written: keep off constants, stay in the promise.

    Keep off cells too, unless the write is *followed* because its distance from them is known.
    """
    terms = region.terms
    for formula in () if followed else region.cells.apart(start, end):
        region.demand("a write stays off the cells of its function", at, state, formula)
    for span in region.subject.certificate.regions:
        apart = terms.either(
            terms.two("ule", end, span.start, WIDE), terms.two("uge", start, span.end, WIDE)
        )
        region.demand("a store leaves the constants alone", at, state, apart)
    if region.summary.writes is not None:
        inside = [
            terms.both(terms.two("ule", low, start, WIDE), terms.two("ule", end, high, WIDE))
            for low, high in ranges(
                region,
                region.summary,
                region.reading(at_entry(region)),
                Callee(region.summary, region.layout.type),
            )
        ]
        empty = terms.two("uge", start, end, WIDE)
        region.demand("a store stays in what the summary says it writes", at, state,
                     terms.either(empty, *inside))  # fmt: skip


def at_entry(region: Region) -> State:
    """
    The state in which the function was entered.
    """
    declared = [0] * (len(region.layout.locals) - len(region.params))
    return State(1, [*region.params, *declared], [], region.entry_globals, region.entry_pages,
                 None, [])  # fmt: skip


def ranges(
    region: Region, contract: Summary | HostContract, reading: Reading, callee: Callee
) -> Iterator[tuple[Value, Value]]:
    """
    What a contract says is written, in 40 bits.
    """
    if isinstance(contract, HostContract) and contract.writes and (
        region.subject.certificate.pages >= MOST_PAGES
    ):  # fmt: skip
        # An end at 2^32 would look like one at 0.
        region.subject.misfit(f"{contract.key} writes where memory has {MOST_PAGES} pages")
    for item in contract.writes or ():
        pair = []
        for text in (item.start, item.end):
            if isinstance(contract, Summary):
                term = region.subject.term(contract, ENTRY, text)
            else:
                term = region.subject.hosted(callee, text, formula=False)
            if term.width != 32:  # noqa: PLR2004 - addresses are i32
                region.subject.misfit(f"{text[:80]!r} is no address of 32 bits")
            pair.append(wide(region, reading.value(term)))
        yield pair[0], pair[1]


def memory_instruction(region: Region, at: int, instruction: Instruction, state: State) -> None:
    """
    Size, growth and bulk instructions.
    """
    terms, stack, name = region.terms, state.stack, instruction.opcode.name
    if name == "memory.size":
        stack.append(state.pages)
    elif name == "memory.grow":
        amount(region, at, state, stack[-1])
        asked = stack.pop()
        most = region.subject.image.most_pages
        after = terms.two("add", wide(region, state.pages), wide(region, asked), WIDE)
        may = terms.two("eq", terms.fresh(1), 1, 1)
        granted = terms.both(may, terms.two("ule", after, most, WIDE))
        within = terms.two("ule", after, region.subject.certificate.pages, WIDE)
        region.demand("memory stays within its pages", at, state,
                     terms.either(terms.no(granted), within))  # fmt: skip
        stack.append(terms.ite(granted, state.pages, 0xFFFFFFFF, 32))
        grown = terms.resize(after, WIDE, 32)
        state.pages = terms.ite(granted, grown, state.pages, 32)
    elif name in ("memory.copy", "memory.fill", "memory.init"):
        amount(region, at, state, stack[-1])
        size, _, start = stack.pop(), stack.pop(), stack.pop()
        first = wide(region, start)
        end = terms.two("add", first, wide(region, size), WIDE)
        written(region, at, state, first, end)
        if region.summary.memory and state.memory is not None:
            last = terms.two("add", start, size, 32)
            state.memory = Havoc(state.memory, region.memories.unknown(), ((start, last),))
    elif name != "data.drop":
        raise NotModelledError(name, f"{region.layout.name}, instruction {at}")


def amount(region: Region, at: int, state: State, value: Value) -> None:
    """
    Prove that an operand lies within the limits that the certificate gives it, if any.
    """
    item = region.amounts.get(at)
    if item is not None:
        low = region.terms.two("uge", value, min(item.least, 0xFFFFFFFF), 32)
        high = region.terms.two("ule", value, min(item.most, 0xFFFFFFFF), 32)
        region.demand("an amount lies within its limits", at, state, region.terms.both(low, high))
