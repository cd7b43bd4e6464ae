from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from simulate_samples import SEED, first_inference, member, of_kind, simulated, subject_folder

from runners.environments import Environments, MissingEngineError
from weavegate.cli import main
from weavegate.findings_files import read_finding
from weavegate.simulate_job import Options, PoolExecutor

BLOCKS = 8
OPERATORS = Path(__file__).resolve().parents[2] / "vectors" / "operators"


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return subject_folder(tmp_path_factory.mktemp("product"))


def options(folder: Path, out: Path, *liars: tuple[str, int], **parameters: object) -> Options:
    """
    Four fakes: honest ones, and liars at their places.
    """
    fakes = dict.fromkeys(range(4), "honest") | {place: fake for fake, place in liars}
    members = tuple(
        member(place, fake, **({} if fake == "honest" else parameters))
        for place, fake in fakes.items()
    )
    return Options(out=out, blocks=BLOCKS, seed=SEED, modules=(folder,), members=members)


def labels(given: Options) -> list[str]:
    return [node.label() for node, _ in given.members]


def test_honest_workers_commit_every_height(subject: Path, tmp_path: Path) -> None:
    status, events, text = simulated(options(subject, tmp_path / "out"))
    assert status == 0
    assert len(of_kind(events, "committed")) == BLOCKS
    assert not (tmp_path / "out" / "findings").exists()
    assert "safety holds" in text
    assert f"liveness holds: {BLOCKS} of {BLOCKS}" in text


def test_one_seed_one_log_byte_for_byte(subject: Path, tmp_path: Path) -> None:
    logs = []
    for name, seed in (("one", SEED), ("two", SEED), ("three", SEED + 1)):
        given = replace(options(subject, tmp_path / name), seed=seed, blocks=4)
        simulated(given)
        logs.append((tmp_path / name / "events.jsonl").read_bytes())
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_without_a_seed_every_run_has_another_and_says_which(subject: Path, tmp_path: Path) -> None:
    seeds = []
    for name in ("one", "two"):
        given = replace(options(subject, tmp_path / name), seed=None, blocks=2)
        _, events, text = simulated(given)
        assert f"seed {events[0]['seed']}\n" in text
        seeds.append((events[0]["seed"], [e.get("transactions_sha256") for e in events]))
    assert seeds[0][0] != seeds[1][0]
    assert seeds[0][1] != seeds[1][1]


def test_a_lying_worker_is_named_at_its_height_with_a_replay_line(
    subject: Path, tmp_path: Path
) -> None:
    height, place, x = first_inference(subject, 3)
    given = options(subject, tmp_path / "out", ("flips_at", 2), at=repr(x))
    status, events, text = simulated(given)
    liar = labels(given)[2]
    assert status == 1
    (differed,) = of_kind(events, "differed")
    assert (differed["height"], differed["first"]["transaction"]) == (height, place)
    assert differed["first"]["element"] == 0
    values = {shown["validator"]: shown["value"] for shown in differed["first"]["shown"]}
    right = {values[label] for label in labels(given) if label != liar}
    assert len(right) == 1
    assert int(values[liar][4:], 16) ^ int(right.pop()[4:], 16) == 1
    assert differed["blame"]["nodes"] == [liar]
    assert [e["validator"] for e in of_kind(events, "halted")] == [liar]
    assert len(of_kind(events, "committed")) == BLOCKS
    (path,) = (tmp_path / "out" / "findings").glob("*.json")
    assert read_finding(path).id == differed["findings"][0]
    assert f"weavegate replay {path}" in text
    assert f"safety FAILS: height {height}, transaction {place}" in text
    assert "liveness holds" in text


def test_two_workers_that_lie_alike_stop_the_chain(subject: Path, tmp_path: Path) -> None:
    height, _, x = first_inference(subject, 1)
    lies = (("flips_at", 0), ("flips_at", 3))
    given = options(subject, tmp_path / "out", *lies, at=repr(x))
    status, events, text = simulated(given)
    assert (status, height) == (1, 1)
    assert of_kind(events, "committed") == []
    assert [(e["height"], e["largest"]) for e in of_kind(events, "stalled")] == [(1, 2)]
    (differed,) = of_kind(events, "differed")
    assert differed["blame"] == differed["blame"] | {"party": "undecided", "nodes": []}
    assert "liveness FAILS: stopped before height 1" in text
    assert "NOT committed" in text


@pytest.mark.parametrize(
    ("fake", "what"),
    [("crashes", "crashed"), ("hangs", "timed out"), ("answers_twice", "broke the protocol")],
)
def test_a_worker_that_breaks_is_out_and_the_others_go_on(
    fake: str, what: str, tmp_path: Path
) -> None:
    folder = subject_folder(tmp_path / "product", 300 if fake == "hangs" else 20_000)
    height, place, x = first_inference(folder, 2)
    given = options(folder, tmp_path / "out", (fake, 1), at=repr(x))
    status, events, _ = simulated(given)
    fell = of_kind(events, "fell")
    assert status == 1
    assert [(e["height"], e["validator"], e["transaction"], e["what"]) for e in fell] == [
        (height, labels(given)[1], place, what)
    ]
    assert len(of_kind(events, "committed")) == BLOCKS
    assert of_kind(events, "ended")[0]["safety"]["holds"] is True
    (path,) = (tmp_path / "out" / "findings").glob("*.json")
    assert read_finding(path).kind == "broken-worker"


