from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SENTENCE = "weavegate: no CPython from 3.8 to 3.10 is here: install one and try again"


def make(folder: Path, status: int) -> subprocess.CompletedProcess[str]:
    """
    `make engines` with a front door that prints the sentence and exits with *status*.
    """
    program = folder / "weavegate"
    program.write_text(f"#!/bin/sh\necho '{SENTENCE}' >&2\nexit {status}\n")
    program.chmod(0o755)
    (folder / ".ready").touch()
    command = [str(shutil.which("make")), "-C", str(ROOT), "--no-print-directory", "engines"]
    return subprocess.run(
        [*command, f"BIN={folder}"], capture_output=True, check=False, encoding="utf-8"
    )


@pytest.mark.parametrize("status", [1, 3])
def test_make_stops_and_the_sentence_is_the_last_thing_said(tmp_path: Path, status: int) -> None:
    done = make(tmp_path, status)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert said[-1] == SENTENCE
    assert f"Error {status}" in done.stderr


def test_make_goes_on_when_engines_are_there(tmp_path: Path) -> None:
    assert make(tmp_path, 0).returncode == 0
