"""
From a module back to bytes: unchanged parts exactly as they were read, changed ones anew.

What nobody touches keeps its bytes, overlong numbers and custom sections included, so a rewrite
that changes nothing gives the same file, and one that changes a body changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from conformance.wasm import encode_items
from conformance.wasm.encode_items import EncodingError, unsigned
from conformance.wasm.instructions import Instruction
from conformance.wasm.items import Section
from conformance.wasm.module import Module
from conformance.wasm.opcodes import ValType
from conformance.wasm.outline import MAGIC, SECTIONS, VERSION
from conformance.wasm.reader import Reader

_GROWING: Final = frozenset({"type", "function", "table", "global", "export", "element", "data"})
_NUMBERS: Final = {name: number for number, name in SECTIONS.items()}
_RANK: Final = {name: rank for rank, name in enumerate(SECTIONS.values())}


def encode(module: Module) -> bytes:
    """
    The file that *module* was decoded from, byte for byte, put together from its parts.
    """
    return Rewrite(module).binary()


def encode_shortest(module: Module) -> bytes:
    """
    The same module with every number in its shortest form; custom sections stay as they are.
    """
    rewrite = Rewrite(module)
    present = {section.name for section in module.sections}
    vectors = {
        "type": [encode_items.function_type(item.type) for item in module.types],
        "import": [encode_items.import_(item) for item in module.imports],
        "function": [unsigned(function.type_index) for function in module.functions],
        "table": [encode_items.table_type(item.type) for item in module.tables],
        "memory": [encode_items.memory_type(item.type) for item in module.memories],
        "global": [encode_items.global_(item) for item in module.globals],
        "export": [encode_items.export(item) for item in module.exports],
        "element": [encode_items.element(item) for item in module.elements],
        "code": [
            encode_items.body([(run.count, run.type) for run in body.locals], body)
            for body in (function.body for function in module.functions)
        ],
        "data": [
            encode_items.data(item, module.binary[item.content.start : item.content.end])
            for item in module.data
        ],
    }
    for name, items in vectors.items():
        if name in present:
            rewrite.replace_section(name, encode_items.vector(items))
    if module.start is not None:
        rewrite.replace_section("start", unsigned(module.start.function))
    if module.data_count is not None:
        rewrite.replace_section("data count", unsigned(module.data_count))
    return rewrite.binary()


class Rewrite:
    """
    Changes to a module, collected and then written at once; the module itself stays as it is.

    Nothing is checked but that it can be written: decode and validate the result.
    """

    def __init__(self, module: Module) -> None:
        """
        No change yet.
        """
        self.module: Final = module
        self._bodies: dict[int, bytes] = {}
        self._added: dict[str, list[bytes]] = {}
        self._payloads: dict[str, bytes] = {}
        self._dropped: set[str] = set()

    def replace_body(
        self,
        place: int,
        instructions: Iterable[Instruction | bytes],
        locals_: Iterable[tuple[int, ValType]] | None = None,
    ) -> None:
        """
        Give the module's own function number *place* other instructions, the final `end` included.

        *locals_* are runs of (count, type); left out, the declaration stays byte for byte.
        """
        if not 0 <= place < len(self.module.functions):
            count = len(self.module.functions)
            message = f"there is no body {place}, the module has {count}"
            raise EncodingError(message)
        if locals_ is not None:
            self._bodies[place] = encode_items.body(locals_, instructions)
            return
        old = self.module.functions[place].body
        declared = self.module.binary[old.span.start : int(old.offsets[0])]
        content = declared + encode_items.instructions(instructions)
        self._bodies[place] = unsigned(len(content)) + content

    def append(self, section: str, item: bytes) -> int:
        """
        Add *item* at the end of a section, which is made if it is not there; returns its place.

        For functions use `append_function`. Imports cannot be added: all indices would move.
        """
        if section not in _GROWING - {"function"}:
            message = f"items cannot be added to the {section} section"
            raise EncodingError(message)
        return self._append(section, item)

    def append_function(
        self,
        type_index: int,
        instructions: Iterable[Instruction | bytes],
        locals_: Iterable[tuple[int, ValType]] = (),
    ) -> int:
        """
        Add a function of the type *type_index*; returns its index.
        """
        self._append("code", encode_items.body(locals_, instructions))
        place = self._append("function", unsigned(type_index))
        return self.module.imported_functions + place

    def _append(self, section: str, item: bytes) -> int:
        if section in self._payloads:
            message = f"the {section} section is replaced as a whole, nothing can be added to it"
            raise EncodingError(message)
        added = self._added.setdefault(section, [])
        added.append(item)
        return self._count(section) + len(added) - 1

    def replace_section(self, name: str, payload: bytes) -> None:
        """
        Write *payload* as the content of a section, which is made if it is not there.
        """
        if name not in _NUMBERS:
            message = f"there is no section {name!r}"
            raise EncodingError(message)
        if name in self._added or (name == "code" and self._bodies):
            message = f"the {name} section has single changes already, it cannot be replaced too"
            raise EncodingError(message)
        self._payloads[name] = payload

    def drop_customs(self, *names: str) -> None:
        """
        Leave out the custom sections of these names.
        """
        self._dropped.update(names)

    # ----------------------------------------------------------------------------- writing

    def binary(self) -> bytes:
        """
        The rewritten file.
        """
        parts = [MAGIC, VERSION]
        missing = [name for name in self._changed() if self._section(name) is None]
        customs = iter(self.module.customs)
        for section in self.module.sections:
            if not section.number:
                if next(customs).name not in self._dropped:
                    parts.append(self._verbatim(section))
                continue
            while missing and _RANK[missing[0]] < _RANK[section.name]:
                parts.append(self._written(missing.pop(0)))
            changed = section.name in self._changed()
            parts.append(self._written(section.name) if changed else self._verbatim(section))
        parts += [self._written(name) for name in missing]
        return b"".join(parts)

    def _changed(self) -> list[str]:
        """
        Names of the sections that are written anew, in the order of the format.
        """
        names = {*self._payloads, *self._added, *(("code",) if self._bodies else ())}
        if "data" in self._added and self.module.data_count is not None:
            names.add("data count")
        return sorted(names, key=_RANK.__getitem__)

    def _section(self, name: str) -> Section | None:
        return next((found for found in self.module.sections if found.name == name), None)

    def _verbatim(self, section: Section) -> bytes:
        return self.module.binary[section.span.start : section.span.end]

    def _written(self, name: str) -> bytes:
        payload = self._payload(name)
        return bytes([_NUMBERS[name]]) + unsigned(len(payload)) + payload

    def _payload(self, name: str) -> bytes:
        if name in self._payloads:
            return self._payloads[name]
        added = self._added.get(name, [])
        if name == "data count":
            return unsigned(len(self.module.data) + len(self._added["data"]))
        if name == "code":
            return encode_items.vector([*self._entries(), *added])
        return unsigned(self._count(name) + len(added)) + self._items(name) + b"".join(added)

    def _entries(self) -> list[bytes]:
        """
        Entries of the code section, unchanged ones verbatim.
        """
        binary = self.module.binary
        spans = [function.body.entry for function in self.module.functions]
        return [
            self._bodies.get(place, binary[span.start : span.end])
            for place, span in enumerate(spans)
        ]

    def _items(self, name: str) -> bytes:
        """
        The items of a vector section as they are, without their count.
        """
        section = self._section(name)
        if section is None:
            return b""
        reader = Reader(self.module.binary, section.payload.start, section.payload.end, name)
        reader.u32("a count")
        return reader.take(reader.left, "items")

    def _count(self, name: str) -> int:
        fields = {"type": "types", "function": "functions", "table": "tables", "global": "globals",
                  "export": "exports", "element": "elements", "code": "functions",
                  "data": "data"}  # fmt: skip
        found: tuple[object, ...] = getattr(self.module, fields[name])
        return len(found)
