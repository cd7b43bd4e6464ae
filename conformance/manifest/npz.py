"""
Rows that a user brings as a numpy archive: `--expect rows.npz`.

Arrays are taken from the archive byte by byte, never by unpickling, and without arithmetic, so
that the bits of NaNs stay what they are.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.manifest.errors import BadTableError
from conformance.manifest.tables import BitsTable

NAMES: Final = ("inputs", "expected", "labels")
MAX_ARRAY_BYTES: Final = 1 << 30

_DTYPES: Final = {("f", 8): "f64", ("f", 4): "f32", ("i", 8): "i64", ("i", 4): "i32"}


def read_npz(path: Path) -> dict[str, BitsTable]:
    """
    Read `inputs` and, if they are there, `expected` and `labels`, all with equal row counts.

    An array of one dimension has one element per row; further dimensions are folded into the
    row, in C order. Raises BadTableError.
    """
    name = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            tables = {
                member.filename.removesuffix(".npy"): _member(name, archive, member)
                for member in members
            }
    except FileNotFoundError:
        raise BadTableError(name, "there is no such file") from None
    except zipfile.BadZipFile:
        sentence = "is no numpy archive: make one with numpy.savez(FILE, inputs=..., expected=...)"
        raise BadTableError(name, sentence) from None
    except BadTableError:
        raise
    except OSError as error:
        raise BadTableError(name, f"cannot be read: {error.strerror}") from error
    except (ValueError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        # A damaged or encrypted archive: zipfile promises no single kind of error for it.
        raise BadTableError(name, f"is damaged: {str(error)[:120]}") from error
    if len(tables) != len(members):
        raise BadTableError(name, "holds an array twice")
    _check_rows(name, tables)
    return tables


def _check_rows(name: str, tables: dict[str, BitsTable]) -> None:
    """
    There are inputs, and every table has as many rows as they.
    """
    if "inputs" not in tables:
        raise BadTableError(name, "holds no array `inputs`")
    if not len(tables["inputs"]):
        raise BadTableError(name, "`inputs` has no rows")
    for key, table in tables.items():
        if len(table) != len(tables["inputs"]):
            sentence = f"`{key}` has {len(table)} rows, `inputs` has {len(tables['inputs'])}"
            raise BadTableError(name, sentence)


def _member(file: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BitsTable:
    name = member.filename.removesuffix(".npy")
    if name not in NAMES:
        known = ", ".join(NAMES)
        raise BadTableError(file, f"unknown array {name[:40]!r}; known arrays: {known}")
    if member.file_size > MAX_ARRAY_BYTES:
        raise BadTableError(file, f"`{name}` is larger than {MAX_ARRAY_BYTES >> 30} GiB")
    with archive.open(member) as stream:
        # One byte more than allowed: the size in the directory of an archive may be a lie.
        data = stream.read(MAX_ARRAY_BYTES + 1)
    if len(data) > MAX_ARRAY_BYTES:
        raise BadTableError(file, f"`{name}` is larger than {MAX_ARRAY_BYTES >> 30} GiB")
    array = _array(file, name, data)
    dtype = _DTYPES.get((array.dtype.kind, array.dtype.itemsize))
    if dtype is None:
        sentence = f"`{name}` has dtype {array.dtype}: use float64, float32, int64 or int32"
        raise BadTableError(file, sentence)
    if not array.shape:
        raise BadTableError(file, f"`{name}` is a single number: its first dimension must be rows")
    width = array.dtype.itemsize
    count = math.prod(array.shape[1:])
    shape = (array.shape[0], count)
    raw = np.frombuffer(array.tobytes(order="C"), np.uint8).reshape(-1, width)
    little = raw[:, ::-1] if array.dtype.str.startswith(">") else raw
    rows = np.ascontiguousarray(little).reshape(array.shape[0], count * width)
    return BitsTable(dtype, shape, rows)


def _array(file: str, name: str, data: bytes) -> NDArray[np.generic]:
    """
    The array in the bytes of a `.npy` file.
    """
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise BadTableError(file, f"`{name}` has format version {version}, which only names need")
    shape, fortran, dtype = readers[version](stream)
    if dtype.hasobject or dtype.itemsize == 0:
        sentence = f"`{name}` has dtype {dtype}: use float64, float32, int64 or int32"
        raise BadTableError(file, sentence)
    body = data[stream.tell() :]
    if any(size < 0 for size in shape) or len(body) != math.prod(shape) * dtype.itemsize:
        raise BadTableError(file, f"`{name}` does not hold as many elements as its shape says")
    flat: NDArray[np.generic] = np.frombuffer(body, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
