"""
Opens the SQLite file and keeps its transactions: what is committed survives `kill -9`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

from conformance.evidence.errors import (
    BadEvidenceError,
    EvidenceHeldError,
    EvidenceUnwritableError,
    translate,
    translated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

APPLICATION_ID: Final = 0x57474556
"""`WGEV` in the file's header: this is an evidence file of weavegate."""
SCHEMA_VERSION: Final = 1
"""Kept as `user_version`; a file of a higher one was written by a newer weavegate."""

NOTICE_MS: Final = 500
"""Whoever waits longer than this for another process is to know it; a commit takes far less."""

MOST_TURNS: Final = 1000
"""How often a process asks for WAL mode; each time lost, another process has made progress."""

# `row_sha256` covers what no other digest does, so that damage anywhere is found.
_SCHEMA: Final = (
    # Names are repeated in thousands of rows of `outcomes`; here they stand once.
    """CREATE TABLE block_keys (
        id INTEGER PRIMARY KEY,
        key_sha256 BLOB NOT NULL UNIQUE,
        key TEXT NOT NULL
    ) STRICT""",
    # Content-addressed: engines that agree share their arrays.
    """CREATE TABLE blobs (
        id INTEGER PRIMARY KEY,
        sha256 BLOB NOT NULL UNIQUE,
        size_bytes INTEGER NOT NULL,
        deflated INTEGER NOT NULL,
        data BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE outcomes (
        key_id INTEGER NOT NULL REFERENCES block_keys (id),
        attempt INTEGER NOT NULL,
        rank INTEGER NOT NULL,
        cases INTEGER NOT NULL,
        result_sha256 BLOB NOT NULL,
        state_sha256 BLOB,
        full_sha256 BLOB,
        row_sha256 BLOB NOT NULL,
        header INTEGER NOT NULL REFERENCES blobs (id),
        known_rows INTEGER REFERENCES blobs (id),
        status INTEGER NOT NULL REFERENCES blobs (id),
        outputs INTEGER NOT NULL REFERENCES blobs (id),
        pages INTEGER REFERENCES blobs (id),
        memory INTEGER REFERENCES blobs (id),
        globals INTEGER REFERENCES blobs (id),
        gas INTEGER REFERENCES blobs (id),
        host_calls INTEGER REFERENCES blobs (id),
        PRIMARY KEY (key_id, attempt, rank)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE deviants (
        key_id INTEGER NOT NULL REFERENCES block_keys (id),
        row INTEGER NOT NULL,
        status INTEGER NOT NULL,
        output BLOB NOT NULL,
        row_sha256 BLOB NOT NULL,
        PRIMARY KEY (key_id, row, status, output)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE findings (
        id TEXT PRIMARY KEY,
        row_sha256 BLOB NOT NULL,
        record INTEGER NOT NULL REFERENCES blobs (id)
    ) STRICT, WITHOUT ROWID""",
    # `times` holds what cannot be reproduced, apart from the record, and in no digest.
    """CREATE TABLE runs (
        digest TEXT PRIMARY KEY,
        row_sha256 BLOB NOT NULL,
        record INTEGER NOT NULL REFERENCES blobs (id),
        times INTEGER NOT NULL REFERENCES blobs (id)
    ) STRICT, WITHOUT ROWID""",
)


def _nothing() -> None:
    """
    Do nothing at a commit.
    """


