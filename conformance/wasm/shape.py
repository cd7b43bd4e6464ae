"""
Whether a module can be called as its manifest says: entry, pointers, memory, initialisers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import cast

from conformance.wasm.items import ExternKind, FunctionType
from conformance.wasm.module import Module
from conformance.wasm.opcodes import ValType
from runners.bits import parse_bits
from runners.records import (
    AtAddress,
    Buffer,
    ByAllocator,
    ByExport,
    ByResult,
    Call,
    Constant,
    Made,
    Slot,
)

PAGE_BYTES = 65_536
_MOST_PAGES = 65_536


def check_call(module: Module, call: Call) -> tuple[str, ...]:
    """
    One sentence for each thing about *call* that the module cannot do; empty if all is well.
    """
    return (
        *_entry(module, call),
        *_initialisers(module, call),
        *_memory(module, call),
        *_buffer(module, "input", call.input, call),
        *_buffer(module, "output", call.output, call),
        *_globals(module, call),
        *_growth(module, call),
    )


def _missing(module: Module, kind: ExternKind, name: str, role: str) -> str:
    """
    The sentence for an export that is not there, with the nearest ones of its kind.
    """
    names = [export.name for export in module.exports if export.kind == kind]
    sentence = f"the module exports no {kind} {name!r}, which {role}"
    near = difflib.get_close_matches(name, names, n=3)
    if near:
        return f"{sentence}; near it are {', '.join(map(repr, near))}"
    return f"{sentence}; it exports no {kind} at all" if not names else sentence


def _function(module: Module, name: str, role: str) -> FunctionType | str:
    """
    The type of an exported function, or the sentence why there is none.
    """
    export = module.exported(name)
    if export is None:
        return _missing(module, "function", name, role)
    if export.kind != "function":
        return f"the export {name!r} is a {export.kind}, but {role}, so it must be a function"
    try:
        return module.function_type(export.index)
    except LookupError as error:
        return f"the export {name!r} leads nowhere: {error}"


def _typed(module: Module, name: str, role: str, wanted: FunctionType) -> Iterator[str]:
    found = _function(module, name, role)
    if isinstance(found, str):
        yield found
    elif found != wanted:
        yield f"the function {name!r} has the type {found}, but {role}, which needs {wanted}"


def _entry(module: Module, call: Call) -> Iterator[str]:
    parameters: list[ValType] = []
    for place, argument in enumerate(call.arguments):
        match argument:
            case Slot():
                parameters.append(argument.value_type)
                if argument.value_type == "v128":
                    yield f"argument {place} is a v128 slot; slots have at most 8 bytes"
            case Constant():
                parameters.append(cast("ValType", parse_bits(argument.bits)[0]))
            case _:
                parameters.append("i32")
        if isinstance(argument, Made):
            given = tuple(cast("ValType", parse_bits(bits)[0]) for bits in argument.given)
            makes = FunctionType(given, ("i32",))
            yield from _typed(module, argument.export, f"makes argument {place}", makes)
    wanted = FunctionType(tuple(parameters), call.results)
    yield from _typed(module, call.entry, "is the entry of the call", wanted)


def _initialisers(module: Module, call: Call) -> Iterator[str]:
    for name in call.initialize:
        found = _function(module, name, "is called once after instantiation")
        if isinstance(found, str):
            yield found
        elif found.parameters:
            yield (
                f"the initialiser {name!r} has the type {found}; "
                "an initialiser is called without arguments"
            )


def _memory(module: Module, call: Call) -> Iterator[str]:
    if call.memory is None:
        for role, buffer in (("input", call.input), ("output", call.output)):
            if buffer is not None:
                yield f"the call has an {role} buffer, but names no exported memory to hold it"
        return
    export = module.exported(call.memory)
    if export is None:
        yield _missing(module, "memory", call.memory, "is the memory of the call")
    elif export.kind != "memory":
        yield f"the export {call.memory!r} is a {export.kind}, not a memory"


def _buffer(module: Module, role: str, buffer: Buffer | None, call: Call) -> Iterator[str]:
    if buffer is None:
        return
    gives = f"gives the address of the {role} buffer"
    match buffer.place:
        case ByExport(name):
            yield from _typed(module, name, gives, FunctionType((), ("i32",)))
        case ByAllocator(name):
            yield from _typed(module, name, gives, FunctionType(("i32",), ("i32",)))
        case AtAddress(address):
            yield from _fits(module, role, address, buffer.size_bytes)
        case ByResult():
            if role == "input":
                yield "the input buffer cannot lie where the entry's result says: it comes before"
            elif call.results[:1] != ("i32",):
                yield "the output buffer lies where the first result says, which is not an i32"


def _fits(module: Module, role: str, address: int, size_bytes: int) -> Iterator[str]:
    limits = module.memory_limits
    if limits is None:
        return
    minimum, maximum = limits
    pages = minimum
    if module.grows:
        pages = _MOST_PAGES if maximum is None else maximum
    if address < 0 or address + size_bytes > pages * PAGE_BYTES:
        yield (
            f"the {role} buffer at {address} with {size_bytes} bytes lies outside the "
            f"{pages} pages ({pages * PAGE_BYTES} bytes) that the memory can have"
        )


def _globals(module: Module, call: Call) -> Iterator[str]:
    watchable = {exported.name for exported in module.exported_globals}
    for name in call.globals:
        export = module.exported(name)
        if export is None:
            yield _missing(module, "global", name, "is watched")
        elif export.kind != "global":
            yield f"the export {name!r} is a {export.kind}, not a global that can be watched"
        elif name not in watchable:
            yield f"the global {name!r} is a v128 or a reference, which cannot be watched"


def _growth(module: Module, call: Call) -> Iterator[str]:
    if module.grows and not call.grows:
        yield "the call says that memory never grows, but the module or its host can grow it"
