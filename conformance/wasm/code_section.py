"""
Reads the code section: bodies, the index of their instructions, and how blocks nest.
"""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.wasm.body import Body, CodeIndex, LocalRun
from conformance.wasm.errors import BadModuleError
from conformance.wasm.instructions import read_value_type
from conformance.wasm.items import Span
from conformance.wasm.opcodes import OPCODES
from conformance.wasm.reader import Reader
from conformance.wasm.scan import scan
from conformance.wasm.sections import vector

_BLOCK, _LOOP, _IF, _ELSE, _END = 0x02, 0x03, 0x04, 0x05, 0x0B
_IS_CONTROL: Final = np.zeros(1 << 16, dtype=bool)
_IS_CONTROL[[_BLOCK, _LOOP, _IF, _ELSE, _END]] = True
_MOST_LOCALS: Final = (1 << 32) - 1


class _Raw(NamedTuple):
    locals: tuple[LocalRun, ...]
    entry: Span
    span: Span
    first: int
    last: int


def read_code(reader: Reader) -> tuple[Body, ...]:
    """
    The code section: every instruction has been seen, every block is closed.
    """
    offsets = array("I")
    raw = vector(reader, "function bodies", 2, lambda r: _body(r, offsets))
    index = _index(reader.data, offsets)
    bodies = tuple([Body(reader.data, index, r.first, r.last, *r[:3]) for r in raw])
    _check_nesting(index, bodies)
    return bodies


def _body(reader: Reader, offsets: array[int]) -> _Raw:
    entry = reader.position
    size = reader.u32("the size of a function body")
    start = reader.position
    if size > reader.left:
        message = f"a function body of {size} bytes does not fit in the {reader.left} that are left"
        raise BadModuleError("unexpected-end", entry, message)
    end = start + size
    inner = Reader(reader.data, start, end, "a function body")
    runs = vector(inner, "local declarations", 2, _local_run)
    total = sum(run.count for run in runs)
    if total > _MOST_LOCALS:
        raise BadModuleError("too-many-locals", start, f"a function declares {total} locals")
    first = len(offsets)
    scan(reader.data, inner.position, end, "a function body", offsets)
    reader.position = end
    return _Raw(runs, Span(entry, end), Span(start, end), first, len(offsets))


def _local_run(reader: Reader) -> LocalRun:
    start = reader.position
    count = reader.u32("a number of locals")
    value_type = read_value_type(reader, "the type of a local")
    return LocalRun(count, value_type, Span(start, reader.position))


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
        _check_body(body, places[low:high], codes[low:high])
        low = high


def _check_body(body: Body, places: list[int], codes: list[int]) -> None:
    offsets = body.index.offsets
    opened = [(_BLOCK, -1)]
    for place, code in zip(places, codes, strict=True):
        if code == _END:
            opened.pop()
            if not opened:
                if place != body.last - 1:
                    message = "instructions follow the end of a function body"
                    raise BadModuleError("trailing-code", int(offsets[place + 1]), message)
                return
        elif code != _ELSE:
            opened.append((code, place))
        elif opened[-1][0] == _IF:
            opened[-1] = (_ELSE, place)
        else:
            raise BadModuleError("else-without-if", int(offsets[place]), "an else without its if")
    kind, place = opened[-1]
    message = "a function body ends without its end instruction"
    if place >= 0:
        message = f"a function body ends inside the {OPCODES[kind].name} at {offsets[place]}"
    raise BadModuleError("missing-end", body.span.end, message)
