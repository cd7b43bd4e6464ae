from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bad_subjects import complaint, weavegate

from attacks.registry import scenarios
from tests.fakes.launches import launch_of
from weavegate.attack_job import VECTORS, run_controls
from weavegate.exits import Exit
from weavegate.terminal import Output


def test_the_list_has_every_scenario_with_what_it_proves() -> None:
    result = weavegate("attack", "--list")
    assert result.exit_code == Exit.PASS
    for item in scenarios():
        assert f"{item.id}\n    proves {item.proves}, importance {item.importance.value}: " in (
            result.stdout
        )
        assert item.title in result.stdout


def test_the_page_says_what_why_where_from_and_how_it_is_known_to_work() -> None:
    (item,) = [s for s in scenarios() if s.id.endswith("secret_of_an_earlier_call")]
    result = weavegate("attack", "--explain", "secret_of_an_earlier_call")
    assert result.exit_code == Exit.PASS
    assert item.page in result.stdout
    assert "CVE-2023-4969" in result.stdout
    assert "CVE-2022-39393" in result.stdout
    assert "How it is detected:" in result.stdout
    assert "Must be caught:\n  vectors/attacks/leaks-scratch" in result.stdout
    assert "Must not be caught:\n  vectors/attacks/wipes-scratch" in result.stdout
    assert "Lying engine that must be caught:\n  keeps_memory" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give one of --list, --explain SCENARIO and --run"),
        (("--list", "--run"), "give one of --list, --explain SCENARIO and --run"),
        (("--list", "--engine", "wasmtime"), "--engine goes with --run"),
        (("--explain", "rowhammer"), "'rowhammer' is no scenario: name one of environment::"),
        (("--run", "--engine", "nothing"), "nothing"),
    ],
)
def test_wrong_usage_is_one_sentence(words: tuple[str, ...], said: str) -> None:
    assert said in complaint(Exit.USAGE, "attack", *words)


@pytest.mark.engines
@pytest.mark.slow
def test_all_controls_do_their_part_on_the_core_engines() -> None:
    result = weavegate("attack", "--run")
    assert result.exit_code == Exit.PASS
    assert "attacks/leaks-scratch: must be caught, is caught" in result.stdout
    assert "attacks/wipes-scratch: must be passed, is passed" in result.stdout
    assert "attacks/mixes-clock: must be caught, is caught" in result.stdout
    assert "attacks/ignores-clock: must be passed, is passed" in result.stdout
    assert "all 5 controls do their part" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("| secret")]
    assert {(row[3], row[5], row[9]) for row in rows} == {
        ("leaks-scratch", "caught", "caught"),
        ("wipes-scratch", "passed", "passed"),
    }
    assert len({row[7] for row in rows}) == 3


@pytest.mark.engines
@pytest.mark.slow
def test_a_control_that_is_not_what_it_must_be_is_red(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one, other in (("leaks-scratch", "wipes-scratch"), ("mixes-clock", "ignores-clock")):
        shutil.copytree(VECTORS / "attacks" / one, tmp_path / "attacks" / other)
        shutil.copytree(VECTORS / "attacks" / other, tmp_path / "attacks" / one)
    assert run_controls(Output(), ("wasmtime",), folder=tmp_path) == Exit.FINDINGS
    said = capsys.readouterr().out
    assert "attacks/leaks-scratch: must be caught, is passed" in said
    assert "attacks/wipes-scratch: must be passed, is caught" in said
    assert "4 of 5 controls do not do their part" in said
    rows = [line.split() for line in said.splitlines() if line.startswith("| secret")]
    assert [(row[3], row[5], row[9]) for row in rows] == [
        ("leaks-scratch", "caught", "passed"),
        ("wipes-scratch", "passed", "caught"),
    ]


def test_a_node_that_cannot_be_asked_is_no_proof(capsys: pytest.CaptureFixture[str]) -> None:
    dying = ((launch_of("dies_in_held_calls"), False),)
    assert run_controls(Output(), launches=dying) == Exit.FINDINGS
    said = capsys.readouterr().out
    assert "must be passed, is not asked" in said
    assert [line.split()[-2] for line in said.splitlines() if line.startswith("| secret")] == [
        "asked"
    ] * 2
    assert "4 of 5 controls do not do their part" in said
