"""
What an environment was made of: the marker that is written into it last, and its digests.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from runners.artifacts import Artifact
from runners.interpreters import Found

MARKER: Final = "weavegate.json"


class InstallError(Exception):
    """
    An install failed; the text carries the last lines of the installer.
    """


class Marker(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What an environment was made of, written into it last.
    """

    schema: int
    engine: str
    """`name@version`."""
    interpreter: Found
    artifacts: dict[str, str]
    """File name -> SHA-256 of everything installed."""
    artifact_sha256: str
    """Digest of the engine's own artefact; of the list of them when there are several."""
    library_sha256: str
    """Digest of the files that are the engine, one after the other in the order of their paths."""


def read_marker(folder: Path) -> Marker | None:
    """
    The marker of an environment; None when there is none, or the environment is not whole.
    """
    try:
        marker = msgspec.json.decode((folder / MARKER).read_bytes(), type=Marker)
    except (OSError, msgspec.DecodeError):
        return None
    return marker if (folder / "bin" / "python").exists() else None


def file_sha256(path: Path) -> str:
    """
    SHA-256 of a file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=16)
def unchanged_sha256(path: Path, size: int, mtime_ns: int) -> str:
    """
    SHA-256 of a file, computed once as long as its size and time stay the same.
    """
    del size, mtime_ns
    return file_sha256(path)


def library_sha256(site: Path, patterns: tuple[str, ...]) -> str:
    """
    SHA-256 over the files that *patterns* match below *site*, in the order of their paths.

    Raises InstallError when there are none.
    """
    paths = sorted({path for pattern in patterns for path in site.glob(pattern)})
    if not paths:
        message = f"the package holds none of {', '.join(patterns)}: it is an empty stub"
        raise InstallError(message)
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def artifact_sha256(artifacts: tuple[Artifact, ...]) -> str:
    """
    Digest of one artefact, or of the sorted list of `SHA-256  name` lines of several.
    """
    if len(artifacts) == 1:
        return artifacts[0].sha256
    lines = sorted(f"{artifact.sha256}  {artifact.file}\n" for artifact in artifacts)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
