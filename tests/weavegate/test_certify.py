from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from product_subject import SEMANTICS, Product
from witnesses import SMALL, honest, label, options, witness

from conformance.differential.corpus import Origin, case_ids
from conformance.differential.records import FindingClass
from conformance.differential.sampling import in_sample
from reports.model import Report
from runners.bits import parse_bytes
from runners.launch import Launch
from runners.records import Returned
from weavegate.certify import certify
from weavegate.exits import Exit, WeavegateError

ROWS = tuple((1.0 + i / 64, 1.5) for i in range(40))
CULPRIT = 1.25
PLAIN = Product(rows=ROWS)
SIGNED = Product(low=-1.0, high=1.0)
SPECIAL = Product(low=-1.0, high=1.0, special=True)
SIGNALLING = "7ff0000000000bad"
"""A NaN that no arithmetic gives."""
LOOKING = msgspec.structs.replace(SMALL, full_share=1.0)
"""Every case at level `full`."""
SIMD = ("proposal:simd",)

Witnesses = tuple[tuple[Launch, bool], ...]


def certified(folder: Path, product: Product, witnesses: Witnesses, **given: object) -> Report:
    subject = product.write(folder / "subject")
    return certify(options(subject, folder / "out", witnesses, **given))


def verdict(report: Report, name: str) -> str:
    return next(v.verdict for v in report.verdicts if v.property == name)


def sentence(report: Report, name: str) -> str:
    return next(v.sentence for v in report.verdicts if v.property == name)


# --------------------------------------------------------------------------- replicates


def test_honest_nodes_of_three_families_pass(tmp_path: Path) -> None:
    report = certified(tmp_path, PLAIN, honest("aa", "bb", "cc"))
    assert report.exit_code == Exit.PASS
    assert report.findings == ()
    assert verdict(report, "replicates") == "holds"
    assert verdict(report, "faithful") == "not-asked"
    assert {node.differing for node in report.nodes} == {0}
    assert len({node.agreeing for node in report.nodes}) == 1
    assert report.nodes[0].agreeing == sum(origin.cases for origin in report.origins)
    assert report.run.unstable == ()


@pytest.mark.parametrize(
    ("program", "parameters", "product", "kind"),
    [
        ("flips_at", {"at": CULPRIT}, PLAIN, FindingClass.VALUE),
        ("swaps_zero_signs", {}, SIGNED, FindingClass.VALUE),
        (
            "changes_nan_payload_after_calls",
            {"after": 1, "bits": SIGNALLING},
            SPECIAL,
            FindingClass.NAN_BITS,
        ),
        ("traps_at", {"at": CULPRIT}, PLAIN, FindingClass.KIND),
        ("lies_about_fuel", {"at": CULPRIT}, PLAIN, FindingClass.GAS),
        ("crashes", {"at": CULPRIT}, PLAIN, FindingClass.BROKEN_WORKER),
        ("exits_quietly", {"at": CULPRIT}, PLAIN, FindingClass.BROKEN_WORKER),
        ("answers_twice", {"at": CULPRIT}, PLAIN, FindingClass.BROKEN_WORKER),
    ],
)
def test_one_liar_among_three_families_is_named(
    tmp_path: Path,
    program: str,
    parameters: dict[str, Any],
    product: Product,
    kind: FindingClass,
) -> None:
    liar = witness(program, "liar", **parameters)
    report = certified(tmp_path, product, (*honest("aa", "bb"), liar), size=LOOKING)
    assert report.exit_code == Exit.FINDINGS
    assert verdict(report, "replicates") == "fails"
    assert [item.finding.kind for item in report.findings] == [kind]
    blame = report.findings[0].finding.blame
    assert (blame.party, blame.nodes) == ("engine", (label("liar"),))
    assert Path(report.findings[0].file).is_file()


def test_quiet_nan_bits_are_laid_to_the_module_that_lets_them_escape(tmp_path: Path) -> None:
    liar = witness("changes_nan_payload_after_calls", "liar", after=1)
    report = certified(tmp_path, SPECIAL, (*honest("aa", "bb"), liar))
    (item,) = report.findings
    assert (item.finding.kind, item.finding.blame.party) == (FindingClass.NAN_BITS, "module")
    free = Product(low=-1.0, high=1.0, special=True, nan="free")
    assert certified(tmp_path / "free", free, (*honest("aa", "bb"), liar)).exit_code == Exit.PASS


def test_zeros_of_the_other_sign_are_a_manner_of_their_own(tmp_path: Path) -> None:
    liar = witness("swaps_zero_signs", "liar")
    (item,) = certified(tmp_path, SIGNED, (*honest("aa", "bb"), liar)).findings
    shown = {o.node.label(): o.outcome.kind for o in item.finding.observed}
    firsts = {}
    for name, kind in shown.items():
        assert isinstance(kind, Returned)
        firsts[name] = parse_bytes(kind.output)[:8]
    assert {firsts[label("aa")], firsts[label("liar")]} == {bytes(8), bytes(7) + b"\x80"}


