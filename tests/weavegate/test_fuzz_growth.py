"""
`weavegate fuzz --generator growth`: honest engines agree, and one that grows wrongly is found.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fuzz_samples import engines

from conformance.wasm.decode import decode
from tests.fakes.launches import misgrowing
from weavegate.fuzz_job import FuzzOptions, FuzzReport, fuzz

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("fuzz")]

ENGINES = ("wasmtime", "wasmer/singlepass", "reference")


def fuzzed(out: Path, *, lying: bool) -> FuzzReport:
    nodes = [
        replace(node, launch=misgrowing(node.launch))
        if lying and node.node.engine.name == "reference"
        else node
        for node in engines(*ENGINES)
    ]
    options = FuzzOptions(
        out=out, minutes=10, modules=64, seed=3, generator="growth", stop_at_first=True,
        most_tries=120,
    )  # fmt: skip
    return fuzz(options, lambda _: None, nodes=nodes)


def test_honest_engines_agree_on_modules_that_grow(tmp_path: Path) -> None:
    report = fuzzed(tmp_path, lying=False)
    assert (report.findings, report.modules, report.generator) == ((), 64, "growth")
    assert report.counted > 5


def test_an_engine_that_grows_wrongly_is_found_and_shrunk_to_its_growth(tmp_path: Path) -> None:
    report = fuzzed(tmp_path, lying=True)
    found = report.findings[0]
    assert found.nodes == ("reference@0.1.0+nan=canonical",)
    # Which operator it is cannot be told: checkpoints keep memory of their own, and so ask for and
    # get other numbers of pages, which this liar answers rightly or wrongly by their own parity.
    (wasm,) = (tmp_path / "findings").glob("*.wasm")
    assert "memory.grow" in decode(wasm.read_bytes()).operators
    assert found.operators <= 8
