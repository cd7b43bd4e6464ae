"""
Making a sequence of decisions smaller while what is made from it still shows the same.

Every sequence gives a whole module, so that any cut may be tried: parts of the module are left out
or replaced by the simplest, then runs of decisions are left out, set to 0, and lowered one by one.
What is kept is shorter, or as long and lower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from conformance.generate.choices import Decisions, Span

Sequence = tuple[int, ...]

MOST_TRIES: Final = 600


@dataclass(slots=True)
class _Search:
    """
    The best sequence so far, and how many tries are left.
    """

    best: Sequence
    spans: tuple[Span, ...]
    shows: Callable[[Sequence], Decisions | None]
    left: int

    def attempt(self, candidate: Sequence) -> bool:
        """
        Take *candidate* if it is simpler and shows the same.
        """
        if self.left <= 0 or _size(candidate) >= _size(self.best):
            return False
        self.left -= 1
        found = self.shows(candidate)
        if found is None or _size(found.taken) >= _size(self.best):
            return False
        self.best, self.spans = found
        return True


def shrunk(
    decisions: Decisions,
    shows: Callable[[Sequence], Decisions | None],
    *,
    most_tries: int = MOST_TRIES,
) -> Sequence:
    """
    A simpler sequence that still shows what *decisions* do.

    *shows* makes something from a sequence and tells whether it shows the same: it gives the
    decisions that were really taken, or None. It is called at most *most_tries* times.
    """
    search = _Search(decisions.taken, decisions.spans, shows, most_tries)
    before = None
    while search.left > 0 and search.best != before:
        before = search.best
        _without_parts(search)
        _without_runs(search)
        _without_branches(search)
        _zeroed(search)
        _lowered(search)
    return search.best


def _size(sequence: Sequence) -> tuple[int, Sequence]:
    return len(sequence), sequence


def _without_parts(search: _Search) -> None:
    """
    Leave parts out, or replace them by the simplest of their kind, large ones first.
    """
    rank = 0
    while search.left > 0:
        parts = sorted(set(search.spans), key=lambda span: (span[0] - span[1], span[0]))
        if rank >= len(parts):
            return
        start, end = parts[rank]
        best = search.best
        shorter = search.attempt(best[:start] + best[end:])
        if not shorter and not search.attempt((*best[:start], 0, *best[end:])):
            rank += 1


def _without_runs(search: _Search) -> None:
    """
    Leave runs out, long ones first.
    """
    length = max(1, len(search.best) // 2)
    while length:
        at = len(search.best) - length
        while at >= 0 and search.left > 0:
            best = search.best
            done = search.attempt(best[:at] + best[at + length :])
            if not done and at and best[at - 1]:
                # A count may stand before the run: one less of what it counts.
                search.attempt((*best[: at - 1], best[at - 1] - 1, *best[at + length :]))
            at = min(at, len(search.best)) - max(1, length // 2)
        length //= 2


def _without_branches(search: _Search) -> None:
    """
    Take the simplest answer somewhere, and leave out what hung on the one that was there.
    """
    for length in (32, 16, 8, 5, 4, 3, 2, 1):
        at = 0
        while at + length < len(search.best) and search.left > 0:
            best = search.best
            if best[at]:
                search.attempt((*best[:at], 0, *best[at + 1 + length :]))
            at += 1


def _zeroed(search: _Search) -> None:
    """
    Set runs to 0.
    """
    for length in (16, 8, 4, 2, 1):
        at = 0
        while at + length <= len(search.best) and search.left > 0:
            if any(search.best[at : at + length]):
                best = search.best
                search.attempt(best[:at] + (0,) * length + best[at + length :])
            at += length


def _lowered(search: _Search) -> None:
    """
    Lower single decisions: halve them, then take one off.
    """
    for at in range(len(search.best)):
        while at < len(search.best) and search.best[at] and search.left > 0:
            best = search.best
            lower = [best[at] // 2, best[at] - 1]
            if not any(search.attempt((*best[:at], value, *best[at + 1 :])) for value in lower):
                break
