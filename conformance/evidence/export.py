"""
The public form of evidence: JSON Lines, one stored outcome a line.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec
import numpy as np
from msgspec import Struct

from conformance.evidence import rows
from conformance.evidence.content import DTYPES, aspects
from conformance.evidence.errors import BadEvidenceError, EvidenceUnwritableError
from conformance.evidence.keys import BlockKey
from runners.bits import format_bytes
from runners.records import Level, canonical_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from conformance.evidence.content import Known
    from conformance.evidence.database import Database
    from conformance.evidence.rows import StoredRow


class ExportedArray(Struct, frozen=True, kw_only=True):
    """
    Rows that lie back to back, little-endian.
    """

    dtype: Literal["u8", "u32", "u64"]
    shape: tuple[int, ...]
    """Rows first."""
    data: str
    """`bytes:...`"""


class ExportedBlock(Struct, frozen=True, kw_only=True):
    """
    What one node did with one block of cases.
    """

    schema: int = 1
    key: BlockKey
    level: Level
    attempt: int
    """Above 1: this outcome contradicts those before it under the same key."""
    cases: int
    missing: tuple[int, ...]
    """Rows that are not known; they are zero in every array."""
    sha256: str
    """Digest of what the outcome says at its level (recipe: `conformance.evidence.content`)."""
    status: str
    """One status byte a row, `bytes:...` (table: `runners/PROTOCOL.md`)."""
    outputs: ExportedArray
    observed: dict[str, ExportedArray]
    """What the level asks for and the node shows: `pages`, `memory`, `globals`, `gas`, ..."""
    meter: str
    not_observed: tuple[tuple[str, str], ...]
    """(aspect, reason)."""


def export_lines(database: Database, target: Path | str | BinaryIO) -> int:
    """
    Write every outcome of the file to *target*, by key digest, attempt, and level downwards.

    The engines' own words are left out, as they may name files of the machine that ran them.
    Raises EvidenceUnwritableError when a path cannot be written; it is then left as it was.
    """
    if not isinstance(target, (Path, str)):
        return sum(bool(target.write(line)) for line in _lines(database))
    path = Path(target)
    beside = path.with_name(path.name + ".partial")
    try:
        with beside.open("wb") as stream:
            count = sum(bool(stream.write(line)) for line in _lines(database))
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        message = f"{path} cannot be written ({error.strerror}): name another file for the export"
        raise EvidenceUnwritableError(message) from error
    return count


def _lines(database: Database) -> Iterator[bytes]:
    with database.snapshot() as connection:
        keys = connection.execute("SELECT id, key FROM block_keys ORDER BY key_sha256").fetchall()
        for key_id, text in keys:
            try:
                key = msgspec.json.decode(text, type=BlockKey)
            except msgspec.DecodeError as error:
                message = f"{database.path} is damaged: key {key_id} is none ({error})"
                raise BadEvidenceError(message) from error
            stored = rows.read_rows(connection, key_id)
            for row in stored:
                yield canonical_json(_exported(connection, database.path, key, row)) + b"\n"


def _exported(
    connection: sqlite3.Connection, path: Path, key: BlockKey, row: StoredRow
) -> ExportedBlock:
    record: Known = rows.load(connection, path, row)
    outcome = record.outcome
    shown = {name: getattr(outcome, name) for name in aspects(record.level)}
    return ExportedBlock(
        key=key,
        level=record.level,
        attempt=row.attempt,
        cases=row.cases,
        missing=tuple(int(each) for each in np.flatnonzero(~record.rows)),
        sha256=row.digests[-1].hex(),
        status=format_bytes(outcome.status.tobytes()),
        outputs=_array("outputs", outcome.outputs),
        observed={name: _array(name, each) for name, each in shown.items() if each is not None},
        meter=outcome.meter,
        not_observed=outcome.not_observed,
    )


def _array(name: str, array: NDArray[np.generic]) -> ExportedArray:
    stored = np.ascontiguousarray(array, dtype=DTYPES.get(name, "<u1"))
    names: dict[int, Literal["u8", "u32", "u64"]] = {1: "u8", 4: "u32", 8: "u64"}
    return ExportedArray(
        dtype=names[stored.dtype.itemsize],
        shape=stored.shape,
        data=format_bytes(stored.tobytes()),
    )
