from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks import ratios
from benchmarks.__main__ import main
from benchmarks.bare import BareEngine, job_of, one_by_one
from benchmarks.certifying import Certifying, agreed_sha256, process_per_case_us
from benchmarks.counting import PARTS
from benchmarks.loads import COMPILED, INTERPRETED, LOADS, PAIRS, Load, Plan, corpus_of, plans
from benchmarks.loop_process import BenchmarkError
from benchmarks.measure import Measured, interleaved, measure
from benchmarks.printing import print_measured
from benchmarks.ratios import Row, Sample, Target
from conformance.differential.findings import JudgedBlock
from runners.environments import Environments
from runners.records import Constant, Level
from weavegate.judging import RunRecord
from weavegate.subject import Subject, load_subject

needs_engines = pytest.mark.engines
SMALL = LOADS["small"]


def sample(wall_us: float, *bare_us: float, worker_us: float = 3.0, rest_us: float = 1.0) -> Sample:
    return Sample(
        wall_us=wall_us,
        bare_us=bare_us,
        open_us=tuple(64.0 for _ in bare_us),
        engine_cpu_us=bare_us,
        worker_cpu_us=tuple(worker_us for _ in bare_us),
        controller_us={"vote": 0.5, "rest": rest_us},
        idle_us=0.25,
    )


def row(*samples: Sample, policy: str = "reuse(64)") -> Row:
    engines = tuple(f"e{place}" for place in range(len(samples[0].bare_us)))
    return Row(title="t", engines=engines, policy=policy, level="result", inputs=1, samples=samples)


# ------------------------------------------------------------------------------- arithmetic


@pytest.mark.parametrize(
    ("bare_us", "cores", "base"),
    [
        ((5.0,), 1, 5.0),
        ((5.0,), 2, 5.0),
        ((2.0, 5.0), 2, 5.0),
        ((2.0, 5.0), 4, 5.0),
        ((2.0, 5.0), 1, 10.0),
        ((2.0, 3.0, 5.0, 1.0, 4.0), 2, 12.5),
    ],
)
def test_base_is_the_slowest_engine_times_engines_over_cores(
    bare_us: tuple[float, ...], cores: int, base: float
) -> None:
    assert ratios.base_us(bare_us, cores) == base


def test_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians() -> None:
    # Bare and voted both slow in the second repetition, as on a machine that others use.
    found = row(sample(4.0, 2.0), sample(30.0, 10.0), sample(9.0, 9.0))
    assert ratios.ratio(found, 2) == 2.0
    assert ratios.median_wall_us(found) / ratios.median_base_us(found, 2) == 1.0


def test_ratio_tells_a_slow_vote_from_a_fast_one() -> None:
    fast, slow = row(sample(4.2, 2.0, 4.0)), row(sample(4.8, 2.0, 4.0))
    target = Target(kind="ratio", bound=1.10)
    assert ratios.ratio(fast, 2) == pytest.approx(1.05)
    assert ratios.ratio(slow, 2) == pytest.approx(1.2)
    assert target.met(ratios.ratio(fast, 2))
    assert not target.met(ratios.ratio(slow, 2))


@pytest.mark.parametrize("kind", ["inputs-per-second", "process-per-case"])
def test_other_targets_are_least_values(kind: ratios.Kind) -> None:
    target = Target(kind=kind, bound=1000.0)
    assert target.met(1000.0)
    assert not target.met(999.0)


def test_openings_enter_the_base_as_often_as_the_policy_opens() -> None:
    reused = row(sample(6.0, 2.0))
    assert ratios.opening_us(reused.samples[0], "reuse(64)") == (1.0,)
    assert ratios.ratio(reused, 2) == 3.0
    assert ratios.ratio_with_openings(reused, 2) == 2.0
    fresh = row(sample(132.0, 2.0), policy="fresh")
    assert ratios.ratio_with_openings(fresh, 2) == 2.0


def test_inputs_per_second_and_times_faster_follow_the_wall() -> None:
    found = row(sample(5.0, 2.0), sample(4.0, 2.0), sample(80.0, 2.0))
    assert ratios.inputs_per_second(found) == 200_000.0
    assert ratios.times_faster(found, [9_000.0, 5_000.0, 100_000.0]) == 1_800.0


