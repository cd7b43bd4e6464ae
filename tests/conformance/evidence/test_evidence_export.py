from __future__ import annotations

import hashlib
import io
import sqlite3
import struct
from typing import TYPE_CHECKING

import msgspec
import pytest
from evidence_samples import key, outcome

from conformance.evidence.errors import BadEvidenceError, EvidenceUnwritableError
from conformance.evidence.export import ExportedBlock
from conformance.evidence.store import EvidenceStore
from runners.bits import parse_bytes
from runners.records import Level

if TYPE_CHECKING:
    from pathlib import Path


def fill(path: Path, order: list[int]) -> None:
    with EvidenceStore.open(path) as store:
        for number in order:
            store.put(key(number), Level.FULL, outcome([number, 2, 3], [1, 81, 16]))
        store.put(key(0), Level.FULL, outcome([77, 2, 3], [1, 81, 16]))
        store.put_deviants(key(0), outcome([77, 2, 3]), [0, 1])
        store.put_finding("finding:1", b"{}")
        store.put_finding("finding:2", b"[]")
        store.remember_run("run:1", b"[]", b"{}")


def exported(path: Path) -> bytes:
    stream = io.BytesIO()
    with EvidenceStore.open(path, read_only=True) as store:
        assert store.export_jsonl(stream) == 6
    return stream.getvalue()


def test_an_export_does_not_depend_on_the_order_of_insertion(tmp_path: Path) -> None:
    fill(tmp_path / "one.db", [0, 1, 2, 3, 4])
    fill(tmp_path / "two.db", [3, 0, 4, 1, 2])
    assert exported(tmp_path / "one.db") == exported(tmp_path / "two.db")


