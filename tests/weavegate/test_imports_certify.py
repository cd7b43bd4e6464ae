from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from bad_subjects import complaint, weavegate
from product_subject import Product
from witnesses import honest, options

from conformance.differential.corpus import CorpusSize
from conformance.differential.records import FindingClass
from reports.model import PropertyVerdict, Report
from runners.hosting import Hosting
from weavegate.certify import certify
from weavegate.exits import Exit
from weavegate.findings_files import read_finding
from weavegate.replay_job import replay
from weavegate.terminal import Output

CONTROLS = Path(__file__).resolve().parents[2] / "vectors" / "attacks"


def of(report: Report, name: str) -> PropertyVerdict:
    return next(v for v in report.verdicts if v.property == name)


def verdict(report: Report) -> PropertyVerdict:
    return of(report, "imports-deterministic")


def control(folder: Path, old: str = "", new: str = "") -> Path:
    """
    The red control, with its manifest changed.
    """
    place = folder / "subject"
    shutil.copytree(CONTROLS / "mixes-clock", place)
    manifest = place / "model.toml"
    text = manifest.read_text("utf-8")
    assert text.count(old) == 1 or not old
    manifest.write_text(text.replace(old, new) if old else text, "utf-8")
    return place


ALLOWED = 'imports = ["env.emscripten_get_now"]'


def test_a_module_without_imports_holds_and_says_so(tmp_path: Path) -> None:
    subject = Product().write(tmp_path / "subject")
    report = certify(options(subject, tmp_path / "out", honest("aa", "bb", "cc")))
    assert verdict(report).verdict == "holds"
    assert verdict(report).sentence == "the module imports nothing, so no host can steer it"
    assert report.exit_code == Exit.PASS


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (ALLOWED, "imports = []", "it reads the node's clock (1 import, 0 allowed"),
        ('kind = "emscripten"', 'kind = "plain"', "which the plain ABI does not know"),
        ('kind = "emscripten"', 'kind = "wasi"', "which the wasi ABI does not know"),
    ],
)
def test_refused_imports_write_a_report(tmp_path: Path, old: str, new: str, words: str) -> None:
    place = control(tmp_path, old, new)
    result = weavegate("certify", str(place), "--out", str(tmp_path / "out"))
    assert result.exit_code == Exit.FINDINGS
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html", "report.json", "junit.xml",
    }  # fmt: skip
    assert "REFUSED (exit 1)  imports-deterministic fails; no node has run it" in result.stdout
    assert "0 findings" not in result.stdout
    assert not re.search("^(Engines|Cases compared|Who saw what)", result.stdout, re.MULTILINE)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert ">REFUSED" in page
    assert not re.search(">(Engines|What was compared|Who saw what|What was not observed)<", page)
    report = certify(options(place, tmp_path / "again", honest("aa")))
    assert verdict(report).verdict == "fails"
    assert words in verdict(report).sentence
    others = {v.verdict for v in report.verdicts if v.property != "imports-deterministic"}
    assert others == {"not-asked"}


def test_an_allowance_without_its_import_is_wrong_usage(tmp_path: Path) -> None:
    place = control(tmp_path, ALLOWED, 'imports = ["env.emscripten_get_now", "env.emscripten_g"]')
    said = complaint(Exit.USAGE, "certify", str(place), "--out", str(tmp_path / "out"))
    assert "the manifest allows the import 'env.emscripten_g', which the module does not have" in (
        said
    )


def test_a_refused_module_is_not_run_or_simulated(tmp_path: Path) -> None:
    place = control(tmp_path, ALLOWED, "imports = []")
    case = tmp_path / "case.json"
    case.write_text('{"input": []}', "utf-8")
    said = complaint(Exit.FINDINGS, "run", str(place), "--input", str(case))
    assert "it reads the node's clock" in said
    allowed = CONTROLS / "mixes-clock"
    assert "has no host functions" in complaint(
        Exit.USAGE, "simulate", "--module", str(allowed), "--out", str(tmp_path / "out")
    )


