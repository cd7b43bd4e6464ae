"""
Six certificates that were once believed, each below the true cost: refused, by proof and by replay.
"""

from __future__ import annotations

import pytest
from calls_in_process import InProcess
from certificates_by_hand import ENTRY, FUEL, Function, Loop, assembled, certify
from msgspec.structs import replace

from conformance.bounds.certificate import (
    Certificate,
    Cut,
    FlowFact,
    Input,
    Measure,
    Stack,
    Weight,
)
from conformance.bounds.check.judge import judge
from conformance.bounds.check.replaying.replay import Replay, replay
from conformance.bounds.check.semantics.layout import lay_out
from conformance.bounds.check.semantics.subject import Subject
from conformance.wasm.module import Module

# As often as local 1 says, which is not 0.
COUNT = "(loop (local.set 1 (i32.sub (local.get 1) (i32.const 1))) (br_if 0 (local.get 1)))"
LEFT = "(sub (local 1) (i32 1))"
SMALL = {ENTRY: ["(ule (param 0) (i32 10))"]}
INPUTS = tuple(Input((n,)) for n in (0, 1, 10))


def module_of(body: str) -> Module:
    return assembled(f'(module (memory (export "memory") 1) {body})')


def loops(module: Module, function: int = 0) -> list[int]:
    body = module.functions[function].body
    return [at for at, i in enumerate(body) if i.opcode.name == "loop"]


def positive(most: int) -> list[str]:
    return ["(uge (local 1) (i32 1))", f"(ule (local 1) (i32 {most}))"]


def checked(module: Module, certificate: Certificate) -> list[str]:
    return [refusal.reason for refusal in judge(certificate, module).refusals]


def replayed(module: Module, certificate: Certificate) -> Replay:
    return replay(Subject(module, certificate), InProcess())


def most_fuel(module: Module, certificate: Certificate) -> int:
    return max(replayed(module, certificate).measured[FUEL])


def confirmed(module: Module, certificate: Certificate) -> None:
    assert judge(certificate, module).refusals == []
    assert replayed(module, certificate).refusals == []


REUSED = module_of(
    f"""(func (export "infer") (param i32) (local i32)
    (local.set 1 (i32.add (local.get 0) (i32.const 1))) {COUNT} (local.set 0 (i32.const 5000))
    (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0))))"""
)


def reused(holds: list[str], most: int) -> Certificate:
    first, second = loops(REUSED)
    rank = "(sub (local 0) (i32 1))"
    own = [Loop(first, {first: LEFT}, 10), Loop(second, {second: rank}, most)]
    cuts = {**SMALL, first: positive(11), second: holds}
    return certify(REUSED, [Function(0, own, cuts)], arguments=[(0, 10)], inputs=INPUTS)


def test_a_precondition_is_about_parameters_and_not_about_a_reused_local() -> None:
    true = reused(["(uge (local 0) (i32 1))", "(ule (local 0) (i32 5000))"], 4999)
    confirmed(REUSED, true)
    lie = reused(["(ule (local 0) (i32 10))", "(uge (local 0) (i32 1))"], 9)
    assert lie.bounds[0].hi < most_fuel(REUSED, true) == true.bounds[0].hi == 30_073
    assert "obligation" in checked(REUSED, lie)
    assert replayed(REUSED, lie).refusals
    second = loops(REUSED)[1]
    summary = lie.summaries[0]
    dead = replace(
        lie, summaries=(replace(summary, cuts=(*summary.cuts[:2], Cut(second, (), True))),)
    )
    assert "obligation" in checked(REUSED, dead)
    assert any("never reached" in r.sentence for r in replayed(REUSED, dead).refusals)


BRANCHED = module_of(
    f"""(global $g (mut i32) (i32.const 0)) (func (export "infer") (param i32) (local i32)
    (global.set $g (i32.const 1000)) (if (local.get 0) (then (global.set $g (i32.const 3))))
    (local.set 1 (global.get $g)) {COUNT})"""
)


def branched(most: int) -> Certificate:
    (loop,) = loops(BRANCHED)
    own = Function(0, [Loop(loop, {loop: LEFT}, most - 1)], {loop: positive(most)})
    return certify(BRANCHED, [own], arguments=[(0, 10)], inputs=INPUTS)


def test_a_global_has_the_values_of_all_paths() -> None:
    true = branched(1000)
    confirmed(BRANCHED, true)
    lie = branched(3)
    assert lie.bounds[0].hi < most_fuel(BRANCHED, true) <= true.bounds[0].hi
    assert "obligation" in checked(BRANCHED, lie)
    assert replayed(BRANCHED, lie).refusals


UNDER = module_of(
    f"""(func (export "infer") (param i32) (local i32) (local.set 1 (i32.const 100)) (i32.const 7)
    (block (loop (i32.const 1) (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
      (br_if 1 (i32.eqz (local.get 1))) (drop) (br 0)))
    (local.set 1) {COUNT})"""
)


