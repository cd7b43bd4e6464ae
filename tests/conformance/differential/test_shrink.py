"""
Shrinking against failures whose smallest form is known, and the promises that always hold.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.differential.shrink import DoesNotFailError, History, Layout, Shrunk, shrink
from conformance.differential.simplest import cost, simpler, simplest
from conformance.manifest.records import Domain
from runners.bits import format_bits

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True, database=None)
EIGHT = Layout(((0, "f64", 8),))


def bits_of(value: float) -> int:
    bits: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return bits


def row(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def domain(low: float, high: float) -> Domain:
    return Domain(low=format_bits("f64", bits_of(low)), high=format_bits("f64", bits_of(high)))


class Oracle:
    """
    Answers by a predicate, and keeps what it was asked.
    """

    def __init__(self, fails: Callable[[History], bool]) -> None:
        self.fails = fails
        self.asked: list[list[History]] = []

    def __call__(self, histories: Sequence[History]) -> list[bool]:
        self.asked.append(list(histories))
        return [self.fails(history) for history in histories]


def run(
    fails: Callable[[History], bool],
    history: Sequence[bytes],
    layout: Layout = EIGHT,
    rounds: int = 500,
) -> tuple[Shrunk, Oracle]:
    oracle = Oracle(fails)
    return shrink(history, layout, oracle, rounds), oracle


def values(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 8}d", data)


NOISE = row(0.1, -2.7, 3.3e-5, 8.25, -1e10, 0.7, 1.9, -0.3)


def test_always_failing_becomes_one_row_of_zeros() -> None:
    made, oracle = run(lambda _: True, [NOISE] * 20)
    assert made.history == (row(*[0.0] * 8),)
    assert made.finished
    assert made.rounds == len(oracle.asked) <= 6


def test_only_the_rows_that_matter_are_kept() -> None:
    history = [row(*[float(i)] * 8) for i in range(40)]

    def fails(h: History) -> bool:
        firsts = [values(r)[0] for r in h]
        return 7.0 in firsts and 23.0 in firsts and firsts.index(7.0) < firsts.index(23.0)

    made, _ = run(fails, history)
    assert len(made.history) == 3
    assert [values(r)[0] for r in made.history] == [7.0, 23.0, 0.0]
    assert all(v == 0 for r in made.history for v in values(r)[1:])


def test_the_last_row_stays_last() -> None:
    history = [row(*[float(i)] * 8) for i in range(5)]
    made, _ = run(lambda h: values(h[-1])[0] == 4.0, history)
    assert [values(r)[0] for r in made.history] == [4.0]
    made, oracle = run(lambda h: len(h) >= 3, history)
    assert len(made.history) == 3
    rows_phase = [h for batch in oracle.asked for h in batch if len(h) > 3]
    assert all(h[-1] == history[-1] for h in rows_phase)


def test_only_the_elements_that_matter_are_kept() -> None:
    made, _ = run(lambda h: values(h[0])[3] != 0 and values(h[0])[6] > 1, [NOISE])
    assert made.history == (row(0, 0, 0, 1, 0, 0, 2, 0),)


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (lambda v: v > 0, 1.0),
        (lambda v: v > 3.5, 4.0),
        (lambda v: v < -3.5, -4.0),
        (math.isnan, float("nan")),
        (lambda v: 0.1 <= v < 0.2, 0.125),
        (lambda v: v > 1e300, 2.0**1023),
        (lambda v: v == 0.3, 0.3),
        (lambda v: v in {float("inf"), 16.0}, 16.0),
    ],
)
def test_bits_become_simple(fails: Callable[[float], bool], expected: float) -> None:
    for first in (0.3, 0.17, 5.7, -5.7, 1.3e305, float("nan"), float("inf")):
        if not fails(first):
            continue
        made, _ = run(lambda h: fails(values(h[0])[0]), [row(first)], Layout(((0, "f64", 1),)))
        got = int.from_bytes(made.history[0], "little")
        assert made.finished
        assert cost("f64", got) <= cost("f64", bits_of(expected))


def test_sign_of_zero_is_kept_when_it_matters() -> None:
    minus = 1 << 63
    made, _ = run(
        lambda h: int.from_bytes(h[0][:8], "little") >> 63 == 1 and values(h[0])[0] == 0.0,
        [row(-0.0, 1.5)],
        Layout(((0, "f64", 2),)),
    )
    assert made.history == (minus.to_bytes(8, "little") + bytes(8),)


def test_nothing_outside_the_domain_is_ever_tried() -> None:
    layout = Layout(
        ((0, "f64", 2), (16, "i32", 2)),
        (domain(2.5, 9.0), Domain(low="i32:00000005", high="i32:00000064")),
    )
    start = row(7.77, 8.125) + struct.pack("<2i", 77, 51)
    made, oracle = run(lambda _: True, [start], layout)
    for batch in oracle.asked:
        for (data,) in batch:
            assert all(2.5 <= v <= 9.0 for v in values(data[:16]))
            assert all(5 <= v <= 100 for v in struct.unpack("<2i", data[16:]))
    assert made.history == (row(3.0, 3.0) + struct.pack("<2i", 5, 5),)


def test_integers_and_narrow_slots() -> None:
    layout = Layout(((0, "i32", 1), (8, "f32", 1)))
    start = struct.pack("<iIfI", -123456, 0, 0.7, 0)
    made, _ = run(lambda h: struct.unpack("<iIfI", h[0])[0] < -1000, [start], layout)
    whole, pad, single, tail = struct.unpack("<iIfI", made.history[0])
    assert (whole, pad, single, tail) == (-1024, 0, 0.0, 0)


def test_rounds_are_bounded_and_the_best_so_far_is_given() -> None:
    def fails(h: History) -> bool:
        return values(h[-1])[2] != 0

    for rounds in range(1, 8):
        made, oracle = run(fails, [NOISE] * 9, rounds=rounds)
        assert len(oracle.asked) == made.rounds <= rounds
        assert fails(made.history)
        assert max(map(len, oracle.asked)) <= 64
    assert not run(fails, [NOISE] * 9, rounds=2)[0].finished
    assert run(fails, [NOISE] * 9, rounds=100)[0].finished


def test_what_does_not_fail_again_is_refused() -> None:
    with pytest.raises(DoesNotFailError):
        run(lambda _: False, [NOISE])
    with pytest.raises(ValueError, match="at least one round"):
        run(lambda _: True, [NOISE], rounds=0)
    with pytest.raises(ValueError, match="as many domains"):
        run(lambda _: True, [NOISE], Layout(((0, "f64", 8),), (None, None)))
    with pytest.raises(ValueError, match="answers came"):
        shrink([NOISE], EIGHT, lambda _: [True, True], 9)


@PROPERTY
@given(st.lists(st.integers(0, 2**64 - 1), min_size=3, max_size=9), st.integers(0, 2**32))
def test_result_always_fails_and_never_grows(words: list[int], salt: int) -> None:
    layout = Layout(((0, "f64", 1), (8, "i64", 1), (16, "f32", 2)))
    history = [
        b"".join(w.to_bytes(8, "little") for w in (words * 3)[i : i + 3]) for i in range(len(words))
    ]

    def fails(h: History) -> bool:
        # Arbitrary, neither monotone nor simple, but a function of the history alone.
        return h == tuple(history) or sum(map(sum, h)) % 7 == salt % 7

    first, oracle = run(fails, history, layout, rounds=60)
    again, _ = run(fails, history, layout, rounds=60)
    assert first == again
    assert fails(first.history)
    assert len(first.history) <= len(history)
    assert all(len(batch) <= 64 for batch in oracle.asked)


@PROPERTY
@given(st.sampled_from(["f32", "f64", "i32", "i64"]), st.integers(0, 2**64 - 1))
def test_choices_are_simpler(dtype: str, bits: int) -> None:
    bits &= (1 << (64 if dtype.endswith("64") else 32)) - 1
    for choice in simpler(dtype, bits):
        assert cost(dtype, choice) < cost(dtype, bits)
        assert 0 <= choice < 1 << (64 if dtype.endswith("64") else 32)
    assert bits == 0 or simpler(dtype, bits)[0] == 0
    assert simpler(dtype, 0) == []


def test_simplest_of_a_domain() -> None:
    assert simplest("f64", None) == 0
    assert simplest("f64", domain(-1.0, 1.0)) == 0
    assert simplest("f64", domain(0.5, 9.0)) == bits_of(1.0)
    assert simplest("f64", domain(0.3, 0.4)) in {bits_of(0.3), bits_of(0.4)}
    assert simplest("i32", Domain(low="i32:fffffff0", high="i32:fffffffd")) == 0xFFFFFFFD
