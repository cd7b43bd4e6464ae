"""
Locals that a rewrite adds to a function for its own use.
"""

from __future__ import annotations

from conformance.wasm.encode_items import instruction
from conformance.wasm.module import Module
from conformance.wasm.opcodes import ValType
from conformance.wasm.rewrite.typed import locals_of

NULLABLE = ("funcref", "externref")


class Scratch:
    """
    The locals of one function, its own first; a new one for each type and number asked for.
    """

    def __init__(self, module: Module, place: int) -> None:
        """
        Nothing added yet.
        """
        self.own = locals_of(module, place)
        self._declared = [(r.count, r.type) for r in module.functions[place].body.locals]
        self._added: dict[tuple[ValType, int], int] = {}

    def local(self, kind: ValType, number: int = 0) -> int:
        """
        Index of the added local *number* of type *kind*.
        """
        fresh = len(self.own) + len(self._added)
        return self._added.setdefault((kind, number), fresh)

    def get(self, kind: ValType, number: int = 0) -> bytes:
        """
        `local.get` of it.
        """
        return instruction("local.get", self.local(kind, number))

    def set(self, kind: ValType, number: int = 0) -> bytes:
        """
        `local.set` of it.
        """
        return instruction("local.set", self.local(kind, number))

    def tee(self, kind: ValType, number: int = 0) -> bytes:
        """
        `local.tee` of it.
        """
        return instruction("local.tee", self.local(kind, number))

    @property
    def runs(self) -> list[tuple[int, ValType]]:
        """
        The declaration: the function's own runs, then one for each added local.
        """
        return [*self._declared, *((1, kind) for kind, _ in self._added)]


def zero(kind: ValType) -> bytes:
    """
    The instruction that gives the zero, or null, of a type.
    """
    if kind in NULLABLE:
        return instruction("ref.null", kind)
    return instruction(f"{kind}.const", 0)
