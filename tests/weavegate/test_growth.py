"""
A module whose growth some engines refuse meets a limit; no engine gave a wrong value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from bad_subjects import SCALARS, subject_in, wat

from conformance.differential.corpus import Corpus, CorpusBlock, CorpusSize, Stratum
from conformance.differential.findings import RunFinding, collect_findings
from conformance.differential.records import FindingClass
from conformance.evidence.keys import BlockKey
from runners.blocks import BlockOutcome, CaseBlock
from runners.instances import cases_per_instance
from runners.launch import Launch
from runners.records import Budget, EngineId, Families, Level, Node, Returned
from runners.status import Status
from weavegate.certify import Options, certify
from weavegate.execution import Done, Executor, Task
from weavegate.exits import Exit
from weavegate.growth import MOST_ALIKE
from weavegate.judging import Judge, RunRecord
from weavegate.nodes import Participant
from weavegate.subject import load_subject

GROWS = """(module (memory (export "memory") 1{most})
  (func (export "f") (param i32) (result i32)
    (i32.add (local.get 0) (memory.grow (i32.const {pages})))))"""
STILL = (
    '(module (memory (export "memory") 1) (func (export "f") (param i32) (result i32) i32.const 7))'
)
ROWS = 30
NO_KEY = BlockKey(*[""] * len(BlockKey.__struct_fields__))
Lie = Callable[[int], int]


def honest(_: int) -> int:
    return 0


@dataclass(slots=True)
class Engines:
    """
    Answers in the place of workers, as GROWS does, and remembers what it was asked.

    A grown instance has 9 pages, one that was refused 1. Rows are known by their input.
    """

    grants: Sequence[bool]
    lies: Sequence[Lie]
    """What each node adds to the right answer, by input."""
    asked: list[Task] = field(default_factory=list)
    until: int = ROWS
    """Inputs from here on do not make the module grow."""

    @property
    def store(self) -> Engines:
        return self

    def put_deviants(self, key: BlockKey, outcome: BlockOutcome, which: Sequence[int]) -> None:
        assert key is NO_KEY
        assert all(0 <= row < len(outcome) for row in which)

    def run(self, tasks: Sequence[Task]) -> list[Done]:
        return [self.answer(task) for task in tasks]

    def execute(self, tasks: Sequence[Task], seen: Callable[[Done], None]) -> None:
        for task in tasks:
            seen(self.answer(task))

    def answer(self, task: Task) -> Done:
        self.asked.append(task)
        block = task.block
        values = block.inputs.view("<u8").reshape(-1)
        grown = (values < np.uint64(self.until)) & self.grants[task.seat]
        lies = np.array([self.lies[task.seat](int(v)) for v in values], np.uint64)
        answers = values + np.where(grown, 1, 0xFFFF).astype(np.uint64) + lies
        deep = block.level.rank >= Level.STATE.rank
        outcome = BlockOutcome(
            np.full(len(block), Status.RETURNED, np.uint8),
            answers.astype("<u8").view(np.uint8).reshape(-1, 8),
            pages=np.where(grown, 9, 1).astype(np.uint32) if deep else None,
        )
        return Done(task, outcome, NO_KEY, len(block), 0)


def judged(
    folder: Path,
    engines: Engines,
    *,
    wat_text: str = GROWS.format(pages=8, most=""),
    policy: str = "fresh",
    slow: int | None = None,
) -> tuple[RunRecord, list[RunFinding]]:
    """
    The record of ROWS bulk cases with inputs 0, 1, ..., and what was found.
    """
    subject = load_subject(subject_in(folder, wat(wat_text), SCALARS))
    nodes = [
        Participant(
            Node(EngineId(name, "1.0"), policy=policy),
            Launch(
                engine=EngineId(name, "1.0"),
                families=Families(name, name),
                argv=("none",),
                worker_sha256="",
                artifact_sha256="",
            ),
            seat == slow,
        )
        for seat, name in enumerate("abcd"[: len(engines.grants)])
    ]
    inputs = np.arange(ROWS, dtype="<u8").view(np.uint8).reshape(ROWS, 8)
    ids = np.arange(ROWS, dtype=np.uint64)
    block = CaseBlock(subject.calls[0], Budget(), Level.RESULT, ids, inputs)
    part = CorpusBlock("f", Stratum.BULK, np.zeros(ROWS, np.uint8), block)
    corpus = Corpus((part,), (("uniform", ROWS),), (("bulk", ROWS),), (("result", ROWS),))
    judge = Judge(subject, nodes, cast("Executor", engines), "exact", lambda _, __: None)
    record = judge.judge(corpus)
    blocks = [block for _, block in record.judged]
    return record, list(collect_findings(blocks, module_sha256=subject.sha256, nan="exact"))


def test_growth_that_some_refuse_is_a_limit_and_names_nobody(tmp_path: Path) -> None:
    engines = Engines((True, False, False), [honest] * 3)
    record, found = judged(tmp_path, engines)
    assert [(f.finding.kind, f.finding.level) for f in found] == [(FindingClass.LIMIT, Level.STATE)]
    assert (found[0].finding.blame.party, found[0].finding.blame.nodes) == ("undecided", ())
    assert found[0].case_ids == tuple(range(MOST_ALIKE))
    ((part, block),) = record.judged
    assert len(part.block) == ROWS
    assert block.vote.undecided.tolist() == list(range(ROWS)), "pages of most were not seen"
    tallies = {(t.agreeing, t.differing, t.abstained) for t in block.vote.tallies}
    assert tallies == {(0, 0, MOST_ALIKE)}


def test_engines_that_all_refuse_or_all_grant_agree(tmp_path: Path) -> None:
    for grants in (False, True):
        engines = Engines((grants,) * 3, [honest] * 3)
        record, found = judged(tmp_path / str(grants), engines)
        assert found == []
        assert record.judged[0][1].vote.undecided.tolist() == []
        assert record.judged[0][1].deeper is None
        assert {task.block.level for task in engines.asked} == {Level.RESULT}


def test_a_wrong_value_with_equal_pages_stays_one(tmp_path: Path) -> None:
    wrong = {5, 20}
    lies: list[Lie] = [honest, honest, lambda value: int(value in wrong)]
    record, found = judged(tmp_path, Engines((False,) * 3, lies))
    assert [f.finding.kind for f in found] == [FindingClass.VALUE]
    assert found[0].finding.blame.nodes == ("c@1.0",)
    assert found[0].case_ids == (5, 20)
    tallies = {t.label[0]: (t.agreeing, t.differing) for t in record.judged[0][1].vote.tallies}
    assert tallies == {"a": (ROWS, 0), "b": (ROWS, 0), "c": (ROWS - 2, 2)}


def test_a_liar_does_not_hide_behind_the_growth_of_another(tmp_path: Path) -> None:
    lies: list[Lie] = [honest, honest, honest, lambda value: int(value == 25)]
    _, found = judged(tmp_path, Engines((True, False, False, False), lies))
    kinds = {f.finding.kind: f for f in found}
    assert set(kinds) == {FindingClass.LIMIT, FindingClass.VALUE}
    assert kinds[FindingClass.VALUE].finding.blame.nodes == ("d@1.0",)
    assert kinds[FindingClass.VALUE].case_ids == (25,), "far behind the first rows that differ"


def test_many_wrong_values_with_equal_pages_are_all_counted(tmp_path: Path) -> None:
    lies: list[Lie] = [honest, honest, lambda value: int(value >= 10)]
    _, found = judged(tmp_path, Engines((False,) * 3, lies))
    assert [(f.finding.kind, len(f.case_ids)) for f in found] == [(FindingClass.VALUE, ROWS - 10)]


def test_growth_elsewhere_in_the_block_excuses_no_other_row(tmp_path: Path) -> None:
    lies: list[Lie] = [honest, honest, lambda value: int(value >= 15)]
    record, found = judged(tmp_path, Engines((True, False, False), lies, until=15))
    assert [(f.finding.kind, len(f.case_ids)) for f in found] == [
        (FindingClass.VALUE, ROWS - 15),
        (FindingClass.LIMIT, MOST_ALIKE),
    ]
    assert found[0].finding.blame.nodes == ("c@1.0",)
    assert record.judged[0][1].vote.undecided.tolist() == list(range(15))


def test_a_module_that_cannot_grow_is_not_run_again(tmp_path: Path) -> None:
    engines = Engines((True, False, False), [honest] * 3)
    _, found = judged(tmp_path, engines, wat_text=STILL)
    assert [f.finding.kind for f in found] == [FindingClass.VALUE]
    assert found[0].finding.blame.nodes == ("a@1.0",)
    assert len(engines.asked) == 3


def test_rows_are_run_again_with_the_history_of_their_instances(tmp_path: Path) -> None:
    lies: list[Lie] = [honest, honest, lambda value: int(value in (5, 14))]
    engines = Engines((False,) * 3, lies)
    _, found = judged(tmp_path, engines, policy="reuse(4)", slow=2)
    assert found == [], "the slow node that lies is asked only where others differ"
    engines = Engines((False,) * 3, lies)
    record, found = judged(tmp_path / "all", engines, policy="reuse(4)")
    counted = [t.agreeing + t.differing for t in record.judged[0][1].vote.tallies]
    assert counted == [ROWS] * 3, "history is run again, and not judged again"
    again = [task.block for task in engines.asked if task.block.level is Level.STATE]
    assert [block.ids.tolist() for block in again] == [[4, 5, 6, 7, 12, 13, 14]] * 3
    assert cases_per_instance("reuse(4)") == 4, "so rows 4 to 7 and 12 to 14 are two instances"
    assert [f.case_ids for f in found] == [(5, 14)]
    assert len(found[0].finding.history) == 2


def scalars(pages: int) -> str:
    return SCALARS + f"[limits]\npages = {pages}\ndeadline_ms = 60000\n"


def certified(folder: Path, text: str, pages: int) -> Options:
    return Options(
        argument=subject_in(folder / "s", wat(text), scalars(pages)),
        out=folder / "out",
        engines=("wasmtime", "wasmer", "pywasm"),
        size=CorpusSize(patterns=1, products=2, edges=2, state_share=0.0, full_share=0.0),
        shrink_most=0,
    )


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.xdist_group("bad-runs")
def test_all_of_memory_is_granted_by_some_engines_alone(tmp_path: Path) -> None:
    given = certified(tmp_path, GROWS.format(pages=65535, most=""), 65536)
    report = certify(given)
    assert report.exit_code == Exit.FINDINGS
    assert {f.finding.kind for f in report.findings} == {FindingClass.LIMIT}
    assert {f.finding.blame.nodes for f in report.findings} == {()}
    assert {f.finding.blame.party for f in report.findings} <= {"module", "undecided"}
    observed = [o.outcome for f in report.findings for o in f.finding.observed]
    assert {o.pages for o in observed} == {1, 65536}
    assert all(isinstance(o.kind, Returned) for o in observed)
    assert all(node.abstained and not node.differing for node in report.nodes)
    served = certify(given)
    assert {node.cases for node in served.run.engines} == {0}
    assert served.evidence_sha256 == report.evidence_sha256
    assert [f.id for f in served.findings] == [f.id for f in report.findings]


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.xdist_group("bad-runs")
def test_growth_that_every_engine_grants_or_refuses_passes(tmp_path: Path) -> None:
    for most in ("", " 1"):
        report = certify(certified(tmp_path / f"most{most}", GROWS.format(pages=3, most=most), 16))
        assert (report.exit_code, report.findings) == (Exit.PASS, ())