def test_at_best_is_bound_by_one_worker_or_by_all_cores() -> None:
    one_slow = sample(50.0, 2.0, 2.0, worker_us=4.0, rest_us=0.5)
    assert ratios.wall_us_at_best(one_slow, 16) == 4.0
    assert ratios.wall_us_at_best(one_slow, 2) == 4.5
    assert ratios.ratio_at_best(row(one_slow), 2) == 4.5 / 2.0
    assert ratios.inputs_per_second_at_best(row(one_slow), 2) == pytest.approx(1e6 / 4.5)


def test_account_adds_up_to_the_time_of_all_cores() -> None:
    found = row(sample(20.0, 1.0, 1.5))
    parts = ratios.account(found, 2)
    assert sum(parts.values()) == pytest.approx(2 * 20.0)
    assert parts["engines"] == 2.5
    assert parts["openings"] == 2.0
    assert parts["workers"] == 6.0 - 2.5 - 2.0
    assert parts["idle"] == 0.25
    assert parts["others"] == 40.0 - 6.0 - 1.5 - 0.25
    assert ratios.work_ratio(found) == 7.5 / 2.5


# ----------------------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def subject() -> Subject:
    return load_subject(SMALL.folder)


@pytest.fixture(scope="module")
def pair() -> Plan:
    (found,) = [p for p in plans(SMALL, Environments(), 192)[0] if p.engines == PAIRS[1]]
    return found


def test_corpus_has_the_asked_cases_at_the_asked_level(subject: Subject) -> None:
    for level in (Level.RESULT, Level.FULL):
        corpus = corpus_of(subject, 5_000, level, 3)
        assert len(corpus) == sum(len(part.block) for part in corpus.blocks) == 5_000
        assert {part.block.level for part in corpus.blocks} == {level}
    inputs = corpus.blocks[0].block.inputs
    assert len(np.unique(inputs, axis=0)) == len(inputs)


@needs_engines
def test_every_row_is_there() -> None:
    groups = plans(SMALL, Environments(), 3_200)
    singles = [(name,) for name in (*COMPILED, *INTERPRETED)]
    for group, policy, level in zip(
        groups, ("reuse(64)", "fresh"), (Level.RESULT, Level.FULL), strict=True
    ):
        engines = [plan.engines for plan in group]
        for expected in (*singles, *PAIRS, COMPILED):
            assert engines.count(expected) == 1
        assert {(plan.policy, plan.level) for plan in group} == {(policy, level)}
        assert all(len(plan.launches) == len(plan.engines) for plan in group)
    by_engines = {plan.engines: plan for plan in groups[0]}
    assert by_engines[COMPILED].inputs == 16 * by_engines["wasmtime/pulley",].inputs
    kinds = [target.kind for target in by_engines[PAIRS[0]].targets]
    assert kinds == ["inputs-per-second", "process-per-case"]
    assert not any(plan.targets for plan in groups[1])


@needs_engines
def test_a_sample_measures_every_part(pair: Plan, subject: Subject) -> None:
    (taken,) = interleaved([pair], subject, repetitions=2)
    assert len(taken) == 2
    for each in taken:
        assert len(each.bare_us) == len(each.open_us) == len(each.worker_cpu_us) == 2
        assert set(each.controller_us) == {*PARTS, "rest"}
        assert min(each.bare_us + each.open_us + each.engine_cpu_us + each.worker_cpu_us) > 0
        # A part whose counter hangs on nothing would read 0.
        assert min(each.controller_us.values()) > 0
        assert each.wall_us > 0


