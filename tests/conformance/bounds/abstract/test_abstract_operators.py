"""
What operators give on values holds what they give on the numbers in them.
"""

from __future__ import annotations

from typing import Any

import pytest
from abstract_values import numbers, valued
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.bounds.abstract import operators
from conformance.bounds.abstract.domain import EITHER, Value, holds
from conformance.bounds.abstract.operators import NeverError, exact, transfer
from conformance.wasm.numerics.results import Exact, Trap
from conformance.wasm.numerics.scalar import OPERATORS, WIDTH_BITS

NAMES = sorted(OPERATORS)
INTEGERS = [
    name
    for name in NAMES
    if {*OPERATORS[name].parameters, OPERATORS[name].result} <= {"i32", "i64"}
]


@st.composite
def applied(draw: st.DrawFn, names: list[str]) -> tuple[str, list[tuple[Value, int]]]:
    name = draw(st.sampled_from(names))
    widths = [WIDTH_BITS[kind] for kind in OPERATORS[name].parameters]
    return name, [draw(valued(width)) for width in widths]


def escapes(name: str, operands: list[tuple[Value, int]]) -> bool:
    """
    Whether the result on the numbers is not in the result on the values.
    """
    result = OPERATORS[name].compute(*[number for _, number in operands])
    try:
        found = transfer(name)(*[value for value, _ in operands])
    except NeverError:
        return not isinstance(result, Trap)
    if isinstance(result, Exact):
        return not holds(found, result.bits)
    return found is not None and not isinstance(result, Trap)


@settings(derandomize=True, max_examples=500)
@given(applied(NAMES))
def test_results_on_values_hold_those_on_numbers(
    made: tuple[str, list[tuple[Value, int]]],
) -> None:
    name, operands = made
    assert not escapes(name, operands), f"{name} {operands}"


@settings(derandomize=True, max_examples=300)
@given(st.data())
def test_numbers_are_computed_as_the_specification_has_it(data: Any) -> None:
    name = data.draw(st.sampled_from(INTEGERS))
    operands = [data.draw(numbers(WIDTH_BITS[kind])) for kind in OPERATORS[name].parameters]
    wanted = OPERATORS[name].compute(*operands)
    if isinstance(wanted, Exact):
        assert exact(name)(*operands) == wanted.bits
    else:
        with pytest.raises(NeverError):
            exact(name)(*operands)


def test_a_wrong_transfer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    operands: list[tuple[Value, int]] = [((0, 5000), 5000), ((0, 5000), 5000)]
    assert not escapes("i32.add", operands)
    monkeypatch.setitem(operators._INTERVALS, "add", lambda a, b, c, d, _: (a + c, b + d - 1))
    assert escapes("i32.add", operands)


def test_floats_are_known_only_as_numbers_and_nans_never() -> None:
    one, nan = 0x3F800000, 0x7FC00000
    assert transfer("f32.add")(one, one) == 0x40000000
    assert transfer("f32.add")(one, None) is None
    assert transfer("f32.add")(one, nan) is None
    assert transfer("f32.lt")(one, None) == EITHER
    assert transfer("i32.reinterpret_f32")(None) is None


def test_intervals_stay_intervals_where_they_can() -> None:
    assert transfer("i32.add")((0, 5000), 1) == (1, 5001)
    assert transfer("i32.sub")((10, 5000), 10) == (0, 4990)
    assert transfer("i32.lt_u")((0, 5000), 5001) == 1
    assert transfer("i32.lt_s")((0x80000000, 0x80002000), 0) == 1
    assert transfer("i32.and")(None, 15) == (0, 15)
    assert transfer("i32.rem_u")(None, 10) == (0, 9)
    with pytest.raises(NeverError):
        transfer("i32.div_u")(None, 0)
