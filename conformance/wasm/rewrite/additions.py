"""
Items that a rewrite adds to a module.
"""

from __future__ import annotations

from typing import Final

from conformance.wasm import encode_items
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END
from conformance.wasm.encode_items import instruction as op
from conformance.wasm.items import Export, ExternKind, FunctionType, GlobalType, Span
from conformance.wasm.opcodes import ValType

_NOWHERE: Final = Span(0, 0)


def add_export(rewrite: Rewrite, name: str, kind: ExternKind, index: int) -> None:
    """
    Show an item under a name.
    """
    rewrite.append("export", encode_items.export(Export(name, kind, index, _NOWHERE)))


def add_global(rewrite: Rewrite, kind: ValType, value: int, export: str = "") -> int:
    """
    Add a mutable global, exported under a name if one is given; returns its index.
    """
    imported = len(rewrite.module.global_types) - len(rewrite.module.globals)
    described = encode_items.global_type(GlobalType(kind, mutable=True))
    index = imported + rewrite.append("global", described + op(f"{kind}.const", value) + END)
    if export:
        add_export(rewrite, export, "global", index)
    return index


def add_type(
    rewrite: Rewrite, parameters: tuple[ValType, ...], results: tuple[ValType, ...]
) -> int:
    """
    Add a function type; returns its index.
    """
    return rewrite.append("type", encode_items.function_type(FunctionType(parameters, results)))
