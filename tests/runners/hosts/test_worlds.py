"""
Worlds and host maths.
"""

from __future__ import annotations

import itertools
import math
import struct

import pytest
from guest_memory import call_of

from runners.bits import ValueType
from runners.hosts.host import HostStopError
from runners.hosts.maths import answer_maths, meant_function, moved, rounded
from runners.hosts.world import PLAIN_SEED, Readings, World, Worlds


def bits_of(value: float) -> int:
    return int.from_bytes(struct.pack("<d", value), "little")


def test_one_seed_is_one_world_and_another_seed_another() -> None:
    """
    In everything that is drawn.
    """

    def told(seed: int) -> tuple[object, ...]:
        world = World(seed)
        return (
            world.realtime_ns(0), world.monotonic_ns(0), world.cpu_ns(0), world.random(0, 32),
            world.environment(), world.arguments(),
        )  # fmt: skip

    assert told(7) == told(7)
    assert all(left != right for left, right in zip(told(7), told(8), strict=True))
    assert len({World(seed).resolution_ns() for seed in range(50)}) == 4
    assert len({World(seed).cores() for seed in range(50)}) == 6


def test_clocks_never_go_back() -> None:
    """
    Readings of a case are in order, whatever the world.
    """
    for seed in range(20):
        world = World(seed)
        for clock in (world.realtime_ns, world.monotonic_ns, world.cpu_ns):
            readings = [clock(reading) for reading in range(50)]
            assert all(early <= late for early, late in itertools.pairwise(readings))
        assert 1_577_836_800 <= world.realtime_ns(0) // 10**9 < 1_893_456_000 + 10


def test_random_bytes_are_one_stream() -> None:
    """
    However it is cut.
    """
    world = World(3)
    assert world.random(0, 100)[17:90] == world.random(17, 73)
    readings = Readings(Worlds(world))
    assert readings.next_random(world, 5) + readings.next_random(world, 70) == world.random(0, 75)
    assert world.random(5, 0) == b""


def test_one_import_alone_is_answered_from_another_world() -> None:
    """
    Or all of them, or none.
    """
    usual, other = World(0), World(9)
    assert Worlds(usual).world("env.a") == usual
    assert Worlds(usual, other).world("env.a") == other
    assert Worlds(usual, other, "env.b").world("env.a") == usual
    assert Worlds(usual, other, "env.b").world("env.b") == other


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("exp", (1.0,), "4005bf0a8b145769"),
        ("log", (2.0,), "3fe62e42fefa39ef"),
        ("pow", (2.0, 0.5), "3ff6a09e667f3bcd"),
        ("sqrt", (2.0,), "3ff6a09e667f3bcd"),
        ("fmod", (5.5, 2.0), "3ff8000000000000"),
        ("atan2", (1.0, 1.0), "3fe921fb54442d18"),
        ("tgamma", (5.0,), "4038000000000000"),
        ("exp", (-745.0,), "0000000000000001"),
        ("exp", (710.0,), "7ff0000000000000"),
    ],
)
def test_known_values(function: str, arguments: tuple[float, ...], expected: str) -> None:
    """
    Constants of mathematics and exact cases, to the bit.
    """
    assert rounded(function, "f64", tuple(map(bits_of, arguments)))[0] == int(expected, 16)


def test_single_precision_is_rounded_once() -> None:
    """
    exp(1) to 24 bits.
    """
    assert rounded("exp", "f32", (0x3F800000,)) == (0x402DF854, False)


def test_only_inexact_results_differ_and_by_one_ulp() -> None:
    """
    exp(0) is 1 in every world; exp(1) has three values over all of them.
    """
    call = call_of("env.exp", ("f64", bits_of(1.0)), results=("f64",))
    exact = call_of("env.exp", ("f64", 0), results=("f64",))
    plain = answer_maths(call, "exp", World(PLAIN_SEED))
    found = {answer_maths(call, "exp", World(seed)) - plain for seed in range(1, 40)}
    assert found == {-1, 0, 1}
    assert {answer_maths(exact, "exp", World(seed)) for seed in range(40)} == {bits_of(1.0)}


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_moving_keeps_sign_and_class(kind: ValueType) -> None:
    """
    Zeros, infinities and NaNs stay; the largest number may become infinite.
    """
    top = 0x7F800000 if kind == "f32" else 0x7FF0000000000000
    for bits in (0, top, top + 1):
        assert moved(bits, kind, 1) == bits
    assert moved(top - 1, kind, 1) == top
    assert moved(1, kind, -1) == 1
    assert moved(5, kind, -1) == 4


@pytest.mark.parametrize(
    ("name", "function"),
    [("exp", "exp"), ("expf", "exp"), ("emscripten_math_pow", "pow"), ("erf", "erf"),
     ("erff", "erf"), ("malloc", None), ("f", None)],
)  # fmt: skip
def test_names_of_functions(name: str, function: str | None) -> None:
    """
    As C and emscripten have them.
    """
    assert meant_function(name) == function


def test_another_type_is_refused() -> None:
    """
    Whatever the name says.
    """
    with pytest.raises(HostStopError, match="it takes 2 f64 or f32"):
        answer_maths(call_of("env.pow", ("f64", 0), results=("f64",)), "pow", World(0))
    with pytest.raises(HostStopError, match="it takes 1 f64 or f32"):
        answer_maths(call_of("env.exp", ("i32", 0), results=("i32",)), "exp", World(0))


def test_agrees_with_the_library_of_this_machine_to_an_ulp() -> None:
    """
    An independent voice, which may be an ulp off itself.
    """
    for name in ("exp", "log", "sin", "cos", "tan", "tanh", "atan", "log1p", "expm1"):
        for place in range(1, 60):
            value = place / 7
            ours = rounded(name, "f64", (bits_of(value),))[0]
            assert abs(ours - bits_of(getattr(math, name)(value))) <= 1, (name, value)
