"""
What the module itself fixes: initial memory and globals, what each function can write and call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, cast

from conformance.bounds.certificate import Precondition
from conformance.bounds.check.refusals import NotModelledError
from conformance.bounds.check.semantics.initial import (
    Initialised,
    initialised,
    initialises,
    snapshot,
)
from conformance.bounds.check.semantics.layout import WIDTH, Layout, lay_out
from conformance.bounds.host_records import HostContract
from conformance.wasm.items import Expression
from conformance.wasm.module import Module

PAGE_BYTES: Final = 65_536
_GROWING: Final = "memory.grow"


class Image:
    """
    A module and the state in which the entry is called.
    """

    def __init__(
        self, module: Module, precondition: Precondition, hosts: Sequence[HostContract] = ()
    ) -> None:
        """
        Read segments and globals; NotModelledError for what the host would have to supply.

        What functions do through the host is as its contracts *hosts* say.
        """
        self.module = module
        self.precondition = precondition
        self.hosts = tuple(hosts)
        self._hosts = {host.key: host for host in hosts}
        for item in module.imports:
            if item.kind != "function":
                raise NotModelledError(f"an imported {item.kind}", item.key)
        for described in module.global_types:
            if described.type not in WIDTH:
                raise NotModelledError(f"a global of type {described.type}", "global section")
        limits = module.memory_limits or (0, 0)
        self.pages = limits[0]
        """Pages of linear memory at the beginning."""
        self.most_pages = min(precondition.most_pages, 65536 if limits[1] is None else limits[1])
        """Growth beyond is refused, by the module's own maximum or by the host."""
        self._layouts: dict[int, Layout] = {}
        self._bytes = bytearray(self.pages * PAGE_BYTES)
        for segment in module.data:
            if segment.offset is not None:
                start = _constant(segment.offset, "the offset of a data segment")
                content = module.binary[segment.content.start : segment.content.end]
                if start + len(content) > len(self._bytes):
                    raise NotModelledError("a data segment beyond memory", f"at {start}")
                self._bytes[start : start + len(content)] = content
        self.initialised: Initialised | None = None
        """What an initialisation left behind; None where nothing runs before the entry."""
        if initialises(module, precondition.initialize):
            self.initialised = initialised(module, precondition.initialize)
            self._bytes[:] = self.initialised.memory

    @cached_property
    def running(self) -> Module:
        """
        The module for runs that begin where the entry does: itself, or as it was initialised.
        """
        return self.module if self.initialised is None else snapshot(self.module, self.initialised)

    def layout(self, function: int) -> Layout:
        """
        The layout of a function of the module's own.
        """
        if function not in self._layouts:
            place = function - self.module.imported_functions
            self._layouts[function] = lay_out(self.module, place)
        return self._layouts[function]

    def known(self, address: int, size: int) -> int | None:
        """
        *size* bytes of memory as the entry finds them; None where they are not known.
        """
        end = address + size
        if not self.precondition.fresh or end > len(self._bytes):
            return None
        if any(address < span.end and span.start < end for span in self.precondition.unknown):
            return None
        return int.from_bytes(self._bytes[address:end], "little")

    def initial(self, start: int, end: int) -> bytearray:
        """
        Memory as segments leave it, zeros beyond its end.
        """
        found = self._bytes[start:end]
        return found + bytes(end - start - len(found))

    @cached_property
    def initial_globals(self) -> tuple[int | None, ...]:
        """
        Value of each global where the entry finds it; None where that is not known.
        """
        changed = {item.index for item in self.precondition.globals}
        found: list[int | None] = []
        for index, own in enumerate(self.module.globals):
            fixed = self.precondition.fresh or not own.type.mutable
            value = (
                _constant(own.initialiser, f"global {index}")
                if self.initialised is None
                else self.initialised.globals[index]
            )
            found.append(value if fixed and index not in changed else None)
        return tuple(found)

    @cached_property
    def tables(self) -> tuple[tuple[int | None, ...], ...]:
        """
        Functions in each table; nothing of what is modelled can change them.
        """
        found: list[list[int | None]] = [
            [None] * min(table.type.limits.minimum, 1 << 20) for table in self.module.tables
        ]
        for segment in self.module.elements:
            if segment.offset is None:
                continue
            start = _constant(segment.offset, "the offset of an element segment")
            functions: list[int | None] = list(segment.functions)
            if segment.expressions:
                raise NotModelledError("an element segment of expressions", "element section")
            if start + len(functions) > len(found[segment.table]):
                raise NotModelledError("an element segment beyond its table", f"at {start}")
            found[segment.table][start : start + len(functions)] = functions
        for export in self.module.exports:
            if export.kind == "table":
                raise NotModelledError("an exported table", export.name)
        return tuple(map(tuple, found))

    def targets(self, table: int, type_index: int) -> Iterator[tuple[int, int]]:
        """
        (Index, function) for each entry of *table* that a call with this type can reach.
        """
        wanted = self.module.types[type_index].type
        for index, function in enumerate(self.tables[table]):
            if function is not None and self.module.function_type(function) == wanted:
                yield index, function

    def called(self, function: int) -> Iterator[int]:
        """
        Functions that one function's body can call, indirectly and by way of the host too.
        """
        for at in self.layout(function).code:
            first: Any = at.immediates[0] if at.immediates else None
            if at.opcode.name == "call":
                yield first
                yield from self.reentered(first)
            elif at.opcode.name == "call_indirect":
                table: Any = at.immediates[1]
                for _, target in self.targets(table, first):
                    yield target
                    yield from self.reentered(target)

    @cached_property
    def imported(self) -> tuple[str, ...]:
        """
        `module.name` of each imported function.
        """
        return tuple(item.key for item in self.module.imports if item.kind == "function")

    def host(self, function: int) -> HostContract | None:
        """
        The contract of an imported function; None for one without, and for the module's own.
        """
        if function >= self.module.imported_functions:
            return None
        return self._hosts.get(self.imported[function])

    def reentered(self, function: int) -> Iterator[int]:
        """
        Functions that the host can call while it is called as *function*.
        """
        host = self.host(function)
        for item in () if host is None else host.reenters:
            export = self.module.exported(item.export)
            if export is None or export.kind != "function":
                # What is not exported cannot be called.
                continue
            if export.index < self.module.imported_functions:
                raise NotModelledError("a host that calls a host", item.export)
            yield export.index

    def reachable(self, function: int) -> frozenset[int]:
        """
        Functions of the module's own that a call of *function* can enter, itself included.
        """
        found, todo = {function}, [function]
        while todo:
            for callee in self.called(todo.pop()):
                if callee >= self.module.imported_functions and callee not in found:
                    found.add(callee)
                    todo.append(callee)
        return frozenset(found)

    def effects(self, function: int) -> tuple[frozenset[int], bool]:
        """
        Globals that a call of *function* can write, and whether it can grow memory.
        """
        if function not in self._effects:
            written, grows = set[int](), False
            for member in self.reachable(function):
                for at in self.layout(member).code:
                    if at.opcode.name == "global.set":
                        written.add(cast("int", at.immediates[0]))
                    grows = grows or at.opcode.name == _GROWING
                for callee in self.called(member):
                    host = self.host(callee)
                    grows = grows or (host is not None and host.grows > 0)
            self._effects[function] = (frozenset(written), grows)
        return self._effects[function]

    @cached_property
    def _effects(self) -> dict[int, tuple[frozenset[int], bool]]:
        return {}


def _constant(expression: Expression, what: str) -> int:
    """
    The bits of a constant initialiser.
    """
    (only,) = expression.instructions
    if not only.opcode.name.endswith(".const") or only.opcode.name.startswith("v128"):
        raise NotModelledError(f"{what} that is no constant", f"byte {only.offset:#x}")
    width = int(only.opcode.name[1:3])
    return cast("int", only.immediates[0]) & ((1 << width) - 1)
