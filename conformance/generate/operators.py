"""
The scalar operators that a generator chooses from, by the type that they give.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from conformance.wasm.encode_items import instruction
from conformance.wasm.opcodes import OPCODES, ValType

SCALARS: Final[tuple[ValType, ...]] = ("i32", "i64", "f32", "f64")
WIDTHS: Final[dict[str, int]] = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}


class Operator(NamedTuple):
    """
    A scalar operator without immediates.
    """

    name: str
    parameters: tuple[ValType, ...]
    code: bytes


class Access(NamedTuple):
    """
    A load or a store of a scalar.
    """

    name: str
    width: int
    """In bytes."""
    alignment: int
    """Greatest exponent that may be promised."""


def _operators() -> dict[ValType, tuple[Operator, ...]]:
    found: dict[ValType, list[Operator]] = {kind: [] for kind in SCALARS}
    for opcode in OPCODES.values():
        signature = opcode.signature
        if signature is None or opcode.immediates or not signature.parameters:
            continue
        if set(signature.parameters + signature.results) <= set(SCALARS):
            (result,) = signature.results
            entry = Operator(opcode.name, signature.parameters, instruction(opcode.name))
            found[result].append(entry)
    return {kind: tuple(entries) for kind, entries in found.items()}


def _accesses(word: str) -> dict[ValType, tuple[Access, ...]]:
    found: dict[ValType, list[Access]] = {kind: [] for kind in SCALARS}
    for opcode in OPCODES.values():
        shape, _, operation = opcode.name.partition(".")
        if shape in found and operation.startswith(word) and opcode.alignment is not None:
            access = Access(opcode.name, 1 << opcode.alignment, opcode.alignment)
            found[shape].append(access)
    return {kind: tuple(entries) for kind, entries in found.items()}


def traps(name: str) -> bool:
    """
    Whether an operator may trap for some operands.
    """
    shape, _, operation = name.partition(".")
    integer = shape in ("i32", "i64")
    return integer and operation.startswith(("div_", "rem_", "trunc_f"))


ALL: Final = _operators()
"""Type -> operators that give it, in the order of their codes."""
CALM: Final = {
    kind: tuple(one for one in entries if not traps(one.name)) for kind, entries in ALL.items()
}
"""The same without those that may trap."""
LOADS: Final = _accesses("load")
STORES: Final = _accesses("store")
