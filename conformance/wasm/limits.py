"""
Sizes beyond which engines refuse a module that the specification allows.

Source: WebAssembly JavaScript Interface, "Implementation-defined Limits", as far as wasmtime too
keeps to them when it validates; the number of tables and the bytes of a name are wasmtime's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.wasm.errors import BadModuleError
from conformance.wasm.parts import Parts

MOST_PARAMETERS: Final = 1_000
MOST_RESULTS: Final = 1_000
MOST_LOCALS: Final = 50_000
"""Declared locals and parameters of one function."""
MOST_BODY_BYTES: Final = 7_654_321
MOST_NAME_BYTES: Final = 100_000
MOST_PAGES: Final = 65_536
MOST_ITEMS: Final = {
    "types": 1_000_000,
    "imports": 1_000_000,
    "function_types": 1_000_000,
    "table_types": 100,
    "global_types": 1_000_000,
    "exports": 1_000_000,
    "elements": 100_000,
    "data": 100_000,
}
"""Per field of `Module`."""


def check_limits(module: Parts) -> None:
    """
    Raise BadModuleError, rule `limit-...`, for the first size that engines would refuse.
    """
    for subject, offset, what, size, limit in _sizes(module):
        if size > limit:
            rule = f"limit-{subject}"
            message = f"{what} {size}, more than the {limit} that engines take"
            raise BadModuleError(rule, offset, message)


def _sizes(module: Parts) -> Iterator[tuple[str, int, str, int, int]]:
    for field, limit in MOST_ITEMS.items():
        what = field.removesuffix("_types").replace("_", " ")
        yield "items", 8, f"the number of {what} is", len(getattr(module, field)), limit
    for item in module.types:
        start, parameters, results = item.span.start, item.type.parameters, item.type.results
        yield "parameters", start, "the parameters are", len(parameters), MOST_PARAMETERS
        yield "results", start, "the results are", len(results), MOST_RESULTS
    for name, offset in _names(module):
        size = len(name.encode())
        yield "name", offset, "the bytes of a name are", size, MOST_NAME_BYTES
    for function in module.functions:
        body = function.body
        yield "body", body.entry.start, "the bytes of a body are", body.span.size, MOST_BODY_BYTES
        count = body.local_count
        if function.type_index < len(module.types):
            count += len(module.types[function.type_index].type.parameters)
        yield "locals", body.span.start, "the locals are", count, MOST_LOCALS


def _names(module: Parts) -> Iterator[tuple[str, int]]:
    for item in module.imports:
        yield item.module, item.span.start
        yield item.name, item.span.start
    for export in module.exports:
        yield export.name, export.span.start
    for custom in module.customs:
        yield custom.name, custom.span.start
