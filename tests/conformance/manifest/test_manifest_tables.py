import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.manifest.errors import BadTableError
from conformance.manifest.tables import (
    BitsTable,
    read_edges,
    read_tables,
    require_rows,
    table_of,
    write_tables,
)

WIDTHS = {"i32": 4, "f32": 4, "i64": 8, "f64": 8}


def write(path: Path, document: object) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def tables(**fields: object) -> dict[str, object]:
    table = {"dtype": "f64", "shape": [1, 2], "bits": ["3ff00000000000007ff4000000000001"]}
    return {"schema": 1, "tables": {"inputs": {**table, **fields}}}


def test_elements_are_read_most_significant_digit_first(tmp_path: Path) -> None:
    found = read_tables(write(tmp_path / "t.json", tables()))["inputs"]
    assert found.rows.tobytes() == struct.pack("<d", 1.0) + (0x7FF4000000000001).to_bytes(
        8, "little"
    )
    assert found.bits().tolist() == [[0x3FF0000000000000, 0x7FF4000000000001]]
    assert (found.dtype, found.shape, found.count, len(found)) == ("f64", (1, 2), 2, 1)


def test_one_dimension_is_one_row_and_further_ones_are_folded(tmp_path: Path) -> None:
    flat = tables(dtype="i32", shape=[3], bits=["000000010000000200000003"])
    assert read_tables(write(tmp_path / "t.json", flat))["inputs"].rows.shape == (1, 12)
    deep = tables(dtype="i32", shape=[2, 1, 2], bits=["0000000100000002", "0000000300000004"])
    found = read_tables(write(tmp_path / "t.json", deep))["inputs"]
    assert found.bits().tolist() == [[1, 2], [3, 4]]
    assert found.shape == (2, 1, 2)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data())
def test_tables_survive_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    written: dict[str, BitsTable] = {}
    for name in data.draw(st.lists(st.text(max_size=5), unique=True, min_size=1, max_size=3)):
        dtype = data.draw(st.sampled_from(sorted(WIDTHS)))
        shape = tuple(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)))
        rows, count = (1, shape[0]) if len(shape) == 1 else (shape[0], math.prod(shape[1:]))
        size = rows * count
        words = data.draw(
            st.lists(st.integers(0, 2 ** (8 * WIDTHS[dtype]) - 1), min_size=size, max_size=size)
        )
        written[name] = table_of(dtype, np.array(words, np.uint64).reshape(rows, count), shape)
    path = tmp_path_factory.getbasetemp() / "t.json"
    write_tables(path, written)
    first = path.read_bytes()
    found = read_tables(path)
    assert list(found) == list(written)
    for name, table in written.items():
        assert (found[name].dtype, found[name].shape) == (table.dtype, table.shape)
        assert np.array_equal(found[name].rows, table.rows)
    write_tables(path, found)
    assert path.read_bytes() == first


ONE = "3ff0000000000000"
BAD = [
    ("{", "is not JSON"),
    ("[]", 'must be an object with "schema": 1'),
    ('{"schema": 1}', "`tables` must be an object"),
    ('{"schema": 1, "tables": {}}', "at least one table"),
    ('{"schema": 2, "tables": {}}', 'must be an object with "schema": 1'),
    ('{"schema": 1, "schema": 1}', "'schema' stands twice"),
    ('{"schema": 1, "tables": {}, "x": 1}', "unknown key 'x'"),
    ("[" * 100_000, "is nested too deeply"),
    ('{"schema": 1, "tables": {"a": 1}}', "must be an object with dtype, shape and bits"),
    (tables(dtype="f16"), "dtype must be one of"),
    (tables(dtype=[]), "dtype must be one of"),
    (tables(shape=[]), "shape must be a list"),
    (tables(shape=[1, -2]), "shape must be a list"),
    (tables(shape=[1, True]), "shape must be a list"),
    (tables(shape=[1, 10**30]), "shape must be a list"),
    (tables(shape=[2, 2]), "has 1 rows of bits, its shape says 2"),
    (tables(shape=[1, 3]), "row 0 has 32 digits, 3 f64 need 48"),
    (tables(bits=["3FF0000000000000" + ONE]), "lower-case hexadecimal"),
    (tables(bits=["zz" * 16]), "lower-case hexadecimal"),
    (tables(bits=[7]), "lower-case hexadecimal"),
    (tables(bits="3ff0"), "bits must be a list"),
    (tables(extra=1), "unknown key 'extra'"),
]


@pytest.mark.parametrize(("document", "words"), BAD)
def test_wrong_tables_are_refused(tmp_path: Path, document: object, words: str) -> None:
    with pytest.raises(BadTableError) as caught:
        read_tables(write(tmp_path / "t.json", document))
    assert words in caught.value.sentence
    assert "\n" not in str(caught.value)


def test_unreadable_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTableError, match="no such file"):
        read_tables(tmp_path / "t.json")
    with pytest.raises(BadTableError, match="cannot be read"):
        read_tables(tmp_path)
    (tmp_path / "t.json").write_bytes(b"\xff")
    with pytest.raises(BadTableError, match="is not UTF-8"):
        read_tables(tmp_path / "t.json")
    (tmp_path / "t.json").write_text("9" * 5000)
    with pytest.raises(BadTableError, match="is not usable JSON"):
        read_tables(tmp_path / "t.json")


def test_rows_must_be_what_the_manifest_wants(tmp_path: Path) -> None:
    table = table_of("f64", np.zeros((3, 2), np.uint64))
    require_rows(tmp_path, "inputs", table, "f64", 2)
    for dtype, count in (("f64", 3), ("i64", 2)):
        with pytest.raises(BadTableError, match=r"has rows of 2 f64, the manifest wants"):
            require_rows(tmp_path, "inputs", table, dtype, count)


def test_edges_are_read_in_their_order(tmp_path: Path) -> None:
    document = {"schema": 1, "edges": {"f32": ["80000000", "00000000"], "i64": ["f" * 16]}}
    path = write(tmp_path / "edges.json", document)
    assert read_edges(path) == {"f32": (0x80000000, 0), "i64": (2**64 - 1,)}


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ({}, "must be an object"),
        ({"f16": ["0000"]}, "must map i32, i64"),
        ({"f32": []}, "must map i32, i64"),
        ({"f32": ["0000"]}, "must be 8 lower-case hex digits"),
        ({"f32": ["0000000G"]}, "must be 8 lower-case hex digits"),
        ({"f32": [0]}, "must be 8 lower-case hex digits"),
        ({"f32": ["00000000", "00000000"]}, "a value twice"),
    ],
)
def test_wrong_edges_are_refused(tmp_path: Path, edges: object, words: str) -> None:
    with pytest.raises(BadTableError, match=words):
        read_edges(write(tmp_path / "edges.json", {"schema": 1, "edges": edges}))
