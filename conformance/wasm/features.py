"""
Which proposals a module needs, and the first byte that needs each.

Where an old engine would already refuse the encoding, the proposal counts as needed, although the
value encoded is one the MVP has: a table index that takes five bytes, for example.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from conformance.wasm.items import Expression, GlobalType, Span, TableType
from conformance.wasm.opcodes import OPCODES, PROPOSALS, ValType

if TYPE_CHECKING:
    from conformance.wasm.module import Module

Need = tuple[str, int]


def needs(module: Module) -> dict[str, int]:
    """
    Proposal -> offset of the first item or instruction that needs it, in the protocol's order.
    """
    first: dict[str, int] = {}
    for source in (_types, _operators, _blocks, _indirect_calls, _tables, _globals, _segments):
        for proposal, offset in source(module):
            first[proposal] = min(offset, first.get(proposal, offset))
    return {proposal: first[proposal] for proposal in PROPOSALS if proposal in first}


def _value_types(types: Iterable[ValType], span: Span) -> Iterator[Need]:
    for value_type in types:
        if value_type == "v128":
            yield "simd", span.start
        elif value_type in ("funcref", "externref"):
            yield "reference-types", span.start


def _types(module: Module) -> Iterator[Need]:
    for item in module.types:
        yield from _value_types(item.type.parameters + item.type.results, item.span)
        if len(item.type.results) > 1:
            yield "multi-value", item.span.start
    for function in module.functions:
        for run in function.body.locals:
            yield from _value_types((run.type,), run.span)


def _operators(module: Module) -> Iterator[Need]:
    for name, use in module.operators.items():
        opcode = use.opcode
        if opcode.proposal != "mvp":
            yield opcode.proposal, use.first_offset
        if name == "select_t":
            yield "reference-types", use.first_offset


def _blocks(module: Module) -> Iterator[Need]:
    index = module.code
    blocks = index.offsets[np.isin(index.codes, (0x02, 0x03, 0x04))]
    if not blocks.size:
        return
    kinds = np.frombuffer(module.binary, np.uint8)[blocks + 1]
    indexed = (kinds < 0x40) | (kinds >= 0x80)  # noqa: PLR2004 - non-negative LEB128
    for proposal, hits in (
        ("multi-value", indexed),
        ("simd", kinds == 0x7B),  # noqa: PLR2004 - v128
        ("reference-types", (kinds == 0x70) | (kinds == 0x6F)),  # noqa: PLR2004 - references
    ):
        if hits.any():
            yield proposal, int(blocks[hits][0])


def _indirect_calls(module: Module) -> Iterator[Need]:
    use = module.operators.get("call_indirect")
    if use is None:
        return
    index = module.code
    for offset in index.offsets[index.codes == use.opcode.code].tolist():
        table = offset + 1
        while module.binary[table] & 0x80:
            table += 1
        if module.binary[table + 1]:
            yield "reference-types", offset
            return


def _tables(module: Module) -> Iterator[Need]:
    imported = [(i.type, i.span) for i in module.imports if isinstance(i.type, TableType)]
    for place, (table, span) in enumerate(imported + [(t.type, t.span) for t in module.tables]):
        if place or table.element != "funcref":
            yield "reference-types", span.start


def _globals(module: Module) -> Iterator[Need]:
    for item in module.imports:
        if isinstance(item.type, GlobalType):
            yield from _value_types((item.type.type,), item.span)
            if item.type.mutable:
                yield "mutable-global", item.span.start
    for own in module.globals:
        yield from _value_types((own.type.type,), own.span)
        yield from _expression(own.initialiser)
    types = module.global_types
    for export in module.exports:
        if export.kind == "global" and export.index < len(types) and types[export.index].mutable:
            yield "mutable-global", export.span.start


def _expression(expression: Expression | None) -> Iterator[Need]:
    for instruction in expression.instructions if expression else ():
        proposal = OPCODES[instruction.opcode.code].proposal
        if proposal != "mvp":
            yield proposal, instruction.offset


def _segments(module: Module) -> Iterator[Need]:
    for segment in module.elements:
        yield from _expression(segment.offset)
        if segment.flags:
            yield "bulk-memory", segment.span.start
        if segment.flags >= 3 or segment.table:  # noqa: PLR2004 - declarative, or expressions
            yield "reference-types", segment.span.start
    for data in module.data:
        yield from _expression(data.offset)
        if data.flags:
            yield "bulk-memory", data.span.start
    for section in module.sections:
        if section.name == "data count":
            yield "bulk-memory", section.span.start
