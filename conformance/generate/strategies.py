"""
Hypothesis strategies of modules: what `modules.generate` makes from a seed, drawn and shrunk.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from conformance.generate.choices import Span
from conformance.generate.modules import GeneratedModule, made
from conformance.generate.soup import cooked


class Drawn:
    """
    Decisions drawn by Hypothesis, which shrinks each of them towards 0.
    """

    def __init__(self, draw: Any) -> None:
        """
        *draw* is what `composite` gives.
        """
        self._draw: Final = draw
        self.made: list[int] = []
        self.spans: list[Span] = []

    def below(self, count: int) -> int:
        """
        See `Choices.below`.
        """
        chosen = int(self._draw(st.integers(0, count - 1)))
        self.made.append(chosen)
        return chosen


@st.composite
def modules(draw: Any) -> GeneratedModule:
    """
    Inference-shaped modules with rows of inputs; shrinks to few operators and few rows.
    """
    source = Drawn(draw)
    return made(source)


@st.composite
def soups(draw: Any) -> GeneratedModule:
    """
    Modules of one function with operators in any order, as a generator without ideas makes them.
    """
    source = Drawn(draw)
    return cooked(source)
