"""
What a dry run says is what the run then does, and it starts nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bad_subjects import complaint, weavegate
from product_subject import Product
from witnesses import SMALL, honest, label, options, witness

from conformance.differential.corpus import Stratum
from reports.dry_run import DryRun
from reports.model import Report
from runners.dispatch import Dispatcher
from runners.launch import Launch
from runners.pool import Pool
from runners.records import Node
from tests.fakes.launches import toy_launch
from weavegate import stored
from weavegate.certify import Options, certify
from weavegate.dry_run import dry_run
from weavegate.dry_run_output import print_dry_run
from weavegate.exits import WeavegateError, plainly
from weavegate.opening import corpus_of
from weavegate.subject import load_subject
from weavegate.terminal import Output

RIDGE = Path(__file__).resolve().parents[2] / "vectors" / "models" / "diabetes-ridge"
ROWS = tuple((1.0 + i / 64, 1.5) for i in range(40))
THREE = (*honest("aa", "bb"), witness("honest", "slow", sampled=True))


def given(
    tmp_path: Path, launches: Sequence[tuple[Launch, bool]] = THREE, **fields: Any
) -> Options:
    product = Product(rows=ROWS, instances=fields.pop("instances", "fresh"))
    return options(product.write(tmp_path / "s"), tmp_path / "out", tuple(launches), **fields)


def ran(asked: Options) -> list[int]:
    """
    Cases that each node runs when the plan is carried out.
    """
    return [node.cases for node in certify(asked).run.engines]


def to_run(plan: DryRun) -> list[int]:
    return [node.to_run for node in plan.nodes]


@pytest.mark.parametrize("instances", ["fresh", "reuse(3)"])
def test_the_run_does_what_the_plan_says(tmp_path: Path, instances: str) -> None:
    first = given(tmp_path, instances=instances)
    plan = dry_run(first)
    assert to_run(plan) == [node.cases for node in plan.nodes] == ran(first)
    assert min(to_run(plan)) > 0
    # The interpreter sees no bulk.
    assert plan.nodes[2].cases == plan.nodes[0].cases - dict(plan.strata)["bulk"]
    assert to_run(dry_run(first)) == [0, 0, 0] == ran(first)
    size = msgspec.structs.replace(SMALL, uniform=SMALL.uniform + 7)
    other = given(tmp_path, instances=instances, size=size)
    left = to_run(dry_run(other))
    assert 0 < max(left) < plan.nodes[0].cases
    assert left == ran(other)


def test_rows_that_are_missing_are_counted_row_by_row_unless_an_instance_is_shared(
    tmp_path: Path,
) -> None:
    for instances, whole in (("fresh", False), ("reuse(3)", True)):
        folder = tmp_path / instances
        honest_run = given(folder, instances=instances)
        corpus = corpus_of(load_subject(honest_run.argument), SMALL, 0)
        bulk = next(part.block for part in corpus.blocks if part.stratum is Stratum.BULK)
        (culprit,) = bulk.inputs[1].view("<f8")[:1].tolist()
        hangs = (*honest("aa", "bb"), witness("hangs", "cc", at=culprit))
        late = replace(honest_run, launches=hangs)
        manifest = folder / "s" / "model.toml"
        short = manifest.read_text().replace("deadline_ms = 20000", "deadline_ms = 300")
        manifest.write_text(short)
        certify(late)
        node = dry_run(late).nodes[2]
        # What timed out is not kept and would be run again.
        assert node.to_run == (len(bulk) if whole else 1)


def test_batches_are_those_that_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Counter[str] = Counter()
    send = Dispatcher.send

    def counted(self: Dispatcher, *rest: Any) -> None:
        sent[self.node.label()] += 1
        send(self, *rest)

    monkeypatch.setattr(Dispatcher, "send", counted)
    asked = given(tmp_path, instances="reuse(3)")
    plan = dry_run(asked)
    assert not sent
    certify(asked)
    assert {node.label: node.batches for node in plan.nodes} == dict(sent)
    for node in plan.nodes:
        assert node.cases / 3 <= node.instances <= node.cases / 3 + node.batches


def test_nothing_is_started_and_nothing_is_written(tmp_path: Path) -> None:
    dead = [
        (msgspec.structs.replace(launch, argv=("/nonexistent/worker",)), slow)
        for launch, slow in THREE
    ]
    asked = given(tmp_path, dead)
    assert dry_run(asked).exit_code == 0
    assert not asked.out.exists()
    with pytest.raises(WeavegateError), plainly():
        certify(asked)


def test_again_counts_what_is_stored_as_to_be_run(tmp_path: Path) -> None:
    asked = given(tmp_path)
    certify(asked)
    plan = dry_run(replace(asked, again=True))
    assert to_run(plan) == [node.cases for node in plan.nodes]
    assert [node.stored for node in plan.nodes] == [0, 0, 0]


def test_a_rate_is_measured_or_unknown(tmp_path: Path) -> None:
    two = given(tmp_path, THREE[:2])
    before = dry_run(two)
    assert before.seconds is None
    assert {node.us_per_case for node in before.nodes} == {None}
    report = certify(two)
    plan = dry_run(given(tmp_path, seed=9))
    measured = {item.label: item.us_per_case for item in report.run.engines}
    assert [node.us_per_case for node in plan.nodes] == pytest.approx(
        [measured[label("aa")], measured[label("bb")], None]
    )
    # The third was never run: neither its time nor the whole's is made up.
    assert [node.seconds is None for node in plan.nodes] == [False, False, True]
    assert plan.seconds is None
    known = dry_run(given(tmp_path, THREE[:2], seed=9))
    first, second = known.nodes
    assert first.seconds is not None
    assert second.seconds is not None
    assert first.seconds == pytest.approx(measured[label("aa")] * first.to_run / 1e6)
    assert known.seconds == pytest.approx(
        max(first.seconds, second.seconds, (first.seconds + second.seconds) / known.cores)
    )
    certify(given(tmp_path, THREE[:2], seed=9))
    more = dry_run(two).nodes[0]
    assert more.measured_cases == first.measured_cases + first.to_run


def test_a_file_of_rates_that_is_none_is_no_rate_and_no_error(tmp_path: Path) -> None:
    asked = given(tmp_path, THREE[:2])
    certify(asked)
    rates = asked.out / "evidence.sqlite.rates.json"
    assert None not in {node.us_per_case for node in dry_run(asked).nodes}
    for text in ("", "[]", '{"a": 1}', '{"a": {"cases": 0, "busy_ns": 1}}'):
        rates.write_text(text)
        assert {node.us_per_case for node in dry_run(asked).nodes} == {None}
    rates.unlink()
    rates.mkdir()
    assert certify(replace(asked, again=True)).exit_code == 3
    assert {node.us_per_case for node in dry_run(asked).nodes} == {None}


def test_too_few_families_are_foretold(tmp_path: Path) -> None:
    few = given(tmp_path, honest("aa", "bb"))
    plan = dry_run(few)
    assert (plan.exit_code, "3 on edge and sampled cases, 2 would vote" in plan.outlook) == (
        3,
        True,
    )
    assert certify(few).exit_code == 3
    slow = [(launch, True) for launch, _ in honest("aa", "bb", "cc")]
    assert "2 code families on every case, 0" in dry_run(given(tmp_path / "slow", slow)).outlook


def test_engines_that_are_missing_are_all_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEAVEGATE_HOME", str(tmp_path / "empty"))
    asked = replace(given(tmp_path), engines=("wasmtime@50.0.1", "pywasm"))
    plan = dry_run(asked)
    assert plan.exit_code == 3
    assert [item.engine for item in plan.missing] == ["wasmtime@50.0.1/cranelift", "pywasm@2.2.3"]
    assert "weavegate engines install wasmtime@50.0.1" in plan.outlook
    assert [node.label for node in plan.nodes] == [label("aa"), label("bb"), label("slow")]
    with pytest.raises(WeavegateError) as caught, plainly():
        certify(asked)
    assert caught.value.status == plan.exit_code


def test_the_cpu_is_named_as_workers_name_it(tmp_path: Path) -> None:
    launch = toy_launch()
    with Pool([(Node(launch.engine), launch)]) as pool:
        assert pool.identities()[0].cpu_features_sha256 == stored.cpu_features_sha256()
    bare = tmp_path / "cpuinfo"
    bare.write_text("flags\t: b a\n")
    assert stored.cpu_features_sha256(bare) != stored.cpu_features_sha256()
    bare.write_text("processor : 0\n")
    assert stored.cpu_features_sha256(bare) == "unknown: no flags listed"


@pytest.mark.engines
def test_evidence_of_real_engines_is_found_without_starting_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = ("wasmtime/cranelift", "wasmtime/winch", "wasmer/singlepass")
    asked = replace(options(RIDGE, tmp_path / "out", ()), engines=engines)
    certify(asked)
    assert to_run(dry_run(asked)) == [0, 0, 0]
    # What another CPU did is no evidence about this one.
    monkeypatch.setattr(stored, "cpu_features_sha256", lambda: "0" * 64)
    assert min(to_run(dry_run(asked))) > 0


def test_the_command_prints_a_plan_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("certify", RIDGE, "--dry-run", "--out", out, "--engine", "reference")
    result = weavegate(*words)
    assert result.exit_code == 3
    assert "too few for a quorum" in result.stdout
    assert "unknown" in result.stdout
    as_json = weavegate(*words, "--json")
    plan = msgspec.json.decode(as_json.stdout, type=DryRun)
    assert (plan.exit_code, plan.name) == (3, json.loads(as_json.stdout)["name"])
    assert not out.exists()


@pytest.mark.engines
def test_a_report_as_json_is_the_one_that_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = weavegate("certify", RIDGE, "--json", "--out", out, "--engine", "wasmtime")
    report = msgspec.json.decode(result.stdout, type=Report)
    assert (result.exit_code, report.exit_code) == (3, 3)
    assert json.loads(result.stdout) == json.loads((out / "report.json").read_text())


def test_an_evidence_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    junk = tmp_path / "junk.sqlite"
    junk.write_text("junk")
    for evidence, said in ((junk, "is not an evidence file"), (tmp_path, "is a folder")):
        words = ("certify", RIDGE, "--dry-run", "--evidence", evidence, "--engine", "reference")
        assert said in complaint(2, *words)
    assert junk.read_text() == "junk"
    junk.write_bytes(b"")
    assert not dry_run(replace(given(tmp_path), evidence=junk)).evidence_there
    assert junk.read_bytes() == b""


def test_a_plan_reads_on_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    asked = given(tmp_path)
    certify(asked)
    print_dry_run(Output(), dry_run(replace(asked, seed=5)))
    shown = capsys.readouterr().out
    table = shown.partition("Attacks")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert "Nothing was run. Exit 0" in shown
