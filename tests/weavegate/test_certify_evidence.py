from __future__ import annotations

import os
import signal
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from product_subject import SEMANTICS, Product
from witnesses import SMALL, honest, label, options, witness

from conformance.differential.records import FindingClass
from conformance.evidence import database
from conformance.evidence.store import EvidenceStore
from reports.model import Report
from runners.bits import parse_bytes
from weavegate.certify import SILENT, certify

ROWS = tuple((1.0 + i / 64, 1.5) for i in range(40))
CULPRIT = 1.25
PLAIN = Product(rows=ROWS, semantics=SEMANTICS)


def reproducible(report: Report) -> dict[str, Any]:
    """
    A report without its run block.
    """
    plain: dict[str, Any] = msgspec.to_builtins(report)
    del plain["run"]
    return plain


def verified(out: Path) -> int:
    with EvidenceStore.open(out / "evidence.sqlite", read_only=True) as store:
        return store.verify()


# ------------------------------------------------------------------- a second run is served


@pytest.mark.parametrize("program", ["honest", "swaps_zero_signs"])
def test_a_second_run_is_served_from_evidence_whole(tmp_path: Path, program: str) -> None:
    product = Product(low=-1.0, high=1.0, semantics=SEMANTICS)
    witnesses = (*honest("aa", "bb"), witness("honest", "slow", sampled=True),
                 witness(program, "other"))  # fmt: skip
    given = options(product.write(tmp_path / "subject"), tmp_path / "out", witnesses)
    first = certify(given)
    outcomes = verified(tmp_path / "out")
    second = certify(given)
    assert [node.cases for node in second.run.engines] == [0, 0, 0, 0]
    assert [node.busy_ms for node in second.run.engines] == [0.0] * 4
    assert [node.served_from_evidence for node in second.run.engines] == [
        node.cases for node in first.run.engines
    ]
    assert min(node.cases for node in first.run.engines) > 0
    assert reproducible(second) == reproducible(first)
    assert second.exit_code == (program != "honest")
    # Nothing at all was put to a node, for shrinking or for an allowance neither.
    assert verified(tmp_path / "out") == outcomes


def test_evidence_in_another_file_gives_the_same_digest_and_another_seed_does_not(
    tmp_path: Path,
) -> None:
    subject = PLAIN.write(tmp_path / "subject")
    runs = {
        name: certify(options(subject, tmp_path / name, honest("aa", "bb", "cc"), seed=seed))
        for name, seed in (("one", 5), ("two", 5), ("three", 6))
    }
    assert runs["one"].evidence_sha256 == runs["two"].evidence_sha256
    assert runs["one"].evidence_sha256 != runs["three"].evidence_sha256


def test_a_changed_judge_part_judges_stored_outcomes_without_running(tmp_path: Path) -> None:
    rows = PLAIN.rows
    right = tuple((x * y, 1.0) for x, y in rows)
    near = tuple((np.nextafter(value, 9.0).item(), one) for value, one in right)
    subject = Product(rows=rows, expected=near).write(tmp_path / "subject")
    given = options(subject, tmp_path / "out", honest("aa", "bb", "cc"))
    assert certify(given).exit_code == 1
    Product(rows=rows, expected=near, judge="tolerance_ulp = 1").write(subject)
    again = certify(given)
    assert again.exit_code == 0
    assert {node.cases for node in again.run.engines} == {0}


def test_a_larger_corpus_runs_what_is_new(tmp_path: Path) -> None:
    subject = PLAIN.write(tmp_path / "subject")
    one = msgspec.structs.replace(SMALL, block_cases=1)
    more = msgspec.structs.replace(one, uniform=SMALL.uniform + 7)
    small, large = (
        certify(options(subject, tmp_path / "out", honest("aa", "bb", "cc"), size=size))
        for size in (one, more)
    )
    assert {node.cases for node in large.run.engines} == {7}
    # A row that stands in the corpus twice may have been served in the small run as well.
    assert [node.served_from_evidence for node in large.run.engines] == [
        node.cases + node.served_from_evidence for node in small.run.engines
    ]


# -------------------------------------------------------------------------- flaky engines


