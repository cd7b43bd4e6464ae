"""
A red report of `certify` names the operator in which nodes part, and says so where it cannot.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from product_subject import Product
from wasmtime import wat2wasm
from witnesses import SMALL, honest, options, witness

from conformance.differential.records import FindingClass
from reports.console import console_text
from reports.html import html_page
from reports.json_report import json_text, read_json, report_digest
from reports.model import Report
from runners.environments import Environments
from runners.launch import Launch
from tests.fakes.launches import bent
from weavegate.certify import certify
from weavegate.ticker import SILENT, Ticker

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("fuzz")]

FEW = msgspec.structs.replace(SMALL, uniform=16, edges=8)
CEIL = """(module (memory (export "memory") 1)
  (func (export "infer")
    (f64.store (i32.const 64)
      (f64.div (f64.const 1) (f64.ceil (f64.mul (f64.const 0.5) (f64.load (i32.const 0))))))))"""
MANIFEST = """\
schema = 1
[module]
name = "ceil"
file = "model.wasm"
sha256 = "{sha256}"
[abi]
kind = "plain"
entry = "infer"
[input]
dtype = "f64"
shape = [1]
pointer = {{ address = 0 }}
low = -1.0
high = 1.0
[output]
dtype = "f64"
shape = [1]
pointer = {{ address = 64 }}
[judge]
nan = "exact"
"""


def real(*names: str, lying: str = "") -> tuple[tuple[Launch, bool], ...]:
    """
    Real engines; with *lying*, the reference evaluator bends that operator.
    """
    environments = Environments()
    made = []
    for name in names:
        launch = environments.launch(environments.catalog.resolve(name))
        made.append((bent(launch, lying) if lying and name == "reference" else launch, False))
    return tuple(made)


def product(folder: Path, launches: tuple[tuple[Launch, bool], ...], **given: object) -> Report:
    subject = Product(low=0.5, high=2.0).write(folder / "s")
    return certify(options(subject, folder / "out", launches, **({"size": FEW} | given)))


def ceiling(folder: Path) -> Path:
    folder.mkdir()
    wasm = bytes(wat2wasm(CEIL))
    (folder / "model.wasm").write_bytes(wasm)
    text = MANIFEST.format(sha256=hashlib.sha256(wasm).hexdigest())
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder


ENGINES = ("wasmtime", "wasmer/singlepass", "reference")


def test_the_bent_operator_of_a_liar_is_named_in_every_form_of_the_report(tmp_path: Path) -> None:
    report = product(tmp_path, real(*ENGINES, lying="f64.add"))
    (item,) = report.findings
    assert item.finding.kind is FindingClass.VALUE
    (operator,) = report.run.operators
    assert operator == report.run.operator_of(item.id)
    assert operator.first is not None
    assert (operator.first.operator, operator.first.how) == ("f64.add", "values")
    wasm = (tmp_path / "s" / "model.wasm").read_bytes()
    assert wasm[operator.first.offset] == 0xA0
    assert operator.nodes[1].startswith("reference@")
    (right,), (wrong,) = operator.first.values
    assert int(right[4:], 16) ^ int(wrong[4:], 16) == 1
    page, text = html_page(report), console_text(report, width=200)
    assert "<h4>First operator that differs</h4>" in page
    assert f"<code>{wrong}</code>" in page
    assert f"first difference: f64.add at byte {operator.first.offset:#x}" in text
    assert read_json(json_text(report)) == report


def test_an_operator_that_the_module_does_not_have_may_be_bent(tmp_path: Path) -> None:
    report = product(tmp_path, real(*ENGINES, lying="f32.mul"))
    assert (report.findings, report.run.operators, report.exit_code) == ((), (), 0)


def test_the_known_defect_of_pywasm_is_named(tmp_path: Path) -> None:
    subject = ceiling(tmp_path / "s")
    launches = real("wasmtime", "wasmer/singlepass", "pywasm")
    report = certify(options(subject, tmp_path / "out", launches, size=FEW))
    (item,) = report.findings
    (operator,) = report.run.operators
    assert item.finding.kind is FindingClass.VALUE
    assert operator.first is not None
    assert operator.first.operator == "f64.ceil"
    assert operator.first.values == (("f64:8000000000000000",), ("f64:0000000000000000",))
    assert operator.nodes[1] == "pywasm@2.2.3"


def test_a_liar_that_shows_no_checkpoints_leaves_the_reason(tmp_path: Path) -> None:
    liar = witness("flips_at", "liar", at=1.25)
    rows = Product(rows=tuple((1.0 + i / 64, 1.5) for i in range(40)))
    subject = rows.write(tmp_path / "s")
    report = certify(options(subject, tmp_path / "out", (*honest("aa", "bb", "cc"), liar)))
    (item,) = report.findings
    (operator,) = report.run.operators
    assert (operator.finding, operator.first) == (item.id, None)
    assert operator.nodes == ("fake@1.0/aa", "fake@1.0/liar")
    assert "shows no checkpoints" in operator.why_not
    assert "Not found: a node shows no checkpoints" in html_page(report)
    assert report.run.unstable == ()


def test_time_and_number_are_limited_and_change_no_digest(tmp_path: Path) -> None:
    launches = real(*ENGINES, lying="f64.add")
    whole = product(tmp_path, launches)
    none = product(tmp_path, launches, bisect_most=0)
    assert none.run.operators == ()
    late = product(tmp_path, launches, bisect_seconds=0.0)
    (operator,) = late.run.operators
    assert operator.why_not == "the 0 s for all findings were up"
    assert report_digest(whole) == report_digest(none) == report_digest(late)


def test_an_interruption_while_looking_keeps_what_was_gathered(tmp_path: Path) -> None:
    subject = Product(low=0.5, high=2.0).write(tmp_path / "s")
    asked = options(subject, tmp_path / "out", real(*ENGINES, lying="f64.add"), size=FEW)
    said: list[str] = []

    def interrupted(text: str) -> None:
        said.append(text)
        if text.startswith("looking for the operator"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        certify(asked, Ticker(interrupted, SILENT.plan, SILENT.step))
    assert said[-1] == "looking for the operator that differs, in 1 finding"
    report = certify(asked)
    (operator,) = report.run.operators
    assert operator.first is not None
