"""
Search for a Python interpreter that an engine's wheels were built for.

Every place to look is a parameter, so that absence can be tested; what is found is asked for its
own version, because a name on PATH may be a shim that starts nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec import Struct
from uv import find_uv_bin

from runners.catalog import Interpreter, order

_QUESTION: Final = (
    "import json, platform, sys; print(json.dumps("
    "[platform.python_implementation().lower(), platform.python_version(), sys.executable]))"
)
INSTALL_SECONDS: Final = 30
"""Longest wait for a download of an interpreter; it is tried once."""


class MissingInterpreterError(Exception):
    """
    No interpreter on this machine will do, and none could be fetched.
    """


class Found(Struct, frozen=True):
    """
    An interpreter that answered.
    """

    path: str
    implementation: str
    version: str

    @property
    def minor(self) -> str:
        """
        `3.10`.
        """
        return ".".join(self.version.split(".")[:2])

    @property
    def tag(self) -> str:
        """
        The wheel tag: `cp310`, `pp311`.
        """
        prefix = "pp" if self.implementation == "pypy" else "cp"
        return prefix + self.minor.replace(".", "")


def ask(program: str, seconds: float = 20) -> Found | None:
    """
    Start *program* and hear what it is; None if it is no working Python.
    """
    try:
        done = subprocess.run(
            [program, "-I", "-c", _QUESTION],
            capture_output=True,
            timeout=seconds,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        implementation, version, path = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Found(path, implementation, version)


def suits(found: Found, wanted: Interpreter) -> bool:
    """
    Tell whether an interpreter is one that is wanted.
    """
    if found.implementation not in wanted.implementations:
        return False
    if order(found.minor) < order(wanted.minimum):
        return False
    return not wanted.maximum or order(found.minor) <= order(wanted.maximum)


def _minors(wanted: Interpreter) -> list[str]:
    """
    The minor versions to try, newest first; up to 3.14 when there is no maximum.
    """
    last = int((wanted.maximum or "3.14").split(".")[1])
    first = int(wanted.minimum.split(".")[1])
    return [f"3.{minor}" for minor in range(last, first - 1, -1)]


@dataclass(frozen=True, slots=True)
class Places:
    """
    Where to look for interpreters.
    """

    path: str = field(default_factory=lambda: os.environ.get("PATH", ""))
    pyenv: tuple[Path, ...] = field(default_factory=lambda: (_pyenv_root(),))
    """Folders that hold `versions/VERSION/bin/python`."""
    own: str = sys.executable
    """The interpreter that runs weavegate; empty: do not use it."""
    uv: str = field(default_factory=find_uv_bin)
    """The uv program; empty: neither search nor install with it."""
    download: bool = True
    """Whether uv may fetch an interpreter, once."""


def _pyenv_root() -> Path:
    """
    The folder of pyenv.
    """
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")


def _programs(wanted: Interpreter, implementation: str, places: Places) -> Iterator[str]:
    """
    Programs that may be the wanted one, best first.
    """
    stem = "pypy" if implementation == "pypy" else "python"
    if implementation == "cpython" and places.own:
        yield places.own
    for minor in _minors(wanted):
        for folder in filter(None, places.path.split(os.pathsep)):
            program = shutil.which(stem + minor, path=folder)
            if program is not None:
                yield program
        for root in places.pyenv:
            names = sorted(
                root.glob(f"versions/*{minor}.*/bin/python{minor}"),
                key=lambda name: order(name.parent.parent.name),
                reverse=True,
            )
            yield from (str(name) for name in names)
    for name in (stem + "3", stem):
        program = shutil.which(name, path=places.path)
        if program is not None:
            yield program


def _by_uv(wanted: Interpreter, implementation: str, places: Places) -> Iterator[str]:
    """
    What uv finds without downloading.
    """
    if not places.uv:
        return
    request = f"{implementation}>={wanted.minimum}"
    if wanted.maximum:
        last = int(wanted.maximum.split(".")[1])
        request += f",<3.{last + 1}"
    command = [places.uv, "python", "find", "--no-python-downloads", "--no-project", request]
    done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8", timeout=60)
    if done.returncode == 0 and done.stdout.strip():
        yield done.stdout.strip()


def _fetch(wanted: Interpreter, places: Places) -> bool:
    """
    Let uv install the newest wanted CPython; tells whether it did.
    """
    minor = wanted.maximum or wanted.minimum
    try:
        done = subprocess.run(
            [places.uv, "python", "install", minor],
            capture_output=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def search(wanted: Interpreter, places: Places) -> Iterator[Found]:
    """
    The interpreters that suit, best first, each once; nothing is downloaded.
    """
    seen: set[str] = set()
    for implementation in wanted.implementations:
        for source in (_programs, _by_uv):
            for program in source(wanted, implementation, places):
                found = ask(program)
                if found is None or found.path in seen or not suits(found, wanted):
                    continue
                if found.implementation == implementation:
                    seen.add(found.path)
                    yield found


def find_interpreter(wanted: Interpreter, places: Places) -> Found:
    """
    The best interpreter that suits, fetched by uv as a last resort.

    Raises MissingInterpreterError in one sentence that says how to get one.
    """
    found = next(search(wanted, places), None)
    if found is None and places.uv and places.download and _fetch(wanted, places):
        found = next(search(wanted, places), None)
    if found is not None:
        return found
    span = (
        f"{wanted.minimum} to {wanted.maximum}" if wanted.maximum else f"{wanted.minimum} or newer"
    )
    minor = wanted.maximum or wanted.minimum
    names = " or ".join("PyPy" if name == "pypy" else "CPython" for name in wanted.implementations)
    message = (
        f"no {names} {span} was found on PATH, under pyenv or by uv: install one, for example "
        f"with `uv python install {minor}` or `pyenv install {minor}`, and try again"
    )
    raise MissingInterpreterError(message)
