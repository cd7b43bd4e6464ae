"""
Why a module cannot be rewritten.
"""


class CannotRewriteError(ValueError):
    """
    The module has, or lacks, something that a rewrite needs; the message is one sentence.
    """