def test_with_two_families_nobody_is_named(tmp_path: Path) -> None:
    witnesses = (*honest("aa"), witness("flips_at", "liar", at=CULPRIT))
    report = certified(tmp_path, PLAIN, witnesses)
    assert report.exit_code == Exit.FINDINGS
    (item,) = report.findings
    assert (item.finding.blame.party, item.finding.blame.nodes) == ("undecided", ())
    assert "only 2 have a voice" in item.finding.blame.reason


def bulk_row() -> int:
    """
    The last of the author's rows that is not in the sample.
    """
    ids = case_ids(0, Origin.DATASET, np.arange(len(ROWS), dtype=np.uint64))
    return int(np.flatnonzero(~in_sample(0, ids, SMALL.sample_share))[-1])


def test_a_lie_told_to_fast_nodes_only_is_put_to_the_slow_one_and_named(tmp_path: Path) -> None:
    witnesses = (
        *honest("aa"),
        witness("honest", "slow", sampled=True),
        witness("flips_at", "liar", at=ROWS[bulk_row()][0]),
    )
    report = certified(tmp_path, PLAIN, witnesses)
    (item,) = report.findings
    assert item.finding.count == 1
    assert item.finding.blame.nodes == (label("liar"),)
    assert label("slow") in {observed.node.label() for observed in item.finding.observed}
    slow = next(node for node in report.nodes if node.label == label("slow"))
    others = next(node for node in report.nodes if node.label == label("aa"))
    assert slow.role == "sample"
    assert slow.cases_result < others.cases_result
    # One case more than the sample and the edge cases that it sees in any run.
    honest_run = certified(tmp_path / "honest", PLAIN, (*honest("aa", "bb"), witnesses[1]))
    same = next(node for node in honest_run.nodes if node.label == label("slow"))
    seen = [n.cases_result + n.cases_state + n.cases_full for n in (slow, same)]
    assert seen[0] == seen[1] + 1


@pytest.mark.parametrize("families", [("aa",), ("aa", "bb")])
def test_too_few_families_decide_nothing(tmp_path: Path, families: tuple[str, ...]) -> None:
    report = certified(tmp_path, PLAIN, honest(*families))
    assert report.exit_code == Exit.UNDECIDED
    assert verdict(report, "replicates") == "undecided"
    assert "were not voted on by enough code families" in sentence(report, "replicates")
    assert f"{len(families)} took part ({', '.join(families)})" in sentence(report, "replicates")


def test_two_nodes_of_one_family_are_one_voice(tmp_path: Path) -> None:
    (first, _), (second, _) = honest("aa", "bb")
    twin = msgspec.structs.replace(second, families=first.families)
    report = certified(tmp_path, PLAIN, (*honest("aa", "cc"), (twin, False)))
    assert report.exit_code == Exit.UNDECIDED
    assert "2 took part (aa, cc)" in sentence(report, "replicates")


def test_a_claimed_feature_that_is_refused_is_a_finding(tmp_path: Path) -> None:
    able = tuple(witness("honest", name, capabilities=SIMD) for name in ("aa", "bb"))
    liar = witness("claims_simd", "liar", capabilities=SIMD)
    unable = witness("honest", "old")
    report = certified(tmp_path, Product(simd=True), (*able, liar, unable))
    assert report.exit_code == Exit.FINDINGS
    (item,) = report.findings
    assert item.finding.kind is FindingClass.REFUSED
    assert item.finding.blame.nodes == (label("liar"),)
    old = next(node for node in report.nodes if node.label == label("old"))
    assert (old.role, old.reason) == ("not asked", "does not have simd")


def test_without_a_node_that_can_be_asked_nothing_is_decided(tmp_path: Path) -> None:
    with pytest.raises(
        WeavegateError, match=r"no node can be asked: .* does not have simd"
    ) as told:
        certified(tmp_path, Product(simd=True), honest("aa", "bb"))
    assert told.value.status == Exit.UNDECIDED


def test_a_wrong_mode_of_the_floating_point_unit_is_its_own_finding(tmp_path: Path) -> None:
    liar = witness("flushes_subnormals", "liar")
    report = certified(tmp_path, PLAIN, (*honest("aa", "bb"), liar))
    assert report.exit_code == Exit.FINDINGS
    (item,) = report.findings
    assert item.finding.kind is FindingClass.FPU_MODE
    assert item.finding.blame.party == "harness"
    assert label("liar") in item.finding.blame.reason
    node = next(node for node in report.nodes if node.label == label("liar"))
    assert node.agreeing == node.differing == 0


# ----------------------------------------------------------------------------- faithful


def test_bits_of_the_declared_program_are_held_against_every_node(tmp_path: Path) -> None:
    product = Product(rows=ROWS, semantics=SEMANTICS)
    report = certified(tmp_path, product, honest("aa", "bb", "cc"))
    assert report.exit_code == Exit.PASS
    assert verdict(report, "faithful") == "holds"
    assert "in strict order" in sentence(report, "faithful")


