"""
What can be wrong with declared semantics, or with the machine that evaluates them.
"""

from __future__ import annotations


class BadSemanticsError(ValueError):
    """
    Declared semantics cannot be used: `path:line: sentence`.
    """

    def __init__(self, path: str, line: int, sentence: str) -> None:
        """
        Say where and what; *line* 0 means the file as a whole.
        """
        self.path = path
        self.line = line
        self.sentence = sentence
        where = f"{path}:{line}" if line else path
        super().__init__(f"{where}: {sentence}")


class BentFpuError(RuntimeError):
    """
    The process does not compute IEEE 754 binary64, rounded to nearest with subnormals.

    The oracle refuses to answer then: its bits would be wrong.
    """


class OracleDisagreementError(AssertionError):
    """
    Two independent implementations of one function gave different bits: a bug of weavegate.
    """
