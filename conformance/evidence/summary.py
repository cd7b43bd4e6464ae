"""
What all records of one key say together, whatever order they came in.
"""

from __future__ import annotations

import hashlib
from functools import reduce
from typing import TYPE_CHECKING

from conformance.evidence import content, rows

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from conformance.evidence.content import Known
    from conformance.evidence.rows import StoredRow
    from runners.records import Level


def sliced_union(records: list[Known], level: Level) -> Known:
    """
    Everything that *records*, none of which differs from another, say at *level*.
    """
    return reduce(content.union, [content.sliced(each, level) for each in records])


def block_digest(
    connection: sqlite3.Connection, path: Path, stored: list[StoredRow], level: Level
) -> bytes:
    """
    Digest what the *stored* rows of one key say at *level*: a byte for the form, then 32 bytes.

    Form 0: nothing is known. Form 1: the records agree; the digest of their union
    (`content.digests`). Form 2: they contradict each other at this level; SHA-256 over, for each
    row, the number of its distinct values (u64, little-endian) and the SHA-256 of each value
    (`content.row_bytes`), ordered by value. So no form depends on which attempt came first.
    """
    usable = [row for row in stored if row.rank >= level.rank]
    if not usable:
        return b"\0" + bytes(32)
    if len(usable) == 1:
        return b"\1" + usable[0].digests[level.rank]
    records = [content.sliced(rows.load(connection, path, row), level) for row in usable]
    if not _contradict(records):
        return b"\1" + content.digests(sliced_union(records, level))[-1]
    values = hashlib.sha256()
    for row in range(usable[0].cases):
        seen = sorted({content.row_bytes(each, row) for each in records if each.rows[row]})
        values.update(len(seen).to_bytes(8, "little"))
        for value in seen:
            values.update(hashlib.sha256(value).digest())
    return b"\2" + values.digest()


def _contradict(records: list[Known]) -> bool:
    """
    Tell whether any two of *records* differ in a row that both know.
    """
    return any(
        content.differing_rows(one, two).any()
        for index, one in enumerate(records)
        for two in records[index + 1 :]
    )
