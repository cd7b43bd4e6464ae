"""
Our verdict and wasmtime's on the same modules, counted by the class of error on either side.

What may differ is known by rule, and counted apart: `limit-...` is for sizes that the
specification allows and wasmtime refuses (so both refuse), and `proposal-extended-const` for a
proposal that the installed wasmtime has no switch for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import wasmtime
from part_mutants import part_mutants
from valid_modules import valid_modules
from wasm_mutants import body_mutants, file_mutants
from wasm_samples import engine

from conformance.wasm.decode import decode
from conformance.wasm.errors import BadModuleError
from conformance.wasm.validate import validate

UNSWITCHED = "proposal-extended-const"
_OFFSET = re.compile(r"\(at offset 0x[0-9a-f]+\)")
_PARTICULARS = re.compile(
    r"`[^`]*`|0x[0-9a-f]+|\b\d+\b|\b(i32|i64|f32|f64|v128|funcref|externref|func|extern)\b"
)
_CLASSES = (
    "type mismatch: values remaining", "but nothing on stack", "type mismatch",
    "unexpected end-of-file", "invalid value type", "non-constant operator", "too many locals",
)  # fmt: skip


def ours(data: bytes) -> tuple[str, bool]:
    """
    The rule that *data* breaks, or `valid`, and whether it was decoded.
    """
    try:
        module = decode(data)
    except BadModuleError as error:
        return error.rule, False
    try:
        validate(module)
    except BadModuleError as error:
        return error.rule, True
    return "valid", True


def theirs(data: bytes) -> str:
    """
    The class of wasmtime's refusal: its message without numbers, names, types; or `valid`.
    """
    try:
        wasmtime.Module.validate(engine(), data)
    except wasmtime.WasmtimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        message = _OFFSET.sub("", lines[-1]).strip()
        if "magic header" in str(error):
            return "magic header not detected"
        for known in _CLASSES:
            if known in message:
                return known
        return " ".join(_PARTICULARS.sub("_", message).split())[:80]
    return "valid"


@dataclass
class Tally:
    """
    What became of a number of modules.
    """

    modules: int = 0
    decoded: int = 0
    valid: int = 0
    limits: int = 0
    """Refused by a rule `limit-...`, and by wasmtime."""
    unswitched: int = 0
    """Refused by us for a proposal that wasmtime has no switch for, and taken by wasmtime."""
    pairs: Counter[str] = field(default_factory=Counter)
    """`our rule | class of wasmtime's message` -> modules."""
    differing: list[dict[str, str]] = field(default_factory=list)
    """Verdicts that no rule explains."""

    def add(self, data: bytes) -> None:
        """
        Judge one module.
        """
        (rule, decoded), message = ours(data), theirs(data)
        self.modules += 1
        self.decoded += decoded
        self.valid += rule == "valid"
        self.pairs[f"{rule} | {message}"] += 1
        if (rule == "valid") is (message == "valid"):
            self.limits += rule.startswith("limit-")
        elif rule == UNSWITCHED:
            self.unswitched += 1
        else:
            self.differing.append({"ours": rule, "wasmtime": message, "module": data.hex()})

    def include(self, other: dict[str, Any]) -> None:
        """
        Add what `plain` gave.
        """
        for name in ("modules", "decoded", "valid", "limits", "unswitched"):
            setattr(self, name, getattr(self, name) + other[name])
        self.pairs.update(other["pairs"])
        self.differing += other["differing"]

    def plain(self) -> dict[str, Any]:
        """
        As data, the most frequent pairs first.
        """
        return {**vars(self), "pairs": dict(self.pairs.most_common())}

    def report(self) -> str:
        """
        Totals, then counts per class of error.
        """
        share = 100 / max(self.modules, 1)
        head = (
            f"{self.modules:,} modules: {self.decoded * share:.1f} % get past decoding, "
            f"{self.valid * share:.1f} % are valid, {self.limits:,} beyond limits of engines, "
            f"{self.unswitched:,} of a proposal without a switch, "
            f"{len(self.differing)} disagreements"
        )
        rules: dict[str, Counter[str]] = {}
        for pair, count in self.pairs.items():
            rule, _, message = pair.partition(" | ")
            rules.setdefault(rule, Counter())[message] += count
        by_count = sorted(rules.items(), key=lambda row: (-row[1].total(), row[0]))
        return "\n".join([head, *(_row(rule, found) for rule, found in by_count)])


def _row(rule: str, messages: Counter[str]) -> str:
    """
    One of our rules with the classes of wasmtime's messages on the same modules.
    """
    shown = "; ".join(f"{message} ({count:,})" for message, count in messages.most_common(3))
    more = f"; {len(messages) - 3} more" if len(messages) > 3 else ""
    return f"{messages.total():9,}  {rule:28} {shown}{more}"


def judged(modules: Iterable[bytes]) -> Tally:
    """
    All of them.
    """
    tally = Tally()
    for data in modules:
        tally.add(data)
    return tally


def mutants(chunk: int, count: int) -> list[bytes]:
    """
    *count* changed modules of at most 2 KiB for one chunk: half in pieces, a quarter each in bytes
    of hand-written samples and in bodies made operator by operator.
    """
    quarter = count // 4
    made = part_mutants(7_000_000 + chunk, count - 2 * quarter)
    made += file_mutants(8_000_000 + chunk, quarter) + body_mutants(9_000_000 + chunk, quarter)
    return made


def constructed(chunk: int, count: int) -> list[bytes]:
    """
    *count* modules for one chunk that are valid by construction.
    """
    return valid_modules(6_000_000 + chunk, count)
