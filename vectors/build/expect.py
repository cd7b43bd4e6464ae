"""
Writes the bits that a model must give for its held-out rows, as the oracle computes them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from conformance.fidelity.oracle import Oracle
from conformance.manifest.read import read_manifest
from conformance.manifest.tables import BitsTable, read_tables, write_tables


def expected_table(manifest_path: Path) -> BitsTable:
    """
    Output rows of all held-out rows of a model, by its declared semantics alone.
    """
    manifest = read_manifest(manifest_path)
    oracle = Oracle.load(manifest)
    inputs = read_tables(manifest_path.parent / manifest.rows)["inputs"]
    rows = [oracle.evaluate(row.tobytes()) for row in inputs.rows]
    output = manifest.run.output
    if output is None:
        message = f"{manifest_path}: [output] is missing, so no rows can be expected"
        raise ValueError(message)
    joined = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), -1)
    return BitsTable(dtype=output.dtype, shape=(len(rows), *output.shape), rows=joined)


def write_expected(manifest_path: Path, target: Path) -> None:
    """
    Write the expected rows of a model as a bits table file.
    """
    write_tables(target, {"expected": expected_table(manifest_path)})
