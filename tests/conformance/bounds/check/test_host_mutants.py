"""
Altered certificates of modules that call their host: none that claims too little is confirmed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from certificate_mutants import mutants
from certificates_by_hand import assembled
from hosted_modules import ALLOCATES, COUNTED, FUEL, LOGGED, certified, contract_of, proved

from conformance.bounds.certificate import Certificate
from conformance.bounds.check.judge import judge
from conformance.bounds.contract import Contract

HOST = f"host:{FUEL}"
FLAT = "least = 100\nmost = 300"
Truth = Mapping[str, tuple[int, int]]
SAMPLES: dict[str, tuple[str, Contract, tuple[tuple[int, int], ...], Truth, int, int]] = {
    # Fuel by hand, see `test_host_contracts`; then pages and activations.
    "counted": (
        COUNTED,
        contract_of("env.count", FLAT, 'writes = "nothing"\nresults = [{ high = 9 }]'),
        (), {FUEL: (6, 6 + 9 * 8), HOST: (100, 300)}, 0, 1,
    ),
    "logged": (
        LOGGED,
        contract_of("env.log", 'least = 7\nmost = 7\nlengths = [{ of = "argument 1", per = 3 }]'),
        ((2, 100),), {FUEL: (4, 4), HOST: (13, 307)}, 1, 1,
    ),
    "allocates": (
        ALLOCATES,
        contract_of(
            "env.read", FLAT,
            'writes = "nothing"\ngrows_pages = 2\nre_enters = [{ export = "allocate", times = 2 }]',
        ),
        (), {FUEL: (2, 2 + 2 * 6), HOST: (100, 300)}, 3, 2,
    ),
}  # fmt: skip
SHARE = 60


def true_certificate(name: str) -> Certificate:
    text, contract, arguments, *_ = SAMPLES[name]
    return certified(proved(text, contract, arguments))


def escapes(name: str, share: int | None) -> tuple[list[str], int, int]:
    """
    Altered certificates that are confirmed and false; how many were judged, and how many refused.
    """
    text, _, _, truth, pages, depth = SAMPLES[name]
    module, plain = assembled(text), true_certificate(name)
    made = list(mutants(plain))
    if share is not None:
        made = random.Random(name).sample(made, min(share, len(made)))  # noqa: S311 - a sample
    found, refused, judged = [], 0, 0
    for mutant in made:
        certificate = mutant.certificate()
        if certificate is None or certificate.precondition != plain.precondition:
            continue
        judged += 1
        if judge(certificate, module).refusals:
            refused += 1
            continue
        assumed = certificate.contract == plain.contract
        for bound in certificate.bounds:
            low, high = truth[bound.model]
            if not assumed or bound.lo > low or bound.hi < high or bound.any_hi < high:
                found.append(mutant.what)
        if certificate.pages < pages or certificate.stack.depth < depth:
            found.append(mutant.what)
    return found, judged, refused


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_true_is_confirmed(name: str) -> None:
    certificate = true_certificate(name)
    assert judge(certificate, assembled(SAMPLES[name][0])).refusals == []
    truth = SAMPLES[name][3]
    for bound in certificate.bounds:
        assert (bound.lo, bound.hi) == truth[bound.model]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_share_of_altered_certificates(name: str) -> None:
    found, judged, refused = escapes(name, SHARE)
    assert found == []
    assert refused > judged // 2


@pytest.mark.nightly
@pytest.mark.parametrize("name", SAMPLES)
def test_host_mutants(name: str) -> None:
    found, judged, refused = escapes(name, None)
    assert found == []
    assert refused > judged // 2
