"""
Values of which not all is known: a number, a small set, an unsigned interval, or anything.

A number stands for bits, unsigned; the width is that of the place where the value is. A float is
known only where it is one number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Value = int | frozenset[int] | tuple[int, int] | None
"""One number, one of a set, least and greatest of an interval, or None: anything."""

MOST_MEMBERS: Final = 1024
"""A set with more becomes the interval around it."""
MOST_PAIRS: Final = 4096
"""Combinations of two sets that are computed one by one."""
EITHER: Final[Value] = frozenset((0, 1))
"""A truth that is not known."""


def among(numbers: Iterable[int]) -> Value:
    """
    The value that is one of *numbers*, of which there is at least one.
    """
    found = frozenset(numbers)
    if len(found) == 1:
        return next(iter(found))
    return found if len(found) <= MOST_MEMBERS else (min(found), max(found))


def between(low: int, high: int, width: int = 64) -> Value:
    """
    The value from *low* to *high*, both included; anything, where these are all of *width* bits.
    """
    if low == high:
        return low
    return None if low <= 0 and high >= (1 << width) - 1 else (low, high)


def ends(value: Value, width: int) -> tuple[int, int]:
    """
    Least and greatest number, of *width* bits, that a value can be.
    """
    if type(value) is int:
        return value, value
    if value is None:
        return 0, (1 << width) - 1
    if type(value) is tuple:
        return value
    return min(value), max(value)  # type: ignore[arg-type]


def members(value: Value, most: int = MOST_MEMBERS) -> Iterable[int] | None:
    """
    The numbers that a value can be; None where they are more than *most*.
    """
    if type(value) is int:
        return (value,)
    if type(value) is frozenset:
        return value if len(value) <= most else None
    if type(value) is tuple and value[1] - value[0] < most:
        return range(value[0], value[1] + 1)
    return None


def join(one: Value, other: Value) -> Value:
    """
    A value that can be all that either can be.
    """
    if one == other:
        return one
    if one is None or other is None:
        return None
    if type(one) is not tuple and type(other) is not tuple:
        left: Iterable[int] = (one,) if type(one) is int else one  # type: ignore[assignment]
        right: Iterable[int] = (other,) if type(other) is int else other  # type: ignore[assignment]
        return among((*left, *right))
    (a, b), (c, d) = ends(one, 64), ends(other, 64)
    return min(a, c), max(b, d)


def holds(value: Value, number: int) -> bool:
    """
    Whether a value can be *number*.
    """
    if type(value) is int:
        return value == number
    if value is None:
        return True
    if type(value) is tuple:
        return bool(value[0] <= number <= value[1])
    return number in value  # type: ignore[operator]


def within(value: Value, low: int, high: int, width: int) -> Value | bool:
    """
    What is left of a value between *low* and *high*; False where nothing is.
    """
    if type(value) is int:
        return value if low <= value <= high else False
    if type(value) is frozenset:
        left = [number for number in value if low <= number <= high]
        return among(left) if left else False
    least, most = ends(value, width)
    least, most = max(least, low), min(most, high)
    return between(least, most, width) if least <= most else False
