"""
An entry that finds the address of its output buffer itself.

A call has one output buffer. Where an instrument needs it, the module's own is placed by a function
that is added to the module, in the way that the call says.
"""

from __future__ import annotations

from typing import Final

from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.module import Module
from conformance.wasm.opcodes import ValType
from conformance.wasm.rewrite.additions import add_export, add_type
from conformance.wasm.rewrite.errors import CannotRewriteError
from runners.records import AtAddress, Buffer, ByAllocator, ByExport, Call, OutputPointer

CALLED: Final = "weavegate.entry"
"""Export that takes the entry's arguments without the addresses of its output buffer."""


def wrap_entry(rewrite: Rewrite, call: Call) -> None:
    """
    Export, as `weavegate.entry`, the entry of *call* with its output buffer placed from inside.
    """
    module = rewrite.module
    entry = _function(module, call.entry)
    if call.output is None:
        message = f"{call.entry} takes the address of an output buffer, but the call has none"
        raise CannotRewriteError(message)
    kinds = module.function_type(entry).parameters
    given: list[ValType] = []
    pushes: list[bytes] = []
    for kind, argument in zip(kinds, call.arguments, strict=True):
        if isinstance(argument, OutputPointer):
            pushes.append(b"")
        else:
            pushes.append(op("local.get", len(given)))
            given.append(kind)
    address = op("local.get", len(given))
    body = [
        _placed(module, call.output) + op("local.set", len(given)),
        *(push or address for push in pushes),
        op("call", entry) + END,
    ]
    results = module.function_type(entry).results
    wrapper = rewrite.append_function(add_type(rewrite, tuple(given), results), body, [(1, "i32")])
    add_export(rewrite, CALLED, "function", wrapper)


def _placed(module: Module, output: Buffer) -> bytes:
    """
    Code that gives the address of the output buffer.
    """
    match output.place:
        case AtAddress(address):
            return op("i32.const", address - (1 << 32) if address >= 1 << 31 else address)
        case ByExport(name):
            return op("call", _function(module, name))
        case ByAllocator(name):
            return op("i32.const", output.size_bytes) + op("call", _function(module, name))
        case _:
            message = "an entry cannot take the address of a buffer that its result places"
            raise CannotRewriteError(message)


def _function(module: Module, name: str) -> int:
    export = module.exported(name)
    if export is None or export.kind != "function":
        message = f"the module exports no function {name!r}"
        raise CannotRewriteError(message)
    return export.index
