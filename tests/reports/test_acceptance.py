"""
How an engine's answer stands to the specification's verdict.
"""

from __future__ import annotations

import pytest

from conformance.wasm.verdict import ModuleVerdict, VerdictKind
from reports.acceptance import Answer, EngineAnswer, JudgedFile, Standing, findings, standing


@pytest.mark.parametrize(
    ("kind", "answer", "rule", "wanted"),
    [
        ("valid", "accepted", "", "right"),
        ("valid", "refused", "invalid", "refuses-valid"),
        ("valid", "refused", "failed", "refuses-valid"),
        ("valid", "refused", "limit", "open"),
        ("valid", "refused", "unsupported", "open"),
        ("valid", "not asked", "", "open"),
        ("invalid", "accepted", "", "accepts-invalid"),
        ("malformed", "accepted", "", "accepts-invalid"),
        ("invalid", "refused late", "trap", "accepts-invalid"),
        ("invalid", "refused", "unsupported", "right"),
        ("not-admitted", "accepted", "", "open"),
        ("beyond-limits", "accepted", "", "open"),
        ("beyond-limits", "broke", "", "broke"),
        ("valid", "broke", "", "broke"),
    ],
)
def test_each_combination(kind: VerdictKind, answer: Answer, rule: str, wanted: Standing) -> None:
    verdict = ModuleVerdict(sha256="0" * 64, size_bytes=8, kind=kind)
    assert standing(verdict, answer, rule) == wanted


def test_findings_are_what_is_wrong_in_order() -> None:
    verdict = ModuleVerdict(sha256="0" * 64, size_bytes=8, kind="invalid")

    def engine(name: str, stands: Standing) -> EngineAnswer:
        return EngineAnswer(engine=name, core="", artifact_sha256="", answer="accepted",
                            standing=stands)  # fmt: skip

    file = JudgedFile(
        path="m.wasm",
        verdict=verdict,
        engines=(engine("a", "right"), engine("b", "accepts-invalid"), engine("c", "broke")),
    )
    assert [found.engine for _, found in findings([file])] == ["b", "c"]
