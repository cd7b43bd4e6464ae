"""
Source lines of instructions, from the DWARF section `.debug_line`. For messages only.

Source: DWARF Debugging Information Format, versions 4 and 5, section 6.2 (line number
information); addresses are offsets into the content of the code section, as "DWARF for
WebAssembly" has it. Libraries that read DWARF want an ELF file around it, or the whole of
`.debug_info` to find a line program, so the programs are run here. No engine reads the section:
what cannot be read counts as absent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from conformance.wasm.errors import BadModuleError
from conformance.wasm.module import Module
from conformance.wasm.reader import Reader

_LINES: Final = ".debug_line"
_STRINGS: Final = {0x0E: ".debug_str", 0x1F: ".debug_line_str"}
"""Forms that are offsets into sections of strings."""
_FIXED: Final = {0x05: 2, 0x06: 4, 0x07: 8, 0x0B: 1, 0x1E: 16}
"""Forms of a fixed number of bytes: data2, data4, data8, data1, data16."""
_STRING, _UDATA, _BLOCK = 0x08, 0x0F, 0x09
_PATH: Final = 1
"""The content type of a file's name in version 5."""
_MOST_BYTES: Final = 1 << 24
"""A larger section is not read: messages are not worth the time."""
_WIDE: Final = 0xFFFFFFFF
_VERSIONS: Final = (2, 3, 4, 5)
_FIVE: Final = 5
_FOUR: Final = 4


class Row(NamedTuple):
    """
    From `address` on, up to the next row, code belongs to `line` of `file`; 0: to no line.
    """

    address: int
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class SourceLines:
    """
    Lines of one module; falsy where it tells none.
    """

    start: int
    """Where the content of the code section begins in the file."""
    rows: tuple[Row, ...]
    """In ascending order of address."""

    def __bool__(self) -> bool:
        """
        Whether any instruction has a line.
        """
        return bool(self.rows)

    def at(self, offset: int) -> str:
        """
        `file:line` of the instruction at a byte of the file; empty where no line is told.

        Code that has no line of its own, as a `loop` often has none, belongs to the next that has.
        """
        place = bisect_right(self.rows, offset - self.start, key=lambda row: row.address) - 1
        if place < 0 or not self.rows[place].file:
            return ""
        while place < len(self.rows) and self.rows[place].file:
            row = self.rows[place]
            if row.line:
                return f"{row.file}:{row.line}"
            place += 1
        return ""


def source_lines(module: Module) -> SourceLines:
    """
    All lines that a module's own sections tell.
    """
    start = next((s.payload.start for s in module.sections if s.name == "code"), 0)
    found = {custom.name: custom.content for custom in module.customs}
    span = found.get(_LINES)
    if span is None or span.end - span.start > _MOST_BYTES:
        return SourceLines(start, ())
    strings = {
        form: module.binary[found[name].start : found[name].end]
        for form, name in _STRINGS.items()
        if name in found
    }
    rows: list[Row] = []
    reader = Reader(module.binary, span.start, span.end, _LINES)
    try:
        while reader.left:
            rows += _program(reader, strings)
    except BadModuleError:
        # The programs before it are kept.
        pass
    # Where one sequence ends and another begins, the beginning counts.
    return SourceLines(start, tuple(sorted(rows, key=lambda row: (row.address, bool(row.file)))))


def _number(reader: Reader, size: int) -> int:
    return int.from_bytes(reader.take(size, "a number"), "little")


def _text(reader: Reader) -> str:
    end = reader.data.find(b"\0", reader.position, reader.end)
    size = (reader.end if end < 0 else end) - reader.position
    raw = reader.take(size, "a string")
    reader.take(1, "the end of a string")
    return raw.decode("utf-8", "replace")


@dataclass(slots=True)
class _Header:
    """
    What a line program's header says.
    """

    least: int
    """Bytes of the shortest instruction."""
    base: int
    range: int
    lengths: list[int]
    """Operands of the standard operators, from operator 1 on."""
    files: list[str] = field(default_factory=list)
    first_file: int = 1


def _program(reader: Reader, strings: dict[int, bytes]) -> list[Row]:
    """
    Run one program; the reader is behind it afterwards, also where the program is not understood.
    """
    size = _number(reader, 4)
    if size >= 0xFFFFFFF0 or size > reader.left:  # noqa: PLR2004 - the escape of 64-bit DWARF
        reader.position = reader.end
        return []
    inner = Reader(reader.data, reader.position, reader.position + size, _LINES)
    reader.position += size
    try:
        header = _header(inner, strings)
        return [] if header is None else list(_run(inner, header))
    except BadModuleError:
        return []


