"""
The call graph: who calls whom, directly and through tables, which functions recurse, and which
imports a call can reach.

A host function that is called may call exports in turn; the graph has no edges for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from conformance.wasm.components import components
from conformance.wasm.immediates import Numbers, owners, uses
from conformance.wasm.items import FunctionType
from conformance.wasm.module import Module
from conformance.wasm.tables import TableContents, table_contents


@dataclass(frozen=True, slots=True, eq=False)
class DirectCalls:
    """
    Every `call` of the module in file order, as columns of one length.
    """

    caller: Numbers
    """Function whose body it is in."""
    callee: Numbers
    place: Numbers
    """Number of the instruction in the caller's body."""
    offset: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class IndirectCall:
    """
    One `call_indirect`.
    """

    caller: int
    place: int
    """Number of the instruction in the caller's body."""
    offset: int
    table: int
    type: FunctionType
    group: int
    """Place in `CallGraph.groups`."""


@dataclass(frozen=True, slots=True)
class Group:
    """
    What a `call_indirect` through one table with one type can call.
    """

    table: int
    type: FunctionType
    functions: tuple[int, ...]
    """Functions of this type that the module can put into the table, ascending."""
    open: str | None
    """Why the host could put others there; None when it cannot."""


@dataclass(frozen=True, eq=False)
class CallGraph:
    """
    Functions are named by their index; imported ones come first and call nothing here.
    """

    module: Module
    direct: DirectCalls
    indirect: tuple[IndirectCall, ...]
    """In file order."""
    groups: tuple[Group, ...]
    tables: tuple[TableContents, ...]

    @cached_property
    def _direct_callees(self) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.module.function_types]
        pairs = np.unique(np.stack((self.direct.caller, self.direct.callee)), axis=1)
        for caller, callee in zip(*pairs.tolist(), strict=True):
            found[caller].append(callee)
        return found

    @cached_property
    def _groups_of(self) -> dict[int, tuple[int, ...]]:
        found: dict[int, dict[int, None]] = {}
        for call in self.indirect:
            found.setdefault(call.caller, {})[call.group] = None
        return {caller: tuple(groups) for caller, groups in found.items()}

    def direct_callees(self, function: int) -> tuple[int, ...]:
        """
        Functions that *function* calls by name, ascending, each once.
        """
        return tuple(self._direct_callees[function])

    def callees(self, function: int) -> tuple[int, ...]:
        """
        Functions that *function* may call itself, ascending, each once.
        """
        found = set(self._direct_callees[function])
        for group in self._groups_of.get(function, ()):
            found.update(self.groups[group].functions)
        return tuple(sorted(found))

    @cached_property
    def _nodes(self) -> list[Sequence[int]]:
        """
        Successors of functions and, numbered after them, of groups: no pair is written twice.
        """
        base = len(self.module.function_types)
        nodes: list[Sequence[int]] = list(self._direct_callees)
        for caller, groups in self._groups_of.items():
            nodes[caller] = [*nodes[caller], *(base + group for group in groups)]
        nodes += [group.functions for group in self.groups]
        return nodes

    @cached_property
    def order(self) -> tuple[tuple[int, ...], ...]:
        """
        All functions in sets that call each other, callees before callers.

        A set of one function is recursive only if the function is among its own callees.
        """
        base = len(self.module.function_types)
        found = (
            tuple(sorted(node for node in component if node < base))
            for component in components(self._nodes)
        )
        return tuple(component for component in found if component)

    @cached_property
    def recursive(self) -> tuple[tuple[int, ...], ...]:
        """
        Sets of functions that can call themselves through each other, callees before callers.
        """
        return tuple(
            component
            for component in self.order
            if len(component) > 1 or component[0] in self.callees(component[0])
        )

    def reached(self, functions: Sequence[int]) -> frozenset[int]:
        """
        *functions*, and all that they may call, directly or not.
        """
        nodes, base = self._nodes, len(self.module.function_types)
        seen = set(functions)
        todo = list(seen)
        while todo:
            for node in nodes[todo.pop()]:
                if node not in seen:
                    seen.add(node)
                    todo.append(node)
        return frozenset(node for node in seen if node < base)

    def imports_reached(self, function: int) -> tuple[int, ...]:
        """
        Imported functions that a call of *function* can reach, ascending.
        """
        imported = self.module.imported_functions
        return tuple(sorted(index for index in self.reached([function]) if index < imported))

    @cached_property
    def entries(self) -> tuple[int, ...]:
        """
        Functions that the host can call: exports, the start function, what it finds in tables.

        References that the module hands out by other ways (results, globals) are not followed.
        """
        found = {export.index for export in self.module.exports if export.kind == "function"}
        if self.module.start is not None:
            found.add(self.module.start.function)
        for table in self.tables:
            if table.open is not None:
                found.update(table.functions)
        return tuple(sorted(found))

    @cached_property
    def unreached(self) -> tuple[int, ...]:
        """
        The module's own functions that no call from an entry leads to, ascending.
        """
        reached = self.reached(self.entries)
        return tuple(f.index for f in self.module.functions if f.index not in reached)


def call_graph(module: Module) -> CallGraph:
    """
    The call graph of a valid *module*.
    """
    tables = table_contents(module)
    indirect, groups = _indirect(module, tables)
    return CallGraph(module, _direct(module), indirect, groups, tables)


def _direct(module: Module) -> DirectCalls:
    places, (callees,) = uses(module, "call")
    callers, own = _located(module, places)
    return DirectCalls(callers, callees, own, module.code.offsets[places])


def _located(module: Module, places: Numbers) -> tuple[Numbers, Numbers]:
    """
    Function and place in its body of *places* in the index of all code.
    """
    callers = owners(module, places)
    firsts = np.array([function.body.first for function in module.functions], np.int64)
    if not places.size:
        return callers, places
    return callers, places - firsts[callers - module.imported_functions]


def _indirect(
    module: Module, tables: tuple[TableContents, ...]
) -> tuple[tuple[IndirectCall, ...], tuple[Group, ...]]:
    places, (types, used) = uses(module, "call_indirect")
    callers, own = _located(module, places)
    offsets = module.code.offsets[places]
    numbers: dict[tuple[int, FunctionType], int] = {}
    calls = []
    rows = (callers, own, offsets, used, types)
    for caller, place, offset, table, index in zip(*(row.tolist() for row in rows), strict=True):
        described = module.types[index].type
        group = numbers.setdefault((table, described), len(numbers))
        calls.append(IndirectCall(caller, place, offset, table, described, group))
    return tuple(calls), tuple(_groups(module, tables, numbers))


def _groups(
    module: Module,
    tables: tuple[TableContents, ...],
    wanted: dict[tuple[int, FunctionType], int],
) -> Iterator[Group]:
    """
    Functions in tables sorted by type, in one pass over each table that is called through.
    """
    by_type: dict[tuple[int, FunctionType], list[int]] = {key: [] for key in wanted}
    for table in {table for table, _ in wanted}:
        for function in tables[table].functions:
            found = by_type.get((table, module.function_type(function)))
            if found is not None:
                found.append(function)
    for (table, described), functions in by_type.items():
        yield Group(table, described, tuple(functions), tables[table].open)
