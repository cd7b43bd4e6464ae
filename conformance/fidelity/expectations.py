"""
Expected outcomes of scalar calls, read from a file and compared with what a node did.

The file is JSON: `{"schema": 1, "calls": {ENTRY: [OUTCOME, ...]}, "results": {ENTRY: TYPE}}`. The
outcomes stand in the order of the product of the entry's edge values, the first operand slowest;
each is hexadecimal digits, `nan:canonical`, `nan:arithmetic` or `trap:KIND`. TYPE is what the
result means (`f64`), though it travels as an integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import numpy as np
from msgspec import Struct

from conformance.fidelity.results import BadResultTextError, format_result, parse_result
from conformance.wasm.numerics.results import AnyNan, Exact, Result, Trap
from runners.status import TRAPS, Status, same_kind

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from runners.records import TrapKind

NumberType = Literal["i32", "i64", "f32", "f64"]

Difference = Literal["value", "sign-of-zero", "nan-bits", "trap"]
"""
`sign-of-zero`: one zero for the other. `nan-bits`: a NaN, but not an expected one. `trap`: trapped
instead of returning, returned instead of trapping, or trapped for another reason. Else `value`.
"""

ROW_BYTES: Final = 8
"""An output row is one scalar result, little-endian, zero-extended."""

_EXACT, _CANONICAL, _ARITHMETIC, _TRAP = range(4)

_WIDTH_BITS: Final = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}
_SIGN: Final = {"f32": 1 << 31, "f64": 1 << 63}
_INFINITY: Final = {"f32": 0x7F800000, "f64": 0x7FF0000000000000}
_QUIET: Final = {"f32": 0x7FC00000, "f64": 0x7FF8000000000000}
"""Bits of the positive canonical NaN; an arithmetic NaN has them all set."""

_STATUS_OF_TRAP: Final[dict[TrapKind, Status]] = {
    "unreachable": Status.TRAP_UNREACHABLE,
    "memory out of bounds": Status.TRAP_MEMORY_OUT_OF_BOUNDS,
    "integer divide by zero": Status.TRAP_INTEGER_DIVIDE_BY_ZERO,
    "integer overflow": Status.TRAP_INTEGER_OVERFLOW,
    "invalid conversion to integer": Status.TRAP_INVALID_CONVERSION_TO_INTEGER,
    "indirect call to null": Status.TRAP_INDIRECT_CALL_TO_NULL,
    "table out of bounds": Status.TRAP_TABLE_OUT_OF_BOUNDS,
    "indirect call type mismatch": Status.TRAP_INDIRECT_CALL_TYPE_MISMATCH,
    "undefined element": Status.TRAP_UNDEFINED_ELEMENT,
    "host error": Status.TRAP_HOST,
    "unknown": Status.TRAP_UNKNOWN,
}


class BadExpectationsError(ValueError):
    """
    A file of expected outcomes cannot be used, or was asked for what it does not hold.
    """


class Mismatch(Struct, frozen=True, kw_only=True):
    """
    One case that a node did not answer as the specification demands.
    """

    entry: str
    index: int
    """Place in the product of the entry's edge values."""
    position: int
    """Place in the arrays that were compared."""
    expected: Result
    status: Status
    bits: int
    """Result bits that came back; 0 unless the call returned."""
    difference: Difference

    def sentence(self, result: NumberType) -> str:
        """
        Say what was expected and what came, as bits of the meant type *result*.
        """
        width = _WIDTH_BITS[result]
        came = (
            format_result(Exact(self.bits), width)
            if self.status is Status.RETURNED
            else self.status.name.lower().replace("_", " ")
        )
        return f"{self.entry} #{self.index}: expected {format_result(self.expected, width)}, {came}"


