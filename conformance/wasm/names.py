"""
The `name` section: what functions were called in their source. For messages only.

Source: core specification, appendix "Custom Sections". No engine reads it, so nothing in it can
make a module bad: what cannot be read counts as absent.
"""

from __future__ import annotations

from conformance.wasm.errors import BadModuleError
from conformance.wasm.items import Custom
from conformance.wasm.reader import Reader

_FUNCTION_NAMES = 1


def function_names(binary: bytes, customs: tuple[Custom, ...]) -> dict[int, str]:
    """
    Function index -> name, from the first custom section called `name`; empty without one.
    """
    for custom in customs:
        if custom.name == "name":
            reader = Reader(binary, custom.content.start, custom.content.end, "the name section")
            try:
                return _read(reader)
            except BadModuleError:
                return {}
    return {}


def _read(reader: Reader) -> dict[int, str]:
    while reader.left:
        kind = reader.byte("a subsection's number")
        size = reader.count("bytes of a subsection", 1)
        end = reader.position + size
        if kind == _FUNCTION_NAMES:
            inner = Reader(reader.data, reader.position, end, "the function names")
            count = inner.count("function names", 2)
            return {inner.u32("an index"): inner.name("a function's name") for _ in range(count)}
        reader.position = end
    return {}
