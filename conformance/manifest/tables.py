"""
Tables of bits: rows of inputs, expected outputs, labels and weights, as a JSON file.

`{"schema": 1, "tables": {NAME: {"dtype": "f64", "shape": [n, k], "bits": [ROW, ...]}}}`, each
row being the hexadecimal digits of its elements one after the other, most significant first.
A shape of one dimension, `[k]`, is one row; further dimensions are folded into the row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.manifest.errors import BadTableError
from runners.bits import WIDTH_BYTES

MAX_FILE_BYTES: Final = 256 << 20
SCHEMA: Final = 1

_DTYPES: Final = ("i32", "i64", "f32", "f64")
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class BitsTable:
    """
    A table of values of one type, held as raw bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    rows: NDArray[np.uint8]
    """Shape (n, k * width of the type): each row's elements, little-endian."""

    def __len__(self) -> int:
        """
        Number of rows.
        """
        return len(self.rows)

    @property
    def count(self) -> int:
        """
        Number of elements in a row, k.
        """
        return int(self.rows.shape[1]) // WIDTH_BYTES[self.dtype]

    def bits(self) -> NDArray[np.uint64]:
        """
        Shape (n, k): each element's bits, zero-extended.
        """
        code = "<u4" if WIDTH_BYTES[self.dtype] == 4 else "<u8"  # noqa: PLR2004 - bytes
        return np.ascontiguousarray(self.rows).view(code).astype(np.uint64)


def table_of(dtype: str, bits: NDArray[np.uint64], shape: tuple[int, ...] = ()) -> BitsTable:
    """
    The table of *bits*, shape (n, k); *shape* is what is declared, by default (n, k) itself.
    """
    code = "<u4" if WIDTH_BYTES[dtype] == 4 else "<u8"  # noqa: PLR2004 - bytes
    rows = np.ascontiguousarray(bits.astype(code)).view(np.uint8)
    return BitsTable(dtype, shape or (bits.shape[0], bits.shape[1]), rows)


def read_tables(path: Path) -> dict[str, BitsTable]:
    """
    Read every table of a file; raises BadTableError.
    """
    name = str(path)
    document = _document(path)
    _only(name, document, ("schema", "tables"))
    tables = document.get("tables")
    if not isinstance(tables, dict) or not tables:
        raise BadTableError(name, "`tables` must be an object with at least one table")
    return {key: _table(name, key, value) for key, value in tables.items()}


