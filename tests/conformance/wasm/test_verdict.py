"""
Verdicts as records: malformed, invalid, not admitted, beyond limits, valid.
"""

from __future__ import annotations

import hashlib

import pytest
from wasm_samples import HEADER, body_module, leb, samples, wat

from conformance.wasm.verdict import judge


@pytest.mark.parametrize(
    ("data", "kind", "rule"),
    [
        (b"", "malformed", "empty-file"),
        (b"(module)", "malformed", "text-file"),
        (HEADER + b"\x09", "malformed", "truncated"),
        (wat("(module (func i32.const 1))"), "invalid", "leftover-values"),
        (wat("(module (memory 1) (memory 1))"), "not-admitted", "proposal-multi-memory"),
        (body_module(b"\x12\0\x0b"), "not-admitted", "proposal-tail-calls"),
        (body_module(b"\x0b", b"\1" + leb(50_001) + b"\x7c"), "beyond-limits", "limit-locals"),
    ],
)
def test_each_kind(data: bytes, kind: str, rule: str) -> None:
    verdict = judge(data)
    assert (verdict.kind, verdict.rule) == (kind, rule)
    assert verdict.offset is not None
    assert 0 <= verdict.offset <= len(data)
    assert verdict.sha256 == hashlib.sha256(data).hexdigest()


def test_a_valid_module_names_what_it_needs() -> None:
    verdict = judge(samples()["simd"])
    assert verdict.kind == "valid"
    assert "simd" in verdict.proposals
    assert (verdict.rule, verdict.offset, verdict.sentence) == ("", None, "")
