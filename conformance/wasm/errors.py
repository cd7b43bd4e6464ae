"""
What is wrong with a module, and where.
"""

from __future__ import annotations


class BadModuleError(ValueError):
    """
    These bytes are not a module that weavegate takes: one rule, one byte offset, one sentence.
    """

    def __init__(self, rule: str, offset: int, sentence: str) -> None:
        """
        Keep the stable slug *rule*, the *offset* from the start of the file, and the *sentence*.
        """
        super().__init__(rule, offset, sentence)
        self.rule = rule
        self.offset = offset
        self.sentence = sentence

    def __str__(self) -> str:
        """
        The sentence, with the byte offset in decimal and hexadecimal.
        """
        return f"{self.sentence} (byte {self.offset}, {self.offset:#x}; rule {self.rule})"


class UnknownIndexError(LookupError):
    """
    A function, type or other index is beyond what the module has.
    """


def unsupported(proposal: str, offset: int, thing: str) -> BadModuleError:
    """
    The refusal of something that only *proposal* has; its rule is `proposal-NAME`.
    """
    sentence = f"{thing} belongs to the proposal {proposal}, which is not admitted"
    return BadModuleError(f"proposal-{proposal}", offset, sentence)
