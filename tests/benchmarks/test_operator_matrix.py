from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.operators import SUBJECT, Matrix, compare, markdown, measure
from conformance.differential.corpus import QUICK
from conformance.differential.profiles import OutputShape
from runners.blocks import BlockOutcome
from runners.catalog import Catalog
from runners.environments import Environments
from runners.status import Status
from weavegate.nodes import choose
from weavegate.subject import load_subject

F64 = "f64.add"


def shape() -> OutputShape:
    return load_subject(SUBJECT, None, None).shapes[F64]


def outcome(*rows: tuple[Status, int]) -> BlockOutcome:
    return BlockOutcome(
        status=np.array([int(status) for status, _ in rows], np.uint8),
        outputs=np.array([bits for _, bits in rows], "<u8").view(np.uint8).reshape(-1, 8),
    )


def test_each_way_to_differ_is_counted_apart() -> None:
    back, trap = Status.RETURNED, Status.TRAP_UNREACHABLE
    one, nan, other_nan = 0x3FF0_0000_0000_0000, 0x7FF8_0000_0000_0000, 0xFFF8_0000_0000_0001
    reference = outcome((back, one), (back, nan), (back, one), (trap, 0), (trap, 0), (back, one))
    other = outcome(
        (back, one), (back, other_nan), (back, one + 1), (back, 0), (Status.TRAP_UNKNOWN, 0),
        (Status.CRASHED, 0),
    )  # fmt: skip
    assert compare(shape(), reference, other) == Counter(
        {"equal": 2, "NaN bits": 1, "value": 1, "end": 2}
    )


def test_the_page_lists_operators_that_differ_and_no_others() -> None:
    matrix = Matrix(["toy"], Counter({"i32.add": 3, "f32.min": 4}))
    matrix.note("toy", "i32.add", Counter({"equal": 3}))
    matrix.note("toy", "f32.min", Counter({"equal": 3, "value": 1}))
    page = markdown(matrix, "it")
    assert "| `toy` | 6 | 0 | 1 | 0 |" in page
    assert "| f32.min | `toy` | 4 | 0 | 1 | 0 |" in page
    assert "| i32.add |" not in page


@pytest.mark.engines
@pytest.mark.slow
def test_pywasm_is_seen_to_lose_the_sign_of_zero_and_wasmtime_is_not() -> None:
    catalog = Catalog.load()
    asked = ["reference", "wasmtime/cranelift", "pywasm@2.2.3"]
    found = measure(choose(asked, "reuse(512)", catalog, Environments(catalog)), QUICK, 0)
    good, bad = found.engines
    assert all(not found.counts[good, name]["value"] for name in found.cases)
    assert all(not found.counts[good, name]["end"] for name in found.cases)
    assert found.counts[bad, "f64.ceil"]["value"] > 0
    assert found.counts[bad, "i64.div_u"]["end"] > 0
