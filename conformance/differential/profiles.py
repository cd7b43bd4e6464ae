"""
NaN profiles: which NaN bits engines must give, and what "only NaN bits differ" means.

A profile is what engines must do, followed by a comparison of raw bits; only `free` lets NaN bits
differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from conformance.wasm.rewrite.nans import NanRewrite
from runners.records import Call, EngineId

NanProfile = Literal["exact", "canonical", "cosmwasm", "deterministic", "free"]
"""
`exact`: engines as they are. `canonical`: every NaN that arithmetic makes is the canonical one.
`cosmwasm`: canonical, but `f32.demote_f64` and `f64.promote_f32` let sign and payload through.
`deterministic`: the deterministic profile of Wasm 3.0 (canonical and positive). `free`: engines as
they are, and NaN bits may differ.
"""

PROFILES: Final[tuple[NanProfile, ...]] = get_args(NanProfile)
"""Every profile, in the order in which they are listed to users."""

_ALWAYS: Final = frozenset({"reference"})
"""Code-generator families that canonicalise whatever they are told."""

Rows = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Bits = NDArray[np.unsignedinteger[Any]]


class BadShapeError(ValueError):
    """
    A column lies outside its row, overlaps another, or has an unknown element type.
    """


class FloatFormat(Struct, frozen=True):
    """
    Where the parts of an IEEE-754 number lie; all masks are unsigned integers of its width.
    """

    width_bytes: int
    exponent: int
    mantissa: int
    quiet: int
    """Most significant bit of the mantissa: set in every NaN that arithmetic may give."""

    @property
    def sign(self) -> int:
        """
        Mask of the sign bit.
        """
        return 1 << (8 * self.width_bytes - 1)

    @property
    def canonical(self) -> int:
        """
        The positive canonical NaN.
        """
        return self.exponent | self.quiet


FORMATS: Final[dict[str, FloatFormat]] = {
    "f32": FloatFormat(4, 0x7F800000, 0x007FFFFF, 0x00400000),
    "f64": FloatFormat(8, 0x7FF0000000000000, 0x000FFFFFFFFFFFFF, 0x0008000000000000),
}
"""The two float types of WebAssembly (IEEE 754-2019, section 3.4)."""

WIDTHS: Final[dict[str, int]] = {"i32": 4, "i64": 8, "f32": 4, "f64": 8}
"""Bytes of one element, packed."""


class OutputShape(Struct, frozen=True):
    """
    What the bytes of an output row mean: floats may be carried as integers of their width.
    """

    columns: tuple[tuple[int, str, int], ...] = ()
    """(byte offset, element type, count): *count* packed elements; bytes in none are raw."""
    globals: tuple[str, ...] = ()
    """What each watched global means, 8 bytes each; empty: raw."""

    @property
    def floats(self) -> tuple[tuple[int, FloatFormat, int], ...]:
        """
        The columns of floats: (byte offset, format, count).
        """
        return tuple((at, FORMATS[dtype], n) for at, dtype, n in self.columns if dtype in FORMATS)

    @property
    def of_globals(self) -> OutputShape:
        """
        The shape of a row of globals.
        """
        return OutputShape(tuple((8 * i, dtype, 1) for i, dtype in enumerate(self.globals)))

    def check(self, row_bytes: int) -> None:
        """
        Raise BadShapeError unless the columns are disjoint and lie in a row of *row_bytes*.
        """
        end = 0
        for at, dtype, count in sorted(self.columns):
            if dtype not in WIDTHS:
                message = f"element type {dtype!r} is none of {', '.join(WIDTHS)}"
                raise BadShapeError(message)
            if at < end or count < 0 or at + count * WIDTHS[dtype] > row_bytes:
                message = (
                    f"column of {count} {dtype} at byte {at} overlaps another column or leaves "
                    f"its row of {row_bytes} bytes"
                )
                raise BadShapeError(message)
            end = at + count * WIDTHS[dtype]


def output_shape(call: Call, results: Sequence[str] | None = None, buffer: str = "") -> OutputShape:
    """
    Build the shape of *call*'s output row.

    *results*: what each of the entry's results means (default: its core type); *buffer*: element
    type of the output buffer (default: raw bytes). Raises BadShapeError when they do not fit the
    call.
    """
    meant = tuple(call.results if results is None else results)
    if len(meant) != len(call.results):
        message = f"{call.entry} has {len(call.results)} results, not {len(meant)}"
        raise BadShapeError(message)
    columns = [(8 * i, dtype, 1) for i, dtype in enumerate(meant) if dtype in WIDTHS]
    if call.output is not None and buffer:
        if buffer not in WIDTHS or call.output.size_bytes % WIDTHS[buffer]:
            message = f"an output buffer of {call.output.size_bytes} bytes holds no whole {buffer}"
            raise BadShapeError(message)
        columns.append((8 * len(meant), buffer, call.output.size_bytes // WIDTHS[buffer]))
    shape = OutputShape(tuple(columns))
    shape.check(call.output_bytes)
    return shape


def column_bits(rows: Rows, at: int, width: int, count: int) -> Bits:
    """
    Copy a column out of *rows* as unsigned integers, shape (rows, count).
    """
    # A copy always: a column as wide as its row is contiguous, and would be a view of the caller's.
    part = np.array(rows[:, at : at + width * count], order="C", copy=True)
    bits = part.view(f"<u{width}")
    return bits.reshape(len(rows), count)


def _replaced(rows: Rows, shape: OutputShape, *, nans: bool) -> Rows:
    """
    Copy *rows* with every NaN made canonical (*nans*), or else with the sign of zeros cleared.
    """
    copy = rows.copy()
    for at, form, count in shape.floats:
        bits = column_bits(rows, at, form.width_bytes, count)
        if nans:
            bits[(bits & form.exponent == form.exponent) & (bits & form.mantissa != 0)] = (
                form.canonical
            )
        else:
            bits[bits == form.sign] = 0
        copy[:, at : at + form.width_bytes * count] = bits.view(np.uint8).reshape(len(rows), -1)
    return copy


def with_canonical_nans(rows: Rows, shape: OutputShape) -> Rows:
    """
    Copy *rows* (shape (n, bytes)) with every NaN replaced by the positive canonical one.
    """
    return _replaced(rows, shape, nans=True)


def without_zero_signs(rows: Rows, shape: OutputShape) -> Rows:
    """
    Copy *rows* (shape (n, bytes)) with every negative zero replaced by zero.
    """
    return _replaced(rows, shape, nans=False)


def nan_bits_only(left: Rows, right: Rows, shape: OutputShape) -> Mask:
    """
    Tell, row by row, whether two nodes differ, and in nothing but the bits of NaNs.
    """
    same = (with_canonical_nans(left, shape) == with_canonical_nans(right, shape)).all(axis=1)
    return np.asarray((left != right).any(axis=1) & same, dtype=np.bool_)


def zero_signs_only(left: Rows, right: Rows, shape: OutputShape) -> Mask:
    """
    Tell, row by row, whether two nodes differ, and in nothing but the sign of zeros.
    """
    same = (without_zero_signs(left, shape) == without_zero_signs(right, shape)).all(axis=1)
    return np.asarray((left != right).any(axis=1) & same, dtype=np.bool_)


def unlawful_nans(rows: Sequence[Rows], seen: Mask, shape: OutputShape) -> Mask:
    """
    Tell which nodes show, where nodes differ, a NaN that arithmetic can never give.

    *rows*: one array of shape (n, bytes) per node; *seen*: shape (n, nodes). Arithmetic gives NaNs
    with the quiet bit set, of any sign (WebAssembly core specification, "NaN propagation");
    signalling NaNs are only moved, and a move has one answer. Shape of the result: that of *seen*.
    """
    unlawful = np.zeros(seen.shape, dtype=np.bool_)
    first = np.argmax(seen, axis=1)
    for at, form, count in shape.floats:
        columns: Bits = np.stack(
            [column_bits(r, at, form.width_bytes, count) for r in rows], axis=1
        )
        reference = columns[np.arange(len(first)), first]
        differs = (columns != reference[:, None, :]) & seen[:, :, None]
        varies = differs.any(axis=1)
        exponent = columns & form.exponent == form.exponent
        signalling = exponent & (columns & form.mantissa != 0) & (columns & form.quiet == 0)
        unlawful |= (signalling & varies[:, None, :]).any(axis=2)
    return unlawful & seen


class Asked(Struct, frozen=True):
    """
    The engine to ask under a profile, or the reason why it is not asked.
    """

    engine: EngineId | None
    reason: str = ""
    rewrite: NanRewrite | None = None
    """The canonicalising rewrite that the module gets for it; None: it runs as it is."""


def under_profile(
    engine: EngineId,
    generator: str,
    capabilities: Sequence[str],
    profile: NanProfile,
    *,
    converts: bool = True,
) -> Asked:
    """
    Choose how *engine* is asked under *profile*: as it is, in its own mode, or with a rewrite.

    *generator*: its code-generator family; the reference evaluator always canonicalises all.
    Singlepass is rewritten like the others, although it canonicalises by itself: it does so too
    late where a `neg` follows at once, and gives the other sign (`f32.neg (f32.div 0 0)`).
    *capabilities*: what it claims; `nan:canonical` means a full canonical mode. *converts*:
    whether the module demotes or promotes floats at all; if not, `canonical` and `cosmwasm` are
    one. An engine whose NaNs stay as they are runs the module rewritten; one that would make more
    of them canonical than the profile says is not asked.
    """
    if profile in {"exact", "free"}:
        return Asked(engine)
    mode = dict(engine.settings).get("nan")
    full = mode == "canonical" or (mode is None and "nan:canonical" in capabilities)
    if full and (profile != "cosmwasm" or not converts):
        settings = {**dict(engine.settings), "nan": "canonical"}
        return Asked(replace(engine, settings=tuple(sorted(settings.items()))))
    if profile == "cosmwasm" and (mode == "canonical" or generator in _ALWAYS):
        reason = "makes NaNs canonical in f32.demote_f64 and f64.promote_f32 too; cosmwasm does not"
        return Asked(None, f"{engine} {reason}: not asked under NaN profile {profile}")
    return Asked(engine, rewrite="cosmwasm" if profile == "cosmwasm" else "canonical")
