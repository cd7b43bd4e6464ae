from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from evidence_samples import key, outcome

from conformance.evidence import database as database_room
from conformance.evidence.answers import PutKind
from conformance.evidence.database import APPLICATION_ID, SCHEMA_VERSION
from conformance.evidence.errors import (
    BadEvidenceError,
    EvidenceFullError,
    EvidenceHeldError,
    EvidenceUnwritableError,
)
from conformance.evidence.store import EvidenceStore
from runners.records import Level

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("hostile_disk_program.py")


def run_program(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def database(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


# -------------------------------------------------------------------------- whose file it is


def test_a_file_says_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    EvidenceStore.open(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert path.read_bytes()[68:72] == b"WGEV"


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["CREATE TABLE recipes (name TEXT)"], "is a database of another program"),
        (["PRAGMA application_id = 252006673"], "is a database of another program"),
        (["PRAGMA user_version = 3"], "is a database of another program"),
        (
            [f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 2"],
            "was written by a newer weavegate",
        ),
        (
            [f"PRAGMA application_id = {APPLICATION_ID}", "CREATE TABLE outcomes (a)"],
            "was written by an unknown older weavegate",
        ),
    ],
)
def test_a_foreign_file_is_refused_and_not_touched(
    tmp_path: Path, statements: list[str], sentence: str, *, read_only: bool
) -> None:
    path = tmp_path / "other.db"
    database(path, *statements)
    before = path.read_bytes()
    with pytest.raises(BadEvidenceError, match=sentence) as caught:
        EvidenceStore.open(path, read_only=read_only)
    assert "name another evidence file" in str(caught.value)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


@pytest.mark.parametrize("content", [b"model = 1\n", b"\0asm\1\0\0\0" * 600])
def test_a_file_that_is_no_database_is_refused_and_not_touched(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "model.toml"
    path.write_bytes(content)
    with pytest.raises(BadEvidenceError, match="is not an evidence file or is damaged"):
        EvidenceStore.open(path)
    assert path.read_bytes() == content


def test_a_file_cut_short_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    with EvidenceStore.open(path) as store:
        for number in range(20):
            store.put(key(number), Level.FULL, outcome(list(range(300))))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadEvidenceError, match="damaged"), EvidenceStore.open(path) as store:
        store.verify()


def test_an_empty_file_becomes_evidence(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    path.touch()
    with pytest.raises(BadEvidenceError, match="is empty"):
        EvidenceStore.open(path, read_only=True)
    with EvidenceStore.open(path) as store:
        assert store.verify() == 0


def test_a_missing_file_is_created_only_for_writing(tmp_path: Path) -> None:
    with pytest.raises(BadEvidenceError, match="does not exist"):
        EvidenceStore.open(tmp_path / "evidence.db", read_only=True)
    assert not list(tmp_path.iterdir())
    with pytest.raises(EvidenceUnwritableError, match="is no folder: create it"):
        EvidenceStore.open(tmp_path / "nowhere" / "evidence.db")
    with pytest.raises(EvidenceUnwritableError, match="cannot be opened for writing"):
        EvidenceStore.open(tmp_path)


def test_a_name_with_odd_characters_is_only_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory&x=%41#é.db"
    with EvidenceStore.open(path) as store:
        store.put(key(), Level.FULL, outcome([1]))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


# ------------------------------------------------------------------------------------- full


def test_a_full_file_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    stored = 0
    with EvidenceStore.open(path, max_pages=64) as store:
        with pytest.raises(EvidenceFullError, match=r"cannot grow any more.*make room") as caught:  # noqa: PT012 - which put is the last is the question
            for stored in range(1000):
                store.put(key(stored), Level.FULL, outcome([stored * 999 + i for i in range(500)]))
        assert "\n" not in str(caught.value)
        assert 3 < stored < 64
        check_only(store, stored)
        with pytest.raises(EvidenceFullError):
            store.remember_run("r", os.urandom(100_000))
        assert store.recall_run("r") is None
    assert path.stat().st_size <= 64 * 4096
    with EvidenceStore.open(path) as store:
        check_only(store, stored)
        assert store.put(key(stored), Level.FULL, outcome([1])).kind is PutKind.NEW


def check_only(store: EvidenceStore, count: int) -> None:
    assert store.verify() == count
    for number in range(count):
        assert store.lookup(key(number), Level.FULL) is not None
    assert store.lookup(key(count), Level.FULL) is None


@pytest.mark.slow
def test_a_limit_of_file_size_is_an_error_and_no_signal(tmp_path: Path) -> None:
    answer = run_program(str(tmp_path / "evidence.db"), "file-size", "400000")
    assert answer["kind"] == "EvidenceFullError"
    assert "cannot grow any more" in answer["sentence"]
    assert 3 < answer["stored"] < 100
    assert answer["readable"]
    assert answer["again"] == "EvidenceFullError"
    assert answer["with_room"] == 3


def test_no_room_for_a_new_file_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceFullError):
        EvidenceStore.open(tmp_path / "evidence.db", max_pages=1).put(
            key(), Level.FULL, outcome(list(range(4000)))
        )


# ------------------------------------------------------------------------- rights and locks


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """
    Make a folder that a user without rights can reach; pytest's own cannot be.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.slow
def test_a_folder_without_rights_is_one_sentence(open_to_all: Path) -> None:
    path = open_to_all / "evidence.db"
    with EvidenceStore.open(path) as store:
        store.put(key(0), Level.FULL, outcome([1]))
    path.chmod(0o444)
    open_to_all.chmod(0o555)
    answer = run_program(str(path), "nobody")
    assert answer["kind"] == "EvidenceUnwritableError"
    assert "cannot be opened for writing: give yourself the rights" in answer["sentence"]
    assert answer["found"] is True

    answer = run_program(str(open_to_all / "new.db"), "nobody")
    assert answer["kind"] == "EvidenceUnwritableError"
    assert "does not exist" in answer["reading"]

    open_to_all.chmod(0o777)
    path.chmod(0o666)
    assert run_program(str(path), "nobody") == {"opened": 1, "found": True}


def test_a_file_held_too_long_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    with EvidenceStore.open(path) as store:
        store.put(key(), Level.FULL, outcome([1]))
        with EvidenceStore.open(path, busy_ms=0) as other:
            with store.database.transaction():
                with pytest.raises(EvidenceUnwritableError, match="held by another process: wait"):
                    other.put(key(1), Level.FULL, outcome([1]))
                assert other.lookup(key(), Level.FULL) is not None
                with pytest.raises(EvidenceUnwritableError, match="held by another process"):
                    EvidenceStore.open(path, busy_ms=0)
            assert other.put(key(1), Level.FULL, outcome([1])).kind is PutKind.NEW


def test_who_waits_for_another_process_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_room, "NOTICE_MS", 5)
    path = tmp_path / "evidence.db"
    holder = sqlite3.connect(path, isolation_level=None)
    heard: list[bool] = []

    def waits(begun: bool) -> None:  # noqa: FBT001 - the store gives it so
        heard.append(begun)
        if begun and lets_go:
            holder.execute("ROLLBACK")

    lets_go = True
    with EvidenceStore.open(path, waits=waits) as store:
        # Nobody holds it, nobody is told.
        assert (store.put(key(), Level.FULL, outcome([1])).kind, heard) == (PutKind.NEW, [])
        holder.execute("BEGIN IMMEDIATE")
        assert store.put(key(1), Level.FULL, outcome([1])).kind is PutKind.NEW
        assert heard == [True, False]
        holder.execute("BEGIN IMMEDIATE")
        EvidenceStore.open(path, waits=waits).close()
        assert heard == [True, False] * 2
    lets_go = False
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(EvidenceHeldError, match="held by another process"):
        EvidenceStore.open(path, waits=waits, busy_ms=20)
    assert heard == [True, False] * 3
    holder.close()


def test_a_reader_of_a_new_file_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Between its schema and its log a new file may be read by another process that opens it.
    """
    monkeypatch.setattr(database_room, "NOTICE_MS", 5)
    path = tmp_path / "evidence.db"
    EvidenceStore.open(path).close()
    reader = sqlite3.connect(path, isolation_level=None)
    heard: list[bool] = []

    def read() -> None:
        # A connection learns the file's mode as it reads.
        reader.execute("SELECT count(*) FROM outcomes").fetchone()
        assert reader.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM outcomes").fetchone()

    def waits(begun: bool) -> None:  # noqa: FBT001 - the store gives it so
        heard.append(begun)
        if begun:
            reader.execute("ROLLBACK")

    read()
    with EvidenceStore.open(path, waits=waits) as store:
        assert store.put(key(), Level.FULL, outcome([1])).kind is PutKind.NEW
    assert heard == [True, False]
    read()
    with pytest.raises(EvidenceHeldError, match="held by another process"):
        EvidenceStore.open(path, busy_ms=0)
    reader.close()


def test_a_reader_sees_one_state_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    with EvidenceStore.open(path) as writer, EvidenceStore.open(path) as reader:
        writer.put(key(0), Level.FULL, outcome([1]))
        with reader.database.snapshot():
            before = reader.digest([(key(0), Level.FULL), (key(1), Level.FULL)])
            writer.put(key(1), Level.FULL, outcome([1]))
            assert reader.digest([(key(0), Level.FULL), (key(1), Level.FULL)]) == before
        assert reader.digest([(key(0), Level.FULL), (key(1), Level.FULL)]) != before


def test_threads_may_share_one_store(tmp_path: Path) -> None:
    with EvidenceStore.open(tmp_path / "evidence.db") as store:
        failures: list[BaseException] = []

        def work(start: int) -> None:
            try:
                for number in range(start, start + 20):
                    store.put(key(number), Level.FULL, outcome([number]))
                    assert store.lookup(key(number), Level.FULL) is not None
            except BaseException as error:  # noqa: BLE001 - shown by the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=(10 * each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert store.verify() == 50


def test_an_exception_in_a_transaction_leaves_nothing_behind(tmp_path: Path) -> None:
    def refuse() -> None:
        raise RuntimeError

    path = tmp_path / "evidence.db"
    EvidenceStore.open(path).close()
    with EvidenceStore.open(path, before_commit=refuse) as store:
        with pytest.raises(RuntimeError):
            store.put(key(), Level.FULL, outcome([1]))
        assert store.lookup(key(), Level.FULL) is None
        assert store.verify() == 0