def under(most: int) -> Certificate:
    first, second = loops(UNDER)
    below = ["(eq (stack 0) (i32 7))"] if most >= 7 else ["(eq (stack 0) (i32 1))"]
    own = [Loop(first, {first: LEFT}, 99), Loop(second, {second: LEFT}, most - 1)]
    cuts = {first: [*positive(100), *below], second: positive(most)}
    return certify(UNDER, [Function(0, own, cuts)], arguments=[(0, 10)], inputs=INPUTS)


def test_operands_below_a_loop_are_part_of_the_state() -> None:
    true = under(7)
    confirmed(UNDER, true)
    lie = under(1)
    assert lie.bounds[0].hi < most_fuel(UNDER, true) == true.bounds[0].hi
    assert "obligation" in checked(UNDER, lie)
    assert replayed(UNDER, lie).refusals


GROWN = module_of(
    f"""(func $h (drop (memory.grow (i32.const 50)))) (func (export "infer") (param i32) (local i32)
    (call $h) (local.set 1 (memory.size)) {COUNT})"""
)


def grown(most: int, pages: int) -> Certificate:
    (loop,) = loops(GROWN, 1)
    own = Function(1, [Loop(loop, {loop: LEFT}, most - 1)], {loop: positive(most)})
    callee = Function(0, (), {ENTRY: ["(eq (pages) (i32 1))"]})
    return certify(GROWN, [callee, own], arguments=[(0, 10)], inputs=INPUTS, pages=pages)


def test_a_callee_changes_the_number_of_pages() -> None:
    true = grown(51, 51)
    confirmed(GROWN, true)
    assert most_fuel(GROWN, true) == true.bounds[0].hi
    for lie in (grown(1, 51), grown(1, 1)):
        assert lie.bounds[0].hi < true.bounds[0].hi
        assert "obligation" in checked(GROWN, lie)
    assert replayed(GROWN, grown(1, 51)).refusals


REFUSED = module_of(
    f"""(func (export "infer") (param i32) (local i32) (local.set 1 (i32.const 900))
    (if (i32.eq (memory.grow (i32.const 100000)) (i32.const -1)) (then {COUNT})))"""
)


def test_growth_of_memory_may_be_refused() -> None:
    (loop,) = loops(REFUSED)
    own = Function(0, [Loop(loop, {loop: LEFT}, 899)], {loop: positive(900)})
    true = certify(REFUSED, [own], arguments=[(0, 10)], inputs=INPUTS)
    confirmed(REFUSED, true)
    free = Function(0, [Loop(loop, {loop: LEFT}, 0)], {loop: positive(1)})
    lie = certify(REFUSED, [free], arguments=[(0, 10)], inputs=INPUTS)
    dead = replace(lie, summaries=(replace(lie.summaries[0], cuts=(Cut(loop, (), True),)),))
    for false in (lie, dead):
        assert false.bounds[0].hi < most_fuel(REFUSED, true) == true.bounds[0].hi
        assert "obligation" in checked(REFUSED, false)
        assert replayed(REFUSED, false).refusals


PAID = module_of("""(func (export "infer") (param i32) (drop (memory.grow (i32.const 50))))""")


def test_pages_that_are_granted_cost_fuel() -> None:
    true = certify(PAID, [Function(0)], arguments=[(0, 10)], inputs=INPUTS, pages=51)
    confirmed(PAID, true)
    assert (true.bounds[0].hi, most_fuel(PAID, true)) == (53, 53)
    cheap = replace(true.bounds[0], hi=3, any_hi=3)
    lie = replace(true, bounds=(cheap, *true.bounds[1:]))
    assert checked(PAID, lie) == ["claim"]
    assert replayed(PAID, lie).refusals
    assert checked(PAID, replace(true, pages=1)) == ["obligation"]


def test_hypotheses_that_contradict_each_other_prove_nothing() -> None:
    cuts = {**SMALL, ENTRY: ["(ugt (param 0) (i32 10))", "(ule (param 0) (i32 10))"]}
    certificate = certify(
        PAID, [Function(0, (), cuts)], arguments=[(0, 10)], inputs=INPUTS, pages=51
    )
    assert "contradiction" in checked(PAID, certificate)


def test_a_precondition_that_nothing_meets_is_reported() -> None:
    certificate = certify(
        PAID, [Function(0)], arguments=[(0, 10)], inputs=INPUTS, pages=51,
        precondition={"assume": ("(ugt (param 0) (i32 10))",)},
    )  # fmt: skip
    assert "contradiction" in checked(PAID, certificate)
    empty = certify(PAID, [Function(0)], arguments=[(7, 3)], inputs=INPUTS, pages=51)
    assert checked(PAID, empty) == ["contradiction"]


