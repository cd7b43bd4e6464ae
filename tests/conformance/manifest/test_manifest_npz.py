import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conformance.manifest.errors import BadTableError
from conformance.manifest.npz import read_npz

SIGNALLING = 0x7FA00001


def npy(array: NDArray[np.generic], *, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def archive(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def test_arrays_become_tables(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(
        path,
        inputs=np.array([[1.0, -0.0], [0.5, 2.0]]),
        expected=np.array([[1], [2]], np.int32),
        labels=np.array([3, -1]),
    )
    tables = read_npz(path)
    assert tables["inputs"].bits().tolist() == [
        [0x3FF0000000000000, 0x8000000000000000],
        [0x3FE0000000000000, 0x4000000000000000],
    ]
    assert {name: (t.dtype, t.shape) for name, t in tables.items()} == {
        "inputs": ("f64", (2, 2)),
        "expected": ("i32", (2, 1)),
        "labels": ("i64", (2, 1)),
    }
    assert tables["labels"].bits().tolist() == [[3], [2**64 - 1]]


@pytest.mark.parametrize("code", ["<u4", ">u4"])
@pytest.mark.parametrize("compress", [False, True])
def test_signalling_nans_and_byte_orders_survive(
    tmp_path: Path, code: str, *, compress: bool
) -> None:
    bits = np.array([[SIGNALLING, 1], [2, 0xFF800001]], code)
    path = tmp_path / "rows.npz"
    save = np.savez_compressed if compress else np.savez
    save(path, inputs=bits.view(code.replace("u", "f")))
    assert read_npz(path)["inputs"].bits().tolist() == [[SIGNALLING, 1], [2, 0xFF800001]]


def test_columns_first_and_further_dimensions_are_folded_in_c_order(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.int64).reshape(2, 3, 2)
    path = tmp_path / "rows.npz"
    np.savez(path, inputs=np.asfortranarray(array))
    assert read_npz(path)["inputs"].bits().tolist() == array.reshape(2, 6).tolist()


ROWS = npy(np.zeros((2, 3)))
BAD = [
    ([], "holds no array `inputs`"),
    ([("expected.npy", ROWS)], "holds no array `inputs`"),
    ([("input.npy", ROWS)], "unknown array 'input'; known arrays: inputs, expected, labels"),
    ([("inputs.npy", ROWS), ("labels.npy", npy(np.zeros(3)))], "has 3 rows, `inputs` has 2"),
    ([("inputs.npy", ROWS), ("inputs", ROWS)], "holds an array twice"),
    ([("inputs.npy", npy(np.zeros((2, 3), np.float16)))], "has dtype float16: use float64"),
    ([("inputs.npy", npy(np.zeros((2, 3), np.uint64)))], "has dtype uint64"),
    ([("inputs.npy", npy(np.zeros(2, "i4,f8")))], "has dtype"),
    ([("inputs.npy", npy(np.array([{}, []], object), allow_pickle=True))], "has dtype object"),
    ([("inputs.npy", npy(np.array(1.0)))], "is a single number"),
    ([("inputs.npy", ROWS[:-1])], "does not hold as many elements as its shape says"),
    ([("inputs.npy", ROWS[:20])], "is damaged"),
    ([("inputs.npy", b"junk")], "is damaged"),
    ([("inputs.npy", ROWS.replace(b"(2, 3)", b"(9, 3)"))], "as many elements as its shape"),
]


@pytest.mark.parametrize(("members", "words"), BAD)
def test_wrong_archives_are_refused(
    tmp_path: Path, members: list[tuple[str, bytes]], words: str
) -> None:
    with pytest.raises(BadTableError) as caught:
        read_npz(archive(tmp_path / "rows.npz", members))
    assert words in caught.value.sentence


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    with pytest.raises(BadTableError, match="no such file"):
        read_npz(path)
    with pytest.raises(BadTableError, match="cannot be read"):
        read_npz(tmp_path)
    path.write_bytes(ROWS)
    with pytest.raises(BadTableError, match="is no numpy archive"):
        read_npz(path)


@settings(derandomize=True, max_examples=120, deadline=None)
@given(st.data())
def test_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    np.savez_compressed(path, inputs=np.arange(6.0).reshape(2, 3))
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(len(damaged) // 2, len(damaged))) :]
    path.write_bytes(damaged)
    try:
        tables = read_npz(path)
    except BadTableError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert len(tables["inputs"]) > 0
