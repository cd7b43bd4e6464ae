"""
A module at a glance: what `weavegate inspect` prints and writes as JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from conformance.wasm.calls import CallGraph, call_graph
from conformance.wasm.code_entry import LOOP
from conformance.wasm.flow import flow
from conformance.wasm.items import Import, Limits
from conformance.wasm.loops import loop_forest
from conformance.wasm.module import Module
from conformance.wasm.names import function_names
from conformance.wasm.opcodes import PROPOSALS
from conformance.wasm.open_choices import OpenChoice, open_choices

LARGEST: Final = 10
"""How many functions are named as the largest ones."""


class SectionFact(Struct, frozen=True):
    """
    One section in file order.
    """

    name: str
    """`type`, ..., or the name of a custom section after `custom: `."""
    offset: int
    size_bytes: int
    """With number and size field."""


class ExternFact(Struct, frozen=True):
    """
    One import or export.
    """

    name: str
    """Of an import `module.name`."""
    kind: str
    index: int
    type: str
    offset: int


class SpaceFact(Struct, frozen=True):
    """
    A memory, table or global.
    """

    kind: str
    index: int
    type: str
    imported: bool


class FunctionFact(Struct, frozen=True):
    """
    One function of the module's own.
    """

    index: int
    name: str
    offset: int
    size_bytes: int
    instructions: int
    locals: int
    """Declared ones; parameters are not among them."""


class LoopFact(Struct, frozen=True):
    """
    One natural loop.
    """

    offset: int
    """Of its `loop` instruction."""
    depth: int
    latches: int
    exits: int
    instructions: int
    """In it, inner loops included."""
    iterations: int | None
    """Per entry; None: not known from the graph."""


class FlowFact(Struct, frozen=True):
    """
    Control flow of one function that has loops.
    """

    index: int
    name: str
    blocks: int
    edges: int
    loops: tuple[LoopFact, ...]
    loops_that_run_once: int


class IndirectFact(Struct, frozen=True):
    """
    What calls through one table with one type can reach.
    """

    table: int
    type: str
    sites: int
    functions: tuple[int, ...]
    open: str | None
    """Why the host could put others into the table."""


class CallFact(Struct, frozen=True):
    """
    The call graph.
    """

    functions: int
    """The module's own."""
    imported: int
    direct_sites: int
    indirect: tuple[IndirectFact, ...]
    recursive: tuple[tuple[int, ...], ...]
    unreached: tuple[int, ...]
    """Functions that the host cannot reach."""
    callees: dict[int, tuple[int, ...]]
    """Function -> functions that it calls by name; those that call nothing are left out."""


class NamesFact(Struct, frozen=True):
    """
    What the `name` section tells.
    """

    functions: dict[int, str]


class OperatorFact(Struct, frozen=True):
    """
    How often an operator is used, and where first.
    """

    name: str
    count: int
    first_offset: int


class Survey(Struct, frozen=True, kw_only=True):
    """
    Everything that `weavegate inspect` tells of one valid module.
    """

    sha256: str
    size_bytes: int
    instructions: int
    sections: tuple[SectionFact, ...]
    imports: tuple[ExternFact, ...]
    exports: tuple[ExternFact, ...]
    spaces: tuple[SpaceFact, ...]
    """Memories, tables and globals."""
    start: int | None
    data_bytes: int
    calls: CallFact
    flow: tuple[FlowFact, ...]
    float_operators: tuple[OperatorFact, ...]
    proposals: dict[str, int]
    """Proposal beyond the MVP -> byte offset of the first need."""
    not_admitted: str
    """What no module that gets here can use."""
    open_choices: tuple[OpenChoice, ...]
    largest: tuple[FunctionFact, ...]
    names: NamesFact | None
    """None without a `name` section."""


def survey(module: Module, step: Callable[[int], None] = lambda _: None) -> Survey:
    """
    Survey a valid *module*; *step* is told after each function how many are done.
    """
    graph = call_graph(module)
    return Survey(
        sha256=module.sha256,
        size_bytes=len(module.binary),
        instructions=len(module.code.codes),
        sections=_sections(module),
        imports=_imports(module),
        exports=tuple(
            [
                ExternFact(e.name, e.kind, e.index, _type(module, e.kind, e.index), e.span.start)
                for e in module.exports
            ]
        ),
        spaces=_spaces(module),
        start=module.start.function if module.start else None,
        data_bytes=sum(segment.content.size for segment in module.data),
        calls=_calls(module, graph),
        flow=_flow(module, step),
        float_operators=tuple(
            [
                OperatorFact(name, use.count, use.first_offset)
                for name, use in module.operators.items()
                if use.opcode.computes_floats
            ]
        ),
        proposals=dict(module.needs),
        not_admitted=f"everything beyond the MVP but {', '.join(PROPOSALS)}; so no threads, no"
        " relaxed SIMD",
        open_choices=open_choices(module, graph),
        largest=_largest(module),
        names=_names(module),
    )