@pytest.mark.engines
def test_the_clock_in_the_last_digits_is_found_named_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(control(tmp_path), tmp_path / "out", (), engines=("wasmtime", "wasmer"))
    report = certify(given)
    (item,) = report.findings
    assert report.exit_code == Exit.FINDINGS
    assert verdict(report).verdict == "fails"
    assert (
        "1 import, 1 allowed, 1 may be answered differently, 9 worlds" in verdict(report).sentence
    )
    assert item.finding.kind is FindingClass.IMPORTS
    assert item.finding.blame.party == "module"
    assert "env.emscripten_get_now" in item.finding.blame.reason
    assert len({seen.outcome.kind for seen in item.finding.observed}) > 1
    assert read_finding(Path(item.file)) == item.finding
    assert replay(Output(), Path(item.file), None, (), ()) == Exit.FINDINGS
    assert "the finding shows again" in capsys.readouterr().out


@pytest.mark.engines
def test_a_clock_that_is_read_and_ignored_holds(tmp_path: Path) -> None:
    given = options(
        CONTROLS / "ignores-clock", tmp_path / "out", (), engines=("wasmtime", "wasmer")
    )
    report = certify(given)
    assert verdict(report).verdict == "holds"
    assert report.findings == ()
    assert "no outcome, page, global or fuel moves" in verdict(report).sentence


@pytest.mark.engines
def test_a_script_fixes_the_clock_for_the_vote_and_not_for_the_attack(tmp_path: Path) -> None:
    place = control(tmp_path, ALLOWED, ALLOWED + '\nscript = "host.txt"')
    script = place / "host.txt"
    script.write_text("env.emscripten_get_now() -> f64:40b3880000000000\n", "utf-8")
    given = options(place, tmp_path / "out", (), engines=("wasmtime", "wasmer"))
    report = certify(given)
    assert next(v for v in report.verdicts if v.property == "replicates").verdict != "fails"
    assert verdict(report).verdict == "fails"
    script.write_text("env.emscripten_get_now() -> f64:40b3880000000000\n" * 2, "utf-8")
    engines = ("wasmtime", "wasmer", "pywasm")
    left = certify(options(place, tmp_path / "left", (), engines=engines))
    assert of(left, "replicates").verdict == "undecided"
    assert " cases were ended by the host: " in of(left, "replicates").sentence


@pytest.mark.engines
def test_what_a_host_answered_is_recorded_as_a_script_that_replays(tmp_path: Path) -> None:
    case, script = tmp_path / "case.json", tmp_path / "host.txt"
    case.write_text('{"input": [' + ", ".join(['"f64:3ff8000000000000"'] * 8) + "]}", "utf-8")
    given = ("--input", str(case), "--engine", "wasmtime", "--engine", "wasmer", "--json")
    first = weavegate("run", str(control(tmp_path)), *given, "--record", str(script))
    assert first.exit_code == Exit.PASS
    (line,) = script.read_text("utf-8").splitlines()
    assert line.startswith("env.emscripten_get_now() -> f64:")
    place = control(tmp_path / "scripted", ALLOWED, ALLOWED + '\nscript = "host.txt"')
    shutil.copy(script, place / "host.txt")
    again = weavegate("run", str(place), *given)
    assert again.exit_code == Exit.PASS
    outputs = [
        [item["outcome"]["kind"] for item in json.loads(run.stdout)] for run in (first, again)
    ]
    assert outputs[0] == outputs[1]
    plain = Product().write(tmp_path / "product")
    said = complaint(Exit.USAGE, "run", str(plain), "--input", str(case), "--record", str(script))
    assert "imports nothing, so there is nothing to record" in said


REACTOR = """\
schema = 1
[module]
name = "dice"
[abi]
kind = "wasi"
initialize = ["_initialize"]
[host]
imports = ["wasi_snapshot_preview1.random_get"]
[[call]]
entry = "roll"
parameters = ["i32"]
results = ["i32"]
"""
DICE = """
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $ready (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $ready (i32.const 1)))
  (func (export "roll") (param $at i32) (result i32)
    (drop (call $random (i32.and (local.get $at) (i32.const 1023)) (i32.const 4)))
    (i32.add (global.get $ready) (i32.and (i32.load (i32.and (local.get $at) (i32.const 1023)))
      (i32.const MASK)))))
"""


