"""
Ways in which an evaluation ends without results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from runners.records import TrapKind


class TrappedError(Exception):
    """
    The module trapped; *kind* is the specification's name for it.
    """

    def __init__(self, kind: TrapKind) -> None:
        """
        Keep the kind.
        """
        super().__init__(kind)
        self.kind = kind


class ExhaustedError(Exception):
    """
    The evaluation met a limit of the evaluator or of its meter, not a rule of the specification.
    """

    def __init__(
        self, resource: Literal["stack", "fuel", "memory", "table"], sentence: str
    ) -> None:
        """
        Keep the resource and the sentence.
        """
        super().__init__(sentence)
        self.resource = resource


class LinkError(ValueError):
    """
    An import is missing or has another type.
    """


class BadCallError(LookupError):
    """
    There is no such exported function, memory or global, or the arguments do not fit its type.
    """
