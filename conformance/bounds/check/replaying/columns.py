"""
Formulas of a certificate on many replayed rows at once: numpy in place of the solver's terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from conformance.bounds.expressions import Expression, apply_integers, interpret

Column = Any
"""Shape (rows,): uint64 for at most 64 bits, Python integers for more."""
_WORD: Final = 64


def _signed(values: Column, width: int) -> Column:
    sign = np.uint64(1 << (width - 1))
    return ((values ^ sign) - sign).view(np.int64)


_FAST: Final[dict[str, Callable[[Column, Column, int], Column]]] = {
    "add": lambda a, b, _: a + b,
    "sub": lambda a, b, _: a - b,
    "mul": lambda a, b, _: a * b,
    "and": lambda a, b, _: a & b,
    "or": lambda a, b, _: a | b,
    "xor": lambda a, b, _: a ^ b,
    "eq": lambda a, b, _: a == b,
    "ne": lambda a, b, _: a != b,
    "ult": lambda a, b, _: a < b,
    "ule": lambda a, b, _: a <= b,
    "ugt": lambda a, b, _: a > b,
    "uge": lambda a, b, _: a >= b,
    "slt": lambda a, b, width: _signed(a, width) < _signed(b, width),
    "sle": lambda a, b, width: _signed(a, width) <= _signed(b, width),
    "sgt": lambda a, b, width: _signed(a, width) > _signed(b, width),
    "sge": lambda a, b, width: _signed(a, width) >= _signed(b, width),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """
    Rows of one cut; a variable that no row shows is not there.
    """

    count: int
    values: Mapping[str, Mapping[int, Column]]
    known: Callable[[int, int], int | None]
    """Address and size -> constant bytes of memory; None where nobody knows."""
    tables: Mapping[str, tuple[int, Sequence[int]]]
    shown: Sequence[tuple[int, Column, Column]] = ()
    """Memory that rows show: bytes, addresses, contents."""

    def formula(self, expression: Expression) -> Column:
        """
        Shape (rows,): whether it holds. LookupError where rows do not show what it asks for.
        """
        return np.asarray(interpret(expression, self)) != 0

    def variable(self, kind: str, index: int, width: int) -> Column:
        """
        The column of a variable.
        """
        del width
        return self.values[kind][index]

    def load(self, width: int, address: Column) -> Column:
        """
        Cells that the rows show, constants in memory; LookupError elsewhere.
        """
        for size, addresses, contents in self.shown:
            if 8 * size == width and (addresses == address).all():
                return contents
        found = [self.known(int(at), width // 8) for at in address]
        if any(value is None for value in found):
            message = "rows do not show memory"
            raise LookupError(message)
        return np.array(found, np.uint64)

    def table(self, name: str, width: int, index: Column, index_width: int) -> Column:
        """
        Entries of a table, 0 beyond the end.
        """
        del width, index_width
        entries = np.array([*self.tables[name][1], 0], np.uint64)
        places = np.minimum(index, np.uint64(len(entries) - 1)).astype(np.int64)
        return entries[places]

    def constant(self, width: int, value: int) -> Column:
        """
        One number in every row.
        """
        if width > _WORD:
            return np.full(self.count, value, object)
        return np.full(self.count, value, np.uint64)

    def apply(  # noqa: PLR0911 - one return for each kind of operator
        self, operator: str, numbers: tuple[int, ...], width: int, operands: Sequence[Column],
        widths: Sequence[int],
    ) -> Column:  # fmt: skip
        """
        An operator, row by row where numpy has no word for it.
        """
        if operator in ("all", "any"):
            start = np.full(self.count, operator == "all")
            join = np.logical_and if operator == "all" else np.logical_or
            for operand in operands:
                start = join(start, operand != 0)
            return start
        if operator == "no":
            return operands[0] == 0
        if operator == "ite":
            return np.where(operands[0] != 0, operands[1], operands[2])
        narrow = max(width, *widths) <= _WORD
        if narrow and operator in _FAST:
            with np.errstate(over="ignore"):
                found = _FAST[operator](operands[0], operands[1], widths[0])
            return found & np.uint64((1 << width) - 1) if width else found
        if narrow and operator == "zext":
            return operands[0]
        if narrow and operator == "extract":
            return operands[0] >> np.uint64(numbers[1]) & np.uint64((1 << width) - 1)
        rows = [
            apply_integers(operator, numbers, width, [int(value) for value in row], widths)
            for row in zip(*operands, strict=True)
        ]
        return np.array(rows, object if width > _WORD else np.uint64)