def write_tables(path: Path, tables: Mapping[str, BitsTable]) -> None:
    """
    Write tables so that `read_tables` gives the same bits, and equal tables give equal bytes.
    """
    lines = ['{"schema": 1, "tables": {']
    for place, (name, table) in enumerate(tables.items()):
        head = f'"dtype": "{table.dtype}", "shape": {json.dumps(list(table.shape))}, "bits": ['
        lines.append(f"{json.dumps(name)}: {{{head}")
        width = WIDTH_BYTES[table.dtype]
        swapped = table.rows.reshape(len(table), table.count, width)[:, :, ::-1]
        rows = [f'"{row.tobytes().hex()}"' for row in swapped]
        lines.append(",\n".join(rows))
        lines.append("]}" + ("," if place + 1 < len(tables) else ""))
    lines.append("}}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def require_rows(path: Path, name: str, table: BitsTable, dtype: str, count: int) -> None:
    """
    Refuse a table whose rows are not *count* elements of *dtype*; raises BadTableError.
    """
    if (table.dtype, table.count) != (dtype, count):
        sentence = (
            f'table "{name}" has rows of {table.count} {table.dtype}, '
            f"the manifest wants {count} {dtype}"
        )
        raise BadTableError(str(path), sentence)


def read_edges(path: Path) -> dict[str, tuple[int, ...]]:
    """
    Read `{"schema": 1, "edges": {TYPE: [BITS, ...]}}`: edge values per type, in their order.

    Raises BadTableError.
    """
    name = str(path)
    document = _document(path)
    _only(name, document, ("schema", "edges"))
    edges = document.get("edges")
    if not isinstance(edges, dict) or not edges:
        raise BadTableError(name, "`edges` must be an object with a list for each type")
    found: dict[str, tuple[int, ...]] = {}
    for dtype, values in edges.items():
        if dtype not in _DTYPES or not isinstance(values, list) or not values:
            sentence = f"`edges` must map {', '.join(_DTYPES)} to lists of bits, not {dtype!r}"
            raise BadTableError(name, sentence)
        digits = 2 * WIDTH_BYTES[dtype]
        for value in values:
            if not isinstance(value, str) or len(value) != digits or not _HEX.issuperset(value):
                sentence = f"an edge value of {dtype} must be {digits} lower-case hex digits"
                raise BadTableError(name, f"{sentence}, not {str(value)[:40]!r}")
        found[dtype] = tuple(int(value, 16) for value in values)
        if len(set(found[dtype])) != len(values):
            raise BadTableError(name, f"`edges` of {dtype} has a value twice")
    return found


def _document(path: Path) -> dict[str, object]:
    name = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise BadTableError(name, "there is no such file") from None
    except UnicodeDecodeError:
        raise BadTableError(name, "is not UTF-8 text: a table is a JSON file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadTableError(name, f"cannot be read: {reason}") from error
    if len(data) > MAX_FILE_BYTES:
        raise BadTableError(name, f"is larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        document = json.loads(text, object_pairs_hook=_no_twins)
    except json.JSONDecodeError as error:
        sentence = f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise BadTableError(name, sentence) from None
    except RecursionError:
        raise BadTableError(name, "is nested too deeply") from None
    except ValueError as error:
        raise BadTableError(name, f"is not usable JSON: {error}") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BadTableError(name, f'must be an object with "schema": {SCHEMA}')
    return document


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        message = f"the key {twice[:40]!r} stands twice in one object"
        raise ValueError(message)
    return found


def _only(name: str, found: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in found:
        if key not in known:
            sentence = f"unknown key {key[:40]!r}; known keys: {', '.join(known)}"
            raise BadTableError(name, sentence)


def _table(file: str, name: str, value: object) -> BitsTable:
    where = f"table {name[:40]!r}"
    if not isinstance(value, dict):
        raise BadTableError(file, f"{where}: must be an object with dtype, shape and bits")
    for key in value:
        if key not in ("dtype", "shape", "bits"):
            sentence = f"{where}: unknown key {key[:40]!r}; known keys: dtype, shape, bits"
            raise BadTableError(file, sentence)
    dtype, shape, bits = value.get("dtype"), value.get("shape"), value.get("bits")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise BadTableError(file, f"{where}: dtype must be one of {', '.join(_DTYPES)}")
    if (
        not isinstance(shape, list)
        or not shape
        or not all(type(size) is int and 0 <= size <= MAX_FILE_BYTES for size in shape)
    ):
        raise BadTableError(file, f"{where}: shape must be a list of sizes such as [100, 64]")
    if not isinstance(bits, list):
        raise BadTableError(file, f"{where}: bits must be a list with one text per row")
    return _rows(file, where, dtype, tuple(shape), bits)


def _rows(
    file: str, where: str, dtype: str, shape: tuple[int, ...], bits: list[object]
) -> BitsTable:
    rows = 1 if len(shape) == 1 else shape[0]
    count = shape[0] if len(shape) == 1 else math.prod(shape[1:])
    if len(bits) != rows:
        sentence = f"{where}: has {len(bits)} rows of bits, its shape says {rows}"
        raise BadTableError(file, sentence)
    width = WIDTH_BYTES[dtype]
    digits = 2 * width * count
    texts: list[str] = []
    for place, row in enumerate(bits):
        if not isinstance(row, str) or not _HEX.issuperset(row):
            sentence = f"{where}: row {place} must be lower-case hexadecimal digits"
            raise BadTableError(file, sentence)
        if len(row) != digits:
            sentence = f"{where}: row {place} has {len(row)} digits, {count} {dtype} need {digits}"
            raise BadTableError(file, sentence)
        texts.append(row)
    big = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8)
    little = big.reshape(rows * count, width)[:, ::-1].reshape(rows, count * width)
    return BitsTable(dtype, shape, np.ascontiguousarray(little))