def _header(reader: Reader, strings: dict[int, bytes]) -> _Header | None:
    """
    Read up to the program's first operator; None for a version that is not known.
    """
    version = _number(reader, 2)
    if version not in _VERSIONS:
        return None
    if version >= _FIVE:
        reader.take(2, "sizes of addresses and segments")
    length = _number(reader, 4)
    program = reader.position + length
    least = reader.byte("the shortest instruction")
    if version >= _FOUR:
        reader.byte("operations of an instruction")
    reader.byte("whether rows are statements")
    base = int.from_bytes(reader.take(1, "the line base"), "little", signed=True)
    span = reader.byte("the line range")
    operators = reader.byte("the first special operator")
    lengths = list(reader.take(max(0, operators - 1), "operands of operators"))
    header = _Header(least, base, span, lengths)
    if version >= _FIVE:
        _entries(reader, strings)
        header.files, header.first_file = _entries(reader, strings), 0
    else:
        header.files = _older_files(reader)
    if not span or not reader.position <= program <= reader.end:
        return None
    reader.position = program
    return header


def _older_files(reader: Reader) -> list[str]:
    """
    File names as versions up to 4 have them, behind the names of folders.
    """
    while _text(reader):
        pass
    files = []
    while name := _text(reader):
        for what in ("a folder", "a time", "a size"):
            reader.u32(what)
        files.append(_base(name))
    return files


def _entries(reader: Reader, strings: dict[int, bytes]) -> list[str]:
    """
    The paths in a table of version 5, of folders or of files.
    """
    count = reader.byte("the number of formats")
    formats = [(reader.u32("a content type"), reader.u32("a form")) for _ in range(count)]
    total = reader.u32("the number of entries")
    if not formats or total > reader.left:
        return []
    found = []
    for _ in range(total):
        name = ""
        for content, form in formats:
            value = _value(reader, form, strings)
            name = value if content == _PATH else name
        found.append(_base(name))
    return found


def _value(reader: Reader, form: int, strings: dict[int, bytes]) -> str:
    """
    Read one attribute; its text where it is one.
    """
    if form == _STRING:
        return _text(reader)
    if form in _STRINGS:
        at, held = _number(reader, 4), strings.get(form, b"")
        end = held.find(b"\0", at)
        return held[at : len(held) if end < 0 else end].decode("utf-8", "replace")
    if form == _UDATA:
        reader.u32("a number")
    elif form == _BLOCK:
        reader.take(reader.u32("a length"), "a block")
    elif form in _FIXED:
        reader.take(_FIXED[form], "a number")
    else:
        raise BadModuleError("bad-debug-form", reader.position, f"{_LINES} has form {form:#x}")
    return ""


def _base(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _run(reader: Reader, header: _Header) -> Iterator[Row]:
    """
    The rows of all sequences of code that is still in the module.
    """
    rows: list[Row] = []
    address, number, line = 0, 1, 1

    def row() -> Row:
        place = number - header.first_file
        named = header.files[place] if 0 <= place < len(header.files) else ""
        return Row(address, named or "?", max(line, 0))

    while reader.left:
        operator = reader.byte("an operator")
        if operator > len(header.lengths):
            special = operator - len(header.lengths) - 1
            address += special // header.range * header.least
            line += header.base + special % header.range
            rows.append(row())
        elif operator == 0:
            size = reader.u32("a length")
            if not size or size > reader.left:
                return
            end = reader.position + size
            extended = reader.byte("an extended operator")
            if extended == 1:
                # Code that the linker dropped keeps its rows, at 0 or at the end of all addresses.
                if rows and 0 < rows[0].address < _WIDE - 1:
                    yield from rows
                    yield Row(address, "", 0)
                rows = []
                address, number, line = 0, 1, 1
            elif extended == 2:  # noqa: PLR2004 - set_address
                address = _number(reader, size - 1)
            reader.position = end
        else:
            change = _standard(reader, operator, header)
            address, line = address + change.address, line + change.line
            number = number if change.file is None else change.file
            if operator == 1:
                rows.append(row())


class _Change(NamedTuple):
    address: int = 0
    line: int = 0
    file: int | None = None


def _standard(reader: Reader, operator: int, header: _Header) -> _Change:
    """
    What a standard operator changes.
    """
    if operator == 2:  # noqa: PLR2004 - advance_pc
        return _Change(address=reader.u32("an advance") * header.least)
    if operator == 3:  # noqa: PLR2004 - advance_line
        return _Change(line=reader.signed("an advance", 64))
    if operator == 4:  # noqa: PLR2004 - set_file
        return _Change(file=reader.u32("a file"))
    if operator == 8:  # noqa: PLR2004 - const_add_pc
        special = 255 - len(header.lengths) - 1
        return _Change(address=special // header.range * header.least)
    if operator == 9:  # noqa: PLR2004 - fixed_advance_pc
        return _Change(address=_number(reader, 2))
    for _ in range(header.lengths[operator - 1]):
        reader.u32("an operand")
    return _Change()
