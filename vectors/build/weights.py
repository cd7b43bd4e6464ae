"""
Named weights of a model, as the arrays that source is written from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conformance.manifest.tables import BitsTable, read_tables

_NUMPY = {"i32": "<i4", "i64": "<i8", "f32": "<f4", "f64": "<f8"}

Reals = NDArray[np.float64]


class BadWeightsError(ValueError):
    """
    The weights of a model are not those that its kind of source needs.
    """


class Weights:
    """
    `weights.json`: tensors by name, checked as they are asked for.
    """

    def __init__(self, tables: Mapping[str, BitsTable]) -> None:
        """
        Hold the tables of a model.
        """
        self._tables = dict(tables)

    @classmethod
    def read(cls, path: Path) -> Weights:
        """
        Read a bits table file.
        """
        return cls(read_tables(path))

    def names(self) -> list[str]:
        """
        Names of all tensors, sorted.
        """
        return sorted(self._tables)

    def matrix(self, name: str) -> Reals:
        """
        A tensor of binary64 numbers, of shape (rows, columns).
        """
        return self._table(name, "f64").astype(np.float64)

    def vector(self, name: str) -> Reals:
        """
        A tensor of binary64 numbers with a single row, of shape (columns,).
        """
        matrix = self.matrix(name)
        _only_row(len(matrix), name)
        return np.ravel(matrix)

    def integers(self, name: str) -> list[int]:
        """
        A tensor of 32-bit integers with a single row.
        """
        matrix = self._table(name, "i32")
        _only_row(len(matrix), name)
        return [int(value) for value in matrix.astype(np.int64).flat]

    def scalar(self, name: str) -> float:
        """
        A tensor that holds one binary64 number.
        """
        values = self.vector(name)
        if len(values) != 1:
            message = f"`{name}` holds {len(values)} numbers where one is needed"
            raise BadWeightsError(message)
        return float(values[0])

    def _table(self, name: str, dtype: str) -> NDArray[np.number]:
        """
        A tensor of a given dtype, of shape (rows, columns).
        """
        table = self._tables.get(name)
        if table is None:
            message = f"the weights have no `{name}`; they have {', '.join(self.names())}"
            raise BadWeightsError(message)
        if table.dtype != dtype:
            message = f"`{name}` is {table.dtype} where {dtype} is needed"
            raise BadWeightsError(message)
        return np.ascontiguousarray(table.rows).view(np.dtype(_NUMPY[dtype]))


def _only_row(rows: int, name: str) -> None:
    """
    Refuse a tensor of more than one row.
    """
    if rows != 1:
        message = f"`{name}` has {rows} rows where one is needed"
        raise BadWeightsError(message)