def test_a_worker_whose_arithmetic_is_bent_has_no_vote(subject: Path, tmp_path: Path) -> None:
    given = options(subject, tmp_path / "out", ("flushes_subnormals", 1))
    status, events, _ = simulated(given)
    assert status == 1
    assert [(e["validator"], e["what"]) for e in of_kind(events, "fell")] == [
        (labels(given)[1], "bent arithmetic")
    ]
    assert len(of_kind(events, "committed")) == BLOCKS


def test_a_crash_that_does_not_repeat_is_told_and_stays_out_of_the_log(
    subject: Path, tmp_path: Path
) -> None:
    _, _, x = first_inference(subject, 2)
    given = options(
        subject, tmp_path / "out", ("crashes_once", 1), at=repr(x), mark=tmp_path / "mark"
    )
    status, events, text = simulated(given)
    log = (tmp_path / "out" / "events.jsonl").read_bytes()
    assert status == 0
    assert "SIGSEGV, not repeated" in text
    assert of_kind(events, "fell") == []
    simulated(given)
    assert (tmp_path / "out" / "events.jsonl").read_bytes() == log


def test_power_that_lies_commits_and_is_named(subject: Path, tmp_path: Path) -> None:
    _, _, x = first_inference(subject, 2)
    given = options(subject, tmp_path / "out", ("flips_at", 3), at=repr(x))
    status, events, _ = simulated(replace(given, powers=(1, 1, 1, 9)))
    assert status == 1
    assert of_kind(events, "differed")[0]["blame"]["nodes"] == [labels(given)[3]]
    assert [e["validator"] for e in of_kind(events, "halted")] == labels(given)[:3]


# ------------------------------------------------------------------------------- command line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nodes", "1"], "give --nodes 2 or more"),
        (["--nodes", "1000"], "at most 250 validators"),
        (["--nodes", "40"], "nodes that differ, --nodes asks 40"),
        (["--blocks", "0"], "give --blocks 1 or more"),
        (["--power", "1,1"], "2 powers are given for 4 validators"),
        (["--power", "0,0,0,0"], "all powers are 0"),
        (["--power", "1,0,0,0"], "all power lies with one validator"),
        (["--power", "1,1,1,-1"], "never negative"),
        (["--power", "1,1,x,1"], "is no list of whole numbers"),
        (["--engine", "wasmtim"], "no engine is called 'wasmtim'"),
        (["--module", "nowhere"], "nowhere"),
        (["--module", str(OPERATORS), "--module", str(OPERATORS)], "name it once"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_status_2(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["simulate", *arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_log_that_cannot_be_written_is_one_sentence(subject: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", "utf-8")
    arguments = ["simulate", "--module", str(subject), "--out", str(tmp_path / "taken")]
    _needs("wasmtime", "wasmer")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "choose another folder with --out" in result.output


def test_an_interrupted_run_keeps_its_log_and_exits_130(
    subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _needs("wasmtime", "wasmer")
    execute, calls = PoolExecutor.execute, []

    def interrupted(self: PoolExecutor, *given: object) -> object:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return execute(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(PoolExecutor, "execute", interrupted)
    out = tmp_path / "out"
    arguments = ["simulate", "--module", str(subject), "--seed", "3", "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 130
    log = (out / "events.jsonl").read_bytes()
    assert log.count(b'"event":"committed"') >= 2
    assert b'"event":"ended"' not in log


# ------------------------------------------------------------------------------- real engines


def _needs(*engines: str) -> None:
    environments = Environments()
    for engine in engines:
        try:
            environments.launch(environments.catalog.resolve(engine))
        except MissingEngineError as error:
            pytest.skip(str(error))


@pytest.mark.engines
def test_four_code_families_agree_on_every_shipped_model(tmp_path: Path) -> None:
    _needs("wasmtime", "wasmer")
    status, events, text = simulated(Options(out=tmp_path / "out", blocks=10, seed=42))
    assert status == 0, text
    assert len(of_kind(events, "committed")) == 10
    assert len(events[0]["models"]) == 9


@pytest.mark.engines
def test_pywasm_is_named_for_its_signs_of_zero(tmp_path: Path) -> None:
    _needs("wasmtime", "wasmer", "pywasm")
    engines = ("wasmtime", "wasmtime/winch", "wasmer/llvm", "pywasm")
    given = Options(out=tmp_path / "out", blocks=60, seed=2, engines=engines, modules=(OPERATORS,))
    status, events, _ = simulated(given)
    assert status == 1
    (differed,) = of_kind(events, "differed")
    assert differed["blame"]["nodes"] == ["pywasm@2.2.3"]
    (halted,) = of_kind(events, "halted")
    assert halted["validator"] == "pywasm@2.2.3"
    assert len(of_kind(events, "committed")) == 60
    (path,) = (tmp_path / "out" / "findings").glob("*.json")
    again = CliRunner().invoke(main, ["replay", str(path)])
    assert again.exit_code == 1
    without = ["--engine", "wasmtime", "--engine", "wasmer/llvm"]
    assert CliRunner().invoke(main, ["replay", str(path), *without]).exit_code == 0
