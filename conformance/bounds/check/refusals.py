"""
Why a certificate is not confirmed.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Answer = Literal["holds", "fails", "undecided"]
"""Of the solver."""
Reason = Literal[
    "other-module",
    "form",  # parts of the certificate that do not fit each other or the module
    "not-modelled",
    "contradiction",  # a precondition or hypothesis that nothing satisfies
    "obligation",  # a solver found values for which a claim is false
    "undecided",  # a solver gave up within its limit
    "structure",  # a zone that is entered again, a missing measure
    "dual",
    "claim",  # a number beyond what the certificate itself supports
    "replay",  # a run on which a claim is false
]


UNANSWERED: Final[dict[Answer, Reason]] = {"fails": "obligation", "undecided": "undecided"}
"""What it is called that a solver did not show something to hold."""


class Refusal(Struct, frozen=True):
    """
    One thing that is wrong, in one sentence that names where.
    """

    reason: Reason
    sentence: str


class RefusedError(Exception):
    """
    Checking cannot go on.
    """

    def __init__(self, reason: Reason, sentence: str) -> None:
        """
        Keep both.
        """
        super().__init__(sentence)
        self.refusal = Refusal(reason, sentence)


class NotModelledError(RefusedError):
    """
    The module does something that no obligation of the checker speaks about.
    """

    def __init__(self, what: str, where: str) -> None:
        """
        Name it, and where it stands.
        """
        super().__init__("not-modelled", f"{what} ({where}) is not modelled by the checker")
