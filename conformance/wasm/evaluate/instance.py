"""
Instances: allocated, initialised and started as the specification orders it, and called.

Source: core specification 2.0, sections 4.5.3 (allocation), 4.5.4 (instantiation) and 4.5.5
(invocation).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from conformance.wasm.evaluate.machine import run
from conformance.wasm.evaluate.program import Program
from conformance.wasm.evaluate.stops import BadCallError, ExhaustedError, LinkError
from conformance.wasm.evaluate.store import (
    Extern,
    Function,
    GlobalCell,
    GuestFunction,
    HostFunction,
    Limits,
    Memory,
    Table,
    Value,
)
from conformance.wasm.items import (
    Export,
    Expression,
    FunctionImport,
    FunctionType,
    GlobalType,
    Import,
    MemoryType,
    TableType,
)
from conformance.wasm.items import Limits as Sizes
from conformance.wasm.parts import Parts

UNLIMITED: Final = 1 << 62
"""Fuel that no evaluation uses up."""
MOST_NESTING: Final = 16
"""Calls from the guest through the host into the guest again."""
_WIDTH_BITS: Final = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}
_NO_IMPORTS: Final[Mapping[tuple[str, str], Extern]] = {}


class Instance:
    """
    One instance; `fuel` counts down by one for each instruction executed.
    """

    def __init__(
        self,
        program: Program,
        imports: Mapping[tuple[str, str], Extern] = _NO_IMPORTS,
        *,
        limits: Limits | None = None,
        fuel: int = UNLIMITED,
    ) -> None:
        """
        Instantiate and run the start function.

        *imports* are keyed by module and name. Raises LinkError, ExhaustedError, and
        TrappedError for a segment that does not fit or a trap in the start function.
        """
        module = program.module
        self.program = program
        self.limits = limits or Limits()
        self.fuel = fuel
        self.nesting = 0
        self._link(module, imports)
        self._allocate(module)
        self._fill(module)
        if module.start is not None:
            self.invoke(self.functions[module.start.function], ())

    # --------------------------------------------------------------------- instantiation

    def _link(self, module: Parts, imports: Mapping[tuple[str, str], Extern]) -> None:
        """
        Take the imports over, each checked against its declared type.
        """
        self.functions: list[Function] = []
        self.tables: list[Table] = []
        self.memories: list[Memory] = []
        self.globals: list[GlobalCell] = []
        for wanted in module.imports:
            found = imports.get((wanted.module, wanted.name))
            if not _fits(module, wanted, found):
                state = "is missing" if found is None else "has another type"
                message = f"the import {wanted.key!r}, a {wanted.kind}, {state}"
                raise LinkError(message)
            if isinstance(found, GuestFunction | HostFunction):
                self.functions.append(found)
            elif isinstance(found, Table):
                self.tables.append(found)
            elif isinstance(found, Memory):
                self.memories.append(found)
            elif isinstance(found, GlobalCell):
                self.globals.append(found)

    def _allocate(self, module: Parts) -> None:
        """
        Make the module's own functions, tables, memories, globals and segments.
        """
        for place, function in enumerate(module.functions):
            described = module.function_type(function.index)
            self.functions.append(GuestFunction(described, self, place))
        for table in module.tables:
            _check_size(table.type.limits, self.limits.elements, "table", "elements")
            self.tables.append(Table(table.type, self.limits))
        for memory in module.memories:
            _check_size(memory.type.limits, self.limits.pages, "memory", "pages")
            self.memories.append(Memory(memory.type, self.limits))
        for own in module.globals:
            self.globals.append(GlobalCell(own.type, self._value(own.initialiser)))
        self.elements: list[Sequence[Value]] = [
            tuple([self.functions[index] for index in segment.functions])
            or tuple([self._value(expression) for expression in segment.expressions])
            for segment in module.elements
        ]
        self.data: list[bytes] = [
            module.binary[item.content.start : item.content.end] for item in module.data
        ]

    def _fill(self, module: Parts) -> None:
        """
        Copy active segments, in order; what was copied before a trap stays.
        """
        for place, segment in enumerate(module.elements):
            if segment.offset is not None:
                items, table = self.elements[place], self.tables[segment.table]
                table.items[table.span(self._value(segment.offset), len(items))] = items
            if segment.mode != "passive":
                self.elements[place] = ()
        for place, data in enumerate(module.data):
            if data.offset is not None:
                content, memory = self.data[place], self.memories[data.memory]
                memory.data[memory.span(self._value(data.offset), len(content))] = content
                self.data[place] = b""

    def _value(self, expression: Expression) -> Value:
        """
        Value of an initialiser: of its one constant instruction.
        """
        (instruction,) = expression.instructions
        name, immediate = instruction.opcode.name, instruction.immediates[0]
        if name == "ref.null":
            return None
        index = cast("int", immediate)
        if name == "global.get":
            return self.globals[index].value
        if name == "ref.func":
            return self.functions[index]
        return index & ((1 << _WIDTH_BITS[name.partition(".")[0]]) - 1)

    # ------------------------------------------------------------------------------- use

    def invoke(self, function: Function, arguments: Iterable[Value]) -> tuple[Value, ...]:
        """
        Call *function* with *arguments*, which must fit its type.

        Raises TrappedError or ExhaustedError.
        """
        if self.nesting >= MOST_NESTING:
            sentence = f"{MOST_NESTING} calls through the host are open"
            raise ExhaustedError("stack", sentence)
        self.nesting += 1
        try:
            return tuple(run(self, function, list(arguments)))
        finally:
            self.nesting -= 1

    def call(self, name: str, *arguments: int) -> tuple[Value, ...]:
        """
        Call the exported function *name*; numbers are unsigned integers of their bits.

        Raises BadCallError, TrappedError or ExhaustedError.
        """
        function = self.function(name)
        parameters = function.type.parameters
        if len(arguments) != len(parameters):
            message = f"{name} takes {len(parameters)} arguments, not {len(arguments)}"
            raise BadCallError(message)
        for kind, bits in zip(parameters, arguments, strict=True):
            if kind in _WIDTH_BITS and not 0 <= bits < 1 << _WIDTH_BITS[kind]:
                message = f"{name} takes the bits of {kind} as an unsigned integer, not {bits:#x}"
                raise BadCallError(message)
        return self.invoke(function, arguments)

    def _exported(self, name: str, kind: str) -> Export:
        export = self.program.module.exported(name)
        if export is None or export.kind != kind:
            message = f"the module exports no {kind} {name!r}"
            raise BadCallError(message)
        return export

    def function(self, name: str) -> Function:
        """
        An exported function; raises BadCallError.
        """
        return self.functions[self._exported(name, "function").index]

    def memory(self, name: str) -> Memory:
        """
        An exported memory; raises BadCallError.
        """
        return self.memories[self._exported(name, "memory").index]

    def table(self, name: str) -> Table:
        """
        An exported table; raises BadCallError.
        """
        return self.tables[self._exported(name, "table").index]

    def cell(self, name: str) -> GlobalCell:
        """
        An exported global; raises BadCallError.
        """
        return self.globals[self._exported(name, "global").index]


def _check_size(sizes: Sizes, ceiling: int, what: str, unit: str) -> None:
    """
    Refuse a memory or table that begins above its ceiling.
    """
    if sizes.minimum > ceiling:
        sentence = f"the {what} begins with {sizes.minimum} {unit}, of {ceiling} that it may have"
        raise ExhaustedError("memory" if what == "memory" else "table", sentence)


def _fits(module: Parts, wanted: Import, found: Extern | None) -> bool:
    """
    Whether *found* matches the declared type, as section "Import Matching" says.
    """
    match wanted.type, found:
        case FunctionImport(type_index), GuestFunction() | HostFunction():
            described: FunctionType = module.types[type_index].type
            return found.type == described
        case TableType(element, sizes), Table():
            held = found.type
            return held.element == element and _within(len(found.items), held.limits, sizes)
        case MemoryType(sizes), Memory():
            return _within(found.pages, found.type.limits, sizes)
        case GlobalType(), GlobalCell():
            return found.type == wanted.type
    return False


def _within(size: int, held: Sizes, wanted: Sizes) -> bool:
    if size < wanted.minimum:
        return False
    if wanted.maximum is None:
        return True
    return held.maximum is not None and held.maximum <= wanted.maximum
