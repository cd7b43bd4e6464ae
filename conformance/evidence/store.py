"""
The evidence store: what nodes did with blocks of cases, kept under digests of all that matters.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np

from conformance.evidence import content, rows
from conformance.evidence.answers import Deviant, Put, PutKind, Stored
from conformance.evidence.blobs import get_blob, put_blob
from conformance.evidence.check import verify_file
from conformance.evidence.database import Database
from conformance.evidence.errors import BadEvidenceError
from conformance.evidence.export import export_lines
from conformance.evidence.keys import BlockKey
from conformance.evidence.summary import block_digest, sliced_union
from runners.records import canonical_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import BinaryIO

    from conformance.evidence.content import Known
    from conformance.evidence.rows import StoredRow
    from runners.blocks import BlockOutcome
    from runners.records import Level


class EvidenceStore:
    """
    One evidence file. Every method is one transaction; errors are EvidenceErrors.
    """

    def __init__(self, database: Database) -> None:
        """
        Use an open *database*; most callers want `EvidenceStore.open`.
        """
        self._database = database

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        max_pages: int | None = None,
        read_only: bool = False,
        busy_ms: int = 60_000,
        before_commit: Callable[[], None] | None = None,
        after_commit: Callable[[], None] | None = None,
        waits: Callable[[bool], None] | None = None,
    ) -> Self:
        """
        Open the evidence file at *path*, creating it if there is none.

        *max_pages* caps the file in pages of 4096 bytes. *read_only* never writes to it. *busy_ms*
        is how long to wait for another process that writes. The hooks are called inside every
        write transaction just before it commits, and just after it did. *waits* hears True when
        another process has held the file for half a second, and False when the wait is over.

        Raises BadEvidenceError (not evidence, newer, damaged), EvidenceUnwritableError (rights,
        or held by another process for too long), EvidenceFullError (no room for a new file).
        A limit of file size (RLIMIT_FSIZE) is an error and not a signal, since CPython ignores
        SIGXFSZ from its start.
        """
        hooks = {"before_commit": before_commit, "after_commit": after_commit}
        given = {name: hook for name, hook in hooks.items() if hook is not None}
        return cls(
            Database(
                Path(path),
                max_pages=max_pages,
                read_only=read_only,
                busy_ms=busy_ms,
                waits=waits,
                **given,
            )
        )

    def __enter__(self) -> Self:
        """
        Return the store itself.
        """
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Close the file.
        """
        self.close()

    @property
    def database(self) -> Database:
        """
        The open file, for the export and the check of this room.
        """
        return self._database

    def close(self) -> None:
        """
        Close the file; the store cannot be used afterwards.
        """
        self._database.close()

    # ------------------------------------------------------------------------------ outcomes

    def put(self, key: BlockKey, level: Level, outcome: BlockOutcome) -> Put:
        """
        Keep what *outcome* says at *level*; never forget what it contradicts.

        Outcomes are compared in what they say (`content.digests`), row by row where both know a
        row and at the lower of two levels. One that contradicts no story of the key joins it: its
        rows fill gaps, and a higher level that covers a lower one takes its place. One that
        contradicts all stories becomes the next attempt.
        """
        record = content.known(outcome, level)
        with self._database.transaction() as connection:
            if not record.rows.any():
                found = self._rows(connection, key)
                return Put(PutKind.NOTHING, 0, max((row.attempt for row in found), default=0))
            key_id = _key_id(connection, key)
            stored = rows.read_rows(connection, key_id)
            attempts = max((row.attempt for row in stored), default=0)
            if stored:
                digest = content.digests(record)[-1]
                for row in stored:
                    if row.rank >= level.rank and row.digests[level.rank] == digest:
                        return Put(PutKind.SAME, row.attempt, attempts)
            stories = self._stories(connection, stored)
            for attempt, story in stories.items():
                if not any(content.differing_rows(each, record).any() for each in story):
                    added = _join(connection, key_id, attempt, story, record)
                    kind = PutKind.NEW if added else PutKind.SAME
                    return Put(kind, attempt, attempts)
            rows.write_row(connection, key_id, attempts + 1, record)
            if not attempts:
                return Put(PutKind.NEW, 1, 1)
            return Put(PutKind.FLAKY, attempts + 1, attempts + 1, _contradicted(stories[1], record))

    def lookup(self, key: BlockKey, level: Level, attempt: int | None = None) -> Stored | None:
        """
        Return what is known of *key* at *level*, from records of that level and above.

        The first attempt that knows anything at this level answers, or *attempt* alone. None when
        nothing is known. Raises BadEvidenceError when what is stored is damaged.
        """
        with self._database.snapshot() as connection:
            stored = self._rows(connection, key)
            attempts = max((row.attempt for row in stored), default=0)
            usable = [
                row for row in stored if row.rank >= level.rank and attempt in (None, row.attempt)
            ]
            if not usable:
                return None
            chosen = [row for row in usable if row.attempt == usable[0].attempt]
            record = sliced_union(
                [rows.load(connection, self._database.path, row) for row in chosen], level
            )
        return Stored(record.outcome, record.rows, usable[0].attempt, attempts)

    def digest(self, keys: Iterable[tuple[BlockKey, Level]]) -> str:
        r"""
        SHA-256 over what is known of *keys* at their levels: equal for equal evidence.

        It depends on the set of keys and levels and on what their outcomes say at those levels.
        The order of the keys or of insertion, times, engines' words and records of higher levels
        change nothing. A flaky key enters with every value of every row, in sorted order; a key
        without outcomes enters as absent. What is digested is `weavegate evidence 1\n`, then for
        each pair, ascending by the key's digest and level: that digest (32 bytes), the level's
        rank (1 byte) and `summary.block_digest` (33 bytes).
        """
        wanted = sorted({(key.digest(), level.rank, key, level) for key, level in keys})
        total = hashlib.sha256(b"weavegate evidence 1\n")
        with self._database.snapshot() as connection:
            for key_digest, rank, key, level in wanted:
                total.update(bytes.fromhex(key_digest) + bytes([rank]))
                stored = self._rows(connection, key)
                total.update(block_digest(connection, self._database.path, stored, level))
        return total.hexdigest()

    def keys_of(self, module_sha256: str) -> tuple[BlockKey, ...]:
        """
        All keys under which anything is known of a module, sorted.

        Raises BadEvidenceError when a key is damaged.
        """
        with self._database.snapshot() as connection:
            found = connection.execute(
                "SELECT key FROM block_keys WHERE id IN (SELECT key_id FROM outcomes)"
            ).fetchall()
        try:
            keys = [msgspec.json.decode(text, type=BlockKey) for (text,) in found]
        except msgspec.DecodeError as error:
            message = f"{self._database.path}: a key is damaged: name another evidence file"
            raise BadEvidenceError(message) from error
        return tuple(sorted(key for key in keys if key.module_sha256 == module_sha256))

    def _rows(self, connection: sqlite3.Connection, key: BlockKey) -> list[StoredRow]:
        found = connection.execute(
            "SELECT id FROM block_keys WHERE key_sha256 = ?", (bytes.fromhex(key.digest()),)
        ).fetchone()
        return [] if found is None else rows.read_rows(connection, found[0])

    def _stories(
        self, connection: sqlite3.Connection, stored: list[StoredRow]
    ) -> dict[int, list[Known]]:
        """
        Load the records of one key, by attempt in ascending order.
        """
        stories: dict[int, list[Known]] = {}
        for row in stored:
            record = rows.load(connection, self._database.path, row)
            stories.setdefault(row.attempt, []).append(record)
        return stories

    # ---------------------------------------------------------- deviants, findings and runs

    def put_deviants(self, key: BlockKey, outcome: BlockOutcome, which: Iterable[int]) -> None:
        """
        Keep single rows of *outcome* that a vote named, for reports; known ones are not doubled.
        """
        with self._database.transaction() as connection:
            key_id = _key_id(connection, key)
            named = [
                (key_id, row, int(outcome.status[row]), outcome.outputs[row].tobytes())
                for row in sorted({int(row) for row in which})
            ]
            connection.executemany(
                "INSERT OR IGNORE INTO deviants (key_id, row, status, output, row_sha256) "
                "VALUES (?, ?, ?, ?, ?)",
                [(*each, rows.row_digest(*each)) for each in named],
            )

    def deviants(self, key: BlockKey) -> tuple[Deviant, ...]:
        """
        Return the rows of *key* that votes named, ascending.
        """
        with self._database.snapshot() as connection:
            found = connection.execute(
                "SELECT row, status, output FROM deviants JOIN block_keys ON id = key_id "
                "WHERE key_sha256 = ? ORDER BY row, status, output",
                (bytes.fromhex(key.digest()),),
            )
            return tuple(Deviant(*row) for row in found)

    def put_finding(self, finding_id: str, record_json: bytes) -> None:
        """
        Keep a finding's record under its id, in place of an earlier one.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO findings (id, row_sha256, record) VALUES (?, ?, ?)",
                (
                    finding_id,
                    rows.row_digest(finding_id, record_json),
                    put_blob(connection, record_json),
                ),
            )

    def finding(self, finding_id: str) -> bytes | None:
        """
        Return the record of a finding, or None when it is not known.
        """
        return self._recalled("SELECT record FROM findings WHERE id = ?", finding_id)

    def finding_ids(self) -> tuple[str, ...]:
        """
        Return the ids of all findings, sorted.
        """
        with self._database.snapshot() as connection:
            found = connection.execute("SELECT id FROM findings ORDER BY id")
            return tuple(row[0] for row in found)

    def remember_run(self, digest: str, record_json: bytes, times_json: bytes = b"") -> None:
        """
        Keep a run's record under the digest of all that decided it, in place of an earlier one.

        *times_json* holds what cannot be reproduced, apart from the record and from every digest.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO runs (digest, row_sha256, record, times) "
                "VALUES (?, ?, ?, ?)",
                (
                    digest,
                    rows.row_digest(digest, record_json, times_json),
                    put_blob(connection, record_json),
                    put_blob(connection, times_json),
                ),
            )

    def recall_run(self, digest: str) -> bytes | None:
        """
        Return the record of an earlier equal run, or None.
        """
        return self._recalled("SELECT record FROM runs WHERE digest = ?", digest)

    def recall_times(self, digest: str) -> bytes | None:
        """
        Return what could not be reproduced of an earlier equal run, or None.
        """
        return self._recalled("SELECT times FROM runs WHERE digest = ?", digest)

    # --------------------------------------------------------------------- the file as a whole

    def verify(self) -> int:
        """
        Recompute every stored digest and return the number of outcomes checked.

        Raises BadEvidenceError with the first thing that is not what its digest says.
        """
        return verify_file(self._database)

    def export_jsonl(self, target: Path | str | BinaryIO) -> int:
        """
        Write all outcomes as JSON Lines (`export.ExportedBlock`) and return their number.

        A path is written beside itself and then moved into place, so that it is never half there.
        """
        return export_lines(self._database, target)

    def _recalled(self, query: str, name: str) -> bytes | None:
        with self._database.snapshot() as connection:
            found = connection.execute(query, (name,)).fetchone()
            return None if found is None else get_blob(connection, self._database.path, found[0])


