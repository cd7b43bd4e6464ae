"""
Input rows for scenarios: legal values without any pattern, so that each is known again as bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from conformance.differential.draws import reals, stream, words
from conformance.manifest.calls import input_columns, scalar_call
from conformance.manifest.domains import widest
from conformance.manifest.records import Domain, DType, Manifest
from runners.bits import WIDTH_BYTES

_SLOT_BYTES: Final = 8


def draw_row(manifest: Manifest, entry: str, seed: int, purpose: str) -> bytes:
    """
    An input row of *entry*, uniform over the numbers of its domains.

    Without a domain any finite number is drawn. One seed and purpose, one row; another purpose,
    another row.
    """
    columns = input_columns(manifest, entry)
    slots = entry != manifest.run.entry
    row = b""
    for place, (_, dtype, count) in enumerate(columns):
        domain = _domain(manifest, entry, place) or widest(_named(dtype), special=False)
        raw = words(stream(seed, "attack", purpose, entry, str(place)), count)
        width = _SLOT_BYTES if slots else WIDTH_BYTES[dtype]
        row += reals(dtype, domain, raw).astype(f"<u{width}").tobytes()
    return row


def _named(dtype: str) -> DType:
    return dtype  # type: ignore[return-value]  # columns of a manifest have no other types


def _domain(manifest: Manifest, entry: str, place: int) -> Domain | None:
    """
    The domain of a parameter, or of the input buffer.
    """
    if entry == manifest.run.entry:
        return None if manifest.run.input is None else manifest.run.input.domain
    domains = scalar_call(manifest, entry).domains
    return domains[place] if domains else None


def spread_evenly(count: int, most: int) -> list[int]:
    """
    At most *most* places out of *count*, the first one always among them, evenly apart.
    """
    return sorted({int(at) for at in np.linspace(0, count - 1, min(count, most))})
