"""
Where the progress of a run is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ticker:
    """
    Where progress is told.
    """

    say: Callable[[str], None]
    plan: Callable[[Sequence[tuple[str, int]]], None]
    """(label, cases) of each node, once the corpus is known."""
    step: Callable[[int, int], None]
    """Node and cases that are done."""


SILENT = Ticker(lambda _: None, lambda _: None, lambda _, __: None)
