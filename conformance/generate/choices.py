"""
Where a generator's decisions come from: a seed, Hypothesis, or a recorded sequence.

Every decision is a number from 0 up, and 0 is the simplest answer. So a recorded sequence can be
cut and lowered at will, and what is made from it is still whole, only smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol, TypeVar

T = TypeVar("T")

_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15


Span = tuple[int, int]
"""Where the decisions of one part begin, and where they end."""


class Decisions(NamedTuple):
    """
    What was decided, and which decisions belong together.
    """

    taken: tuple[int, ...]
    spans: tuple[Span, ...]
    """Of functions, statements, expressions and rows; inner ones before outer ones."""


class Choices(Protocol):
    """
    A source of decisions.
    """

    made: list[int]
    """All decisions so far."""
    spans: list[Span]
    """The parts that are finished."""

    def below(self, count: int) -> int:
        """
        A number from 0 up to, not including, *count*, which is at least 1.
        """


class Seeded:
    """
    Decisions from a seed, always the same for it, in every version of Python.

    SplitMix64: a counter stepped by an odd number, finalised (G. Steele, D. Lea, C. Flood, "Fast
    splittable pseudorandom number generators", 2014).
    """

    def __init__(self, seed: int, index: int = 0) -> None:
        """
        The stream number *index* of *seed*.
        """
        self._state = finalised(finalised(seed & _MASK) ^ (index + 1) * _STEP & _MASK)
        self.made: list[int] = []
        self.spans: list[Span] = []

    def below(self, count: int) -> int:
        """
        See `Choices.below`.
        """
        self._state = self._state + _STEP & _MASK
        chosen = finalised(self._state) % count
        self.made.append(chosen)
        return chosen


class Replayed:
    """
    Decisions from a sequence: each taken modulo its count, 0 where the sequence has ended.
    """

    def __init__(self, sequence: Sequence[int]) -> None:
        """
        Begin at the start of *sequence*.
        """
        self._sequence = sequence
        self.made: list[int] = []
        self.spans: list[Span] = []

    def below(self, count: int) -> int:
        """
        See `Choices.below`.
        """
        place = len(self.made)
        chosen = self._sequence[place] % count if place < len(self._sequence) else 0
        self.made.append(chosen)
        return chosen


def finalised(value: int) -> int:
    """
    The finaliser of SplitMix64, a bijection of 64-bit words.
    """
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


@contextmanager
def part(choices: Choices) -> Iterator[None]:
    """
    Decisions that can be left out together, or be replaced by the simplest one.
    """
    start = len(choices.made)
    yield
    choices.spans.append((start, len(choices.made)))


def one_of(choices: Choices, items: Sequence[T]) -> T:
    """
    One of *items*; the first is the simplest.
    """
    return items[choices.below(len(items))]


def between(choices: Choices, low: int, high: int) -> int:
    """
    A number from *low* to *high*, both included; *low* is the simplest.
    """
    return low + choices.below(high - low + 1)


def more(choices: Choices, usual: int) -> bool:
    """
    Whether another item follows, of *usual* items on average; False is the simpler answer.

    Asked before each item, so that an item can be cut out of a sequence together with its answer.
    """
    return choices.below(usual + 1) > 0


def rarely(choices: Choices, one_in: int) -> bool:
    """
    True once in *one_in* times; False is the simpler answer.
    """
    return choices.below(one_in) == one_in - 1