@needs_engines
@pytest.mark.slow
def test_whole_measurement_prints_and_tells_what_misses() -> None:
    impossible = Target(kind="ratio", bound=0.0)
    easy = Target(kind="inputs-per-second", bound=1.0)
    load = replace(SMALL, targets=(impossible,), pair_targets=(easy,))
    done = measure(load, Environments(), inputs=64, cores=2, repetitions=1)
    measured = [(line.row.engines, line.row.policy) for line in done.lines]
    for engines in (*((name,) for name in (*COMPILED, *INTERPRETED)), *PAIRS, COMPILED):
        for policy in ("reuse(64)", "fresh"):
            assert measured.count((engines, policy)) == 1
    for line in done.lines:
        (only,) = line.row.samples
        assert line.ratio == only.wall_us / ratios.base_us(only.bare_us, 2)
        met = {reached.target.kind: reached.met for reached in line.targets}
        expected: dict[str, bool] = {}
        if line.row.level == "result":
            expected = {"ratio": False}
            if line.row.engines in PAIRS:
                expected["inputs-per-second"] = True
        assert met == expected
    text = printed(done)
    assert text.count("MISSES <= 0.00x") == text.count("2 cores for") == len(done.lines) // 2
    assert text.count("inputs/s meets >= 1/s") == len(PAIRS)
    assert "reuse(64), level result" in text
    assert "fresh, level full" in text
    again = msgspec.json.decode(msgspec.json.encode(done), type=Measured)
    assert again == done


def printed(done: Measured) -> str:
    text = io.StringIO()
    print_measured(Console(width=120, file=text), done)
    return text.getvalue()


@needs_engines
def test_process_per_case_starts_a_worker_for_every_case(pair: Plan, subject: Subject) -> None:
    taken = process_per_case_us(pair, subject, seed=0, cases=2)
    assert len(taken) == 2
    with Certifying(pair, subject, seed=0) as up:
        assert min(taken) > 10 * up.sample().wall_us


# ------------------------------------------------------------------------------ what may be wrong


@needs_engines
def test_bare_loop_of_other_inputs_is_found_out(
    pair: Plan, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "benchmarks.certifying.input_bytes", lambda corpus: bytes(128 * len(corpus))
    )
    with Certifying(pair, subject, seed=0) as up, pytest.raises(BenchmarkError, match="other bits"):
        up.sample()


@needs_engines
def test_disagreeing_vote_is_no_measurement(pair: Plan, subject: Subject) -> None:
    records: list[RunRecord] = []

    def keep(_: str, record: RunRecord) -> str:
        records.append(record)
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.certifying.agreed_sha256", keep)
        with Certifying(pair, subject, seed=0) as up:
            up.certify(up.corpus)
    part, judged = records[-1].judged[0]
    assert agreed_sha256("t", records[-1])
    trapped = judged.voices[0].outcome.status.copy()
    trapped[3] = 16
    voice = replace(judged.voices[0], outcome=replace(judged.voices[0].outcome, status=trapped))
    bad = JudgedBlock(judged.block, judged.shape, [voice, *judged.voices[1:]], judged.vote)
    with pytest.raises(BenchmarkError, match="not unanimous"):
        agreed_sha256("t", RunRecord(judged=[(part, bad)]))


@needs_engines
def test_failing_bare_loop_is_named(pair: Plan, subject: Subject, tmp_path: Path) -> None:
    module = tmp_path / "not.wasm"
    module.write_bytes(b"\0asm\1\0\0\0")
    rows = tmp_path / "rows"
    rows.write_bytes(bytes(128))
    launch = pair.launches[0]
    with (
        BareEngine(launch, subject.calls[0], module, rows, quiet=True) as bare,
        pytest.raises(BenchmarkError, match=r"wasmtime@.*(failed|ended)"),
    ):
        one_by_one([bare])


def test_bare_loops_take_plain_buffers_only(subject: Subject) -> None:
    call = subject.calls[0]
    assert job_of(call, Path("m"), Path("i"), "cranelift")["in_export"] == "in_ptr"
    with pytest.raises(BenchmarkError, match="without arguments"):
        job_of(
            msgspec.structs.replace(call, arguments=(Constant("i32:00000001"),)),
            Path("m"),
            Path("i"),
            "cranelift",
        )


def test_unknown_load_is_refused() -> None:
    done = CliRunner().invoke(main, ["--load", "huge"])
    assert done.exit_code == 2
    assert "huge" in done.output


def test_every_load_is_shipped_and_has_a_target() -> None:
    for name, load in LOADS.items():
        assert isinstance(load, Load)
        assert load.name == name
        assert load.targets + load.pair_targets
        assert load.quick_inputs < load.inputs
        assert load_subject(load.folder).calls[0].input is not None
