"""
What a user can get wrong about a subject: its place, its manifest, its tables.
"""

from __future__ import annotations


class BadSubjectError(ValueError):
    """
    The MODULE of a command line is no WebAssembly module with a manifest.
    """


class BadManifestError(ValueError):
    """
    A manifest cannot be read, or says something that cannot be meant.

    The message is `FILE:LINE: SENTENCE`, or `FILE: SENTENCE` where no line is to blame.
    """

    def __init__(self, path: str, line: int | None, key: str, sentence: str) -> None:
        """
        Keep the parts beside the message; *key* is dotted, or empty for the file as a whole.
        """
        place = path if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {sentence}")
        self.path = path
        self.line = line
        self.key = key
        self.sentence = sentence


class BadTableError(ValueError):
    """
    A file of rows is unreadable, or its bits do not have the declared type and shape.
    """

    def __init__(self, path: str, sentence: str) -> None:
        """
        Keep the file beside the sentence.
        """
        super().__init__(f"{path}: {sentence}")
        self.path = path
        self.sentence = sentence
