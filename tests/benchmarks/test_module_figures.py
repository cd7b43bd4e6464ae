"""
The figures of handling modules: medians and targets, and that what is measured is done.
"""

from __future__ import annotations

import struct

import pytest

from benchmarks.modules import (
    EVALUATED,
    Figure,
    evaluating,
    generating,
    instance_of,
    reading,
    table,
)
from conformance.wasm.errors import BadModuleError
from weavegate.subject import load_subject


def test_a_target_is_met_by_the_median_and_missed_by_it() -> None:
    assert Figure("x", (0.1, 0.2, 9.0), "s", 1.0).met
    assert not Figure("x", (0.1, 1.2, 9.0), "s", 1.0).met
    assert Figure("x", (99.0, 100.0, 101.0), "modules/s", 100.0, at_most=False).met
    assert not Figure("x", (98.0, 99.0, 101.0), "modules/s", 100.0, at_most=False).met
    assert Figure("x", (1.0,), "s").met is None


def test_the_table_says_what_is_missed() -> None:
    text = table([Figure("slow", (4.0, 2.0, 5.0), "s", 3.0), Figure("free", (1234.5,), "x/s")])
    assert "| slow | 4 s | 2 to 5, 3 times | <= 3 s | **no** |" in text
    assert "| free | 1,234 x/s | 1,234 to 1,234, once |  |  |" in text


def test_reading_takes_a_module_apart_and_refuses_what_is_none() -> None:
    binary = (EVALUATED / "model.wasm").read_bytes()
    figures = reading(binary, 2)
    assert [len(figure.samples) for figure in figures] == [2, 2, 2]
    assert all(sample > 0 for figure in figures for sample in figure.samples)
    with pytest.raises(BadModuleError):
        reading(binary[:-1], 1)


def test_the_evaluator_is_timed_on_the_inference_itself() -> None:
    subject = load_subject(EVALUATED)
    assert subject.rows is not None
    assert subject.expected is not None
    instance = instance_of(subject.data, subject.rows.rows[0].tobytes())
    instance.call("infer")
    (place,) = instance.call("out_ptr")
    assert isinstance(place, int)
    row = bytes(instance.memory("memory").data[place : place + 80])
    assert row == subject.expected.rows[0].tobytes()
    assert any(struct.unpack("<10d", row))
    assert "operators a call" in evaluating(EVALUATED, 1).what


def test_the_generator_is_timed_alone() -> None:
    figure = generating(2, 3, seed=1)
    assert len(figure.samples) == 3
    assert min(figure.samples) > 0
