"""
Packs the shared loop and one engine file into a worker, deterministically.

The same sources give the same bytes everywhere, so the digest of a worker can be part of a node's
evidence. Python workers are zipapps; the worker in another language is copied as it is.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from msgspec import Struct

from runners.home import data_home

HERE: Final = Path(__file__).parent
LOOP: Final = HERE / "worker"
ENGINES: Final = HERE / "engines"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip archive can hold."""

_MAIN: Final = """\
import sys

from adapter import Engine
from loop import main

sys.exit(main(Engine, sys.argv[1:]))
"""


class NoSuchWorkerError(LookupError):
    """
    There is no engine file of that name.
    """


class Packed(Struct, frozen=True):
    """
    A worker, ready to be started.
    """

    path: Path
    sha256: str
    """Digest of its bytes."""


def packed_files(extras: tuple[str, ...]) -> dict[str, bytes]:
    """
    Files of other rooms that the catalogue names to pack: their path below the root -> bytes.
    """
    return {name: (HERE.parent / name).read_bytes() for name in extras}


def files_sha256(files: dict[str, bytes]) -> str:
    """
    SHA-256 over the contents of *files*, in the order of their names.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(files[name])
    return digest.hexdigest()


def worker_bytes(engine_name: str, extras: tuple[str, ...] = ()) -> tuple[bytes, str]:
    """
    The worker of an engine, with *extras*, and the ending of its file name.

    Raises NoSuchWorkerError.
    """
    script = ENGINES / f"{engine_name}.mjs"
    if script.is_file():
        return script.read_bytes(), ".mjs"
    adapter = ENGINES / f"{engine_name}.py"
    if not adapter.is_file():
        files = [*ENGINES.glob("*.py"), *ENGINES.glob("*.mjs")]
        known = sorted(path.stem for path in files if path.stem != "__init__")
        message = f"no worker for {engine_name!r}: there are {', '.join(known)}"
        raise NoSuchWorkerError(message)
    # Under another name: the engine's own package is often called as its file here.
    members = {"__main__.py": _MAIN.encode(), "adapter.py": adapter.read_bytes()}
    for path in LOOP.glob("*.py"):
        if path.stem != "__init__":
            members[path.name] = path.read_bytes()
    members.update(packed_files(extras))
    return archive(members), ".pyz"


def archive(members: dict[str, bytes]) -> bytes:
    """
    A zip archive of *members*, a function of their names and bytes alone.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, members[name])
    return out.getvalue()


def pack(engine_name: str, home: Path | None = None, extras: tuple[str, ...] = ()) -> Packed:
    """
    Write the worker of an engine below *home*, named by its digest, unless it is there already.
    """
    data, ending = worker_bytes(engine_name, extras)
    sha256 = hashlib.sha256(data).hexdigest()
    folder = (home or data_home()) / "workers"
    path = folder / f"{engine_name}-{sha256[:16]}{ending}"
    if not (path.is_file() and path.read_bytes() == data):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".packing-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(name, path)  # noqa: PTH105 - atomic, and both names are at hand
    return Packed(path, sha256)