def _key_id(connection: sqlite3.Connection, key: BlockKey) -> int:
    """
    Return the number of *key*, giving it one if it has none.
    """
    text = canonical_json(key)
    digest = hashlib.sha256(text).digest()
    query = "SELECT id FROM block_keys WHERE key_sha256 = ?"
    found = connection.execute(query, (digest,)).fetchone()
    if found is None:
        connection.execute(
            "INSERT INTO block_keys (key_sha256, key) VALUES (?, ?)", (digest, text.decode())
        )
        found = connection.execute(query, (digest,)).fetchone()
    return int(found[0])


def _join(
    connection: sqlite3.Connection, key_id: int, attempt: int, story: list[Known], record: Known
) -> bool:
    """
    Add *record* to a story that it does not contradict; False when the story knew all of it.
    """
    rank = record.level.rank
    covered = np.zeros_like(record.rows)
    for each in story:
        if each.level.rank >= rank:
            covered |= each.rows
    if bool((covered | ~record.rows).all()):
        return False
    for each in story:
        if each.level.rank == rank:
            record = content.union(each, record)
    rows.write_row(connection, key_id, attempt, record)
    for each in story:
        if each.level.rank < rank and bool((record.rows | ~each.rows).all()):
            connection.execute(
                "DELETE FROM outcomes WHERE key_id = ? AND attempt = ? AND rank = ?",
                (key_id, attempt, each.level.rank),
            )
    return True


def _contradicted(story: list[Known], record: Known) -> tuple[int, ...]:
    """
    Rows in which *record* differs from a story.
    """
    differing = np.zeros_like(record.rows)
    for each in story:
        differing |= content.differing_rows(each, record)
    return tuple(int(row) for row in np.flatnonzero(differing))
