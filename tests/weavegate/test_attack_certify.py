from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from product_subject import Product
from witnesses import honest, label, options, witness

from conformance.differential.records import FindingClass
from reports.model import PropertyVerdict, Report
from weavegate.attacking import Attacker
from weavegate.certify import certify
from weavegate.exits import Exit
from weavegate.findings_files import read_finding
from weavegate.replay_job import replay
from weavegate.subject import load_subject
from weavegate.terminal import Output

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
FRESH = Product()
REUSED = Product(instances="reuse(8)")


def no_residue(report: Report) -> PropertyVerdict:
    return next(v for v in report.verdicts if v.property == "no-residue")


def certified(folder: Path, product: Product, *liars: tuple[str, str], **given: Any) -> Report:
    subject = product.write(folder / "subject")
    fakes = tuple(witness(program, family) for family, program in liars)
    return certify(options(subject, folder / "out", (*honest("aa", "bb"), *fakes), **given))


def test_innocent_nodes_leave_nothing(tmp_path: Path) -> None:
    report = certified(tmp_path, FRESH, ("cc", "honest"))
    assert report.exit_code == Exit.PASS
    assert no_residue(report).verdict == "holds"
    assert no_residue(report).sentence.startswith(
        "3 nodes, 1 entry: the instance after a secret's starts and computes like one before it"
    )
    # The product counts its calls, which one instance for two calls would show.
    assert "it needs a new instance for each call" in no_residue(report).sentence


def test_an_engine_that_keeps_memory_is_named_although_all_results_agree(tmp_path: Path) -> None:
    report = certified(tmp_path, FRESH, ("liar", "keeps_memory"))
    (item,) = report.findings
    assert report.exit_code == Exit.FINDINGS
    assert next(v for v in report.verdicts if v.property == "replicates").verdict == "holds"
    assert no_residue(report).verdict == "fails"
    assert item.finding.kind is FindingClass.RESIDUE
    assert item.finding.property == "no-residue"
    assert (item.finding.blame.party, item.finding.blame.nodes) == ("engine", (label("liar"),))
    assert "2 of 2 bit patterns of the secret are in the next instance's memory" in (
        item.finding.blame.reason
    )


def test_the_finding_is_replayed_on_the_liar_and_not_on_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = certified(tmp_path, FRESH, ("liar", "keeps_memory"))
    path = Path(report.findings[0].file)
    (launch, _) = witness("keeps_memory", "liar")
    assert replay(Output(), path, None, (), (launch,)) == Exit.FINDINGS
    assert "the finding shows again" in capsys.readouterr().out
    (innocent, _) = witness("honest", "liar")
    assert replay(Output(), path, None, (), (innocent,)) == Exit.PASS
    said = capsys.readouterr().out
    assert "the finding does not show" in said
    assert "after 1 earlier call in another instance" in said


def test_reuse_without_a_reset_is_red_and_the_module_is_blamed(tmp_path: Path) -> None:
    report = certified(tmp_path, REUSED, ("cc", "honest"))
    (item,) = report.findings
    assert report.exit_code == Exit.FINDINGS
    assert item.finding.blame.party == "module"
    assert "the manifest declares reuse but names no [reset]" in item.finding.blame.reason
    assert no_residue(report).verdict == "fails"
    assert read_finding(Path(item.file)).policy == "reuse(8)"


def test_a_second_run_recalls_what_the_attack_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = certified(tmp_path, FRESH, ("liar", "keeps_memory"))

    def forbidden(*_: object, **__: object) -> None:
        message = "an instance was opened"
        raise AssertionError(message)

    monkeypatch.setattr("weavegate.attacking.HeldInstance", forbidden)
    second = certified(tmp_path, FRESH, ("liar", "keeps_memory"))
    assert no_residue(second) == no_residue(first)
    assert [f.id for f in second.findings] == [f.id for f in first.findings]
    with pytest.raises(AssertionError, match="an instance was opened"):
        certified(tmp_path, FRESH, ("liar", "keeps_memory"), again=True)


def test_another_seed_asks_again_with_another_secret(tmp_path: Path) -> None:
    first = certified(tmp_path, FRESH, ("liar", "keeps_memory"))
    second = certified(tmp_path, FRESH, ("liar", "keeps_memory"), seed=1)
    assert first.findings[0].finding.history != second.findings[0].finding.history
    assert no_residue(second).verdict == "fails"


def test_a_worker_that_dies_of_every_secret_leaves_it_undecided_and_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []
    original = Attacker._result

    def watched(self: Attacker, *given: Any) -> Any:
        result = original(self, *given)
        kept.append(self.store.recall_run(given[-1]) or b"")
        return result

    monkeypatch.setattr(Attacker, "_result", watched)
    report = certified(tmp_path, FRESH, ("liar", "dies_in_held_calls"))
    assert no_residue(report).verdict == "undecided"
    assert label("liar") in no_residue(report).sentence
    assert report.exit_code == Exit.UNDECIDED
    # What no node was needed for is kept, what the lost worker left open is not.
    assert [bool(text) for text in kept] == [True, False]


def test_slow_nodes_are_left_to_release_runs(tmp_path: Path) -> None:
    subject = FRESH.write(tmp_path / "subject")
    fakes = (*honest("aa", "bb"), witness("honest", "slow", sampled=True))
    quick = no_residue(certify(options(subject, tmp_path / "a", fakes)))
    assert quick.sentence.startswith("2 nodes")
    assert f"{label('slow')} not asked: an interpreter, in a quick run" in quick.sentence
    release = no_residue(certify(options(subject, tmp_path / "b", fakes, effort="release")))
    assert release.sentence.startswith("3 nodes")
    assert "not asked" not in release.sentence


# -------------------------------------------------------------------------------- real engines


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize(("name", "verdict"), [("leaks", "fails"), ("wipes", "holds")])
def test_the_controls_on_real_engines(tmp_path: Path, name: str, verdict: str) -> None:
    given = options(VECTORS / "attacks" / f"{name}-scratch", tmp_path / "out", ())
    report = certify(given)
    assert no_residue(report).verdict == verdict
    assert [f.finding.kind for f in report.findings] == (
        [FindingClass.RESIDUE] if verdict == "fails" else []
    )
    if verdict == "fails":
        assert report.findings[0].finding.blame.party == "module"
        assert "5 of 8 bit patterns of the secret are in memory" in no_residue(report).sentence
        assert replay(Output(), Path(report.findings[0].file), None, ()) == Exit.FINDINGS


@pytest.mark.engines
@pytest.mark.slow
def test_the_control_that_wipes_is_red_without_its_reset(tmp_path: Path) -> None:
    folder = tmp_path / "subject"
    shutil.copytree(VECTORS / "attacks" / "wipes-scratch", folder)
    text = (folder / "model.toml").read_text().replace('[reset]\nexport = "reset"\n', "")
    assert "[reset]" not in text
    (folder / "model.toml").write_text(text)
    report = certify(options(folder, tmp_path / "out", (), engines=("wasmtime", "wasmer")))
    assert no_residue(report).verdict == "fails"
    assert "names no [reset]" in no_residue(report).sentence


@pytest.mark.engines
@pytest.mark.slow
def test_a_module_that_can_keep_nothing_needs_no_reset(tmp_path: Path) -> None:
    given = options(VECTORS / "operators", tmp_path / "out", (), engines=("wasmtime", "wasmer"))
    verdict = no_residue(certify(given))
    assert verdict.verdict == "holds"
    assert f"8 of {len(load_subject(VECTORS / 'operators').calls)} entries" in verdict.sentence
    assert "no memory, table or global in which anything could stay" in verdict.sentence