@dataclass(frozen=True, slots=True)
class _Column:
    """
    The outcomes of one entry, as arrays of one length.
    """

    result: NumberType
    kinds: NDArray[np.uint8]
    bits: NDArray[np.uint64]
    statuses: NDArray[np.uint8]
    """Status of the expected trap; `RETURNED` in all other rows."""
    texts: tuple[str, ...]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    calls: dict[str, list[str]]
    results: dict[str, NumberType]


def _compatible_statuses() -> NDArray[np.bool_]:
    """
    For each expected trap and each status byte: whether the two are the same kind.
    """
    table = np.zeros((256, 256), dtype=np.bool_)
    for expected in TRAPS:
        for seen in Status:
            table[expected, seen] = same_kind(expected, seen)
    return table


_COMPATIBLE: Final = _compatible_statuses()
_JUDGED: Final = np.isin(np.arange(256), [Status.RETURNED, *sorted(TRAPS)])


def judged(status: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """
    Which rows can be held against an expectation: those that returned or trapped.

    A node that met a limit, refused the module, broke or was not reached abstains.
    """
    return np.asarray(_JUDGED[status], dtype=np.bool_)


def _column(entry: str, result: NumberType, texts: list[str]) -> _Column:
    width = _WIDTH_BITS[result]
    kinds = np.zeros(len(texts), dtype=np.uint8)
    bits = np.zeros(len(texts), dtype=np.uint64)
    statuses = np.full(len(texts), Status.RETURNED, dtype=np.uint8)
    for index, text in enumerate(texts):
        try:
            outcome = parse_result(text, width)
        except BadResultTextError as error:
            message = f"{entry} #{index}: {error}"
            raise BadExpectationsError(message) from error
        match outcome:
            case Exact(value):
                bits[index] = value
            case AnyNan(kind):
                if result not in _QUIET:
                    message = f"{entry} #{index}: {text} cannot be the outcome of type {result}"
                    raise BadExpectationsError(message)
                kinds[index] = _CANONICAL if kind == "canonical" else _ARITHMETIC
            case Trap(trap):
                kinds[index] = _TRAP
                statuses[index] = _STATUS_OF_TRAP[trap]
    return _Column(result, kinds, bits, statuses, tuple(texts))


@dataclass(frozen=True, slots=True)
class Expectations:
    """
    Expected outcomes of a module's entries.
    """

    columns: dict[str, _Column]

    @classmethod
    def load(cls, path: Path) -> Expectations:
        """
        Read a file of expected outcomes; raises BadExpectationsError, naming file and reason.
        """
        try:
            return cls.decode(path.read_bytes())
        except OSError as error:
            message = f"{path}: cannot be read: {error.strerror or error}"
            raise BadExpectationsError(message) from error
        except BadExpectationsError as error:
            message = f"{path}: {error}"
            raise BadExpectationsError(message) from error

    @classmethod
    def decode(cls, data: bytes) -> Expectations:
        """
        Read the bytes of such a file; raises BadExpectationsError.
        """
        try:
            file = msgspec.json.decode(data, type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"no file of expected outcomes: {error}"
            raise BadExpectationsError(message) from error
        unpaired = sorted(file.calls.keys() ^ file.results.keys())
        if unpaired:
            message = f"{unpaired[0]!r} must stand in both `calls` and `results`"
            raise BadExpectationsError(message)
        return cls(
            {entry: _column(entry, file.results[entry], file.calls[entry]) for entry in file.calls}
        )

    @property
    def entries(self) -> tuple[str, ...]:
        """
        Names of the entries, in the order of the file.
        """
        return tuple(self.columns)

    def count(self, entry: str) -> int:
        """
        Count the cases of an entry.
        """
        return len(self._column_of(entry).texts)

    def result(self, entry: str) -> NumberType:
        """
        Tell what the result of an entry means.
        """
        return self._column_of(entry).result

    def row(self, entry: str, index: int) -> Result:
        """
        Tell what case *index* of an entry must give; raises BadExpectationsError if there is none.
        """
        column = self._column_of(entry)
        if not 0 <= index < len(column.texts):
            message = f"{entry} has {len(column.texts)} expected outcomes, there is no #{index}"
            raise BadExpectationsError(message)
        return parse_result(column.texts[index], _WIDTH_BITS[column.result])

    def mismatches(
        self,
        entry: str,
        indices: NDArray[np.integer],
        status: NDArray[np.uint8],
        outputs: NDArray[np.uint8],
    ) -> list[Mismatch]:
        """
        Name the judged rows that are not within expectation, in the order of the arrays.

        *indices*, *status*: shape (n,), the case and the status byte of each row. *outputs*: shape
        (n, 8), the result, little-endian and zero-extended. Bits beyond the meant type's width
        count as a difference. Raises BadExpectationsError for other shapes or unknown cases.
        """
        column = self._column_of(entry)
        rows = len(indices)
        if status.shape != (rows,) or outputs.shape != (rows, ROW_BYTES):
            message = (
                f"{entry}: {rows} cases need {rows} status bytes and {rows} rows of {ROW_BYTES} "
                f"bytes, not shapes {status.shape} and {outputs.shape}"
            )
            raise BadExpectationsError(message)
        if rows and (int(indices.min()) < 0 or int(indices.max()) >= len(column.texts)):
            message = f"{entry} has {len(column.texts)} expected outcomes, some index is beyond"
            raise BadExpectationsError(message)
        bits = np.ascontiguousarray(outputs).view("<u8").reshape(rows)
        wrong = judged(status) & ~_within(column, indices, status, bits)
        found: list[Mismatch] = []
        for position in np.flatnonzero(wrong).tolist():
            expected = self.row(entry, int(indices[position]))
            seen, came = Status(int(status[position])), int(bits[position])
            mismatch = Mismatch(
                entry=entry,
                index=int(indices[position]),
                position=position,
                expected=expected,
                status=seen,
                bits=came,
                difference=_difference(column.result, expected, seen, came),
            )
            found.append(mismatch)
        return found

    def _column_of(self, entry: str) -> _Column:
        column = self.columns.get(entry)
        if column is None:
            message = f"there are no expected outcomes of entry {entry!r}"
            raise BadExpectationsError(message)
        return column


def _within(
    column: _Column,
    indices: NDArray[np.integer],
    status: NDArray[np.uint8],
    bits: NDArray[np.uint64],
) -> NDArray[np.bool_]:
    """
    Shape (n,): whether each row is one of the outcomes that the specification allows.
    """
    kinds = column.kinds[indices]
    within = (kinds == _EXACT) & (bits == column.bits[indices])
    if column.result in _QUIET:
        quiet = np.uint64(_QUIET[column.result])
        unsigned = bits & ~np.uint64(_SIGN[column.result])
        narrow = bits <= np.uint64((1 << _WIDTH_BITS[column.result]) - 1)
        within |= (kinds == _CANONICAL) & (unsigned == quiet)
        within |= (kinds == _ARITHMETIC) & ((bits & quiet) == quiet) & narrow
    within &= status == Status.RETURNED
    within |= (kinds == _TRAP) & _COMPATIBLE[column.statuses[indices], status]
    return np.asarray(within, dtype=np.bool_)


def _is_nan(result: NumberType, bits: int) -> bool:
    if result not in _QUIET or bits >> _WIDTH_BITS[result]:
        return False
    return bits & ~_SIGN[result] > _INFINITY[result]


def _difference(result: NumberType, expected: Result, status: Status, bits: int) -> Difference:
    """
    Say in which way an outcome that is not within expectation differs from it.
    """
    match expected:
        case Trap():
            return "trap"
        case _ if status is not Status.RETURNED:
            return "trap"
        case AnyNan():
            return "nan-bits" if _is_nan(result, bits) else "value"
        case Exact(meant):
            if result in _SIGN and {meant, bits} == {0, _SIGN[result]}:
                return "sign-of-zero"
            both = _is_nan(result, meant) and _is_nan(result, bits)
            return "nan-bits" if both else "value"
