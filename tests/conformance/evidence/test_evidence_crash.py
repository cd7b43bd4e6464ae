from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("crash_program.py")
STEPS_PER_UNIT = 8


def run_program(folder: Path, units: int, *arguments: str) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), str(units), *arguments],
        capture_output=True,
        check=False,
        # One thread, so that forking is safe.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def kill_points(units: int, wanted: int) -> list[tuple[str, int]]:
    """
    At least *wanted* points, uniform over all commits, before and after in turn.
    """
    commits = 1 + STEPS_PER_UNIT * units
    every = [(when, commit) for commit in range(1, commits + 1) for when in ("before", "after")]
    assert len(every) >= wanted
    return [every[index * len(every) // wanted] for index in range(wanted)]


def broken_promises(
    prefixes: list[dict[str, Any]], deaths: list[dict[str, Any]]
) -> list[tuple[str, int, str]]:
    """
    Points at which something was lost, doubled, or half there.
    """
    found = []
    for death in deaths:
        commits = death["commit"] - (death["when"] == "before")
        point = (death["when"], death["commit"])
        if death["signal"] != signal.SIGKILL:
            found.append((*point, "was not killed"))
        if death["left"] != prefixes[commits]["state"]:
            found.append((*point, "left another state than all commits before it"))
        if death["same"] != prefixes[commits]["puts"]:
            found.append((*point, "forgot or doubled a block"))
        if death["final"] != prefixes[-1]["state"]:
            found.append((*point, "did not reach the state of an uninterrupted run"))
    return found


def check_kill_points(folder: Path, units: int, wanted: int) -> int:
    prefixes = run_program(folder / "whole", units, "prefixes")
    assert len({each["state"] for each in prefixes}) == len(prefixes)
    points = kill_points(units, wanted)
    arguments = [f"{when}:{commit}" for when, commit in points]
    deaths = run_program(folder / "killed", units, "kill", "none", *arguments)
    assert [(each["when"], each["commit"]) for each in deaths] == points
    assert broken_promises(prefixes, deaths) == []
    return len(deaths)


@pytest.mark.slow
def test_kill_9_at_any_commit_loses_and_doubles_nothing(tmp_path: Path) -> None:
    assert check_kill_points(tmp_path, units=5, wanted=64) == 64


@pytest.mark.nightly
@pytest.mark.slow
def test_a_thousand_kill_points_lose_and_double_nothing(tmp_path: Path) -> None:
    assert check_kill_points(tmp_path, units=64, wanted=1000) == 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "when", "promise"),
    [
        ("early", "before", "left another state than all commits before it"),
        ("lost", "after", "forgot or doubled a block"),
    ],
)
def test_a_store_that_commits_early_or_loses_its_log_is_noticed(
    tmp_path: Path, fault: str, when: str, promise: str
) -> None:
    prefixes = run_program(tmp_path / "whole", 1, "prefixes")
    deaths = run_program(tmp_path / "killed", 1, "kill", fault, f"{when}:3", f"{when}:5")
    found = broken_promises(prefixes, deaths)
    assert {(when, 3, promise), (when, 5, promise)} <= set(found)


@pytest.mark.slow
def test_processes_that_share_one_file_all_succeed(tmp_path: Path) -> None:
    whole = run_program(tmp_path / "whole", 4, "prefixes")[-1]["state"]
    for attempt in range(3):
        (found,) = run_program(tmp_path / f"race{attempt}", 4, "race", "4")
        assert found == {"codes": [0, 0, 0, 0], "state": whole}
