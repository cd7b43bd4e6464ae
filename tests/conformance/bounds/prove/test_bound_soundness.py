"""
No call of a made module costs more or less than its confirmed bound allows.

`make nightly CAMPAIGN=bound-soundness` judges 2,000 generated modules and 6,000 with loops, with 64
inputs each; what is done is kept module by module, so an interrupted campaign goes on. The plain
suite has a share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from bound_soundness import INPUTS, KINDS, Judged, budgeted, campaign, judged, read, tallied
from loop_modules import loop_module
from msgspec.structs import replace
from provable_modules import proving

from conformance.bounds.bound import BoundReport, GasAnswer
from conformance.bounds.certificate import Input, Precondition
from conformance.bounds.check.replaying.engine import Engine
from conformance.wasm.module import Module

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "build" / "campaigns" / "bound-soundness"
SEED = 20_251
SHARES, MODULES = 100, 20


def test_loop_modules_are_the_same_every_time_and_differ() -> None:
    texts = [loop_module(SEED, index).text for index in range(30)]
    assert texts == [loop_module(SEED, index).text for index in range(30)]
    assert len(set(texts)) == 30
    assert loop_module(SEED + 1, 0).text != texts[0]


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Judged]]:
    kept = tmp_path_factory.mktemp("campaign") / "kept.jsonl"
    return kept, campaign(SEED, range(2), kept)


def test_a_share_of_made_modules_stays_within_its_bounds(share: tuple[Path, list[Judged]]) -> None:
    kept, found = share
    tallies = tallied(found)
    for kind in KINDS:
        assert tallies[kind].escapes == []
        assert tallies[kind].pairs >= INPUTS
    assert tallies["loops"].loop_pairs >= INPUTS
    assert read(kept) == found


def test_a_campaign_goes_on_where_it_was_cut_off(
    share: tuple[Path, list[Judged]], tmp_path: Path
) -> None:
    text = share[0].read_text("utf-8")
    kept = tmp_path / "kept.jsonl"
    lines = text.splitlines(keepends=True)
    kept.write_text("".join(lines[1:-1]) + lines[-1][:20], "utf-8")
    asked = []

    def counting(
        module: Module, precondition: Precondition, inputs: Sequence[Input], engine: Engine
    ) -> BoundReport:
        asked.append(module.sha256)
        return budgeted(module, precondition, inputs, engine)

    assert campaign(SEED, range(2), kept, counting) == share[1]
    assert len(asked) == 2
    assert sorted(kept.read_text("utf-8").splitlines()) == sorted(text.splitlines())


@pytest.mark.parametrize(("less_hi", "more_lo"), [(1, 0), (0, 1)])
def test_a_bound_that_is_one_off_is_noticed(
    share: tuple[Path, list[Judged]], less_hi: int, more_lo: int
) -> None:
    def off(
        module: Module, precondition: Precondition, inputs: Sequence[Input], engine: Engine
    ) -> BoundReport:
        report = budgeted(module, precondition, inputs, engine)
        (answer,) = report.gas
        assert answer.bound is not None
        return _with_gas(
            report, _moved(answer, answer.bound.hi - less_hi, answer.bound.lo + more_lo)
        )

    exact = next(one for one in share[1] if one.answer == "exact")
    with proving() as prove:
        found = judged(exact.kind, exact.seed, exact.index, prove.engine, off)
    assert len(found.escapes) == INPUTS


def _moved(answer: GasAnswer, high: int, low: int) -> GasAnswer:
    assert answer.bound is not None
    moved = replace(answer.bound, hi=high, any_hi=high, lo=low)
    return GasAnswer(answer.model, answer.kind, moved)


def _with_gas(report: BoundReport, answer: GasAnswer) -> BoundReport:
    return BoundReport(
        report.module, report.precondition, (answer,), report.certificate, report.confirmation,
        report.obstacles, report.loops, report.questions,
    )  # fmt: skip


# ------------------------------------------------------------------------------------- nightly


@cache
def _sources() -> str:
    """
    SHA-256 over what the campaign is about: other sources, another campaign.
    """
    total = hashlib.sha256()
    rooms = ("bounds", "generate", "gas")
    paths = [path for room in rooms for path in (ROOT / "conformance" / room).rglob("*.py")]
    here = Path(__file__).resolve().parent
    paths += [here / "bound_soundness.py", here / "loop_modules.py", here / "fueled_calls.py"]
    for path in sorted(paths):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_bound_soundness(share: int, capfd: pytest.CaptureFixture[str]) -> None:
    folder = FOLDER / _sources()
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"share-{share:03}.jsonl"
    found = campaign(SEED, range(share * MODULES, (share + 1) * MODULES), kept)
    assert [text for tally in tallied(found).values() for text in tally.escapes] == []
    whole = [one for path in sorted(folder.glob("share-*.jsonl")) for one in read(path)]
    with capfd.disabled():
        for kind, tally in tallied(whole).items():
            print(f"\n{kind}: {dict(tally.answers)}, unknown by {dict(tally.reasons)}; "  # noqa: T201 - the campaign's report
                  f"{tally.with_loops} bounded with a loop, {tally.pairs} pairs, "
                  f"{tally.loop_pairs} of them with a loop, {tally.met} bounds met, "
                  f"{len(tally.escapes)} escapes")  # fmt: skip
