"""
Recomputes every digest of an evidence file: is what is stored what was stored?
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from conformance.evidence import content, rows
from conformance.evidence.blobs import get_blob, inflate
from conformance.evidence.errors import BadEvidenceError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from conformance.evidence.database import Database


def verify_file(database: Database) -> int:
    """
    Check the pages, references, keys, blobs and outcomes of the file; return how many outcomes.

    Raises BadEvidenceError at the first fault. It finds damage, not forgery: whoever rewrites an
    outcome can rewrite its digest.
    """
    with database.snapshot() as connection:
        _check_pages(connection, database.path)
        for key_id, digest, text in connection.execute(
            "SELECT id, key_sha256, key FROM block_keys ORDER BY id"
        ):
            if hashlib.sha256(text.encode()).digest() != digest:
                raise _damaged(database.path, f"key {key_id} is not what its digest says")
        blobs = connection.execute(
            "SELECT id, sha256, size_bytes, deflated, data FROM blobs ORDER BY id"
        )
        for row in blobs:
            inflate(database.path, row)
        _check_records(connection, database.path)
        return sum(
            _check_outcomes(connection, database.path, key_id, digest.hex())
            for key_id, digest in connection.execute(
                "SELECT id, key_sha256 FROM block_keys ORDER BY id"
            ).fetchall()
        )


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """
    Let SQLite check its own structure and the references between tables.
    """
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise _damaged(path, " ".join(str(found).split()))
    dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
    if dangling is not None:
        raise _damaged(path, f"a row of {dangling[0]} refers to a missing row of {dangling[2]}")


def _check_records(connection: sqlite3.Connection, path: Path) -> None:
    """
    Recompute the digests of deviants, findings and runs.
    """
    for *parts, digest in connection.execute(
        "SELECT key_id, row, status, output, row_sha256 FROM deviants"
    ):
        if rows.row_digest(*parts) != digest:
            raise _damaged(path, f"deviant row {parts[1]} of key {parts[0]} has changed")
    for name, digest, record in connection.execute("SELECT id, row_sha256, record FROM findings"):
        if rows.row_digest(name, get_blob(connection, path, record)) != digest:
            raise _damaged(path, f"the record of {name} has changed")
    for name, digest, *numbers in connection.execute(
        "SELECT digest, row_sha256, record, times FROM runs"
    ):
        records = [get_blob(connection, path, number) for number in numbers]
        if rows.row_digest(name, *records) != digest:
            raise _damaged(path, f"the record of run {name} has changed")


def _check_outcomes(
    connection: sqlite3.Connection, path: Path, key_id: int, key_digest: str
) -> int:
    """
    Recompute the digests of all outcomes of one key.
    """
    stored = rows.read_rows(connection, key_id)
    for row in stored:
        record = rows.load(connection, path, row)
        header = get_blob(connection, path, row.header)
        digest = rows.row_digest(key_id, row.attempt, row.rank, row.cases, header)
        if content.digests(record) != row.digests or digest != row.row_sha256:
            name = f"{key_digest[:16]}, attempt {row.attempt}, level {record.level}"
            raise _damaged(path, f"the outcome of key {name} is not what its digest says")
    return len(stored)


def _damaged(path: Path, what: str) -> BadEvidenceError:
    return BadEvidenceError(f"{path} is damaged: {what}; remove the file and run again")
