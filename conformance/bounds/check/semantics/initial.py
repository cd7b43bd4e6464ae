"""
The state in which the entry finds an instance that was initialised: its start function and the
exports that the host calls first are executed by the reference evaluator, which knows no input.

What they do is the same everywhere, or it is refused by its name: calls of the host, growth that a
host may refuse, NaN bits that an engine chooses, and tables that change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.bounds.check.refusals import NotModelledError
from conformance.wasm.calls import call_graph
from conformance.wasm.decode import decode
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END, global_type, instruction, unsigned, vector
from conformance.wasm.errors import BadModuleError
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.program import Program
from conformance.wasm.evaluate.stops import ExhaustedError, TrappedError
from conformance.wasm.evaluate.store import HostFunction
from conformance.wasm.items import FunctionType
from conformance.wasm.module import Module
from conformance.wasm.rewrite.nans import makes_nans

MOST_EXECUTED: Final = 20_000_000
"""Instructions of an initialisation that are executed."""
_CHANGING: Final = frozenset(
    {"memory.grow", "table.set", "table.grow", "table.fill", "table.copy", "table.init",
     "elem.drop", "data.drop"}
)  # fmt: skip
_GAP: Final = 64
"""Zero bytes between two parts of memory that are written as segments of their own."""


@dataclass(frozen=True, slots=True)
class Initialised:
    """
    Memory and globals before the entry is called.
    """

    memory: bytes
    globals: tuple[int, ...]


def initialises(module: Module, initialize: Sequence[str]) -> bool:
    """
    Whether anything runs before the entry.
    """
    return module.start is not None or bool(initialize)


def initialised(module: Module, initialize: Sequence[str]) -> Initialised:
    """
    Execute the start function and *initialize*; NotModelledError where that has no one outcome.
    """
    _check(module, initialize)
    try:
        program = Program.load(module.binary)
    except BadModuleError as error:
        raise NotModelledError("an initialisation of such a module", str(error)) from error
    imports = {
        (item.module, item.name): HostFunction(_type(module, place), _refuse)
        for place, item in enumerate(i for i in module.imports if i.kind == "function")
    }
    try:
        instance = Instance(program, imports, fuel=MOST_EXECUTED)
        for name in initialize:
            instance.call(name)
    except TrappedError as error:
        raise NotModelledError("an initialisation that traps", error.kind) from error
    except ExhaustedError as error:
        raise NotModelledError("an initialisation that long", str(error)) from error
    memory = bytes(instance.memories[0].data) if instance.memories else b""
    values = tuple(cell.value for cell in instance.globals)
    if not all(isinstance(value, int) for value in values):
        raise NotModelledError("a global that holds a reference", "global section")
    return Initialised(memory, tuple(value for value in values if isinstance(value, int)))


def _type(module: Module, function: int) -> FunctionType:
    return module.function_type(function)


def _refuse(*_: object) -> Sequence[int]:
    raise NotModelledError("a host that is called while a module initialises", "import section")


def _check(module: Module, initialize: Sequence[str]) -> None:
    """
    Refuse what could come out differently elsewhere.
    """
    roots = [] if module.start is None else [module.start.function]
    for name in initialize:
        export = module.exported(name)
        kind = None if export is None else module.function_type(export.index)
        if export is None or export.kind != "function" or kind is None or kind.parameters:
            raise NotModelledError("an initialiser that is no function without parameters", name)
        roots.append(export.index)
    graph = call_graph(module)
    if any(table.open is not None for table in graph.tables):
        raise NotModelledError("an initialisation with tables that the host may change", "tables")
    for function in sorted(graph.reached(roots)):
        own = function - module.imported_functions
        if own < 0:
            _refuse()
        for at in module.functions[own].body:
            name = at.opcode.name
            if name in _CHANGING or makes_nans(name, "canonical"):
                where = f"{module.function_name(function)}, byte {at.offset:#x}"
                raise NotModelledError(f"{name} while a module initialises", where)


# ------------------------------------------------------------------- a module that begins there


def snapshot(module: Module, found: Initialised) -> Module:
    """
    *module* as if it had been initialised when it was compiled: without its start function, with
    memory and globals as they were found. Bodies, indices and exports are the same.

    NotModelledError where segments are needed later.
    """
    later = {"memory.init", "data.drop"} & set(module.operators)
    if later:
        raise NotModelledError(f"{min(later)} in a module that is initialised", "data section")
    binary = module.binary
    for section in module.sections:
        if section.name == "start":
            binary = binary[: section.span.start] + binary[section.span.end :]
    rewrite = Rewrite(decode(binary))
    segments = list(_segments(found.memory))
    if module.memories:
        rewrite.replace_section("data", vector(segments))
        if module.data_count is not None:
            rewrite.replace_section("data count", unsigned(len(segments)))
    if module.globals:
        rewrite.replace_section("global", vector(list(_globals(module, found))))
    return decode(rewrite.binary())


def _segments(memory: bytes) -> Iterator[bytes]:
    """
    Entries of a data section for all bytes that are not zero.
    """
    at = 0
    while at < len(memory):
        start = at + len(memory[at:]) - len(memory[at:].lstrip(b"\0"))
        if start >= len(memory):
            return
        end = memory.find(bytes(_GAP), start)
        end = len(memory) if end < 0 else end
        where = start - (1 << 32) if start >> 31 else start
        content = memory[start:end]
        yield b"\0" + instruction("i32.const", where) + END + unsigned(len(content)) + content
        at = end


def _globals(module: Module, found: Initialised) -> Iterator[bytes]:
    for own, value in zip(module.globals, found.globals, strict=True):
        kind = own.type.type
        width = int(kind[1:])
        bits = value
        if kind.startswith("i") and value >> (width - 1):
            bits = value - (1 << width)
        yield global_type(own.type) + instruction(f"{kind}.const", bits) + END
