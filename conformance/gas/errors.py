"""
What can be wrong with a question about gas.
"""

from __future__ import annotations


class UnknownGasModelError(ValueError):
    """
    No gas model has this id.
    """


class BadGasModelError(ValueError):
    """
    The catalogue of gas models contradicts itself.
    """


class RefusedOperatorError(ValueError):
    """
    A meter does not accept an operator of the module, so there is nothing to bill.
    """

    def __init__(self, model: str, operator: str, function: str, offset: int, why: str) -> None:
        """
        Keep the parts of the sentence.
        """
        super().__init__(
            f"{model} refuses {operator} in {function} (byte {offset}, {offset:#x}): {why}"
        )
        self.model = model
        self.operator = operator
        self.function = function
        self.offset = offset
        self.why = why
