"""
The table of invalid modules on engines: what is shown, and that pywasm is red and wasmtime is not.
"""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.acceptance import measure, table
from conformance.wasm.verdict import judge
from reports.acceptance import Answer, EngineAnswer, JudgedFile
from vectors.invalid_forms import FORMS


def _judged(*answers: Answer) -> JudgedFile:
    engines = [
        EngineAnswer(engine=f"e{place}", core="", artifact_sha256="", answer=answer,
                     standing="right")
        for place, answer in enumerate(answers)
    ]  # fmt: skip
    return JudgedFile(path="form", verdict=judge(FORMS["cut off"][0]), engines=tuple(engines))


def test_answers_stand_in_their_columns_and_are_counted() -> None:
    text = table([_judged("accepted", "refused"), _judged("refused late", "refused")])
    assert "| form | rule | `e0` | `e1` |" in text
    assert "| form | truncated | **accepted** | refused |" in text
    assert "| form | truncated | *late* | refused |" in text
    assert "| number: accepted |  | 1 | 0 |" in text
    assert "| number: refused |  | 0 | 2 |" in text


@pytest.mark.engines
@pytest.mark.slow
def test_pywasm_takes_14_of_the_21_and_compiled_engines_none() -> None:
    judged = measure(["pywasm@2.2.3", "wasmtime", "wasmer/singlepass"])
    counts = [Counter(file.engines[column].answer for file in judged) for column in range(3)]
    assert counts[0] == {"accepted": 14, "refused late": 3, "refused": 4}
    assert counts[1] == counts[2] == {"refused": 21}
    assert {file.engines[0].standing for file in judged} == {"accepts-invalid", "right"}