def test_a_module_that_does_not_do_what_it_declares_is_to_blame_itself(tmp_path: Path) -> None:
    other = SEMANTICS.replace("x[1]", "x[1] * 1.0000000000000002")
    assert other != SEMANTICS
    report = certified(tmp_path, Product(rows=ROWS, semantics=other), honest("aa", "bb", "cc"))
    assert report.exit_code == Exit.FINDINGS
    assert verdict(report, "replicates") == "holds"
    assert verdict(report, "faithful") == "fails"
    (item,) = report.findings
    assert item.finding.kind is FindingClass.UNFAITHFUL
    assert item.finding.property == "faithful"
    assert item.finding.blame.party == "module"
    kind = item.finding.observed[0].outcome.kind
    assert isinstance(kind, Returned)
    assert item.finding.expected not in ("", kind.output)


def test_an_engine_that_deviates_from_declared_bits_is_named_twice(tmp_path: Path) -> None:
    product = Product(rows=ROWS, semantics=SEMANTICS)
    liar = witness("flips_at", "liar", at=CULPRIT)
    report = certified(tmp_path, product, (*honest("aa", "bb"), liar))
    assert [(i.finding.property, i.finding.blame.nodes) for i in report.findings] == [
        ("replicates", (label("liar"),)),
        ("faithful", (label("liar"),)),
    ]


def test_the_authors_expected_rows_are_compared_within_their_tolerance(tmp_path: Path) -> None:
    right = tuple((x * y, 1.0) for x, y in ROWS)
    near = tuple((np.nextafter(value, 9.0).item(), one) for value, one in right)
    witnesses = honest("aa", "bb", "cc")
    report = certified(tmp_path / "1", Product(rows=ROWS, expected=right), witnesses)
    assert report.exit_code == Exit.PASS
    wrong = certified(tmp_path / "2", Product(rows=ROWS, expected=near), witnesses)
    assert wrong.exit_code == Exit.FINDINGS
    assert verdict(wrong, "faithful") == "fails"
    assert "40 rows differ from the author's expected bits" in sentence(wrong, "faithful")
    (shown,) = [f for f in wrong.findings if "held-out row" in f.finding.blame.reason]
    assert (shown.finding.blame.party, shown.finding.count) == ("module", 40)
    assert shown.finding.expected.startswith("bytes:")
    assert shown.replay.startswith("weavegate replay ")
    tolerant = Product(rows=ROWS, expected=near, judge="tolerance_ulp = 1")
    assert certified(tmp_path / "3", tolerant, witnesses).exit_code == Exit.PASS


def test_an_accuracy_floor_that_is_missed_fails(tmp_path: Path) -> None:
    # The larger of (product, 1) is the product, in all rows.
    labels = tuple(float(i >= 4) for i in range(40))
    witnesses = honest("aa", "bb", "cc")
    for floor, status in (("0.1", Exit.PASS), ("0.101", Exit.FINDINGS)):
        judge = f'decision = "argmax"\naccuracy_floor = {floor}'
        product = Product(rows=ROWS, labels=labels, judge=judge)
        report = certified(tmp_path / floor, product, witnesses)
        assert report.exit_code == status
        assert report.accuracy.startswith("4 of 40 held-out rows right (10.0%)")
    assert verdict(report, "faithful") == "fails"
    assert "accuracy: 4 of 40" in sentence(report, "faithful")


# ---------------------------------------------------------------------------- shrinking


def test_a_finding_is_shrunk_to_the_simplest_inputs_that_show_it(tmp_path: Path) -> None:
    rows = tuple((x, 1.0 + i / 1024) for i, (x, _) in enumerate(ROWS))
    liar = witness("flips_at", "liar", at=CULPRIT)
    (item,) = certified(tmp_path, Product(rows=rows), (*honest("aa", "bb"), liar)).findings
    assert item.finding.shrunk
    (row,) = item.finding.history
    # The first factor is the culprit; nothing is simpler than 1 for the second.
    assert np.frombuffer(parse_bytes(row), "<f8").tolist() == [CULPRIT, 1.0]


def test_a_history_is_shrunk_to_as_many_calls_as_the_lie_needs(tmp_path: Path) -> None:
    product = Product(low=-1.0, high=1.0, special=True, instances="reuse(8)")
    liar = witness("changes_nan_payload_after_calls", "liar", after=3, bits=SIGNALLING)
    report = certified(tmp_path, product, (*honest("aa", "bb"), liar))
    (item,) = [i for i in report.findings if i.finding.kind is FindingClass.NAN_BITS]
    assert item.finding.blame.nodes == (label("liar", "reuse(8)"),)
    assert item.finding.shrunk
    assert len(item.finding.history) == 3


def test_findings_beyond_the_most_are_kept_as_they_were_seen(tmp_path: Path) -> None:
    liar = witness("flips_at", "liar", at=CULPRIT)
    report = certified(tmp_path, PLAIN, (*honest("aa", "bb"), liar), shrink_most=0)
    (item,) = report.findings
    assert not item.finding.shrunk
    assert np.frombuffer(parse_bytes(item.finding.history[0]), "<f8").tolist() == [CULPRIT, 1.5]
