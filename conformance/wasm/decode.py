"""
From the bytes of a file to a module, or to the reason why they are none.
"""

from __future__ import annotations

import numpy as np

from conformance.wasm.body import Function
from conformance.wasm.code_section import read_code
from conformance.wasm.module import Module
from conformance.wasm.opcodes import BY_NAME
from conformance.wasm.outline import MAGIC, VERSION, needs_data_count, read_file
from conformance.wasm.validate import validate

__all__ = ["MAGIC", "VERSION", "decode", "validated"]


def decode(data: bytes) -> Module:
    """
    Decode a module of the MVP and the admitted proposals.

    Raises BadModuleError, and nothing else, for whatever else the bytes may be. What decodes is
    well-formed; whether it is valid is asked of `validate`.
    """
    module = read_file(data, read_code, Function, Module)
    if module.data_count is None:
        index = module.code
        for name in ("memory.init", "data.drop"):
            uses = np.flatnonzero(index.codes == BY_NAME[name].code)
            if uses.size:
                raise needs_data_count(name, int(index.offsets[uses[0]]))
    return module


def validated(data: bytes) -> Module:
    """
    Decode and validate; raises BadModuleError for bytes that are no valid module.
    """
    module = decode(data)
    validate(module)
    return module
