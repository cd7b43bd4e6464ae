"""
What may stand in a table: every function that the module itself can put there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conformance.wasm.immediates import uses
from conformance.wasm.items import Element, Expression, GlobalType, TableType
from conformance.wasm.module import Module


@dataclass(frozen=True, slots=True)
class TableContents:
    """
    Functions that may be called through one table of `funcref`.
    """

    functions: tuple[int, ...]
    """Those that the module's segments and instructions can put there, ascending."""
    open: str | None
    """Why the host can put others there as well: a clause; None when it cannot."""


def table_contents(module: Module) -> tuple[TableContents, ...]:
    """
    For each table, imported ones first; a table of `externref` holds no functions.

    Every instruction counts, whether or not it can be reached, in whatever order: what is left
    out cannot be there.
    """
    tables = module.table_types
    held: list[set[int]] = [set() for _ in tables]
    for segment in module.elements:
        if segment.mode == "active" and segment.table < len(held):
            held[segment.table].update(_functions(segment))
    _, initialised = uses(module, "table.init")
    for element, table in set(zip(*initialised.tolist(), strict=True)):
        held[table].update(_functions(module.elements[element]))
    hosts = [_host_access(module, table) for table in range(len(tables))]
    written = _written(module)
    if written:
        free = _references(module).union(*held)
        reason = _host_references(module) or next((h for h in hosts if h), None)
        for table in written:
            held[table].update(free)
            hosts[table] = hosts[table] or reason
    _spread(module, held, hosts)
    return tuple(
        [
            TableContents(tuple(sorted(found)), reason)
            if described.element == "funcref"
            else TableContents((), None)
            for described, found, reason in zip(tables, held, hosts, strict=True)
        ]
    )


def _functions(segment: Element) -> Iterator[int]:
    yield from segment.functions
    for expression in segment.expressions:
        yield from _named(expression)


def _named(expression: Expression) -> Iterator[int]:
    for instruction in expression.instructions:
        value = instruction.immediates[0]
        if instruction.opcode.name == "ref.func" and isinstance(value, int):
            yield value


def _written(module: Module) -> list[int]:
    """
    Tables into which an instruction puts a reference from the stack.
    """
    found: set[int] = set()
    for operator in ("table.set", "table.grow", "table.fill"):
        found.update(uses(module, operator)[1][0].tolist())
    return sorted(table for table in found if module.table_types[table].element == "funcref")


def _references(module: Module) -> set[int]:
    """
    Functions to which a body can have a reference without reading a table.
    """
    found = set(uses(module, "ref.func")[1][0].tolist())
    for own in module.globals:
        found.update(_named(own.initialiser))
    return found


def _spread(module: Module, held: list[set[int]], hosts: list[str | None]) -> None:
    """
    Follow `table.copy` until nothing changes.
    """
    _, copied = uses(module, "table.copy")
    pairs = sorted(set(zip(*copied.tolist(), strict=True)))
    changed = True
    while changed:
        changed = False
        for target, source in pairs:
            if not held[source] <= held[target] or (hosts[source] and not hosts[target]):
                held[target] |= held[source]
                hosts[target] = hosts[target] or hosts[source]
                changed = True


def _host_access(module: Module, table: int) -> str | None:
    """
    How the host reaches a table.
    """
    imported = [item for item in module.imports if isinstance(item.type, TableType)]
    if table < len(imported):
        return f"it is imported as {imported[table].key!r}"
    for export in module.exports:
        if export.kind == "table" and export.index == table:
            return f"it is exported as {export.name!r}"
    return None


def _host_references(module: Module) -> str | None:
    """
    How the host can hand a function of its own to the module, other than in a table.
    """
    for item in module.imports:
        if isinstance(item.type, GlobalType) and item.type.type == "funcref":
            return f"the global {item.key!r} is imported"
    for index in range(module.imported_functions):
        if "funcref" in module.function_type(index).results:
            return f"{module.function_name(index)} returns a reference"
    for export in module.exports:
        if export.kind == "function" and "funcref" in module.function_type(export.index).parameters:
            return f"the export {export.name!r} takes a reference"
        if export.kind == "global" and module.global_types[export.index] == GlobalType(
            "funcref", mutable=True
        ):
            return f"the mutable global {export.name!r} is exported"
    return None
