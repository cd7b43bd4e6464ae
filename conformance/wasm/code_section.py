"""
Reads the code section: bodies, the index of their instructions, and how blocks nest.
"""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.wasm.body import Body, CodeIndex, code_table
from conformance.wasm.code_entry import CONTROL, Entry, check_nesting, read_entry
from conformance.wasm.reader import Reader
from conformance.wasm.scan import scan
from conformance.wasm.sections import vector

_IS_CONTROL: Final = code_table(CONTROL)


class _Raw(NamedTuple):
    entry: Entry
    first: int
    last: int


def read_code(reader: Reader) -> tuple[Body, ...]:
    """
    The code section: every instruction has been seen, every block is closed.
    """
    offsets = array("I")
    raw = vector(reader, "function bodies", 2, lambda r: _body(r, offsets))
    index = _index(reader.data, offsets)
    bodies = tuple([_indexed(reader.data, index, one) for one in raw])
    _check_nesting(index, bodies)
    return bodies


def _body(reader: Reader, offsets: array[int]) -> _Raw:
    entry = read_entry(reader)
    first = len(offsets)
    scan(reader.data, entry.instructions, entry.span.end, "a function body", offsets)
    return _Raw(entry, first, len(offsets))


def _indexed(data: bytes, index: CodeIndex, raw: _Raw) -> Body:
    entry = raw.entry
    return Body(data, index, raw.first, raw.last, entry.locals, entry.entry, entry.span)


def _index(data: bytes, offsets: array[int]) -> CodeIndex:
    """
    Look up the code at each offset, following prefixes.
    """
    places = np.frombuffer(offsets, dtype=np.uint32) if offsets else np.zeros(0, np.uint32)
    file_bytes = np.frombuffer(data, dtype=np.uint8)
    codes: NDArray[np.uint16] = file_bytes[places].astype(np.uint16)
    prefixed = np.flatnonzero(codes >= 0xFC)  # noqa: PLR2004 - only prefixes lie there
    if prefixed.size:
        number = file_bytes[places[prefixed] + 1]
        codes[prefixed] = codes[prefixed] << 8 | number
        for place in prefixed[number >= 0x80].tolist():  # noqa: PLR2004 - LEB128 goes on
            inner = Reader(data, int(places[place]) + 1, len(data), "an instruction")
            codes[place] = data[int(places[place])] << 8 | inner.u32("an opcode")
    places.setflags(write=False)
    codes.setflags(write=False)
    return CodeIndex(places, codes)


def _check_nesting(index: CodeIndex, bodies: tuple[Body, ...]) -> None:
    """
    Refuse bodies whose blocks do not close, close too early, or have an `else` without `if`.
    """
    control = np.flatnonzero(_IS_CONTROL[index.codes])
    bounds = np.searchsorted(control, [body.last for body in bodies]).tolist()
    places, codes = control.tolist(), index.codes[control].tolist()
    low = 0
    for body, high in zip(bodies, bounds, strict=True):
        check_nesting(
            places[low:high], codes[low:high], index.offsets.item, body.last, body.span.end
        )
        low = high
