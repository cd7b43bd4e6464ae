"""
Ctrl-C before the command line is there: one sentence, exit 130, however the program is started.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from weavegate.cli import main
from weavegate.exits import Exit

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = "import sys; from {} import {} as run; sys.exit(run())"
"""What an installer writes into the console script."""


def console() -> list[str]:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    module, _, name = declared["project"]["scripts"]["weavegate"].partition(":")
    return [sys.executable, "-c", CONSOLE.format(module, name)]


def started(words: list[str], ahead: Path | None) -> subprocess.CompletedProcess[str]:
    """
    Run the program with a folder of modules ahead of all others.
    """
    folders = [str(folder) for folder in (ahead, ROOT) if folder is not None]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    return subprocess.run(
        [*words, "--version"], env=environment, cwd=ahead, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


STARTS = pytest.mark.parametrize(
    "words", [[sys.executable, "-m", "weavegate"], console()], ids=["module", "script"]
)


@STARTS
@pytest.mark.parametrize("loaded", ["click", "msgspec", "numpy"])
def test_an_interruption_while_it_loads_is_one_sentence(
    tmp_path: Path, words: list[str], loaded: str
) -> None:
    (tmp_path / f"{loaded}.py").write_text("raise KeyboardInterrupt\n", "utf-8")
    done = started(words, tmp_path)
    assert done.returncode == Exit.INTERRUPTED
    assert done.stderr == "weavegate: interrupted: run it again\n"
    assert done.stdout == ""


@STARTS
def test_a_term_signal_while_it_loads_is_an_interruption(tmp_path: Path, words: list[str]) -> None:
    source = "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n"
    (tmp_path / "msgspec.py").write_text(source, "utf-8")
    done = started(words, tmp_path)
    assert (done.returncode, done.stdout) == (Exit.INTERRUPTED, "")
    assert done.stderr == "weavegate: interrupted: run it again\n"


@STARTS
def test_an_error_while_it_loads_is_no_interruption(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "msgspec.py").write_text("raise RuntimeError('broken')\n", "utf-8")
    done = started(words, tmp_path)
    assert done.returncode not in {Exit.PASS, Exit.INTERRUPTED}
    assert "broken" in done.stderr


@STARTS
def test_nothing_in_the_way_and_it_runs(words: list[str]) -> None:
    done = started(words, None)
    assert (done.returncode, done.stderr) == (Exit.PASS, "")
    assert done.stdout.startswith("weavegate, version ")


def test_an_interruption_while_words_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Group, "parse_args", interrupted)
    with pytest.raises(SystemExit) as end:
        main(["engines"])
    assert end.value.code == Exit.INTERRUPTED
    assert capsys.readouterr().err.strip() == "weavegate: interrupted: run it again"
