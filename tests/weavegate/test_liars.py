"""
Each liar among three honest families is caught at its first lie, for what it does, and alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from liars import FAMILIES, FULL, LIARS, SHARE, Liar, Trial, chances, try_liar
from product_subject import Product
from witnesses import options, witness

from conformance.differential.records import FindingClass
from runners.environments import Environments
from runners.records import BrokeProtocol
from tests.fakes.launches import overspending
from weavegate.certify import certify

NAMES = [liar.name for liar in LIARS]
HONEST = Liar(name="honest", program="honest", does="nothing", kind="", lies=LIARS[0].lies)


def right(trial: Trial) -> None:
    """
    What must be true of any trial: caught if and only if it lied, for that, and nobody else named.
    """
    liar = trial.liar
    assert (trial.caught, bool(trial.lies)) == (trial.first_lie, bool(trial.first_lie))
    if not trial.lies:
        assert (trial.kinds, trial.named, trial.parties) == ((), (), ())
        return
    label = "fake@1.0/liar" + ("[reuse(3)]" if liar.product.instances != "fresh" else "")
    assert (trial.kinds, trial.named, trial.parties) == ((liar.kind,), (label,), ("engine",))


@pytest.mark.parametrize("liar", LIARS, ids=NAMES)
def test_a_liar_is_caught_at_its_first_lie(liar: Liar, tmp_path: Path) -> None:
    trial = try_liar(liar, tmp_path, SHARE, seed=1)
    right(trial)
    assert trial.lies or liar.sampled
    assert trial.shown == trial.cases or liar.sampled


def test_an_honest_fourth_is_not_caught(tmp_path: Path) -> None:
    trial = try_liar(HONEST, tmp_path, SHARE, seed=1)
    assert (trial.caught, trial.kinds, trial.named) == (0, (), ())
    # Control of the comparison itself: this one would have had a lie to tell.
    assert trial.lies
    with pytest.raises(AssertionError):
        right(trial)


def test_a_sampled_liar_is_caught_when_it_lies_and_missed_when_it_does_not(tmp_path: Path) -> None:
    trials = list(chances(tmp_path, SHARE, range(6, 10)))
    for trial in trials:
        right(trial)
        assert trial.shown < trial.cases
        assert 0 < trial.missing < 1
    assert {bool(trial.caught) for trial in trials} == {True, False}


@pytest.mark.engines
@pytest.mark.parametrize("liar", ["cranelift", "winch", "pulley"])
def test_a_wasmtime_that_lies_about_its_fuel_is_caught_by_the_two_equal_meters(
    liar: str, tmp_path: Path
) -> None:
    environments = Environments()
    launches = []
    for compiler in ("cranelift", "winch", "pulley"):
        launch = environments.launch(environments.catalog.resolve(f"wasmtime/{compiler}"))
        launches.append((overspending(launch) if compiler == liar else launch, False))
    # A third family, without a meter, so that everything but fuel has its quorum.
    launches.append((environments.launch(environments.catalog.resolve("wasmer/singlepass")), False))
    folder = Product(low=-1.0, high=1.0).write(tmp_path / "s")
    report = certify(options(folder, tmp_path / "out", tuple(launches), size=SHARE))
    (item,) = report.findings
    assert (item.finding.kind, report.exit_code) == (FindingClass.GAS, 1)
    # Cranelift and Pulley share their code, so only two families have the meter.
    assert item.finding.blame.party == "undecided"
    assert "nobody is named with fewer than 3" in item.finding.blame.reason


@pytest.mark.parametrize("on", [1, 2], ids=["stdout", "stderr"])
def test_a_gibibyte_of_output_is_one_finding_and_nothing_is_lost(on: int, tmp_path: Path) -> None:
    product = Product(low=0.5, high=2.0, rows=tuple((1.0 + i / 64, 1.5) for i in range(40)))
    flood = witness("floods_stdout", "liar", at=1.25, mib=1024, on=on)
    honest = tuple(witness("honest", name) for name in FAMILIES)
    folder = product.write(tmp_path / "s")
    report = certify(options(folder, tmp_path / "out", (*honest, flood)))
    (item,) = report.findings
    assert (report.exit_code, item.finding.kind) == (1, FindingClass.BROKEN_WORKER)
    assert item.finding.blame.nodes == ("fake@1.0/liar",)
    kinds = {o.node.label(): o.outcome.kind for o in item.finding.observed}
    assert kinds["fake@1.0/liar"] == BrokeProtocol("output-flood")
    cases = sum(origin.cases for origin in report.origins)
    assert [(n.agreeing, n.broken) for n in report.nodes] == [(cases, 0)] * 3 + [(cases - 1, 1)]
    little = witness("floods_stdout", "liar", at=1.25, mib=1, on=on)
    assert certify(options(folder, tmp_path / "little", (*honest, little))).exit_code == 0


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("liar", LIARS, ids=NAMES)
def test_nightly_liars_among_20_000_cases(liar: Liar, seed: int, tmp_path: Path) -> None:
    right(try_liar(liar, tmp_path, FULL, seed))


@pytest.mark.nightly
def test_nightly_liars_sampled_are_missed_as_often_as_foretold(tmp_path: Path) -> None:
    trials = list(chances(tmp_path, FULL, range(60)))
    for trial in trials:
        right(trial)
    expected = sum(trial.missing for trial in trials)
    deviation = sum(trial.missing * (1 - trial.missing) for trial in trials) ** 0.5
    assert abs(sum(not trial.caught for trial in trials) - expected) < 4 * deviation
