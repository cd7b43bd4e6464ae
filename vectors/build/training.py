"""
What the training scripts share: splits, and writing weights and held-out rows as bits.

Training is done once, by hand, with scikit-learn 1.9.1, numpy 2.4.6 and autograd 1.9.1; none of
them is a dependency of the product, and nothing that is checked depends on training again.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import factorial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conformance.manifest.tables import BitsTable, write_tables

VECTORS = Path(__file__).resolve().parent.parent
SEED = 20260701
EXP_TERMS = 14
"""Degree 13: on |r| <= ln(2)/2 the tail is below 2^-57."""
TANH_TERMS = 12
"""Odd terms after x: below 1/4 the tail is below 2^-56."""

_DTYPES = {"f64": "<f8", "i32": "<i4", "i64": "<i8"}


def exp_taylor() -> list[float]:
    """
    1/n! for n from 0, each rounded once.
    """
    return [float(Fraction(1, factorial(n))) for n in range(EXP_TERMS)]


def tanh_taylor() -> list[float]:
    """
    Taylor coefficients of tanh from that of x^3 on, each rounded once.

    From tanh' = 1 - tanh^2: with tanh = sum of t[n] x^(2n+1), (2n+1) t[n] is minus the sum of
    t[i] t[n-1-i].
    """
    series = [Fraction(1)]
    for n in range(1, TANH_TERMS + 1):
        convolved = sum((series[i] * series[n - 1 - i] for i in range(n)), Fraction(0))
        series.append(-convolved / (2 * n + 1))
    return [float(value) for value in series[1:]]


def split(count: int, held_out: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Row numbers to train on, and to hold out, from a seeded permutation.
    """
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def table(values: object, dtype: str) -> BitsTable:
    """
    Numbers as a bits table of two dimensions; one-dimensional values become one row.
    """
    array = np.atleast_2d(np.asarray(values)).astype(_DTYPES[dtype])
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
    return BitsTable(dtype=dtype, shape=array.shape, rows=rows)


def save_weights(
    name: str, tensors: Mapping[str, tuple[str, object]], room: str = "models"
) -> None:
    """
    Write `weights.json` of a model: (dtype, values) by tensor name.
    """
    folder = VECTORS / room / name
    folder.mkdir(parents=True, exist_ok=True)
    tables = {key: table(values, dtype) for key, (dtype, values) in tensors.items()}
    write_tables(folder / "weights.json", tables)


def save_held_out(
    name: str, inputs: object, labels: object, label_dtype: str, room: str = "models"
) -> None:
    """
    Write `held_out.json` of a model: inputs row by row, labels (if there are any) as a column.
    """
    tables = {"inputs": table(inputs, "f64")}
    if labels is not None:
        tables["labels"] = table(np.asarray(labels).reshape(-1, 1), label_dtype)
    write_tables(VECTORS / room / name / "held_out.json", tables)
