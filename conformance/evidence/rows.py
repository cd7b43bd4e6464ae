"""
One row of the table `outcomes`: how a record of an outcome becomes blobs, and a record again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from msgspec import Struct

from conformance.evidence import content
from conformance.evidence.blobs import get_blob, put_blob
from conformance.evidence.content import ARRAYS, DTYPES, LEVELS, Known
from conformance.evidence.errors import BadEvidenceError
from runners.blocks import BlockOutcome

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from numpy.typing import NDArray

_DIGEST_COLUMNS: Final = ("result_sha256", "state_sha256", "full_sha256")
_COLUMNS: Final = (
    "attempt", "rank", "cases", *_DIGEST_COLUMNS, "row_sha256", "header", "known_rows", *ARRAYS,
)  # fmt: skip


class Header(Struct, frozen=True, kw_only=True):
    """
    All of an outcome that is not an array.
    """

    output_bytes: int
    """Of one row; the array's shape cannot be told from its size when there are no rows."""
    globals_bytes: int
    meter: str
    not_observed: tuple[tuple[str, str], ...]
    details: dict[int, str]


@dataclass(frozen=True, slots=True)
class StoredRow:
    """
    One row as it lies in the table: numbers of blobs, nothing decoded yet.
    """

    attempt: int
    rank: int
    cases: int
    digests: tuple[bytes, ...]
    """By rank, up to its own."""
    row_sha256: bytes
    header: int
    known_rows: int | None
    """None: every row is known."""
    arrays: tuple[int | None, ...]
    """In the order of `content.ARRAYS`."""


def read_rows(connection: sqlite3.Connection, key_id: int) -> list[StoredRow]:
    """
    Return the rows of one key, first attempts and high levels first.
    """
    found = connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM outcomes WHERE key_id = ? ORDER BY attempt, rank DESC",  # noqa: S608 - names of our own columns
        (key_id,),
    )
    return [
        StoredRow(
            attempt=row[0],
            rank=row[1],
            cases=row[2],
            digests=row[3 : 4 + row[1]],
            row_sha256=row[6],
            header=row[7],
            known_rows=row[8],
            arrays=tuple(row[9:]),
        )
        for row in found
    ]


def write_row(connection: sqlite3.Connection, key_id: int, attempt: int, record: Known) -> None:
    """
    Store *record*, in place of what this attempt had at its level.
    """
    outcome = record.outcome
    header = Header(
        output_bytes=outcome.outputs.shape[1],
        globals_bytes=0 if outcome.globals is None else outcome.globals.shape[1],
        meter=outcome.meter,
        not_observed=outcome.not_observed,
        details=dict(sorted(outcome.details.items())),
    )
    digests = content.digests(record)
    encoded = msgspec.json.encode(header)
    numbers: list[int | None] = []
    for name in ARRAYS:
        array = getattr(outcome, name)
        numbers.append(None if array is None else put_blob(connection, _packed(name, array)))
    values = (
        key_id, attempt, record.level.rank, len(outcome),
        *(digests + (None,) * (len(LEVELS) - len(digests))),
        row_digest(key_id, attempt, record.level.rank, len(outcome), encoded),
        put_blob(connection, encoded),
        None if record.complete else put_blob(connection, record.rows.tobytes()),
        *numbers,
    )  # fmt: skip
    marks = ", ".join("?" * len(values))
    connection.execute(
        f"INSERT OR REPLACE INTO outcomes (key_id, {', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608 - names of our own columns
        values,
    )


def row_digest(*parts: int | str | bytes) -> bytes:
    """
    SHA-256 over the parts of a row, each as its length in decimal, a colon and its text or bytes.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{len(data)}:".encode() + data)
    return digest.digest()


def load(connection: sqlite3.Connection, path: Path, row: StoredRow) -> Known:
    """
    Decode one row; raises BadEvidenceError when its blobs do not fit together.
    """
    try:
        level = LEVELS[row.rank]
        header = msgspec.json.decode(get_blob(connection, path, row.header), type=Header)
        arrays: dict[str, NDArray[np.generic]] = {}
        for name, number in zip(ARRAYS, row.arrays, strict=True):
            if number is not None:
                data = np.frombuffer(get_blob(connection, path, number), DTYPES.get(name, "<u1"))
                arrays[name] = data.reshape(_shape(name, row.cases, header))
        rows = np.ones(row.cases, dtype=np.bool_)
        if row.known_rows is not None:
            mask = np.frombuffer(get_blob(connection, path, row.known_rows), np.bool_)
            rows = mask.reshape(row.cases)
    except (ValueError, IndexError, msgspec.DecodeError) as error:
        message = (
            f"{path} is damaged: an outcome does not fit its own header ({error}); "
            f"remove the file and run again"
        )
        raise BadEvidenceError(message) from error
    outcome = BlockOutcome(
        meter=header.meter,
        not_observed=header.not_observed,
        details=header.details,
        **arrays,  # type: ignore[arg-type]
    )
    return Known(level, outcome, rows)


def _packed(name: str, array: NDArray[np.generic]) -> bytes:
    return np.ascontiguousarray(array, dtype=DTYPES.get(name, "<u1")).tobytes()


def _shape(name: str, cases: int, header: Header) -> tuple[int, ...]:
    widths = {
        "outputs": header.output_bytes,
        "memory": 32,
        "host_calls": 32,
        "globals": header.globals_bytes,
    }
    return (cases, widths[name]) if name in widths else (cases,)
