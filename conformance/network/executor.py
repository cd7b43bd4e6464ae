"""
What the room asks for: somebody who puts cases to the validators' engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from conformance.network.batches import Batch
from runners.blocks import BlockOutcome


class Executor(Protocol):
    """
    Runs the inferences of a block on the engines of validators.
    """

    def execute(
        self, validators: Sequence[int], batches: Sequence[Batch]
    ) -> Mapping[tuple[int, int], BlockOutcome]:
        """
        The outcome of every pair (validator, place in *batches*), one row for each case.
        """
        ...