class Database:
    """
    One connection to an evidence file; may be used from several threads, one at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_pages: int | None = None,
        read_only: bool = False,
        busy_ms: int = 60_000,
        before_commit: Callable[[], None] = _nothing,
        after_commit: Callable[[], None] = _nothing,
        waits: Callable[[bool], None] | None = None,
    ) -> None:
        """
        Open the file at *path*, creating it unless *read_only*; see `EvidenceStore.open`.
        """
        self.path = path
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._busy_ms = busy_ms
        self._waits = waits
        self._lock = threading.RLock()
        if not path.parent.is_dir():
            message = f"{path.parent} is no folder: create it or name another evidence file"
            raise EvidenceUnwritableError(message)
        if read_only and not path.is_file():
            message = f"{path} does not exist: name an evidence file"
            raise BadEvidenceError(message)
        with translated(path):
            self._connection = self._connect("ro" if read_only else "rwc", busy_ms)
        try:
            with translated(path):
                self._prepare(read_only=read_only, max_pages=max_pages)
        except BaseException:
            self.close()
            raise

    def _connect(self, mode: str, busy_ms: int) -> sqlite3.Connection:
        """
        Open a connection in SQLite's *mode* `ro` or `rwc`.

        Readers of a file in WAL mode write an index beside it. Where the folder forbids that and
        no log is left over, the file is whole by itself and is read as one that never changes.
        """
        log = self.path.with_name(self.path.name + "-wal")
        uri = f"file:{quote(str(self.path))}?mode={mode}"
        if mode == "ro" and not log.exists() and not os.access(self.path.parent, os.W_OK):
            uri += "&immutable=1"
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=busy_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self, *, read_only: bool, max_pages: int | None) -> None:
        """
        Check whose file it is before anything is written to it, then set it up.
        """
        if self._is_empty():
            if read_only:
                message = f"{self.path} is empty: name an evidence file"
                raise BadEvidenceError(message)
            self._create()
        self._check_owner()
        if read_only:
            return
        self._connection.execute("PRAGMA foreign_keys = ON")
        # In WAL mode a commit is one append, and `kill -9` cannot take back what the kernel has.
        # NORMAL syncs at checkpoints only: power loss may cost the newest commits, which are run
        # again, and never consistency; FULL would wait for the disk at every block.
        self._use_log()
        self._connection.execute("PRAGMA synchronous = NORMAL")
        # SQLite opens a file without write rights all the same, and would fail at the first block.
        self._begin()
        self._connection.execute("ROLLBACK")
        if max_pages is not None:
            self._connection.execute(f"PRAGMA max_page_count = {int(max_pages)}")

    def _use_log(self) -> None:
        """
        Put a new file into WAL mode, which it then keeps.

        Of several processes that change the mode at once SQLite may refuse one without letting it
        wait, since each holds what another waits for. Whoever was refused waits its turn with
        BEGIN EXCLUSIVE, which holds nothing meanwhile, and asks again.
        """
        for _ in range(MOST_TURNS):
            if self._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                return
            self._wait_at_most(0)
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if not isinstance(translate(error, self.path), EvidenceHeldError):
                    raise
            else:
                return
            finally:
                self._wait_at_most(self._busy_ms)
            self._begin("EXCLUSIVE")
            self._connection.execute("ROLLBACK")
        message = f"{self.path} is held by other processes: wait until they are done"
        raise EvidenceHeldError(message)

    def _is_empty(self) -> bool:
        """
        Tell whether the file has no content at all, as a new one.
        """
        row = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return (
            not row[0] and not self._pragma("application_id") and not self._pragma("user_version")
        )

    def _create(self) -> None:
        """
        Write the schema, unless another process has done so in the meantime.
        """
        with self.transaction() as connection:
            if self._is_empty():
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check_owner(self) -> None:
        """
        Refuse a file of another program or of a newer weavegate.
        """
        if self._pragma("application_id") != APPLICATION_ID:
            message = (
                f"{self.path} is a database of another program, not evidence: "
                f"name another evidence file"
            )
            raise BadEvidenceError(message)
        version = self._pragma("user_version")
        if version != SCHEMA_VERSION:
            age = "a newer" if version > SCHEMA_VERSION else "an unknown older"
            message = (
                f"{self.path} was written by {age} weavegate (schema {version}, this one writes "
                f"{SCHEMA_VERSION}): use that weavegate or name another evidence file"
            )
            raise BadEvidenceError(message)

    def _pragma(self, name: str) -> int:
        """
        Read one number of the file's header.
        """
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """
        Hold the file for writing from the first statement; all of the block is kept, or nothing.

        Taking the lock at once (BEGIN IMMEDIATE) makes a second writer wait its turn; taken later
        it could not wait, because what it had read would be out of date.
        """
        with self._lock, translated(self.path):
            self._begin()
            try:
                yield self._connection
                self._before_commit()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._after_commit()

    def _begin(self, lock: Literal["IMMEDIATE", "EXCLUSIVE"] = "IMMEDIATE") -> None:
        """
        Take the lock for writing; who waits for long is told before, and when it is over.
        """
        if self._waits is None or self._busy_ms <= NOTICE_MS:
            self._connection.execute(f"BEGIN {lock}")
            return
        self._wait_at_most(NOTICE_MS)
        try:
            self._connection.execute(f"BEGIN {lock}")
        except sqlite3.OperationalError as error:
            if not isinstance(translate(error, self.path), EvidenceHeldError):
                raise
        else:
            return
        finally:
            self._wait_at_most(self._busy_ms)
        self._waits(True)
        try:
            self._connection.execute(f"BEGIN {lock}")
        finally:
            self._waits(False)

    def _wait_at_most(self, milliseconds: int) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {milliseconds}")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """
        Read one consistent state of the file, whatever other processes commit meanwhile.
        """
        with self._lock, translated(self.path):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """
        Close the connection; the last one of a file folds its log back into it.
        """
        with self._lock, translated(self.path):
            self._connection.close()
