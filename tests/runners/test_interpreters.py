"""
The search for an interpreter, with every place empty, broken or holding the wrong one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from runners.catalog import Interpreter
from runners.interpreters import (
    Found,
    MissingInterpreterError,
    Places,
    ask,
    find_interpreter,
    search,
    suits,
)

OLD = Interpreter(implementations=("cpython",), minimum="3.8", maximum="3.10")
NEW = Interpreter(implementations=("pypy", "cpython"), minimum="3.11")
NOWHERE = Places(path="", pyenv=(), own="", uv="", download=False)


def fake_python(path: Path, implementation: str, version: str) -> Path:
    """
    A program that answers the question as such an interpreter would.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = json.dumps([implementation, version, str(path)])
    path.write_text(f"#!/bin/sh\necho '{answer}'\n", "utf-8")
    path.chmod(0o755)
    return path


def fake_uv(path: Path, lines: str) -> str:
    """
    A uv that does what *lines* say.
    """
    path.write_text(f"#!/bin/sh\n{lines}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


def on(folder: Path, **changes: object) -> Places:
    """
    PATH is *folder*, and nothing else is looked at but *changes*.
    """
    fields: dict[str, object] = {"path": str(folder), "pyenv": (), "own": "", "uv": ""}
    return Places(**{**fields, "download": False, **changes})  # type: ignore[arg-type]


def test_nothing_anywhere_is_one_sentence_that_helps() -> None:
    with pytest.raises(MissingInterpreterError) as caught:
        find_interpreter(OLD, NOWHERE)
    text = str(caught.value)
    assert "no CPython 3.8 to 3.10 was found" in text
    assert "uv python install 3.10" in text
    assert "\n" not in text
    with pytest.raises(MissingInterpreterError, match=r"no PyPy or CPython 3\.11 or newer"):
        find_interpreter(NEW, NOWHERE)


def test_a_name_on_path_is_asked_for_its_version(tmp_path: Path) -> None:
    fake_python(tmp_path / "python3.10", "cpython", "3.12.1")
    assert list(search(OLD, on(tmp_path))) == []
    right = fake_python(tmp_path / "python3.9", "cpython", "3.9.18")
    assert [found.path for found in search(OLD, on(tmp_path))] == [str(right)]


def test_a_shim_that_starts_nothing_is_passed_over(tmp_path: Path) -> None:
    shims, pyenv = tmp_path / "shims", tmp_path / "pyenv"
    shims.mkdir()
    shim = shims / "python3.10"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n", "utf-8")
    shim.chmod(0o755)
    assert ask(str(shim)) is None
    for version in ("3.10.2", "3.10.13", "3.11.7"):
        fake_python(
            pyenv / "versions" / version / "bin" / f"python{version.rpartition('.')[0]}",
            "cpython",
            version,
        )
    found = find_interpreter(OLD, on(shims, pyenv=(pyenv,)))
    assert (found.version, found.tag) == ("3.10.13", "cp310")


def test_pypy_is_preferred_where_it_is_listed_first(tmp_path: Path) -> None:
    fake_python(tmp_path / "python3.12", "cpython", "3.12.1")
    assert find_interpreter(NEW, on(tmp_path)).tag == "cp312"
    fake_python(tmp_path / "pypy3", "pypy", "3.10.14")
    assert find_interpreter(NEW, on(tmp_path)).tag == "cp312"
    fake_python(tmp_path / "pypy3.11", "pypy", "3.11.13")
    assert find_interpreter(NEW, on(tmp_path)).tag == "pp311"


def test_uv_finds_and_fetches_once(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "elsewhere" / "python", "cpython", "3.10.1")
    log = tmp_path / "log"
    finds = fake_uv(tmp_path / "finds", f'echo "$@" >> {log}; echo {python}')
    assert find_interpreter(OLD, on(tmp_path / "none", uv=finds)).path == str(python)
    log.unlink()
    fails = fake_uv(tmp_path / "fails", f'echo "$@" >> {log}; exit 2')
    with pytest.raises(MissingInterpreterError):
        find_interpreter(OLD, on(tmp_path / "none", uv=fails, download=True))
    calls = log.read_text("utf-8").splitlines()
    assert [call for call in calls if "install" in call] == ["python install 3.10"]
    log.unlink()
    with pytest.raises(MissingInterpreterError):
        find_interpreter(OLD, on(tmp_path / "none", uv=fails, download=False))
    assert "install" not in log.read_text("utf-8")


def test_what_uv_fetched_is_used(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python", "cpython", "3.10.1")
    done = tmp_path / "done"
    uv = fake_uv(
        tmp_path / "uv",
        f'case "$2" in install) touch {done};; *) test -e {done} && echo {python};; esac',
    )
    assert find_interpreter(OLD, on(tmp_path / "none", uv=uv, download=True)).path == str(python)


def test_the_own_interpreter_is_asked_too() -> None:
    found = find_interpreter(NEW, Places(path="", pyenv=(), uv="", download=False))
    assert Path(found.path).resolve() == Path(sys.executable).resolve()


@pytest.mark.parametrize(
    ("version", "implementation", "expected"),
    [
        ("3.8.0", "cpython", True),
        ("3.10.13", "cpython", True),
        ("3.11.0", "cpython", False),
        ("3.7.16", "cpython", False),
        ("3.10.1", "pypy", False),
    ],
)
def test_suits(version: str, implementation: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert suits(Found("p", implementation, version), OLD) is expected


def test_answers_that_are_none(tmp_path: Path) -> None:
    for index, line in enumerate(("echo hello", "echo '[1, 2]'", "exit 0", "kill -9 $$")):
        assert ask(fake_uv(tmp_path / str(index), line)) is None
    assert ask(str(tmp_path / "absent")) is None
