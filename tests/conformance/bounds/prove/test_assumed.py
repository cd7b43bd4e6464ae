"""
Conditions on arguments: short ones, formulas, and what is neither.
"""

from __future__ import annotations

import pytest
from provable_modules import module_of

from conformance.bounds.assumed import formula_of, narrowed
from conformance.bounds.certificate import Range
from conformance.bounds.precondition import CannotStateError, state_bare

TWO = module_of("""(module (func (export "infer") (param i32 i64 i32)))""")
WIDTHS = [32, 64, 32]


@pytest.mark.parametrize(
    ("condition", "formula"),
    [
        ("arg0<=48", "(ule (param 0) (i32 48))"),
        ("arg1 > 0x10", "(ugt (param 1) (i64 16))"),
        ("arg0 == arg2", "(eq (param 0) (param 2))"),
        ("arg2<arg0", "(ult (param 2) (param 0))"),
        ("arg2>=1", "(uge (param 2) (i32 1))"),
        (" (ule (param 0) (i32 5)) ", "(ule (param 0) (i32 5))"),
    ],
)
def test_formulas_of_conditions(condition: str, formula: str) -> None:
    assert formula_of(condition, WIDTHS) == formula
    stated = narrowed(state_bare(TWO, "infer"), TWO, [condition])
    assert stated.precondition.assume == (formula,)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("n<=48", "is no condition such as"),
        ("arg0<=-1", "is no condition such as"),
        ("arg3<=1", "takes 3 arguments, counted from 0"),
        ("arg0<=arg1", "compares arguments of 32 and 64 bits"),
        ("arg0<=4294967296", "more than the 32 bits"),
        ("(ule (param 0)", "is no formula over the arguments"),
        ("(ule (local 0) (i32 1))", "is no formula over the arguments"),
        ("(load 4 (param 0))", "is no formula over the arguments"),
        ("(param 0)", "is no formula over the arguments"),
    ],
)
def test_what_is_no_condition(condition: str, sentence: str) -> None:
    with pytest.raises(CannotStateError, match=r"^[^\n]+$") as caught:
        narrowed(state_bare(TWO, "infer"), TWO, [condition])
    assert sentence in str(caught.value)


def test_inputs_are_moved_to_where_they_meet_the_conditions() -> None:
    ranges = (Range(0, 100), Range(5, 5), Range(0, 100))
    stated = narrowed(state_bare(TWO, "infer", ranges), TWO, ["arg0<=48", "arg2>=7", "arg0<=arg2"])
    assert stated.inputs
    for given in stated.inputs:
        assert given.arguments[0] <= 48
        assert given.arguments[2] >= 7
        assert given.arguments[0] <= given.arguments[2]
    assert max(given.arguments[0] for given in stated.inputs) == 48


def test_a_condition_that_no_call_meets_leaves_no_input() -> None:
    stated = narrowed(state_bare(TWO, "infer", (Range(0, 3), Range(0, 0), Range(0, 0))), TWO,
                      ["arg0>=9"])  # fmt: skip
    assert stated.inputs == ()


def test_wide_arguments_are_also_run_at_the_end_that_a_condition_sets() -> None:
    stated = narrowed(state_bare(TWO, "infer"), TWO, ["arg0<=48"])
    assert {given.arguments[0] for given in stated.inputs} == {0, 48}
