"""
The proof and the checker together: counted gas comes out, and what cannot be proved is no number.
"""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from fueled_calls import FueledCalls
from msgspec.structs import replace
from provable_modules import (
    BRANCH,
    BYTES,
    CALLS,
    FUEL,
    GROWS,
    HOST,
    MODELS,
    NEST,
    NEVER,
    PARSER,
    RECURSIVE,
    REUSED,
    TWICE,
    UP_TO,
    Proving,
    fuel,
    module_of,
    proving,
    tree,
)

from conformance.bounds.bound import Budget
from conformance.bounds.certificate import Bytes, Input, Precondition, Range
from conformance.bounds.prove import prover as prover_room
from conformance.bounds.prove import solver as solver_room
from conformance.bounds.prove.outcome import Attempt
from conformance.bounds.prove.prover import Prover
from conformance.bounds.prove.subject import FunctionProof
from conformance.bounds.prove.writing import Writer
from conformance.gas.charges import Charges
from conformance.gas.records import GasModel


@pytest.fixture(scope="module")
def prove() -> Iterator[Proving]:
    with proving() as found:
        yield found


def nest_fuel(outer: int, inner: int) -> int:
    """
    By the fuel table: 1 for the call; local.get, const and the like 1; loop and end 0.
    """
    return 1 + outer * (2 + inner * 5 + 7)


def test_nested_loops_with_a_step_are_exact(prove: Proving) -> None:
    report = prove(NEST)
    assert fuel(report) == (nest_fuel(10, 3),) * 2 == (241, 241)
    assert [answer.kind for answer in report.gas] == ["exact", "exact"]
    assert report.gas[0].measured == (241,)
    assert report.gas[0].independence == "proved"
    assert [(loop.least, loop.most) for loop in report.loops] == [("9", "9"), ("2", "2")]


def test_a_loop_up_to_an_argument_is_bounded_for_all_of_its_range(prove: Proving) -> None:
    report = prove(UP_TO, (0, 48))
    # 1 for the call and 3 until the loop; 7 each time round.
    assert fuel(report) == (4, 4 + 7 * 48)
    assert report.gas[0].measured == (4, 4 + 7 * 48)
    answer = report.gas[0]
    assert answer.independence == "refuted"
    assert [given.arguments for given in answer.witnesses] == [(0,), (48,)]


def test_a_wider_range_gives_a_wider_bound(prove: Proving) -> None:
    assert fuel(prove(UP_TO, (0, 49))) == (4, 4 + 7 * 49)
    assert (fuel(prove(UP_TO, (7, 7))) or (0, 0))[1] == 4 + 7 * 7


def test_a_range_is_about_the_argument_and_not_about_the_local_it_came_in(prove: Proving) -> None:
    report = prove(REUSED, (0, 9), guided=True)
    found = fuel(report)
    assert found is not None
    assert found[1] == max(report.gas[0].measured)
    assert found[0] <= min(report.gas[0].measured)
    assert found[1] > 500 * 5


def test_callees_are_bounded_first_with_their_stack(prove: Proving) -> None:
    report = prove(CALLS, guided=True)
    assert fuel(report) is not None
    assert fuel(report) == (report.gas[0].measured[0],) * 2
    assert report.certificate is not None
    stack = report.certificate.stack
    assert (stack.depth, stack.shadow_global, stack.shadow_lowest) == (2, 0, 1024 - 16)
    # Locals and greatest height of operands: 1 + 2 in the leaf, 1 + 2 in the entry.
    assert stack.frame_words == 6
    inner = {name: cost for name, _, cost in report.functions(FUEL)}
    assert inner["f0"].hi * 5 < report.gas[0].measured[0]


def test_pages_granted_are_bounded_and_cost_where_the_model_says_so(prove: Proving) -> None:
    report = prove(GROWS)
    assert report.pages == 3
    # Winch bills nothing for a refusal, Cranelift the literal all the same.
    assert fuel(report) == (3, 5)
    assert report.gas[0].measured == (5,)
    assert [_spent(GROWS, pages) for pages in (64, 1)] == [5, 5]
    assert report.gas[1].kind == "proved" or report.gas[1].kind == "exact"
    assert report.assumptions == ("the host refuses memory beyond 64 pages",)
    assert report.gas[1].sentence(report.assumptions).endswith("beyond 64 pages")


def _spent(text: str, pages: int) -> int:
    """
    What a call costs by wasmtime's own count, where the host grants so many pages.
    """
    module = module_of(text)
    return FueledCalls(module, Precondition("infer", (), most_pages=pages))(()).fuel