def reactor(folder: Path, mask: int, manifest: str = REACTOR) -> Path:
    folder.mkdir(parents=True)
    wasm = wasmtime.wat2wasm(DICE.replace("MASK", str(mask)))
    (folder / "model.wasm").write_bytes(bytes(wasm))
    (folder / "model.toml").write_text(manifest, "utf-8")
    return folder


@pytest.mark.engines
@pytest.mark.parametrize(("mask", "word"), [(255, "fails"), (0, "holds")])
def test_a_wasi_reactor_that_uses_random_bytes_or_not(tmp_path: Path, mask: int, word: str) -> None:
    place = reactor(tmp_path / "subject", mask)
    report = certify(options(place, tmp_path / "out", (), engines=("wasmtime", "wasmer")))
    assert verdict(report).verdict == word
    said = "roll depends on what wasi_snapshot_preview1.random_get answers"
    assert (said in verdict(report).sentence) == (word == "fails")
    voted = next(v for v in report.verdicts if v.property == "replicates")
    assert all(part.differing == 0 for part in voted.strength)


def test_a_reactor_must_be_initialized(tmp_path: Path) -> None:
    manifest = REACTOR.replace('initialize = ["_initialize"]\n', "")
    place = reactor(tmp_path / "subject", 0, manifest)
    said = complaint(Exit.USAGE, "certify", str(place), "--out", str(tmp_path / "out"))
    assert 'write initialize = ["_initialize"] in [abi]' in said


@pytest.mark.engines
def test_a_module_whose_every_case_the_host_ended_is_undecided(tmp_path: Path) -> None:
    place = tmp_path / "subject"
    shutil.copytree(CONTROLS / "ignores-clock", place)
    manifest = place / "model.toml"
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace(ALLOWED, ALLOWED + '\nscript = "h.txt"'), "utf-8")
    (place / "h.txt").write_text("\n", "utf-8")
    report = certify(options(place, tmp_path / "out", (), engines=("wasmtime", "wasmer", "pywasm")))
    said = "ended by the host: env.emscripten_get_now: the host script ends before call 1,"
    for name in ("replicates", "no-residue", "imports-deterministic"):
        assert of(report, name).verdict == "undecided"
        assert re.search(rf"all [0-9]+ cases were {said}", of(report, name).sentence)
    assert report.exit_code == Exit.UNDECIDED


LOOP = """
(module
  (import "env" "emscripten_get_now" (func $now (result f64)))
  (memory (export "memory") 1)
  (func (export "wait") (param $calls i32) (result i32)
    (loop $again
      (drop (call $now))
      (br_if $again (i32.gt_s (local.tee $calls (i32.sub (local.get $calls) (i32.const 1)))
        (i32.const 0))))
    (i32.const CALLS)))
"""


def looping(folder: Path, calls: str) -> Path:
    """
    A module that asks the time as often as its case says, or as *calls* says.
    """
    wat = LOOP.replace("(i32.const CALLS)", "(i32.const 7)")
    if calls:
        wat = wat.replace("(loop $again", f"(local.set $calls (i32.const {calls})) (loop $again")
    folder.mkdir(parents=True)
    (folder / "model.wasm").write_bytes(bytes(wasmtime.wat2wasm(wat)))
    manifest = REACTOR.replace('kind = "wasi"', 'kind = "emscripten"').replace('"roll"', '"wait"')
    manifest = manifest.replace('initialize = ["_initialize"]\n', "")
    manifest = manifest.replace("wasi_snapshot_preview1.random_get", "env.emscripten_get_now")
    (folder / "model.toml").write_text(manifest, "utf-8")
    return folder


@pytest.mark.engines
@pytest.mark.parametrize(("calls", "word"), [("21", "undecided"), ("20", "holds")])
def test_more_host_calls_than_a_case_may_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: str, word: str
) -> None:
    # The limit itself takes minutes to reach in every case of a run.
    defaults = Hosting.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "most_calls", 20)
    place = looping(tmp_path / "subject", calls)
    size = CorpusSize(uniform=4, edges=2, block_cases=4)
    engines = ("wasmtime", "wasmer", "wasmtime/winch")
    report = certify(options(place, tmp_path / "out", (), engines=engines, size=size))
    for name in ("replicates", "no-residue", "imports-deterministic"):
        assert of(report, name).verdict == word, of(report, name)
        assert ("more than 20 host calls" in of(report, name).sentence) == (word == "undecided")


