"""
The models of a simulated chain, and the inputs that its transactions may carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conformance.differential.inputs import EntryInputs
from conformance.differential.profiles import OutputShape
from conformance.manifest.tables import BitsTable
from runners.records import Budget, Call

DRAWN: Final = 256
"""Held-out rows, rows drawn from the domain, and edge rows of an entry: so many of each."""


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One call of a model, with candidates for its input.
    """

    call: Call
    shape: OutputShape
    inputs: NDArray[np.uint8]
    """Shape (n, call.input_bytes), n > 0."""
    input_dtype: str = ""
    """Element type of the input buffer; empty: the entry takes scalars."""
    slot_dtypes: tuple[str, ...] = ()
    """What each scalar means."""


@dataclass(frozen=True, slots=True)
class Model:
    """
    A module as a chain may store and call it.
    """

    name: str
    sha256: str
    budget: Budget
    entries: Mapping[str, Entry]
    """By the name of the export, in the order of the manifest."""


def candidate_rows(inputs: EntryInputs, table: BitsTable | None) -> NDArray[np.uint8]:
    """
    Rows that an inference may carry: held-out ones, some from the domain, and edges of it.
    """
    parts = [inputs.dataset(table, DRAWN).rows, inputs.uniform(DRAWN).rows]
    parts.append(inputs.edge(table, DRAWN, DRAWN).rows)
    rows = np.concatenate(parts)
    if len(rows) == 0:
        # An entry without parameters has one input: nothing.
        return np.zeros((1, inputs.row_bytes), np.uint8)
    return np.ascontiguousarray(rows)
