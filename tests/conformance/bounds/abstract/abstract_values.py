"""
Values with a number that they can be, for tests.
"""

from __future__ import annotations

from hypothesis import strategies as st

from conformance.bounds.abstract.domain import Value, among, between

EDGES = {
    width: (0, 1, 2, 7, 8, 255, (1 << width - 1) - 1, 1 << width - 1, (1 << width) - 1)
    for width in (32, 64)
}


@st.composite
def numbers(draw: st.DrawFn, width: int) -> int:
    """
    Any bits, edges and small numbers often.
    """
    return draw(
        st.one_of(
            st.sampled_from(EDGES[width]),
            st.integers(0, 70),
            st.integers(0, (1 << width) - 1),
        )
    )


@st.composite
def valued(draw: st.DrawFn, width: int) -> tuple[Value, int]:
    """
    A value, and a number that it can be.
    """
    number = draw(numbers(width))
    shape = draw(st.sampled_from(("number", "set", "interval", "anything")))
    if shape == "number":
        return number, number
    if shape == "set":
        return among((number, *draw(st.lists(numbers(width), max_size=5)))), number
    if shape == "interval":
        other = draw(numbers(width))
        return between(min(number, other), max(number, other), width), number
    return None, number