def test_a_function_that_is_called_is_not_dead() -> None:
    true = grown(51, 51)
    callee, caller = true.summaries
    dead = replace(callee, cuts=(Cut(ENTRY, (), dead=True),))
    assert "obligation" in checked(GROWN, replace(true, summaries=(dead, caller)))
    nobody = replace(caller, cuts=(*caller.cuts, Cut(ENTRY, (), dead=True)))
    assert "obligation" in checked(GROWN, replace(true, summaries=(callee, nobody)))
    never = assembled("""(module (memory 1) (func $h (drop (memory.grow (i32.const 50))))
      (func (export "infer") (param i32)
        (if (i32.gt_u (i32.and (local.get 0) (i32.const 1)) (i32.const 1)) (then (call $h)))))""")
    certificate = certify(never, [Function(0), Function(1)], arguments=[(0, 10)])
    first, second = certificate.summaries
    cut = Cut(ENTRY, (), dead=True)
    assert checked(never, certificate) == ["obligation"]
    assert (
        checked(never, replace(certificate, summaries=(replace(first, cuts=(cut,)), second))) == []
    )


@pytest.mark.parametrize("claim", ["depth", "frame_words", "pages"])
def test_stack_and_pages_below_the_truth_are_refused(claim: str) -> None:
    stack = Stack(2, 8)
    true = replace(grown(51, 51), stack=stack)
    assert checked(GROWN, true) == []
    if claim == "pages":
        assert "obligation" in checked(GROWN, replace(true, pages=50))
    else:
        words = {"depth": Stack(1, 8), "frame_words": Stack(2, 2)}[claim]
        assert "claim" in checked(GROWN, replace(true, stack=words))


def test_a_loop_that_never_ends_is_not_bounded_by_counting_itself() -> None:
    module = module_of('(func (export "infer") (param i32) (loop (br 0)))')
    (at,) = loops(module)
    (back,) = [e for e in lay_out(module, 0).edges if e[1] == at + 1 and e[0] != at]
    turn = (Weight(*back, 1),)
    free = replace(
        certify(PAID, [Function(0)], arguments=[(0, 10)], pages=51), module=module.sha256,
        models=(), bounds=(), pages=1,
    )  # fmt: skip
    summary = replace(free.summaries[0], costs=())
    # Of a turn itself a turn can be counted; of a call it cannot.
    itself = FlowFact("itself", "most", "visit", turn, 1, (), at)
    called = FlowFact("called", "most", "call", turn, 5,
                      (Measure(ENTRY, "(i32 5)"), Measure(at, "(i32 5)")))  # fmt: skip
    entered = FlowFact("entered", "most", "entry", turn, 5, (Measure(at, "(i32 5)"),), at)
    for fact in (itself, called, entered):
        certificate = replace(free, summaries=(replace(summary, facts=(fact,)),))
        assert set(checked(module, certificate)) <= {"structure", "form", "obligation"}
        assert checked(module, certificate)
    assert checked(module, replace(free, summaries=(summary,))) == ["structure"]


def test_an_outer_loop_is_not_bounded_by_entries_of_an_inner_one() -> None:
    module = module_of(
        """(func (export "infer") (param i32)
      (loop (loop (br_if 0 (i32.const 0))) (br 1)))""".replace("(br 1)", "(br 0)")
    )
    outer, inner = loops(module)
    edges = sorted(lay_out(module, 0).edges)
    backs = {at: [e for e in edges if e[1] == at + 1 and e[0] != at] for at in (outer, inner)}
    round_trip = FlowFact("trip", "most", "entry", tuple(Weight(*e, 1) for e in backs[outer]), 1,
                          (Measure(inner, "(i32 1)"),), inner)  # fmt: skip
    never = FlowFact("never", "most", "entry", tuple(Weight(*e, 1) for e in backs[inner]), 0,
                     (Measure(inner, "(i32 0)"),), inner)  # fmt: skip
    empty = certify(PAID, [Function(0)], arguments=[(0, 10)], pages=51)
    summary = replace(empty.summaries[0], costs=(), facts=(round_trip, never))
    certificate = replace(empty, module=module.sha256, models=(), bounds=(), pages=1,
                          summaries=(summary,))  # fmt: skip
    # Both facts are true, and yet the call never ends.
    assert checked(module, certificate) == ["structure"]


LONG = module_of(
    f'(func (export "infer") (local i32 i32) (local.set 1 (i32.const 500000)) {COUNT})'
)


def long_run(*holds: str) -> Certificate:
    (loop,) = loops(LONG)
    own = Function(0, [Loop(loop, {loop: LEFT}, 499_999)], {loop: [*positive(500_000), *holds]})
    return certify(LONG, [own], arguments=[], inputs=[Input(())])


def test_of_a_run_that_fills_several_windows_each_row_is_read() -> None:
    confirmed(LONG, long_run())
    found = replayed(LONG, long_run())
    assert found.looked_at == found.rows == 500_001
    assert found.runs > 2
    # False in the very last row, and in no other.
    late = replayed(LONG, long_run("(ne (local 1) (i32 1))"))
    assert [refusal.reason for refusal in late.refusals] == ["replay"]
