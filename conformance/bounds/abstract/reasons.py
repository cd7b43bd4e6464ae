"""
Why abstract execution gave up before every path had ended.
"""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "no progress", "step budget", "call depth", "missing contract", "indirect target",
    "unbounded growth", "not modelled", "never returns",
]  # fmt: skip


class HandedOverError(Exception):
    """
    What is left must be shown by the proof.
    """

    def __init__(self, reason: Reason, function: int, place: int, sentence: str) -> None:
        """
        Say where it stopped: in which function, at which loop or the entry.
        """
        super().__init__(sentence)
        self.reason: Reason = reason
        self.function = function
        self.place = place
        """Of a `loop`, or ENTRY."""
        self.sentence = sentence
