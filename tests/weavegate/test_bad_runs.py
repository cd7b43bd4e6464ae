"""
Modules that misbehave while they run, on real engines: an honest outcome, never a broken run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bad_subjects import (
    BODY,
    MANIFEST,
    SCALARS,
    complaint,
    module_of,
    sentence_of,
    subject_in,
    wat,
    weavegate,
    wide_signatures,
)

from conformance.differential.corpus import CorpusSize
from conformance.differential.records import FindingClass
from conformance.evidence.errors import EvidenceFullError
from reports.model import Report
from runners.catalog import Catalog
from runners.environments import Environments
from runners.home import data_home
from runners.records import Exhausted, OutcomeKind, Rejected, Returned, TimedOut
from weavegate.certify import Options, certify
from weavegate.exits import Exit

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.xdist_group("bad-runs")]

SMALL = CorpusSize(uniform=6, edges=4)
QUICKLY = ("wasmtime", "wasmer", "wasmtime/winch")
"""Three families of compiled code: a deadline that is too short for pywasm says nothing."""
LOOP = "(loop br 0)"


def certified(tmp_path: Path, subject: Path, *engines: str) -> Report:
    """
    The report of a small run.
    """
    given = Options(argument=subject, out=tmp_path / "out", engines=engines, size=SMALL)
    report = certify(given)
    assert all(Path(finding.file).is_file() for finding in report.findings)
    return report


def kinds(report: Report) -> set[FindingClass]:
    return {finding.finding.kind for finding in report.findings}


def ends(report: Report) -> set[type[OutcomeKind]]:
    return {type(o.outcome.kind) for f in report.findings for o in f.finding.observed}


@pytest.mark.parametrize(
    "wasm",
    [
        pytest.param(module_of(LOOP), id="entry"),
        pytest.param(module_of(more=f"(func $s {LOOP}) (start $s)"), id="start"),
        pytest.param(module_of(address=f"{LOOP} i32.const 64"), id="pointer"),
    ],
)
def test_an_endless_loop_is_the_module_s_fault(wasm: bytes, tmp_path: Path) -> None:
    report = certified(tmp_path, subject_in(tmp_path / "s", wasm), *QUICKLY)
    assert report.exit_code == Exit.FINDINGS
    assert kinds(report) == {FindingClass.BROKEN_WORKER}
    assert ends(report) == {TimedOut}
    assert {finding.finding.blame.party for finding in report.findings} == {"module"}


def test_a_loop_is_given_up_long_before_all_cases_have_timed_out(tmp_path: Path) -> None:
    thrice = wat(f'(module (func (export "f") (param i32) (result i32) {LOOP} i32.const 1))')
    limits = "[limits]\ndeadline_ms = 100\n"
    subject = subject_in(tmp_path / "s", thrice, SCALARS + limits)
    size = CorpusSize(patterns=64, block_cases=4, shared_block_cases=4)
    report = certify(Options(argument=subject, out=tmp_path, engines=("wasmtime",), size=size))
    node = report.nodes[0]
    asked = report.sampling.edge + report.sampling.sample + report.sampling.bulk
    assert asked > 64
    # A case that nobody finished was not compared, and is not counted as if it had been.
    assert node.cases_result + node.cases_state + node.cases_full == 0
    assert 3 <= node.broken <= 12


@pytest.mark.parametrize("engines", [(), QUICKLY], ids=["core", "compiled"])
def test_recursion_without_end_is_a_limit_and_no_value(
    engines: tuple[str, ...], tmp_path: Path
) -> None:
    wasm = module_of("call $r", more="(func $r call $r)")
    report = certified(
        tmp_path, subject_in(tmp_path / "s", wasm, MANIFEST.replace("200", "5000")), *engines
    )
    assert report.exit_code == Exit.FINDINGS
    assert kinds(report) == {FindingClass.LIMIT}
    assert ends(report) == {Exhausted}
    assert {finding.finding.blame.party for finding in report.findings} == {"module"}
    assert all(node.abstained and not node.differing for node in report.nodes)


def test_a_module_that_always_traps_is_said_to(tmp_path: Path) -> None:
    traps = certified(tmp_path, subject_in(tmp_path / "s", module_of("unreachable")))
    total = sum(origin.cases for origin in traps.origins)
    assert traps.exit_code == Exit.PASS
    assert f"{total} of them end in a trap" in traps.verdicts[0].sentence
    good = certified(tmp_path, subject_in(tmp_path / "good"))
    assert good.exit_code == Exit.PASS
    assert "trap" not in good.verdicts[0].sentence


def test_buffers_that_do_not_fit_are_wrong_usage(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s", module_of(address="i32.const 65530"))
    said = complaint(2, "certify", subject, "--out", tmp_path / "out", "--engine", "wasmtime")
    assert "buffer 65530+16 beyond memory" in said
    bits = tmp_path / "in.json"
    bits.write_text('{"input": ["f64:0000000000000000", "f64:0000000000000000"]}')
    assert "[input]" in complaint(2, "run", subject, "--input", bits, "--engine", "wasmtime")


def test_a_buffer_that_does_not_fit_on_some_cases_only_is_judged(tmp_path: Path) -> None:
    # The address depends on the case, so that the manifest may be right and the module wrong.
    more = "(global $n (mut i32) (i32.const 0))"
    body = f"{BODY} (global.set $n (i32.const 65530))"
    wasm = module_of(body, address="(i32.add (i32.const 64) (global.get $n))", more=more)
    report = certified(tmp_path, subject_in(tmp_path / "s", wasm))
    assert report.exit_code in (Exit.PASS, Exit.FINDINGS, Exit.UNDECIDED)


def test_memory_that_grows_without_end_ends(tmp_path: Path) -> None:
    grow = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"
    bounded = '(memory (export "memory") 1 16)'
    wasm = module_of(f"{grow} {BODY}", memory=bounded)
    held = certified(tmp_path, subject_in(tmp_path / "s", wasm))
    assert held.exit_code == Exit.PASS
    endless = subject_in(
        tmp_path / "e", module_of("(loop (drop (memory.grow (i32.const 1))) br 0)")
    )
    report = certified(tmp_path, endless, *QUICKLY)
    assert report.exit_code == Exit.FINDINGS
    assert kinds(report) == {FindingClass.BROKEN_WORKER}


def test_all_of_memory_may_be_asked_for(tmp_path: Path) -> None:
    wasm = module_of(memory='(memory (export "memory") 65536)')
    manifest = MANIFEST.replace("pages = 16", "pages = 65536")
    report = certified(tmp_path, subject_in(tmp_path / "s", wasm, manifest), "wasmtime", "wasmer")
    assert report.exit_code in (Exit.FINDINGS, Exit.UNDECIDED)
    assert ends(report) <= {Returned, Rejected, Exhausted, TimedOut}


def test_a_bomb_for_compilers_is_survived(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("[limits]", "[limits]\ncompile_deadline_ms = 20000")
    subject = subject_in(tmp_path / "s", wide_signatures(1000, 1500), manifest)
    report = certified(tmp_path, subject, "wasmtime", "wasmer")
    assert report.exit_code in (Exit.FINDINGS, Exit.UNDECIDED)


def test_a_bomb_that_takes_too_long_is_a_timeout(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("[limits]", "[limits]\ncompile_deadline_ms = 1")
    subject = subject_in(tmp_path / "s", wide_signatures(1000, 1500), manifest)
    report = certified(tmp_path, subject, "wasmer")
    assert report.exit_code == Exit.FINDINGS
    assert ends(report) == {TimedOut}


def test_interpreters_alone_cannot_decide(tmp_path: Path) -> None:
    report = certified(tmp_path, subject_in(tmp_path / "s"), "pywasm")
    assert report.exit_code == Exit.UNDECIDED


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A home whose wasmtime is a copy that can be broken; returns the folder of its packages.
    """
    home = tmp_path / "home"
    engine = Catalog.load().resolve("wasmtime")
    name = f"{engine.name}-{engine.version}"
    shutil.copytree(data_home() / "engines" / name, home / "engines" / name, symlinks=True)
    monkeypatch.setenv("WEAVEGATE_HOME", str(home))
    (site,) = (home / "engines" / name).glob("lib/py*/site-packages")
    return site


