"""
What can be wrong with an evidence file, each as one sentence that says what to do.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class EvidenceError(Exception):
    """
    The evidence file cannot be used as asked.
    """


class BadEvidenceError(EvidenceError):
    """
    The file is not evidence, was written by a newer weavegate, or is damaged.
    """


class EvidenceFullError(EvidenceError):
    """
    The file cannot grow; everything committed before is still there and readable.
    """


class EvidenceUnwritableError(EvidenceError):
    """
    The file cannot be opened or written: missing rights, or another process holds it.
    """


class EvidenceHeldError(EvidenceUnwritableError):
    """
    Another process holds the file, and did so for longer than this one was to wait.
    """


_GROWTH = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_NOMEM,
    }
)
"""A full disk is SQLITE_FULL; a file size limit or a quota shows as a failed write."""
_PRIMARY = 0xFF
"""SQLite's extended result codes carry the primary code in their lowest byte."""


def translate(error: sqlite3.Error, path: Path) -> EvidenceError:
    """
    Turn SQLite's error about the file at *path* into the one that says what to do.
    """
    extended = getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR
    primary = extended & _PRIMARY
    if extended in _GROWTH or primary == sqlite3.SQLITE_FULL:
        return EvidenceFullError(
            f"{path} cannot grow any more (disk, quota or file size limit): make room or name "
            f"another evidence file; what was stored before is intact"
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return EvidenceHeldError(
            f"{path} is held by another process: wait until it is done or name another evidence "
            f"file"
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return EvidenceUnwritableError(
            f"{path} cannot be opened for writing: give yourself the rights to it and its folder, "
            f"or name another evidence file"
        )
    if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS):
        return EvidenceUnwritableError(
            f"{path} cannot be used ({error}): check its disk or name another evidence file"
        )
    # Our own statements are right, so whatever else SQLite objects to is in the file.
    return BadEvidenceError(
        f"{path} is not an evidence file or is damaged ({error}): name another evidence file"
    )


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """
    Raise an EvidenceError for every SQLite error that comes out of the block.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
