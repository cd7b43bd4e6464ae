"""
Abstract execution: gas that is known by counting, and calls of made modules, which must lie inside.

`make nightly CAMPAIGN=abstract-soundness` compares 400 generated modules and 1,200 with loops, 12
inputs each. The plain suite has a share, and shows that wrong analyses are found out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from abstract_runs import Compared, compared, made
from provable_modules import (
    BRANCH,
    CALLS,
    GROWS,
    HOST,
    MODELS,
    NEST,
    NEVER,
    PARSER,
    RECURSIVE,
    UP_TO,
    module_of,
    tree,
)

from conformance.bounds.abstract import branches, conditions, explore, operators
from conformance.bounds.abstract import state as state_room
from conformance.bounds.abstract.execution import Machine
from conformance.bounds.abstract.explore import Explored
from conformance.bounds.abstract.memory import Memory
from conformance.bounds.abstract.state import State
from conformance.bounds.certificate import Bytes, Precondition, Range, Values
from conformance.bounds.check.semantics.image import Image

SEED = 20_251


def explored(source: str, *ranges: tuple[int, int], budget: int = 200_000, **more: Any) -> Explored:
    given = {"unknown": (Bytes(0, 8),), **more}
    precondition = Precondition("infer", tuple(Range(low, high) for low, high in ranges), **given)
    return explore.explore(Image(module_of(source), precondition), MODELS, budget=budget)


def fuel(found: Explored) -> tuple[int, int]:
    assert found.complete, found.stopped
    return found.gas[0].lo, found.gas[0].hi


def reason(found: Explored) -> str:
    assert found.stopped is not None
    assert found.gas == ()
    return found.stopped.reason


# -------------------------------------------------------------------------- known by counting


def test_nested_loops_are_counted_exactly() -> None:
    found = explored(NEST)
    assert fuel(found) == (241, 241)
    assert found.seen.visits == {(0, 0): 10, (0, 3): 3}
    assert (found.depth, found.pages, found.forks) == (1, 1, 0)


def test_an_argument_of_a_range_gives_an_interval() -> None:
    assert fuel(explored(UP_TO, (0, 48))) == (4, 4 + 7 * 48)
    assert fuel(explored(UP_TO, (7, 9))) == (4 + 7 * 7, 4 + 7 * 9)


def test_calls_and_globals_are_followed() -> None:
    found = explored(CALLS)
    # 4 for the global on each side, 1 for the entry, 5 each time round; 8 in the caller's loop.
    assert fuel(found) == (1 + 5 * (1 + 4 + 7 * 5 + 4 + 9), 1 + 5 * (1 + 4 + 7 * 5 + 4 + 9))
    assert found.depth == 2
    assert found.reached == {0, 1}


def test_recursion_is_as_deep_as_its_argument() -> None:
    found = explored(RECURSIVE, (0, 9))
    assert found.complete
    assert found.depth == 10
    assert reason(explored(RECURSIVE, (0, 0xFFFFFFFF))) == "call depth"


def test_a_loop_that_no_state_reaches_is_not_visited() -> None:
    assert (1, 6) not in explored(NEVER, (0, 100)).seen.visits
    assert explored(NEVER, (0, 100)).reached == {1}
    assert explored(NEVER, (0, 101)).reached == {0, 1}


def test_growth_is_granted_and_refused() -> None:
    asked = "(if (i32.ge_s (memory.grow (i32.const 2)) (i32.const 0)) (then {} ))"
    body = "(local.set $n (i32.const 1))" * 10
    source = f"""(module (memory (export "memory") 1)
      (func (export "infer") (local $n i32) {asked.format(body)}))"""
    refused, granted = fuel(explored(source, most_pages=3))
    # What is refused is paid by the page all the same, if the number is a literal and small.
    assert granted - refused == 2 * 10
    assert explored(source, most_pages=3).pages == 3
    assert explored(source, most_pages=2).pages == 1
    assert explored(GROWS, most_pages=64).pages == 3
    assert compared(module_of(source), Precondition("infer", (), most_pages=3)).escapes == []


def test_growth_by_an_amount_of_the_input_is_handed_over() -> None:
    source = """(module (memory (export "memory") 1)
      (func (export "infer") (drop (memory.grow (i32.load (i32.const 0))))))"""
    assert reason(explored(source)) == "unbounded growth"


def test_tables_are_read_one_node_at_a_time() -> None:
    children = "".join(f"\\{n:02x}" for n in (1, 3, 4, 0, 5, 0, 0, 0, 2, 4, 5, 0, 6, 0, 0, 0))
    found = explored(tree(children))
    assert found.complete
    # The longest way is 0, 1, 3 or 2, 4, 5 or 6 and back to 0.
    assert found.seen.visits == {(0, 0): 4}


def test_indirect_calls_go_to_all_functions_of_the_type() -> None:
    source = """(module (memory (export "memory") 1) (table 3 funcref)
      (elem (i32.const 0) $short $long $other)
      (type $t (func (param i32)))
      (func $short (param i32))
      (func $long (param i32) (local.set 0 (i32.const 1)) (local.set 0 (i32.const 2)))
      (func $other (param f64) (unreachable))
      (func (export "infer") (param $n i32)
        (call_indirect (type $t) (i32.const 5) (local.get $n))))"""
    short, long_ = fuel(explored(source, (0, 0))), fuel(explored(source, (1, 1)))
    assert fuel(explored(source, (0, 0xFFFFFFFF))) == (short[0], long_[1])
    assert long_[0] - short[0] == 4
    assert reason(explored(source, (2, 2))) == "never returns"


def test_what_the_host_wrote_may_have_limits() -> None:
    source = """(module (memory (export "memory") 1) (func (export "infer") (local $n i32)
      (local.set $n (i32.add (i32.load (i32.const 4)) (i32.const 1)))
      (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"""
    limited = explored(source, values=(Values(4, 8, 4, 2, 6),))
    assert limited.seen.visits == {(0, 5): 7}
    assert reason(explored(source)) == "no progress"


def test_a_branch_on_a_float_goes_both_ways() -> None:
    found = explored(BRANCH)
    assert fuel(found)[1] - fuel(found)[0] == 4
    assert (found.forks, found.merged) == (1, 1)


# ------------------------------------------------------------------------------ handing over


def test_a_state_that_repeats_is_handed_over() -> None:
    source = """(module (memory (export "memory") 1) (func (export "infer") (local $i i32)
      (loop $again
        (local.set $i (i32.and (i32.add (local.get $i) (i32.const 1)) (i32.const 3)))
        (br_if $again (i32.load8_u (i32.const 0))))))"""
    found = explored(source)
    assert reason(found) == "no progress"
    assert found.steps < 500
    assert found.stopped is not None
    assert (found.stopped.function, found.stopped.place) == (0, 0)


def test_a_state_that_comes_again_in_another_iteration_is_no_repetition() -> None:
    # 8 words of a letter each, or one of 8: each iteration meets numbers of earlier ones.
    assert fuel(explored(PARSER, (8, 8)))[0] < fuel(explored(PARSER, (8, 8)))[1]


def test_a_budget_and_a_stop_end_it() -> None:
    assert reason(explored(UP_TO, (0, 0xFFFFFFFF), budget=5_000)) == "step budget"
    image = Image(module_of(UP_TO), Precondition("infer", (Range(9_999, 9_999),)))
    stopped = explore.explore(image, MODELS, stop=lambda: True)
    assert reason(stopped) == "step budget"


def test_hosts_and_used_instances_are_handed_over() -> None:
    assert reason(explored(HOST)) == "missing contract"
    assert reason(explored(NEST, fresh=False)) == "not modelled"
    filled = """(module (memory (export "memory") 1) (func (export "infer")
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 8))))"""
    stopped = explored(filled).stopped
    assert stopped is not None
    assert "memory.fill" in stopped.sentence


def test_the_cap_rises_until_no_scalar_is_given_up() -> None:
    # Each byte doubles the numbers that the local can be; a later loop counts them down.
    source = """(module (memory (export "memory") 1) (func (export "infer") (local $n i32)
      {} (local.set $n (i32.and (local.get $n) (i32.const 255)))
      (block $out (loop $again (br_if $out (i32.eqz (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $again)))))"""
    step = """(if (i32.load8_u (i32.const {})) (then
      (local.set $n (i32.add (local.get $n) (i32.const {})))))"""
    steps = "".join(step.format(k, 1 << k) for k in range(6))
    assert explored(source.format(steps)).cap == 256
    assert explored(source.format(step.format(0, 1))).cap == 16


# -------------------------------------------------------------------------------- soundness


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("loops", 24), ("generated", 24)])
def test_calls_of_made_modules_lie_inside(kind: str, count: int) -> None:
    found = [made(kind, SEED, index) for index in range(count)]
    assert [text for one in found for text in one.escapes] == []
    assert sum(one.explored.complete for one in found) >= count * 2 // 3
    # The ends are met, so the intervals are not wide for nothing.
    assert sum(one.met for one in found) > sum(one.calls for one in found) // 3


@pytest.mark.slow
def test_states_of_calls_lie_inside_abstract_states() -> None:
    found = [made("loops", SEED, index, states=True) for index in range(1, 6)]
    assert [text for one in found for text in one.escapes] == []
    assert sum(one.rows for one in found) >= 50


Lie = Callable[[pytest.MonkeyPatch], None]


def _patched(owner: Any, name: str, made_of: Callable[[Any], Any]) -> Lie:
    return lambda patch: patch.setattr(owner, name, made_of(getattr(owner, name)))


def _keep_first(right: Callable[..., None]) -> Callable[..., None]:
    """
    Gas is merged, what is known is not.
    """

    def merge(self: State, other: State, last: int) -> None:
        kept = [frame.locals[:] for frame in self.frames], self.globals[:]
        right(self, other, last)
        for frame, locals_ in zip(self.frames, kept[0], strict=True):
            frame.locals = locals_
        self.globals = kept[1]

    return merge


def _dearest(right: Callable[..., None]) -> Callable[..., None]:
    """
    Of two states that meet the least gas is the greatest.
    """

    def merge(self: State, other: State, last: int) -> None:
        right(self, other, last)
        self.lo = self.hi[:]

    return merge


LIES: dict[str, Lie] = {
    "an interval loses its end": lambda patch: patch.setitem(
        operators._INTERVALS, "and", lambda a, b, c, d, _: (0, max(min(b, d) - 1, 0))  # noqa: ARG005
    ),
    "a test excludes one more": lambda patch: patch.setitem(
        conditions._RANGES, "ge", lambda low, high, top: (low + 1, top)  # noqa: ARG005
    ),
    "states that meet are the first": _patched(state_room.State, "merge", _keep_first),
    "memory that meets is the first": _patched(Memory, "merge", lambda _: lambda *_: None),
    "what the host wrote is zero": _patched(Memory, "open", lambda _: lambda *_: None),
    "a test that may fail does not": _patched(
        branches,
        "ends",
        lambda right: lambda value, width: (
            (1, 1) if value == frozenset((0, 1)) else right(value, width)
        ),
    ),
    "least gas is the greatest": _patched(state_room.State, "merge", _dearest),
    "a trap counts nothing": _patched(Machine, "trap", lambda _: lambda *_: None),
}  # fmt: skip
_BIT = """(if (i32.and (local.get $n) (i32.const {0})) (then
  (local.set $i (i32.add (local.get $i) (i32.const {0})))
  (i32.store8 (i32.const 100) (local.get $i))))"""
_DOWN = """(block $out (loop $again (br_if $out (i32.eqz (local.get {0})))
  (local.set {0} (i32.sub (local.get {0}) (i32.const 1))) (br $again)))"""
_COUNT = _BIT.replace("(i32.store8 (i32.const 100) (local.get $i))", "")
MEETING = f"""(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (local $i i32)
    {_COUNT.format(1)} {_COUNT.format(2)} {_COUNT.format(4)} {_COUNT.format(8)}
    {_DOWN.format("$i")}))"""
STORING = f"""(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (local $i i32) (local $k i32)
    {_BIT.format(1)} {_BIT.format(2)} {_BIT.format(4)} {_BIT.format(8)}
    (local.set $k (i32.load8_u (i32.const 100))) {_DOWN.format("$i")} {_DOWN.format("$k")}))"""
TRAPPING = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (if (local.get $n) (then (call $long) (unreachable))))
  (func $long (local $i i32) (local.set $i (i32.const 1)) (local.set $i (i32.const 1))))"""
OF_THEIR_OWN = {
    "states that meet are the first": (MEETING, 15),
    "memory that meets is the first": (STORING, 15),
    "a trap counts nothing": (TRAPPING, 1),
}
"""Lies that show on other modules than the share's."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LIES.keys() - OF_THEIR_OWN.keys()))
def test_a_wrong_analysis_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    LIES[name](monkeypatch)
    kinds = ("loops", "generated")
    assert any(made(kind, SEED, index).escapes for index in range(24) for kind in kinds)


@pytest.mark.parametrize("name", sorted(OF_THEIR_OWN))
def test_what_is_wrong_where_paths_meet_or_end_is_found_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, most = OF_THEIR_OWN[name]
    module, precondition = module_of(source), Precondition("infer", (Range(0, most),))
    # So few states at one point that they must become one.
    monkeypatch.setattr(explore, "_CAPS", ((2, 1),))
    honest = compared(module, precondition, inputs=20)
    assert honest.explored.complete
    assert honest.escapes == []
    LIES[name](monkeypatch)
    assert compared(module, precondition, inputs=20).escapes != []


# --------------------------------------------------------------------------------- nightly


@pytest.mark.nightly
@pytest.mark.slow
def test_abstract_soundness(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, count in (("generated", 400), ("loops", 1_200)):
        found = [made(kind, SEED, index) for index in range(count)]
        assert [text for one in found for text in one.escapes] == []
        with capsys.disabled():
            print(f"\n{kind}: {_tallied(found)}")  # noqa: T201 - the campaign's report


def _tallied(found: list[Compared]) -> str:
    words = Counter(
        one.explored.stopped.reason if one.explored.stopped else "complete" for one in found
    )
    calls, met = sum(one.calls for one in found), sum(one.met for one in found)
    return f"{dict(words)}; {calls} calls inside, {met} at an end of their interval"