_OFTEN = """(module (memory (export "memory") 1) (func (export "infer") (local $i i32)
  (loop $again (drop (memory.grow PAGES))
    (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                            (i32.const 100))))))"""
_KNOWN = "(i32.const 50)"
_COMPUTED = "(i32.add (i32.mul (local.get $i) (i32.const 0)) (i32.const 50))"


@pytest.mark.parametrize("pages", [_KNOWN, _COMPUTED])
def test_growth_that_is_refused_costs_what_the_engine_bills(prove: Proving, pages: str) -> None:
    text = _OFTEN.replace("PAGES", pages)
    low, high = fuel(prove(text)) or (0, 0)
    # Of 64 pages one growth by 50 can be granted; with 1 page all are refused.
    for granted in (64, 1):
        assert low <= _spent(text, granted) <= high
    if pages == _KNOWN:
        assert high == _spent(text, 64) == _spent(text, 1)
        assert low == high - 100 * 50


def test_a_prover_that_takes_refused_growth_for_free_is_refused(
    prove: Proving, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = _OFTEN.replace("PAGES", _KNOWN)
    right = Writer.gas

    def lying(
        self: Writer, proof: FunctionProof, charges: Charges, model: GasModel, *, least: bool
    ) -> tuple[dict[int, int], frozenset[int]]:
        free = tuple(dataclasses.replace(term, most_refused=0) for term in charges.dynamic)
        return right(self, proof, dataclasses.replace(charges, dynamic=free), model, least=least)

    monkeypatch.setattr(Writer, "gas", lying)
    report = prove(text)
    assert fuel(report) is None
    assert {obstacle.reason for obstacle in report.obstacles} == {"refused by the checker"}


def test_what_nested_loops_use_up_together_is_counted_once(prove: Proving) -> None:
    report = prove(
        PARSER, (0, 100), guided=True, unknown=(Bytes(0, 128),),
        inputs=(Input((0,)), Input((66,)), Input((100,))),
    )  # fmt: skip
    # All zero bytes: each word has one letter, the dearest way to use 100 bytes up.
    assert fuel(report) == (5, max(report.gas[0].measured))
    assert report.certificate is not None
    (summary,) = report.certificate.summaries
    joint = [fact for fact in summary.facts if len(fact.weights) > 1]
    assert [fact.bound for fact in joint] == [100]


@pytest.mark.parametrize(("most", "depth"), [(3, 4), (9, 10)])
def test_recursion_is_bounded_by_a_potential(prove: Proving, most: int, depth: int) -> None:
    report = prove(RECURSIVE, (0, most))
    found = fuel(report)
    assert found is not None
    # 7 for an activation that calls, 3 for the last one, which is counted as dear as the others.
    assert report.gas[0].measured == (3, 3 + 7 * most)
    assert found == (3, 7 * depth)
    assert report.certificate is not None
    assert report.certificate.stack.depth == depth


def test_branches_on_unknown_floats_leave_a_range(prove: Proving) -> None:
    assert fuel(prove(BRANCH)) == (6, 10)


def test_a_loop_that_is_never_reached_does_not_go_round(
    prove: Proving, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = prove(NEVER, (0, 100))
    found, reached = fuel(report), fuel(prove(NEVER, (0, 101)))
    assert found is not None
    assert reached is not None
    assert report.gas[0].measured == (5, 5)
    # Its code is paid once at most, without the 7 repetitions in the callee, 7 each, 3 times.
    assert found[0] == reached[0] == 5
    assert found[1] < 3 * 7 * 7 < reached[1]
    monkeypatch.setattr(prover_room, "bury", lambda *_: None)
    # Abstract execution would suggest that the loop is dead.
    report = prove(NEVER, (0, 100), budget=Budget(abstract=0))
    assert fuel(report) is None
    assert report.obstacles[0].sentence.startswith("contradiction")


def test_a_walk_over_constants_is_as_long_as_the_longest_path(prove: Proving) -> None:
    # 0 to 1 or 2; 1 to 3 or 5; 3 to 4: three steps at most, and node 0 ends a walk.
    children = r"\01\03\00\04\00\00\00\00\02\05\00\00\00\00\00\00"
    report = prove(tree(children), inputs=(Input(()),))
    assert [loop.most for loop in report.loops] == ["3"]
    assert report.gas[0].measured == (fuel(report) or (0, 0))[1:]


def test_a_walk_that_can_go_in_a_circle_has_no_bound(prove: Proving) -> None:
    children = r"\01\03\00\00\00\00\00\00\02\01\00\00\00\00\00\00"
    assert fuel(prove(tree(children), inputs=(Input(()),))) is None


@pytest.mark.parametrize(
    ("text", "ranges", "reason"),
    [
        (BYTES, (), "exit depends on input bytes"),
        (TWICE, ((0, 3),), "recursion"),
        (HOST, (), "missing contract"),
    ],
)
def test_what_is_not_proved_is_unknown_with_a_place_and_a_reason(
    prove: Proving, text: str, ranges: tuple[tuple[int, int], ...], reason: str
) -> None:
    report = prove(text, *ranges)
    assert [answer.kind for answer in report.gas] == ["unknown", "unknown"]
    assert all(answer.bound is None for answer in report.gas)
    assert report.certificate is None
    assert report.obstacles[0].reason == reason
    assert report.obstacles[0].offset > 0


def test_a_failed_measure_is_shown_with_a_state_in_which_it_fails(prove: Proving) -> None:
    # Steps of 3 from 0 never meet 10 before they wrap.
    steps = NEST.replace("(local.get $i) (i32.const 1)", "(local.get $i) (i32.const 3)")
    report = prove(steps, inputs=())
    (obstacle,) = report.obstacles
    assert obstacle.reason == "no decreasing measure"
    assert obstacle.candidate.startswith("(")
    assert obstacle.state


@pytest.mark.parametrize(("most", "reason"), [(5, "contradiction"), (0, None)])
def test_a_contradiction_in_the_precondition_proves_nothing(most: int, reason: str | None) -> None:
    assume = ("(ult (param 0) (i32 4))", f"(uge (param 0) (i32 {most}))")
    precondition = Precondition("infer", (Range(0, 48),), assume)
    attempt = Prover(module_of(UP_TO), precondition, MODELS, (), guided=False).run()
    assert (attempt.certificate is None) == (reason is not None)
    assert [obstacle.reason for obstacle in attempt.obstacles] == ([reason] if reason else [])


def test_without_z3_no_loop_is_bounded(prove: Proving, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refusing(name: str, *rest: Any) -> ModuleType:
        if name == "z3":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refusing)
    with pytest.raises(solver_room.NoSolverError):
        solver_room.load_solver()
    for text in (NEST, CALLS):
        report = prove(text)
        assert fuel(report) is None
        assert report.loops == ()
        assert report.obstacles[0].reason == "no solver"


def test_a_solver_that_never_decides_bounds_no_loop(
    prove: Proving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solver_room.Solver, "_check", lambda *_: ("undecided", None), raising=True)
    report = prove(NEST)
    assert fuel(report) is None
    assert report.loops == ()


def test_stopped_early_it_tells_what_was_proved_so_far(prove: Proving) -> None:
    asked = iter(range(10**6))
    whole = prove(NEST)
    report = prove(NEST, budget=Budget(stop=lambda: next(asked) >= whole.questions * 2 // 3))
    assert fuel(report) is None
    assert report.obstacles[-1].reason == "stopped"
    assert 0 < len(report.loops) < len(whole.loops) or report.loops == whole.loops[:1]


@pytest.mark.parametrize("change", ["hi", "bound"])
def test_no_number_is_told_that_the_checker_does_not_confirm(
    prove: Proving, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    run = Prover.run

    def lying(prover: Prover) -> Attempt:
        found = run(prover)
        certificate = found.certificate
        assert certificate is not None
        if change == "hi":
            bounds = tuple(replace(b, hi=b.hi - 1, lo=b.lo - 1) for b in certificate.bounds)
            certificate = replace(certificate, bounds=bounds)
        else:
            (summary,) = certificate.summaries
            facts = tuple(replace(f, bound=f.bound - 1) for f in summary.facts)
            certificate = replace(certificate, summaries=(replace(summary, facts=facts),))
        return Attempt(certificate)

    monkeypatch.setattr(Prover, "run", lying)
    report = prove(NEST)
    assert [answer.kind for answer in report.gas] == ["unknown", "unknown"]
    assert report.certificate is None
    assert report.obstacles[0].reason == "refused by the checker"


def test_obligations_are_scripts_that_z3_itself_refutes(prove: Proving) -> None:
    import z3  # noqa: PLC0415 - only this test asks it directly

    report = prove(NEST, scripts=True)
    assert report.scripts
    for name, script in report.scripts.items():
        solver = z3.Solver()
        solver.from_string(script)
        assert solver.check() == z3.unsat, name
