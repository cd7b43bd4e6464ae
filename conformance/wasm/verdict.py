"""
The specification's verdict on any bytes, as a record.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from msgspec import Struct

from conformance.wasm.decode import decode
from conformance.wasm.errors import BadModuleError
from conformance.wasm.validate import validate

VerdictKind = Literal[
    "valid",
    "malformed",  # it cannot be decoded
    "invalid",  # it can be decoded, and breaks a rule of validation
    "not-admitted",  # it needs a proposal beyond the admitted ones; whether it is valid is open
    "beyond-limits",  # the specification sets no such limit, engines do
]


class ModuleVerdict(Struct, frozen=True, kw_only=True):
    """
    Whether bytes are a valid module, and if not, which rule they break where.
    """

    sha256: str
    size_bytes: int
    kind: VerdictKind
    rule: str = ""
    """Stable slug of the rule; empty for a valid module."""
    offset: int | None = None
    """Byte offset of what breaks it."""
    sentence: str = ""
    proposals: tuple[str, ...] = ()
    """What a valid module needs beyond the MVP."""
    imports: int = 0
    """How many imports it has, as far as it can be decoded."""


def judge(data: bytes) -> ModuleVerdict:
    """
    Judge *data*; never raises for what they are.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    kind: VerdictKind = "malformed"
    imports = 0
    try:
        module = decode(data)
        kind, imports = "invalid", len(module.imports)
        validate(module)
    except BadModuleError as error:
        if error.rule.startswith("proposal-"):
            kind = "not-admitted"
        elif error.rule.startswith("limit-"):
            kind = "beyond-limits"
        return ModuleVerdict(
            sha256=sha256,
            size_bytes=len(data),
            kind=kind,
            rule=error.rule,
            offset=error.offset,
            sentence=error.sentence,
            imports=imports,
        )
    return ModuleVerdict(
        sha256=sha256,
        size_bytes=len(data),
        kind="valid",
        proposals=module.proposals,
        imports=imports,
    )
