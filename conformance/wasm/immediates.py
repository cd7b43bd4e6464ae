"""
Immediates of many instructions at once, where they are indices.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.wasm.module import Module
from conformance.wasm.opcodes import BY_NAME, Immediate

Numbers = NDArray[np.int64]

_INDICES: Final = frozenset[Immediate](
    {"label", "function", "type", "table", "local", "global", "data", "element", "memory"}
)
_MOST_BYTES: Final = 5
_LOW: Final = 0x7F


def unsigned_at(data: NDArray[np.uint8], starts: Numbers) -> tuple[Numbers, Numbers]:
    """
    LEB128 numbers without sign of at most 5 bytes that begin at *starts*, and where each ends.
    """
    values = np.zeros(len(starts), np.int64)
    ends = starts.astype(np.int64)
    going = np.arange(len(starts))
    for shift in range(0, 7 * _MOST_BYTES, 7):
        if not going.size:
            break
        found = data[ends[going]].astype(np.int64)
        values[going] |= (found & _LOW) << shift
        ends[going] += 1
        going = going[found > _LOW]
    return values, ends


def uses(module: Module, operator: str) -> tuple[Numbers, Numbers]:
    """
    All uses of *operator* in file order: places in `module.code`, and its immediates, which must
    be indices: shape (uses,) and (immediates, uses).
    """
    opcode = BY_NAME[operator]
    if not _INDICES.issuperset(opcode.immediates):
        message = f"the immediates of {operator} are not all indices"
        raise ValueError(message)
    code = module.code
    places = np.flatnonzero(code.codes == opcode.code).astype(np.int64)
    data = np.frombuffer(module.binary, np.uint8)
    ends = code.offsets[places].astype(np.int64) + 1
    if opcode.code > _LOW << 1 | 1:
        _, ends = unsigned_at(data, ends)
    columns = []
    for _ in opcode.immediates:
        values, ends = unsigned_at(data, ends)
        columns.append(values)
    return places, np.array(columns, np.int64).reshape(len(columns), len(places))


def owners(module: Module, places: Numbers) -> Numbers:
    """
    Index of the function in whose body each of *places* in `module.code` lies.
    """
    firsts = np.array([function.body.first for function in module.functions], np.int64)
    own = np.searchsorted(firsts, places, side="right") - 1
    return own + module.imported_functions
