"""
A prover that reasons wrongly gets no false number past the checker.

Each lie is one altered hypothesis of the prover. What is true is found by running every input of a
module's precondition. `make nightly CAMPAIGN=prover-lies` tells them all; the plain suite a share.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from lied_about import VICTIMS, Truth, Victim
from lies_of_execution import lies_of_execution
from lies_of_meaning import Lie, lies_of_meaning
from lies_of_reasoning import lies_of_reasoning
from provable_modules import MODELS, Proving, proving

from conformance.bounds import bound as bound_room
from conformance.bounds.bound import BoundReport, Budget, bound
from conformance.bounds.certificate import Certificate
from conformance.bounds.check.confirm import Confirmation, confirm

SEED = 20_252
SHARE = 8
STEPS = 2_000_000
Checking = Callable[..., Confirmation]
LIES = (*lies_of_meaning(), *lies_of_execution(), *lies_of_reasoning())


@dataclass(frozen=True)
class Told:
    """
    What came of one lie about one module.
    """

    word: str
    """silent, same, refused, true or believed."""
    false: str = ""
    """How a run shows the number to be false."""
    refused_by: str = ""
    """The reason class of the checker's first refusal."""


@pytest.fixture(scope="module")
def prove() -> Iterator[Proving]:
    with proving() as found:
        yield found


@cache
def truth(victim: Victim) -> Truth:
    return Truth(victim)


def answered(
    victim: Victim, prove: Proving, patch: pytest.MonkeyPatch, right: Checking = confirm
) -> tuple[BoundReport, Certificate | None]:
    """
    The answer, and the certificate that the prover put to the checker.
    """
    module, seen = victim.module(), list[Certificate]()

    def noting(certificate: Certificate, *rest: Any) -> Confirmation:
        seen.append(certificate)
        return right(certificate, *rest)

    patch.setattr(bound_room, "confirm", noting)
    report = bound(
        module, victim.precondition(module), (victim.least_input(),), MODELS[:1], prove.engine,
        # Abstract execution would find some lies out before the checker is asked.
        budget=Budget(STEPS, abstract=0), guided=False,
    )  # fmt: skip
    return report, seen[-1] if seen else None


_HONEST: dict[Victim, Certificate | None] = {}


def honest(victim: Victim, prove: Proving) -> Certificate | None:
    if victim not in _HONEST:
        with pytest.MonkeyPatch.context() as patch:
            _HONEST[victim] = answered(victim, prove, patch)[1]
    return _HONEST[victim]


def told(lie: Lie, victim: Victim, prove: Proving, checking: Checking = confirm) -> Told:
    """
    Tell one lie about one module.
    """
    with pytest.MonkeyPatch.context() as patch:
        lie.tell(patch)
        report, certificate = answered(victim, prove, patch, checking)
    if certificate is None:
        return Told("silent")
    false = truth(victim).false(certificate)
    if report.gas[0].bound is not None:
        if false:
            return Told("believed", false)
        return Told("same" if certificate == honest(victim, prove) else "true")
    assert report.confirmation is not None
    return Told("refused", false, report.confirmation.refusals[0].reason)


def summed(lie: Lie, prove: Proving) -> dict[Victim, Told]:
    """
    A lie about all of its victims; `same` where the certificate is the honest one.
    """
    found = {}
    for victim in lie.victims:
        one = told(lie, victim, prove)
        assert one.word != "believed", f"{lie.name}: {one.false}\n{victim.text}"
        found[victim] = one
    return found


@pytest.mark.parametrize("name", ["n reused", "callee", "grows", "walk", "then", "indirect"])
def test_the_honest_prover_is_confirmed_and_right(name: str, prove: Proving) -> None:
    victim = VICTIMS[name]
    with pytest.MonkeyPatch.context() as patch:
        report, certificate = answered(victim, prove, patch)
    assert certificate is not None
    assert report.certificate == certificate
    assert truth(victim).false(certificate) == ""


def test_the_reused_local_makes_a_false_bound_that_is_refused(prove: Proving) -> None:
    lies = [lie for lie in LIES if "reused local" in lie.name]
    assert len(lies) == 2
    for lie in lies:
        found = [told(lie, victim, prove) for victim in lie.victims]
        assert any(one.word == "refused" and one.false for one in found)


def test_a_checker_that_believes_everything_lets_a_lie_through(prove: Proving) -> None:
    def careless(*given: Any) -> Any:
        found = confirm(*given)
        replay = found.replay or SimpleNamespace(measured={})
        return SimpleNamespace(
            confirmed=True, refusals=(), replay=replay, verdict=found.verdict
        )  # fmt: skip

    (lie,) = (lie for lie in LIES if lie.name == "a rank begins one lower")
    assert told(lie, VICTIMS["nest"], prove, careless).word == "believed"


def test_a_share_of_lies(prove: Proving) -> None:
    chosen = random.Random(SEED).sample(LIES, SHARE)  # noqa: S311 - a sample, not a secret
    found = [one for lie in chosen for one in summed(lie, prove).values()]
    assert sum(bool(one.false) for one in found) >= SHARE // 2


@pytest.mark.nightly
def test_prover_lies(prove: Proving, capsys: pytest.CaptureFixture[str]) -> None:
    assert len({lie.name for lie in LIES}) == len(LIES)
    lines, counts, false, reasons = [], Counter[str](), Counter[bool](), Counter[str]()
    for lie in LIES:
        found = summed(lie, prove)
        counts.update(one.word for one in found.values())
        reasons.update(one.refused_by for one in found.values() if one.false)
        words = Counter("false, refused" if one.false else one.word for one in found.values())
        false[any(one.false for one in found.values())] += 1
        lines.append(f"  {lie.name}: {', '.join(f'{n} {w}' for w, n in sorted(words.items()))}")
    with capsys.disabled():
        print(f"\n{len(LIES)} lies, {sum(counts.values())} certificates asked for: {dict(counts)};"  # noqa: T201 - the campaign's report
              f" {false[True]} lies gave a false number; refused by {dict(reasons)}")  # fmt: skip
        print("\n".join(lines))  # noqa: T201 - as above
    assert false[True] >= 50
