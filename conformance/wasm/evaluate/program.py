"""
A loaded module: validated once, each function compiled when it is first called.
"""

from __future__ import annotations

from collections.abc import Mapping

from conformance.wasm.evaluate.flat import Code
from conformance.wasm.evaluate.flatten import flatten
from conformance.wasm.evaluate.operations import OPERATIONS, Operation
from conformance.wasm.evaluate.source import read_module
from conformance.wasm.parts import Parts


class Program:
    """
    What instances of one module share.
    """

    def __init__(self, module: Parts, operations: Mapping[str, Operation] = OPERATIONS) -> None:
        """
        Take a valid module without SIMD; other *operations* than the specification's are for
        tests that want to see a wrong one noticed.
        """
        self.module = module
        self._operations = operations
        self._codes: list[Code | None] = [None] * len(module.functions)

    @classmethod
    def load(cls, data: bytes, operations: Mapping[str, Operation] = OPERATIONS) -> Program:
        """
        Decode and validate; raises BadModuleError, rule `proposal-...` for what is not known here.
        """
        return cls(read_module(data), operations)

    def code(self, place: int) -> Code:
        """
        The flat form of the module's own function number *place*.
        """
        found = self._codes[place]
        if found is None:
            found = flatten(self.module, self.module.functions[place], self._operations)
            self._codes[place] = found
        return found