def test_an_environment_that_works_is_used(damaged: Path, tmp_path: Path) -> None:
    assert damaged.is_dir()
    report = certified(tmp_path, subject_in(tmp_path / "s"), "wasmtime")
    assert report.exit_code == Exit.UNDECIDED


@pytest.mark.parametrize("what", ["packages", "library", "interpreter", "module"])
def test_an_environment_that_is_broken_is_named(what: str, damaged: Path, tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s")
    words = ("certify", subject, "--engine", "wasmtime", "--out", tmp_path / "out")
    if what == "packages":
        shutil.rmtree(damaged)
    elif what == "library":
        for path in damaged.glob("wasmtime/linux-*/*"):
            path.write_bytes(b"not a library")
    elif what == "interpreter":
        (damaged.parents[2] / "bin" / "python").unlink()
    else:
        (damaged / "wasmtime" / "__init__.py").write_text("raise ImportError('gone\\nand more')")
    said = complaint(3, *words)
    assert "weavegate engines install" in said
    if what in ("library", "module"):
        assert "--again" in said


def test_a_damaged_environment_counts_as_missing(damaged: Path) -> None:
    engine = Catalog.load().resolve("wasmtime")
    assert Environments().marker(engine) is not None
    shutil.rmtree(damaged)
    assert Environments().marker(engine) is None
    lines = [line for line in Environments().status((engine,)) if not line.installed]
    assert [line.missing for line in lines] == [f"wasmtime@{engine.version} is damaged"]


def test_two_runs_share_an_output_folder(tmp_path: Path) -> None:
    subject, out = subject_in(tmp_path / "s"), tmp_path / "out"
    words = [sys.executable, "-m", "weavegate", "certify", str(subject), "--out", str(out)]
    runs = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [Exit.PASS, Exit.PASS], told
    assert (
        len({line for text, _ in told for line in text.splitlines() if "  evidence " in line}) == 1
    )
    assert sorted(path.name for path in out.iterdir() if "sqlite" not in path.name) == [
        "junit.xml", "report.html", "report.json",
    ]  # fmt: skip


def test_odd_names_and_places_are_shown_as_they_are(tmp_path: Path) -> None:
    odd = tmp_path / "a [bold]b[/bold] ü $x;'\"\n"
    entry = "[red]f[/red] é"
    manifest = MANIFEST.replace('"sum"', '"[bold]evil[/bold] [link=x]y[/link]"')
    manifest = manifest.replace('entry = "f"', f'entry = "{entry}"')
    more = f'(func (export "[bold]\\1b[31m\\0a\\00\\07")) (func (export "{"a" * 10_000}"))'
    wasm = module_of(entry=entry, more=more)
    subject = subject_in(odd, wasm, manifest)
    result = weavegate("certify", subject, "--out", odd / "out", "--engine", "wasmtime")
    assert result.exit_code == Exit.UNDECIDED
    assert "[bold]evil[/bold] [link=x]y[/link]" in result.stdout
    assert "\x1b" not in result.stdout
    assert (odd / "out" / "report.html").is_file()
    assert "<bold>" not in (odd / "out" / "report.html").read_text(encoding="utf-8")


def test_evidence_that_is_full_stops_the_run_and_is_kept(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s")
    out = tmp_path / "out"
    for pages in (3, 14):
        full = Options(argument=subject, out=out, engines=("wasmtime",), evidence_pages=pages)
        with pytest.raises(EvidenceFullError, match="intact") as caught:
            certify(full)
        assert sentence_of(f"weavegate: {caught.value}\n")
    report = certify(Options(argument=subject, out=out, engines=("wasmtime",)))
    assert report.exit_code == Exit.UNDECIDED
    assert report.run.engines[0].served_from_evidence > 0
