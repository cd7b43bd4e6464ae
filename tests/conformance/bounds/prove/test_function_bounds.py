"""
Functions that can be bounded by themselves: what a stop or an unknown call leaves, and no lie.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from provable_modules import CALLS, FUEL, MODELS, UP_TO, Proving, module_of, proving

from conformance.bounds.bound import BoundReport, Budget, bound
from conformance.bounds.certificate import Bytes, Cut, Input, Precondition, Range, Summary
from conformance.bounds.parts import FunctionBound, function_bounds, needed
from conformance.bounds.prove.prover import Prover

# `clamp` has no loop, `count` goes round 40 times when it is called so, `bytes` reads its input.
MIXED = """(module (memory (export "memory") 1)
  (func $clamp (param $x i32) (result i32)
    (select (local.get $x) (i32.const 9) (i32.lt_u (local.get $x) (i32.const 9))))
  (func $count (param $n i32)
    (loop $again
      (drop (call $clamp (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func $bytes (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.load8_u (local.get $i)))))
  (func (export "infer") (param $n i32)
    (call $count (i32.const 40))
    (call $bytes)))"""
# Fuel: 1 for the call; clamp: 6 instructions; count: 7 a turn and clamp's 7.
CLAMP, COUNT = 7, 1 + 40 * (7 + 7)
CALLING = module_of(CALLS)


@pytest.fixture(scope="module")
def prove() -> Iterator[Proving]:
    with proving() as found:
        yield found


def asked(prove: Proving, text: str, most: int | None, high: int = 100) -> BoundReport:
    """
    The answer when *most* questions may be put; None: as many as are wanted.
    """
    questions = 0

    def stop() -> bool:
        nonlocal questions
        questions += 1
        return most is not None and questions > most

    module = module_of(text)
    takes = len(module.function_type(module.exports[-1].index).parameters)
    given = Precondition("infer", (Range(1, high),) * takes, unknown=(Bytes(0, 65536),))
    return bound(
        module, given, (Input((1,) * takes),), MODELS, prove.engine,
        guided=False, parts=True, budget=Budget(stop=stop),
    )  # fmt: skip


def fuels(parts: tuple[FunctionBound, ...]) -> dict[int, tuple[int, int]]:
    assert all(part.costs[0].model == FUEL for part in parts)
    return {part.function: (part.costs[0].lo, part.costs[0].hi) for part in parts}


@pytest.mark.engines
def test_an_unknown_call_leaves_functions_that_are_bounded(prove: Proving) -> None:
    report = asked(prove, MIXED, None)
    assert {answer.kind for answer in report.gas} == {"unknown"}
    assert [o.reason for o in report.obstacles] == ["exit depends on input bytes"]
    found = fuels(report.parts)
    assert found[0] == (CLAMP, CLAMP)
    low, high = found[1]
    assert low <= COUNT <= high
    assert set(found) == {0, 1}
    # A call of `count` with another argument is not what was proved, and the answer says so.
    assert needed(report.parts[1])
    assert not needed(report.parts[0])


@pytest.mark.engines
def test_a_stop_leaves_what_needs_no_question(prove: Proving) -> None:
    report = asked(prove, MIXED, 0)
    assert [o.reason for o in report.obstacles] == ["stopped"]
    assert fuels(report.parts) == {0: (CLAMP, CLAMP)}
    assert report.questions == 0


@pytest.mark.engines
def test_a_stop_behind_the_last_rank_still_bounds_the_call(prove: Proving) -> None:
    whole = asked(prove, UP_TO, None)
    assert whole.certificate is not None
    # The fewest questions with which there is a bound: what follows only makes it shorter.
    stopped = [asked(prove, UP_TO, count) for count in range(1, whole.questions)]
    early = next(report for report in stopped if report.certificate is not None)
    assert early.gas[0].bound == whole.gas[0].bound
    assert early.certificate is not None
    held = [sum(len(c.holds) for c in r.summaries[0].cuts)
            for r in (early.certificate, whole.certificate)]  # fmt: skip
    assert held[0] >= held[1]


def told() -> tuple[Summary, Summary]:
    """
    Summaries of the caller and of the leaf that it calls, as the prover writes them.
    """
    prover = Prover(CALLING, Precondition("infer", ()), MODELS, (), guided=False)
    attempt = prover.run()
    assert attempt.certificate is not None
    by_function = {summary.function: summary for summary in attempt.certificate.summaries}
    return by_function[1], by_function[0]


def bounded(*found: Summary) -> set[int]:
    return {part.function for part in function_bounds(CALLING, found, MODELS)}


def cheaper(summary: Summary) -> Summary:
    return replace(summary, costs=tuple(replace(c, hi=c.hi - 1) for c in summary.costs))


def test_a_lie_about_one_function_takes_its_callers_with_it() -> None:
    caller, leaf = told()
    assert bounded(caller, leaf) == {0, 1}
    assert bounded(caller, cheaper(leaf)) == set()
    # What the callee requires is not given by the caller's code any more.
    stricter = (Cut(-1, ("(ule (param 0) (i32 6))",)), *(c for c in leaf.cuts if c.at != -1))
    assert 1 not in bounded(caller, replace(leaf, cuts=stricter))


def test_a_caller_that_lies_leaves_its_callee() -> None:
    caller, leaf = told()
    assert bounded(cheaper(caller), leaf) == {0}


def test_what_an_equation_fixes_is_not_said_again() -> None:
    fixed = "(eq (param 0) (i32 40))"
    part = FunctionBound(0, ("(ule (param 0) (i32 63))", fixed, "(ult (param 0) (param 1))"), ())
    assert needed(part) == (fixed, "(ult (param 0) (param 1))")
