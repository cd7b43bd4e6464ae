"""
Measured calls beside a bound: within it they are a picture, outside of it they are a finding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path

import pytest
import wasmtime
from msgspec.structs import replace

from conformance.bounds.certificate import Bound
from conformance.bounds.precondition import Stated
from weavegate.bound_drawn import drawn_inputs, measured
from weavegate.bound_job import Asked, BoundDone, prove_bound
from weavegate.bound_output import bound_json
from weavegate.bound_page import bound_view
from weavegate.exits import Exit

FUEL = "wasmtime-fuel@50.0.1"
UP_TO = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (local $i i32)
    (loop $again
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                              (local.get $n))))))"""
DIVIDES = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (drop (i32.div_u (i32.const 9) (local.get $n)))))"""


def quiet(part: str) -> None:
    del part


@pytest.fixture
def proved(tmp_path: Path) -> Callable[[str, str], BoundDone]:
    def prove(text: str, argument: str) -> BoundDone:
        path = tmp_path / "m.wasm"
        path.write_bytes(bytes(wasmtime.wat2wasm(text)))
        return prove_bound(Asked(path, entry="infer", arguments=(argument,), models=(FUEL,),
                                 drawn=True), quiet)  # fmt: skip

    return prove


@pytest.mark.engines
def test_drawn_calls_lie_within_the_bound(proved: Callable[[str, str], BoundDone]) -> None:
    done = proved(UP_TO, "1..48")
    (drawn,) = done.drawn
    assert (drawn.outside, drawn.trapped) == (0, 0)
    assert len(set(drawn.gas)) > 20
    # 1 for the call, 7 each time round.
    assert {(gas - 1) % 7 for gas in drawn.gas} == {0}
    assert (min(drawn.gas), max(drawn.gas)) == (8, 337)
    assert done.exit_code == Exit.PASS
    assert bound_view(done).gas[0].ratio == "1.0000"


@pytest.mark.engines
def test_calls_that_trap_are_counted_apart(proved: Callable[[str, str], BoundDone]) -> None:
    (drawn,) = proved(DIVIDES, "0..3").drawn
    assert drawn.trapped == 1
    # 1 for the call, i32.const, local.get and i32.div_u 1 each, drop nothing.
    assert set(drawn.gas) == {4}
    assert drawn.outside == 0


@pytest.mark.engines
def test_a_call_outside_of_its_bound_is_a_finding(
    proved: Callable[[str, str], BoundDone], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = proved(UP_TO, "1..48")
    (answer,) = done.report.gas
    low = changed(answer, bound=Bound(FUEL, 8, 300, 0, 300))
    seen: list[int] = []

    def lying(module: object, answers: object, *rest: object) -> object:
        del answers
        found = list(measured(module, [low], *rest))  # type: ignore[arg-type]
        seen.extend(item.outside for item in found)
        return iter(found)

    monkeypatch.setattr("weavegate.bound_job.measured", lying)
    wrong = proved(UP_TO, "1..48")
    assert seen[0] > 0
    assert wrong.exit_code == Exit.FINDINGS
    assert bound_json(wrong)["drawn"][0]["outside"] == seen[0]
    assert bound_view(wrong).gas[0].outside == seen[0]


@pytest.mark.engines
def test_draws_are_the_same_for_a_seed_and_lie_in_their_ranges(
    proved: Callable[[str, str], BoundDone],
) -> None:
    done = proved(UP_TO, "1..48")
    precondition = done.report.precondition
    stated = Stated(precondition, ())
    one = drawn_inputs(None, done.module, stated, "infer", 3)
    assert one == drawn_inputs(None, done.module, stated, "infer", 3)
    assert one != drawn_inputs(None, done.module, stated, "infer", 4)
    assert all(1 <= given.arguments[0] <= 48 for given in one)
    wide = replace(precondition, arguments=(replace(precondition.arguments[0], hi=1 << 31),))
    assert drawn_inputs(None, done.module, Stated(wide, ()), "infer", 3) == ()