def _sections(module: Module) -> tuple[SectionFact, ...]:
    customs = iter(module.customs)
    return tuple(
        [
            SectionFact(
                section.name if section.number else f"custom: {next(customs).name}",
                section.span.start,
                section.span.size,
            )
            for section in module.sections
        ]
    )


# ---------------------------------------------------------------------------------------- items


def _limits(limits: Limits, unit: str) -> str:
    most = "no maximum" if limits.maximum is None else f"at most {limits.maximum}"
    return f"{limits.minimum} {unit}{'' if limits.minimum == 1 else 's'}, {most}"


def _type(module: Module, kind: str, index: int) -> str:
    """
    The type of anything that can be imported or exported, as one phrase.
    """
    match kind:
        case "function":
            return str(module.function_type(index))
        case "table":
            table = module.table_types[index]
            return f"{table.element}, {_limits(table.limits, 'element')}"
        case "memory":
            return _limits(module.memory_types[index].limits, "page")
        case _:
            found = module.global_types[index]
            return f"mutable {found.type}" if found.mutable else found.type


def _imports(module: Module) -> tuple[ExternFact, ...]:
    counts: dict[str, int] = {}
    found = []
    for item in module.imports:
        index = counts.get(item.kind, 0)
        counts[item.kind] = index + 1
        found.append(_imported(module, item, index))
    return tuple(found)


def _imported(module: Module, item: Import, index: int) -> ExternFact:
    return ExternFact(item.key, item.kind, index, _type(module, item.kind, index), item.span.start)


def _spaces(module: Module) -> tuple[SpaceFact, ...]:
    every = (
        ("memory", len(module.memory_types), len(module.memories)),
        ("table", len(module.table_types), len(module.tables)),
        ("global", len(module.global_types), len(module.globals)),
    )
    return tuple(
        [
            SpaceFact(kind, index, _type(module, kind, index), index < count - own)
            for kind, count, own in every
            for index in range(count)
        ]
    )


def _names(module: Module) -> NamesFact | None:
    if not any(custom.name == "name" for custom in module.customs):
        return None
    return NamesFact(function_names(module.binary, module.customs))


def _largest(module: Module) -> tuple[FunctionFact, ...]:
    by_size = sorted(module.functions, key=lambda f: (-f.body.span.size, f.index))[:LARGEST]
    return tuple(
        [
            FunctionFact(
                f.index,
                module.function_name(f.index),
                f.body.entry.start,
                f.body.entry.size,
                len(f.body),
                f.body.local_count,
            )
            for f in by_size
        ]
    )


# --------------------------------------------------------------------------------------- graphs


def _calls(module: Module, graph: CallGraph) -> CallFact:
    sites = [0] * len(graph.groups)
    for call in graph.indirect:
        sites[call.group] += 1
    indirect = [
        IndirectFact(group.table, str(group.type), count, group.functions, group.open)
        for group, count in zip(graph.groups, sites, strict=True)
    ]
    callers = sorted({*graph.direct.caller.tolist(), *(call.caller for call in graph.indirect)})
    return CallFact(
        len(module.functions),
        module.imported_functions,
        len(graph.direct.caller),
        tuple(indirect),
        graph.recursive,
        graph.unreached,
        {caller: graph.direct_callees(caller) for caller in callers},
    )


def _flow(module: Module, step: Callable[[int], None]) -> tuple[FlowFact, ...]:
    """
    Functions with a `loop`; graphs of the others are not made.
    """
    found = []
    for done, function in enumerate(module.functions, 1):
        body = function.body
        if (body.codes == LOOP).any():
            found.append(_one_flow(module, function.index, done - 1))
        step(done)
    return tuple(found)


def _one_flow(module: Module, index: int, place: int) -> FlowFact:
    body = module.functions[place].body
    graph = flow(body)
    forest = loop_forest(graph)
    sizes = [0] * len(forest.loops)
    for block, loop in zip(graph.blocks, forest.innermost, strict=True):
        if loop is not None:
            sizes[loop] += block.end - block.start
    for number in range(len(sizes) - 1, -1, -1):
        parent = forest.loops[number].parent
        if parent is not None:
            sizes[parent] += sizes[number]
    loops = [
        LoopFact(
            int(body.offsets[graph.structure.blocks[loop.block].start]),
            loop.depth,
            len(loop.latches),
            loop.exits,
            size,
            loop.iterations,
        )
        for loop, size in zip(forest.loops, sizes, strict=True)
    ]
    name = module.function_name(index)
    once = len(forest.straight)
    return FlowFact(index, name, len(graph.blocks), len(graph.edges), tuple(loops), once)