def test_every_line_can_be_checked_without_weavegate(tmp_path: Path) -> None:
    """
    The digest of each line is recomputed here from the line and the documented recipe alone.
    """
    path = tmp_path / "one.db"
    fill(path, [0, 1, 2, 3, 4])
    lines = exported(path).splitlines()
    blocks = [msgspec.json.decode(line, type=ExportedBlock) for line in lines]
    assert sorted(block.attempt for block in blocks) == [1, 1, 1, 1, 1, 2]
    for block in blocks:
        assert (block.schema, block.level, block.cases, block.missing) == (1, "full", 3, (1,))
        status = parse_bytes(block.status)
        text = b"weavegate outcome 1\n" + struct.pack("<QQ", *block.outputs.shape)
        text += b"\1\0\1" + status + parse_bytes(block.outputs.data)
        for name in ("pages", "memory", "globals", "gas", "host_calls"):
            data = parse_bytes(block.observed[name].data)
            text += b"\1" + struct.pack("<Q", len(data) // block.cases) + data
            text += block.meter.encode() if name == "gas" else b""
        assert hashlib.sha256(text).hexdigest() == block.sha256
    assert b"0x" not in b"".join(lines)


def test_high_levels_and_first_attempts_come_first(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with EvidenceStore.open(tmp_path / "one.db") as store:
        store.put(key(), Level.RESULT, outcome([1, 2], level=Level.RESULT))
        store.put(key(), Level.FULL, outcome([1, 2], [1, 81]))
        store.put(key(), Level.STATE, outcome([3, 2], level=Level.STATE))
        store.export_jsonl(stream)
    lines = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert [(line["attempt"], line["level"], line["missing"]) for line in lines] == [
        (1, "full", [1]),
        (1, "result", []),
        (2, "state", []),
    ]


def test_a_path_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path, target = tmp_path / "one.db", tmp_path / "out.jsonl"
    fill(path, [0, 1, 2, 3, 4])
    with EvidenceStore.open(path) as store:
        assert store.export_jsonl(target) == 6
        assert target.read_bytes() == exported(path)
        with pytest.raises(EvidenceUnwritableError, match="name another file for the export"):
            store.export_jsonl(tmp_path / "nowhere" / "out.jsonl")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one.db", "out.jsonl"]


# ----------------------------------------------------------------------------------- verify

DAMAGE = {
    "an output": "UPDATE blobs SET data = zeroblob(length(data)) WHERE id = {outputs}",
    "a size": "UPDATE blobs SET size_bytes = size_bytes + 1 WHERE id = {outputs}",
    "a compression": "UPDATE blobs SET deflated = 1 - deflated WHERE id = {outputs}",
    "a digest": "UPDATE outcomes SET result_sha256 = zeroblob(32)",
    "an exchange": "UPDATE outcomes SET status = known_rows WHERE rank = 2",
    "a loss": "DELETE FROM blobs WHERE id = {outputs}",
    "a key": "UPDATE block_keys SET key = replace(key, 'aa', 'ab')",
    "a header": "UPDATE outcomes SET header = known_rows",
    "an attempt": "UPDATE outcomes SET attempt = attempt + 1 WHERE attempt = 2",
    "other words": "UPDATE outcomes SET header = (SELECT record FROM findings LIMIT 1)",
    "a deviant": "UPDATE deviants SET status = 2 WHERE row = 1",
    "a finding": "UPDATE findings SET record = (SELECT times FROM runs) WHERE id = 'finding:2'",
    "a run": "UPDATE runs SET record = times",
    "a run's name": "UPDATE runs SET digest = 'run:2'",
    "a reference": "UPDATE outcomes SET gas = 999999",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "evidence.db"
    fill(path, [0, 1])
    with EvidenceStore.open(path) as store:
        assert store.verify() == 3
    connection = sqlite3.connect(path)
    number = connection.execute("SELECT max(outputs) FROM outcomes").fetchone()[0]
    assert connection.execute(DAMAGE[damage].format(outputs=number)).rowcount
    connection.commit()
    connection.close()
    with (
        EvidenceStore.open(path) as store,
        pytest.raises(BadEvidenceError, match=r"is damaged: .*remove the file") as caught,
    ):
        store.verify()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("level", [Level.RESULT, Level.FULL])
def test_a_damaged_outcome_is_never_served(tmp_path: Path, level: Level) -> None:
    path = tmp_path / "evidence.db"
    with EvidenceStore.open(path) as store:
        store.put(key(), Level.FULL, outcome([5, 6]))
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE blobs SET data = zeroblob(length(data)) WHERE id = (SELECT outputs FROM outcomes)"
    )
    connection.commit()
    connection.close()
    with (
        EvidenceStore.open(path) as store,
        pytest.raises(BadEvidenceError, match="is damaged"),
    ):
        store.lookup(key(), level)


def test_a_damaged_key_is_never_exported(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    fill(path, [0])
    connection = sqlite3.connect(path)
    connection.execute("UPDATE block_keys SET key = '{'")
    connection.commit()
    connection.close()
    with (
        EvidenceStore.open(path) as store,
        pytest.raises(BadEvidenceError, match="is damaged: key 1 is none"),
    ):
        store.export_jsonl(io.BytesIO())


def everything(path: Path) -> list[object]:
    with EvidenceStore.open(path, read_only=True) as store:
        return [
            exported(path),
            [store.lookup(key(number), Level.FULL) is None for number in range(6)],
            store.deviants(key(0)),
            [(each, store.finding(each)) for each in store.finding_ids()],
            store.recall_run("run:1"),
            store.recall_times("run:1"),
        ]


@pytest.mark.slow
def test_flipped_bytes_anywhere_in_the_file_are_found_or_harmless(tmp_path: Path) -> None:
    """
    Walk over the used parts of the file: where a byte flips, verify complains or nothing changed.
    """
    path, copy = tmp_path / "evidence.db", tmp_path / "copy.db"
    fill(path, [0, 1, 2, 3, 4])
    whole, before = path.read_bytes(), everything(path)
    used = [offset for offset in range(len(whole)) if whole[offset]]
    found = 0
    for offset in used[::17]:
        broken = bytearray(whole)
        broken[offset] ^= 0x40
        copy.write_bytes(broken)
        try:
            with EvidenceStore.open(copy, read_only=True) as store:
                store.verify()
        except BadEvidenceError:
            found += 1
        else:
            assert everything(copy) == before
    assert found > len(used) // 17 // 2
