"""
Conditions under which an unknown call has a bound: tried, confirmed, and none where none helps.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from provable_modules import BYTES, HOST, MODELS, TWICE, Proving, module_of, proving

from conformance.bounds.assumed import narrowed
from conformance.bounds.bound import bound
from conformance.bounds.precondition import state_bare
from conformance.bounds.repairs import TRIES, Repair, find_repair

FUEL_ONLY = MODELS[:1]
# Steps of 2 up to n: for n = 2^32 - 1 the counter wraps and the loop never ends.
STEPS = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (param $unused i32) (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 2)))
      (br_if $again (i32.le_u (local.get $i) (local.get $n))))))"""
# Two loops, each up to an argument of its own.
BOTH = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (param $m i32) (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 2)))
      (br_if $again (i32.le_u (local.get $i) (local.get $n))))
    (local.set $i (i32.const 0))
    (loop $more
      (local.set $i (i32.add (local.get $i) (i32.const 2)))
      (br_if $more (i32.le_u (local.get $i) (local.get $m))))))"""


@pytest.fixture(scope="module")
def prove() -> Iterator[Proving]:
    with proving() as found:
        yield found


def repaired(prove: Proving, text: str) -> Repair | None:
    module = module_of(text)
    stated = state_bare(module, "infer")
    report = bound(module, stated.precondition, stated.inputs, FUEL_ONLY, prove.engine)
    assert all(answer.bound is None for answer in report.gas)
    return find_repair(module, stated, FUEL_ONLY, prove.engine, report)


def turns(most: int) -> int:
    """
    Fuel of STEPS with n = *most*: 1 for the call, 8 a turn.
    """
    return 1 + 8 * (most // 2 + 1)


@pytest.mark.engines
def test_the_argument_that_matters_is_limited_and_no_other(prove: Proving) -> None:
    repair = repaired(prove, STEPS)
    assert repair is not None
    assert repair.conditions == ("arg0<=2147483647",)
    assert repair.words == ("argument 0 is at most 2,147,483,647",)
    assert repair.options == "--assume 'arg0<=2147483647'"
    assert repair.domains == ((0, 0, (1 << 31) - 1),)
    assert repair.tries <= TRIES
    found = repair.gas[0].bound
    assert found is not None
    assert found.lo == turns(0)
    assert found.hi >= turns((1 << 31) - 1)
    # What the option states has the bound that was told.
    module = module_of(STEPS)
    stated = narrowed(state_bare(module, "infer"), module, repair.conditions)
    again = bound(module, stated.precondition, stated.inputs[:1], FUEL_ONLY, prove.engine)
    assert [answer.bound for answer in again.gas] == [answer.bound for answer in repair.gas]


@pytest.mark.engines
def test_both_arguments_where_both_matter(prove: Proving) -> None:
    repair = repaired(prove, BOTH)
    assert repair is not None
    assert {place for place, _, _ in repair.domains} == {0, 1}


@pytest.mark.engines
@pytest.mark.parametrize("text", [TWICE, HOST], ids=["recursion doubles", "host has no contract"])
def test_nothing_is_told_where_no_condition_on_the_call_helps(prove: Proving, text: str) -> None:
    assert repaired(prove, text) is None


@pytest.mark.engines
def test_a_stop_ends_the_search(prove: Proving) -> None:
    module = module_of(STEPS)
    stated = state_bare(module, "infer")
    report = bound(module, stated.precondition, stated.inputs, FUEL_ONLY, prove.engine)
    assert find_repair(module, stated, FUEL_ONLY, prove.engine, report, stop=lambda: True) is None


@pytest.mark.engines
def test_a_call_that_has_a_bound_needs_no_repair(prove: Proving) -> None:
    module = module_of(BYTES.replace("(i32.load8_u (local.get $i))", "(i32.const 0)"))
    stated = state_bare(module, "infer")
    report = bound(module, stated.precondition, stated.inputs, FUEL_ONLY, prove.engine)
    assert report.certificate is not None
    assert find_repair(module, stated, FUEL_ONLY, prove.engine, report) is None