@pytest.mark.engines
def test_an_entry_whose_every_case_calls_too_often_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = Hosting.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "most_calls", 20)
    made: list[Hosting] = []
    begin = Hosting.__init__

    def noted(self: Hosting, *given: Any, **named: Any) -> None:
        begin(self, *given, **{**defaults, **named})
        made.append(self)

    monkeypatch.setattr(Hosting, "__init__", noted)
    size = CorpusSize(uniform=160, edges=0, block_cases=16)
    engines = ("wasmtime", "wasmer", "wasmtime/winch")
    cut = {}
    for calls in ("1000000", "20"):
        made.clear()
        place = looping(tmp_path / calls, calls)
        report = certify(options(place, tmp_path / f"out{calls}", (), engines=engines, size=size))
        cut[calls] = sum(len(hosting.cut) for hosting in made if hosting.count > 1)
        if calls == "20":
            assert report.exit_code == Exit.PASS
            continue
        assert report.exit_code == Exit.UNDECIDED
        sentence = of(report, "replicates").sentence
        assert "cases were not run on" in sentence
        assert "3 before them asked more of their host than one may" in sentence
        assert "more than 20 host calls" in sentence
    # Three cases of a block, and of those that were on their way when the first came back.
    assert 3 * len(engines) <= cut["1000000"] <= 3 * 3 * len(engines)
    assert cut["20"] == 0


WRITER = """
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (func (export "_initialize"))
  (func (export "roll") (param $at i32) (result i32) (local $left i32)
    (i32.store (i32.const 8) (i32.const 64))
    (i32.store (i32.const 12) (i32.const 1048576))
    (local.set $left (i32.const MIB))
    (loop $again
      (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.const 7)))
"""


@pytest.mark.engines
@pytest.mark.parametrize(("mib", "word"), [(1024, "undecided"), (2, "holds")])
def test_a_gibibyte_on_stdout(tmp_path: Path, mib: int, word: str) -> None:
    manifest = REACTOR.replace("random_get", "fd_write")
    place = reactor(tmp_path / "subject", 0, manifest)
    wasm = wasmtime.wat2wasm(WRITER.replace("MIB", str(mib)))
    (place / "model.wasm").write_bytes(bytes(wasm))
    size = CorpusSize(uniform=6, edges=0, block_cases=8)
    engines = ("wasmtime", "wasmer", "wasmtime/winch")
    report = certify(options(place, tmp_path / "out", (), engines=engines, size=size))
    assert report.exit_code == (Exit.UNDECIDED if word == "undecided" else Exit.PASS)
    said = "fd_write: more than 67,108,864 bytes read and written for it"
    assert of(report, "replicates").verdict == word
    assert (said in of(report, "replicates").sentence) == (word == "undecided")
    assert not report.findings


@pytest.mark.engines
def test_an_exported_global_is_shown_with_its_type(tmp_path: Path) -> None:
    place, case = tmp_path / "subject", tmp_path / "case.json"
    place.mkdir()
    wat = """(module
      (global (export "g") (mut f64) (f64.const 268435456)) (global (export "n") i32 (i32.const 9))
      (func (export "same") (param i32) (result i32) (local.get 0)))"""
    (place / "model.wasm").write_bytes(bytes(wasmtime.wat2wasm(wat)))
    manifest = 'schema = 1\n[module]\nname = "globals"\n[[call]]\nentry = "same"\n'
    manifest += 'parameters = ["i32"]\nresults = ["i32"]\n'
    (place / "model.toml").write_text(manifest, "utf-8")
    case.write_text('{"entry": "same", "input": ["i32:00000001"]}', "utf-8")
    given = ("--input", str(case), "--engine", "wasmtime", "--engine", "wasmer")
    done = weavegate("run", str(place), *given)
    assert done.exit_code == Exit.PASS, done.output
    assert "f64:41b0000000000000" in done.stdout
    assert "i32:00000009" in done.stdout
    assert "i64:" not in done.stdout
