"""
Hypothesis strategies of the inputs that a manifest allows, as bits.
"""

from __future__ import annotations

from hypothesis import strategies as st

from conformance.differential.edges import edge_values
from conformance.manifest.calls import input_columns, scalar_call
from conformance.manifest.domains import all_ones, bits_at, interval
from conformance.manifest.records import Domain, Manifest
from runners.bits import WIDTH_BYTES

EXPONENTS = {"f32": 0x7F80_0000, "f64": 0x7FF0_0000_0000_0000}


def bits(dtype: str, domain: Domain | None = None) -> st.SearchStrategy[int]:
    """
    Bit patterns of *dtype* that *domain* allows: every one if it is left out.

    Edges of the type and of the domain come often; others are uniform over bit patterns. Shrinks
    towards zero, or towards the domain's value nearest to it. NaNs and infinities are drawn only
    where the domain says that they are legal.
    """
    edges = edge_values(dtype, domain)
    if domain is None:
        plain = st.integers(0, all_ones(dtype))
        return st.one_of(plain, st.sampled_from(edges))
    first, last = interval(dtype, domain)
    zero = _place_of_zero(dtype)
    towards = min(max(zero, first), last)
    plain = st.one_of(
        *_sides(dtype, first, last, towards),
    )
    choices = [plain, st.sampled_from(edges)]
    if domain.special and dtype in EXPONENTS:
        choices.append(_specials(dtype))
    return st.one_of(*choices)


def rows(manifest: Manifest, entry: str | None = None) -> st.SearchStrategy[bytes]:
    """
    Input rows of *entry* (default: the manifest's) as `runners.records.Call` lays them out.
    """
    name = entry or manifest.run.entry
    if name is None:
        message = "the manifest has no entry of its own: name one of its calls"
        raise ValueError(message)
    columns = input_columns(manifest, name)
    scalars = name != manifest.run.entry
    domains: tuple[Domain | None, ...]
    if scalars:
        domains = scalar_call(manifest, name).domains or (None,) * len(columns)
    else:
        tensor = manifest.run.input
        domains = (None if tensor is None else tensor.domain,)
    parts = [
        _column(dtype, domain, count, 8 if scalars else WIDTH_BYTES[dtype])
        for (_, dtype, count), domain in zip(columns, domains, strict=True)
    ]
    return st.tuples(*parts).map(b"".join)


def _column(dtype: str, domain: Domain | None, count: int, width: int) -> st.SearchStrategy[bytes]:
    values = st.lists(bits(dtype, domain), min_size=count, max_size=count)
    return values.map(lambda found: b"".join(one.to_bytes(width, "little") for one in found))


def _place_of_zero(dtype: str) -> int:
    """
    Where +0 stands in the order of values.
    """
    return (all_ones(dtype) >> 1) + 1


def _sides(dtype: str, first: int, last: int, towards: int) -> list[st.SearchStrategy[int]]:
    """
    Values from *towards* upwards, and downwards, each shrinking to it.
    """
    up = st.integers(0, last - towards).map(lambda far: bits_at(dtype, towards + far))
    down = st.integers(0, towards - first).map(lambda far: bits_at(dtype, towards - far))
    return [up, down]


def _specials(dtype: str) -> st.SearchStrategy[int]:
    """
    Infinities and NaNs of any sign and payload.
    """
    exponent = EXPONENTS[dtype]
    below = exponent & -exponent
    sign = all_ones(dtype) ^ (all_ones(dtype) >> 1)
    return st.builds(
        lambda negative, payload: exponent | payload | (sign if negative else 0),
        st.booleans(),
        st.integers(0, below - 1),
    )
