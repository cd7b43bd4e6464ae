"""
The file around the code: header, sections, and the content of every section but the code.

Standard library only: the reference evaluator's worker reads modules through this too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from conformance.wasm.errors import BadModuleError, unsupported
from conformance.wasm.items import Custom, FunctionImport, Section, Span
from conformance.wasm.reader import Reader
from conformance.wasm.sections import (
    read_data,
    read_elements,
    read_exports,
    read_functions,
    read_globals,
    read_imports,
    read_memories,
    read_start,
    read_tables,
    read_types,
    whole,
)

MAGIC: Final = b"\0asm"
VERSION: Final = b"\1\0\0\0"
_HEADER_BYTES: Final = 8

# Number -> name, in the order in which the sections must come.
SECTIONS: Final = {
    1: "type",
    2: "import",
    3: "function",
    4: "table",
    5: "memory",
    6: "global",
    7: "export",
    8: "start",
    9: "element",
    12: "data count",
    10: "code",
    11: "data",
}
_RANK: Final = {name: rank for rank, name in enumerate(SECTIONS.values())}
_REFUSED: Final = {13: "exceptions", 14: "stringref"}
_TEXT_STARTS: Final = (b"(module", b"(component", b";;", b"(;", b"(func", b"(memory", b"(import")

_Found = TypeVar("_Found")
_Body = TypeVar("_Body")
_Module = TypeVar("_Module")


def read_file(
    data: bytes,
    read_code: Callable[[Reader], tuple[_Body, ...]],
    function: Callable[[int, int, Span, _Body], object],
    module: Callable[..., _Module],
) -> _Module:
    """
    Make a *module* of the file's items, and a *function* of each body that *read_code* finds.

    *module* takes the fields of `parts.Parts` by name; *function* takes an index, a type index,
    the entry in the function section and the body. Raises BadModuleError.
    """
    _check_header(data)
    sections, customs = _sections(data)
    payloads = {section.name: section for section in sections if section.number}

    def read(name: str, reader: Callable[[Reader], _Found]) -> _Found | None:
        section = payloads.get(name)
        if section is None:
            return None
        start, end = section.payload.start, section.payload.end
        return whole(Reader(data, start, end, f"the {name} section"), reader)

    types = read("type", read_types) or ()
    imports = read("import", read_imports) or ()
    declared = read("function", read_functions) or ()
    tables = read("table", read_tables) or ()
    memories = read("memory", read_memories) or ()
    globals_ = read("global", read_globals) or ()
    exports = read("export", read_exports) or ()
    start = read("start", read_start)
    elements = read("element", read_elements) or ()
    data_count = read("data count", lambda reader: reader.u32("the data count"))
    bodies = read("code", read_code) or ()
    segments = read("data", read_data) or ()
    _check_bodies(len(declared), len(bodies), payloads, len(data))
    _check_data(data_count, len(segments), payloads)
    imported = sum(isinstance(item.type, FunctionImport) for item in imports)
    functions = tuple(
        function(index, type_index, span, body)
        for index, ((type_index, span), body) in enumerate(
            zip(declared, bodies, strict=True), imported
        )
    )
    return module(
        binary=data,
        sections=sections,
        types=types,
        imports=imports,
        functions=functions,
        tables=tables,
        memories=memories,
        globals=globals_,
        exports=exports,
        start=start,
        elements=elements,
        data_count=data_count,
        data=segments,
        customs=customs,
    )


def _check_header(data: bytes) -> None:
    if not data:
        raise BadModuleError("empty-file", 0, "the file is empty")
    if len(data) >> 32:
        raise BadModuleError("file-too-large", 1 << 32, "the file has 4 GiB or more")
    if not data.startswith(MAGIC[: len(data)]):
        raise _not_a_module(data)
    if len(data) < _HEADER_BYTES:
        message = f"the file ends after {len(data)} of the 8 bytes of a module's header"
        raise BadModuleError("truncated", len(data), message)
    version, layer = int.from_bytes(data[4:6], "little"), int.from_bytes(data[6:8], "little")
    if layer == 1:
        message = (
            "this is a component, not a core module: take the core module out of it, "
            "for example with `wasm-tools component unbundle`"
        )
        raise BadModuleError("component", 4, message)
    if data[4:8] != VERSION:
        message = f"the header names version {version}, layer {layer}; only version 1 is known"
        raise BadModuleError("wrong-version", 4, message)


def _not_a_module(data: bytes) -> BadModuleError:
    text = data[:4096].lstrip()
    if text.removeprefix(b"\xef\xbb\xbf").startswith(_TEXT_STARTS):
        message = (
            "this is the text format, not a binary module: assemble it first, for example with "
            "`wat2wasm` or `wasm-tools parse`"
        )
        return BadModuleError("text-file", 0, message)
    if data.startswith(b"\x1f\x8b"):
        message = "this is a gzip file: decompress it, a module is named by its uncompressed bytes"
        return BadModuleError("compressed", 0, message)
    shown = data[:4].hex(" ")
    message = f"a module begins with the bytes 00 61 73 6d, this file with {shown}"
    return BadModuleError("not-wasm", 0, message)


# ------------------------------------------------------------------------------------ sections


def _sections(data: bytes) -> tuple[tuple[Section, ...], tuple[Custom, ...]]:
    reader = Reader(data, _HEADER_BYTES, len(data), "the file", "truncated")
    sections: list[Section] = []
    customs: list[Custom] = []
    before = ""
    while reader.left:
        section = _section(reader, before)
        if section.number:
            before = section.name
        else:
            payload = section.payload
            inner = Reader(data, payload.start, payload.end, "a custom section")
            name = inner.name("the name of a custom section")
            content = Span(inner.position, payload.end)
            customs.append(Custom(name, content, section.span, len(sections)))
        sections.append(section)
        reader.position = section.span.end
    return tuple(sections), tuple(customs)


def _section(reader: Reader, before: str) -> Section:
    """
    The next section's header; *before* is the name of the last one that was not custom.
    """
    start = reader.position
    number = reader.byte("a section's number")
    if number in _REFUSED:
        raise unsupported(_REFUSED[number], start, f"the section {number}")
    if number and number not in SECTIONS:
        raise BadModuleError("unknown-section", start, f"there is no section {number}")
    name = SECTIONS.get(number, "custom")
    if not reader.left:
        message = "the file ends with one byte of a section: it is cut off, or the byte is astray"
        raise BadModuleError("truncated", start, message)
    if number and before and _RANK[name] <= _RANK[before]:
        if name == before:
            raise BadModuleError("duplicate-section", start, f"a second {name} section")
        message = f"the {name} section comes after the {before} section, its place is before"
        raise BadModuleError("section-order", start, message)
    size = reader.u32(f"the size of the {name} section")
    payload = reader.position
    if size > reader.left:
        message = (
            f"the file ends inside the {name} section, which should have {size} bytes "
            f"and has {reader.left}"
        )
        raise BadModuleError("truncated", reader.end, message)
    end = payload + size
    return Section(number, name, Span(start, end), Span(payload, end))


# -------------------------------------------------------------------------------- counts agree


def _check_bodies(
    declared: int, bodies: int, payloads: dict[str, Section], file_bytes: int
) -> None:
    if declared == bodies:
        return
    section = payloads.get("code")
    offset = section.payload.start if section else file_bytes
    message = f"the function section names {declared} functions, the code section has {bodies}"
    if section is None:
        message += " (it is missing: the file may be cut off)"
    raise BadModuleError("function-count", offset, message)


def _check_data(data_count: int | None, segments: int, payloads: dict[str, Section]) -> None:
    if data_count is not None and data_count != segments:
        message = f"the data count section says {data_count}, the data section has {segments}"
        offset = payloads["data count"].payload.start
        raise BadModuleError("data-count", offset, message)


def needs_data_count(name: str, offset: int) -> BadModuleError:
    """
    The refusal of *name*, a use of data segments, in a file without a data count section.
    """
    message = f"{name} is used, but there is no data count section"
    return BadModuleError("data-count-missing", offset, message)
