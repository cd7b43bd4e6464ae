"""
Abstract execution as a guide of the proof, and as a second opinion about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from bound_soundness import subject_of
from lied_about import VICTIMS
from msgspec.structs import replace
from provable_modules import FUEL, MODELS, NEST, NEVER, UP_TO, Proving, fuel, module_of, proving
from test_lying_prover import LIES, truth

from conformance.bounds import bound as bound_room
from conformance.bounds.abstract.explore import Explored, GasSeen, explore
from conformance.bounds.agreement import contradiction
from conformance.bounds.bound import Budget, bound
from conformance.bounds.certificate import (
    Bound,
    Bytes,
    Certificate,
    HostBytes,
    Input,
    Precondition,
    Range,
)
from conformance.bounds.check.confirm import confirm
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.prove.guidance import add_rows, guided
from conformance.bounds.prove.observe import Observed
from conformance.bounds.prove.subject import open_subject
from conformance.bounds.prove.terms import Terms, text

# The step of the loop is a byte of the input, so no run of one input tells how far it goes.
ZERO_BYTES = HostBytes(0, "00" * 16)


@pytest.fixture(scope="module")
def prove() -> Iterator[Proving]:
    with proving() as found:
        yield found


def explored(source: str, *ranges: tuple[int, int]) -> tuple[Image, Explored]:
    precondition = Precondition(
        "infer", tuple(Range(low, high) for low, high in ranges), unknown=(Bytes(0, 8),)
    )
    image = Image(module_of(source), precondition)
    return image, explore(image, MODELS)


def candidates(source: str, cut: int, *ranges: tuple[int, int]) -> list[str]:
    image, found = explored(source, *ranges)
    terms = Terms()
    subject = open_subject(image, len(image.module.functions) - 1, 1, {}, terms)
    proof = subject.functions[len(image.module.functions) - 1]
    return [text(term) or "" for term in guided(terms, proof, cut, found)]


def test_ranges_of_abstract_states_become_candidates() -> None:
    # Local 0 counts to 9 at the head of the outer loop.
    found = candidates(NEST, 0)
    assert any("(local 0)" in one and "9" in one for one in found)


def test_a_cut_to_which_no_state_came_may_be_dead() -> None:
    image, _ = explored(NEVER, (0, 100))
    loops = image.layout(1).cuts[1:]
    assert [candidates(NEVER, cut, (0, 100)) for cut in loops] == [["(any)"]]
    assert candidates(NEVER, loops[0], (0, 101)) != ["(any)"]


def test_rows_stand_in_where_no_run_came_by() -> None:
    _, found = explored(NEST)
    observed = Observed()
    add_rows(observed, found)
    outer = [row["local", 0] for row in observed.at(0, 0)]
    assert outer == list(range(10))
    kept = Observed({(0, 0): [{("local", 0): 77}]})
    add_rows(kept, found)
    assert [row["local", 0] for row in kept.at(0, 0)] == [77]


@pytest.mark.parametrize("index", [5, 7, 8])
def test_modules_are_bounded_that_the_text_alone_leaves_unknown(index: int, prove: Proving) -> None:
    module, precondition = subject_of("loops", 20_251, index)
    given = Input(tuple(item.lo for item in precondition.arguments), (ZERO_BYTES,))
    answers = [
        bound(
            module, precondition, (given,), MODELS[:1], prove.engine,
            budget=Budget(1_000_000, abstract=steps), guided=False,
        )
        for steps in (0, 60_000)
    ]  # fmt: skip
    assert [answer.gas[0].bound is None for answer in answers] == [True, False]
    assert answers[1].guide is not None
    assert answers[1].guide.complete


# ------------------------------------------------------------------------- a second opinion


def careless(*given: Any) -> Any:
    found = confirm(*given)
    replay = found.replay or SimpleNamespace(measured={})
    return SimpleNamespace(confirmed=True, refusals=(), replay=replay, verdict=found.verdict)


def test_a_lie_that_a_careless_checker_believes_contradicts_abstract_execution(
    prove: Proving, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lie,) = (lie for lie in LIES if lie.name == "a rank begins one lower")
    victim = VICTIMS["nest"]
    module = victim.module()
    monkeypatch.setattr(bound_room, "confirm", careless)
    lie.tell(monkeypatch)
    told = {
        steps: bound(
            module, victim.precondition(module), (victim.least_input(),), MODELS[:1],
            prove.engine, budget=Budget(2_000_000, abstract=steps), guided=False,
        )
        for steps in (0, 60_000)
    }  # fmt: skip
    believed = told[0].certificate
    assert believed is not None
    assert truth(victim).false(believed) != ""
    assert told[60_000].gas[0].bound is None
    assert told[60_000].certificate is None
    (obstacle,) = told[60_000].obstacles
    assert obstacle.reason == "analyses disagree"
    assert "one of them is wrong" in obstacle.sentence


def test_an_honest_bound_contradicts_nothing(prove: Proving) -> None:
    report = prove(UP_TO, (0, 48))
    assert fuel(report) == (4, 4 + 7 * 48)
    assert report.obstacles == ()


def test_a_contradiction_is_found_wherever_it_is() -> None:
    _, found = explored(UP_TO, (0, 48))
    (gas, other) = found.gas
    assert (gas.model, gas.lo, gas.hi) == (FUEL, 4, 4 + 7 * 48)
    right = Bound(gas.model, gas.lo, gas.hi, gas.lo, gas.hi)
    assert contradiction(found, [right], {gas.model: [gas.lo, gas.hi]}) == ""
    above = replace(right, lo=gas.hi + 1, hi=gas.hi + 5)
    below = replace(right, lo=0, hi=gas.lo - 1)
    touching = replace(right, lo=gas.hi, hi=gas.hi + 5)
    assert "the proof says" in contradiction(found, [above], {})
    assert "the proof says" in contradiction(found, [below], {})
    assert contradiction(found, [touching], {}) == ""
    assert "a call cost" in contradiction(found, [right], {gas.model: [gas.any_hi + 1]})
    assert contradiction(None, [above], {}) == ""
    assert isinstance(other, GasSeen)


def test_an_execution_that_gave_up_says_nothing() -> None:
    wrong = Bound(FUEL, 10**9, 10**9, 10**9, 10**9)
    endless = explore(Image(module_of(ENDLESS), Precondition("infer", ())), MODELS)
    assert endless.stopped is not None
    assert endless.stopped.reason == "no progress"
    assert contradiction(endless, [wrong], {}) == ""


@pytest.mark.nightly
@pytest.mark.slow
def test_second_opinions(prove: Proving, capsys: pytest.CaptureFixture[str]) -> None:
    """
    How many lies of the prover contradict abstract execution, when no checker stands in between.
    """
    counts = Counter[str]()
    for lie in LIES:
        for victim in lie.victims:
            module = victim.module()
            put = list[Certificate]()

            def noting(certificate: Certificate, *rest: Any, put: list[Certificate] = put) -> Any:
                put.append(certificate)
                return careless(certificate, *rest)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(bound_room, "confirm", noting)
                lie.tell(patch)
                report = bound(
                    module, victim.precondition(module), (victim.least_input(),), MODELS[:1],
                    prove.engine, budget=Budget(2_000_000), guided=False,
                )  # fmt: skip
            if not put:
                counts["no certificate"] += 1
                continue
            word = "false" if truth(victim).false(put[-1]) else "not seen false"
            found_out = any(item.reason == "analyses disagree" for item in report.obstacles)
            counts[f"{word}, {'found out' if found_out else 'told'}"] += 1
    with capsys.disabled():
        print(f"\n{len(LIES)} lies, nobody checks: {dict(counts)}")  # noqa: T201 - the campaign's report
    # A false interval that still meets the seen one contradicts nothing: it is for the checker.
    assert counts["false, found out"] >= 40
    assert counts["not seen false, found out"] == 0


ENDLESS = """(module (memory (export "memory") 1)
  (func (export "infer") (local $i i32)
    (loop $again
      (local.set $i (i32.and (i32.add (local.get $i) (i32.const 1)) (i32.const 3)))
      (br_if $again (i32.ne (local.get $i) (i32.const 7))))))"""
