"""
The command line itself: help that teaches, usage, output that nobody reads, signals.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from bad_subjects import (
    HOSTILE,
    MANIFEST,
    complaint,
    module_of,
    sentence_of,
    subject_in,
    weavegate,
)

from conformance.evidence.errors import EvidenceFullError
from runners.cell import CellLimits
from runners.pool import WorkerStartError
from weavegate.cli import main
from weavegate.exits import Exit, WeavegateError, plainly
from weavegate.terminal import Output

PROGRAM = [sys.executable, "-m", "weavegate"]
SLOW = "(local i32) (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1)))\
 (i32.const 1500000))))"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """
    Every command, as the words that name it.
    """
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("words", [(), *commands(main)], ids=" ".join)
def test_help_teaches(words: tuple[str, ...]) -> None:
    result = weavegate(*words, "--help")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert re.search(r"Exit status: 0 [^;]+; 1 [^;]+; 2 [^;]+; 3 .+; 130 interrupted", said)
    undescribed = re.findall(
        r"^  (--[a-z-]+(?: [^ ]+)?)\s*$(?!\n {6,}\S)", result.stdout, re.MULTILINE
    )
    assert undescribed == []
    assert "\\b" not in result.stdout
    assert re.search(rf"^    weavegate {' '.join(words)}", result.stdout, re.MULTILINE)


def test_usage_is_one_sentence(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s")
    assert "such as 2026-12-31" in complaint(2, "certify", subject, "--as-of", "tomorrow")
    assert "such as 2026-12-31" in complaint(2, "certify", subject, "--as-of", "2026-02-30")
    assert "missing argument 'MODULE'" in complaint(2, "certify")
    assert "certify --help" in complaint(2, "certify", subject, "--frob")
    assert "no such command" in complaint(2, "frob")
    assert "no such option" in complaint(2, "--frob")
    assert "exact" in complaint(2, "certify", subject, "--nan", "free-ish")
    assert "missing option '--input'" in complaint(2, "run", subject)
    assert "give --core" in complaint(2, "engines", "install")
    assert r"\u{1b}" in complaint(2, "certify", subject, "--as-of", HOSTILE).replace(
        "\\x1b", r"\u{1b}"
    )


def test_no_command_at_all_shows_the_help() -> None:
    result = weavegate()
    assert result.exit_code == Exit.USAGE
    assert "Start here" in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x\ny"), Exit.UNDECIDED),
        (MemoryError(), Exit.UNDECIDED),
        (EvidenceFullError("e cannot grow"), Exit.UNDECIDED),
        (WorkerStartError("w does not start"), Exit.UNDECIDED),
        (WeavegateError("seen", Exit.FINDINGS), Exit.FINDINGS),
    ],
)
def test_errors_have_their_status(
    error: Exception, status: Exit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("weavegate.cli.certify", fails)
    assert complaint(status, "certify", tmp_path)


def test_a_defect_of_our_own_is_not_dressed_up() -> None:
    def fails() -> None:
        with plainly():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()


def test_the_user_s_interrupt_has_its_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("weavegate.cli.certify", interrupted)
    assert "is kept" in complaint(130, "certify", tmp_path)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("inspect", ()),
        ("validate", ()),
        ("gas", ("--input", "x.json")),
        ("run", ("--input", "x.json")),
    ],
)
def test_an_interrupt_promises_nothing_where_nothing_is_kept(
    command: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for place in (
        "inspect_command.inspect_module", "validate_command.validate_files",
        "gas_command.gas_report", "cli.run_once",
    ):  # fmt: skip
        monkeypatch.setattr(f"weavegate.{place}", interrupted)
    assert complaint(130, command, tmp_path / "m.wasm", *words) == "interrupted"


def test_a_console_takes_nothing_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Output().print("[bold]x[/bold] wasmtime[reuse(4)] :smile:")
    Output().say("[bold]y")
    assert capsys.readouterr().out == "[bold]x[/bold] wasmtime[reuse(4)] :smile:\n[bold]y\n"


def test_a_full_disk_under_standard_output_is_said(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "init", str(subject / "m.wasm")],
            stdout=full, stderr=subprocess.PIPE, check=False, encoding="utf-8",
        )  # fmt: skip
    assert done.returncode == Exit.UNDECIDED
    assert "No space left" in sentence_of(done.stderr)


@pytest.mark.parametrize("words", [["init", "m.wasm"], ["engines"]])
def test_a_closed_pipe_changes_no_status(words: list[str], tmp_path: Path) -> None:
    subject_in(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            [*PROGRAM, *words], cwd=tmp_path, stdout=output, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    subject, file = subject_in(tmp_path / "s"), tmp_path / "file"
    file.write_text("notes, not evidence\n" * 9)
    words = ("certify", subject, "--engine", "reference")
    for out in (file, file / "below"):
        assert "choose another --out" in complaint(2, *words, "--out", out)
    said = complaint(2, *words, "--out", tmp_path / "o", "--evidence", file / "e")
    assert "choose another --evidence" in said
    assert "not an evidence file" in complaint(
        2, *words, "--out", tmp_path / "o", "--evidence", file
    )
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    assert "another program" in complaint(
        2, *words, "--out", tmp_path / "o", "--evidence", tmp_path / "other.sqlite"
    )


def test_limits_of_the_shell_are_named(tmp_path: Path) -> None:
    subject = subject_in(tmp_path / "s")
    small = (CellLimits().file_mib << 20) // 2
    program = (
        f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({small},) * 2);"
        "sys.argv[0] = 'weavegate'; runpy.run_module('weavegate', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "certify", str(subject), "--engine", "reference",
         "--out", str(tmp_path / "o")],
        capture_output=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == Exit.UNDECIDED
    assert "ulimit -f" in sentence_of(done.stderr)


def _children(process: subprocess.Popen[str]) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(word) for word in path.read_text().split()]


def _rows(evidence: Path) -> int:
    try:
        with sqlite3.connect(f"file:{evidence}?mode=ro", uri=True, timeout=0) as connection:
            (count,) = connection.execute("SELECT count(*) FROM outcomes").fetchone()
    except sqlite3.Error:
        return 0
    finally:
        if "connection" in locals():
            connection.close()
    return int(count)


def _interrupted(words: list[str]) -> tuple[int, str, list[int]]:
    """
    Exit code, stderr and workers of a run that gets SIGINT once it has stored something.
    """
    evidence = Path(words[-1]) / "evidence.sqlite"
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as cut:
        while not _rows(evidence) and cut.poll() is None:
            try:
                cut.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
        workers = _children(cut) if cut.poll() is None else []
        cut.send_signal(signal.SIGINT)
        _, told = cut.communicate(timeout=30)
    return cut.returncode, told, workers


@pytest.mark.engines
@pytest.mark.slow
def test_an_interrupted_run_keeps_what_it_has_and_goes_on(tmp_path: Path) -> None:
    # A deadline that a busy machine cannot miss: cases that are late end the run before its time.
    patient = MANIFEST.replace("deadline_ms = 200", "deadline_ms = 20000")
    assert patient != MANIFEST
    subject = subject_in(
        tmp_path / "s", module_of(SLOW + "(f64.store (i32.const 128) (f64.const 1))"), patient
    )
    words = [*PROGRAM, "certify", str(subject), "--engine", "wasmtime", "--out"]
    # On a busy machine a run may be over before the signal reaches it: then another is cut.
    attempts = (_interrupted([*words, str(tmp_path / f"cut{n}")]) for n in range(5))
    number, (code, told, workers) = next(
        (n, found) for n, found in enumerate(attempts) if found[0] != Exit.UNDECIDED
    )
    cut = tmp_path / f"cut{number}"
    assert code == Exit.INTERRUPTED
    assert "interrupted" in sentence_of(told)
    assert workers
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    kept = _rows(cut / "evidence.sqlite")
    assert kept > 0
    again = subprocess.run([*words, str(cut)], capture_output=True, check=False)
    whole = subprocess.run([*words, str(tmp_path / "whole")], capture_output=True, check=False)
    assert (again.returncode, whole.returncode) == (Exit.UNDECIDED, Exit.UNDECIDED)
    digests = [re.search(rb"evidence ([0-9a-f]{64})", done.stdout) for done in (again, whole)]
    assert digests[0] is not None
    assert digests[1] is not None
    assert digests[0][1] == digests[1][1]
    assert b"served from evidence" in again.stdout
    assert b"served from evidence" not in whole.stdout