def test_again_runs_everything_and_finds_a_node_that_changes_between_processes(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    flaky = witness("changes_between_processes", "flaky", at=CULPRIT, mark=mark)
    subject = PLAIN.write(tmp_path / "subject")
    given = options(subject, tmp_path / "out", (*honest("aa", "bb", "cc"), flaky))
    first = certify(given)
    assert first.exit_code == 0
    # Without --again evidence answers, and nobody can know.
    assert certify(given).exit_code == 0
    repeated = certify(options(subject, tmp_path / "out", given.launches, again=True))
    assert repeated.exit_code == 1
    assert {node.served_from_evidence for node in repeated.run.engines} == {0}
    assert [node.cases for node in repeated.run.engines] == [
        node.cases for node in first.run.engines
    ]
    assert flaky_nodes(repeated) == [(label("flaky"),)]
    (found,) = [i.finding for i in repeated.findings if i.finding.kind is FindingClass.FLAKY]
    assert found.count == 1
    assert np.frombuffer(parse_bytes(found.history[-1]), "<f8").tolist() == [CULPRIT, 1.5]
    assert [o.node.label() for o in found.observed] == [label("flaky")] * 2
    assert found.observed[0].outcome.kind != found.observed[1].outcome.kind
    # What evidence knows stays known: served, and run once more with the outcome of the second.
    assert flaky_nodes(certify(given)) == [(label("flaky"),)]
    third = certify(options(subject, tmp_path / "out", given.launches, again=True))
    assert flaky_nodes(third) == [(label("flaky"),)]
    assert third.exit_code == 1


def test_again_finds_nothing_with_nodes_that_keep_to_what_they_said(tmp_path: Path) -> None:
    subject = PLAIN.write(tmp_path / "subject")
    given = options(subject, tmp_path / "out", honest("aa", "bb", "cc"))
    first = certify(given)
    repeated = certify(options(subject, tmp_path / "out", given.launches, again=True))
    assert reproducible(repeated) == reproducible(first)
    assert [n.cases for n in repeated.run.engines] == [n.cases for n in first.run.engines]


def flaky_nodes(report: Report) -> list[tuple[str, ...]]:
    return [i.finding.blame.nodes for i in report.findings if i.finding.kind == FindingClass.FLAKY]


# -------------------------------------------------------------------- a worker that is killed


def test_a_worker_killed_from_outside_changes_nothing_but_the_run_block(tmp_path: Path) -> None:
    pipe, mark = tmp_path / "pipe", tmp_path / "mark"
    os.mkfifo(pipe)
    killed: list[int] = []

    def kill() -> None:
        killed.append(int(pipe.read_text()))
        os.kill(killed[0], signal.SIGKILL)

    waits = witness("waits_to_be_killed", "waits", at=CULPRIT, pipe=pipe, mark=mark)
    subject = PLAIN.write(tmp_path / "subject")
    witnesses = (*honest("aa", "bb"), waits)
    killer = threading.Thread(target=kill)
    killer.start()
    disturbed = certify(options(subject, tmp_path / "out", witnesses))
    killer.join()
    assert len(killed) == 1
    evidence = (tmp_path / "out" / "evidence.sqlite").rename(tmp_path / "disturbed.sqlite")
    left_alone = certify(options(subject, tmp_path / "out", witnesses))
    (text,) = disturbed.run.unstable
    assert text.startswith(f"{label('waits')}: SIGKILL at case ")
    assert left_alone.run.unstable == ()
    assert reproducible(disturbed) == reproducible(left_alone)
    assert disturbed.exit_code == 0
    with EvidenceStore.open(evidence, read_only=True) as store:
        assert store.verify() == verified(tmp_path / "out")


# ------------------------------------------------------------------- a file that is held


def test_waiting_for_a_file_that_another_run_holds_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "NOTICE_MS", 5)
    given = options(PLAIN.write(tmp_path / "s"), tmp_path / "out", honest("aa", "bb", "cc"))
    certify(given)
    holder = sqlite3.connect(tmp_path / "out" / "evidence.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("waiting for "):
            holder.execute("ROLLBACK")

    assert certify(given, replace(SILENT, say=say)).exit_code == 0
    holder.close()
    assert said[:2] == [
        f"waiting for {tmp_path}/out/evidence.sqlite, which another process is writing to",
        "running",
    ]
    said.clear()
    certify(given, replace(SILENT, say=said.append))
    assert not [text for text in said if text.startswith("waiting")]
