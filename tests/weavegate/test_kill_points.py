from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAM = HERE / "kill_program.py"
CAMPAIGNS = ROOT / "build" / "campaigns" / "kill-points"
"""Where the nightly campaign keeps what it has done, so that it can be interrupted."""
CHUNKS, POINTS_PER_CHUNK = 20, 52


def kill_points(wanted: int, seed: int = 0) -> list[str]:
    """
    Points uniform over all commits; victims, workers and sides of the commit drawn from the seed.
    """
    random = Random(seed)  # noqa: S311 - a campaign that can be repeated
    points = []
    for index in range(wanted):
        victim = ("controller", "worker", "both")[index % 3]
        share = (index * 1_000_000 + random.randrange(1_000_000)) // wanted
        points.append(
            f"{victim}:{random.choice(['before', 'after'])}:{share}:{random.randrange(4)}"
        )
    return points


def run_program(folder: Path, nodes: str, fault: str, points: Iterable[str], output: Path) -> None:
    """
    Append what the program says to a file, line by line, so that nothing is lost with us.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as stream:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), str(folder), nodes, fault, *points],
            stdout=stream,
            stderr=subprocess.PIPE,
            check=False,
            # One thread, so that forking is safe.
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
                "OPENBLAS_NUM_THREADS": "1",
            },
            text=True,
        )
    assert done.returncode == 0, done.stderr


def differences(reference: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """
    In what a run that was completed differs from one that nothing interrupted.
    """
    same = ("report", "evidence", "exit", "findings", "named", "cases", "state", "files")
    return [
        f"{name}: {found.get(name)} instead of {reference[name]}"
        for name in same
        if found.get(name) != reference[name]
    ]


def broken_promises(reference: dict[str, Any], line: dict[str, Any]) -> list[str]:
    """
    What a kill has broken, in words; empty if nothing.
    """
    victim = line["point"].partition(":")[0]
    first, second = line["first"], line["second"]
    found = []
    if not first["hit"]:
        found.append("the commit was never reached")
    if victim == "worker" and (first["signal"] or "judged" not in first):
        found.append(f"the controller fell with its worker: {first}")
    if victim != "worker" and first["signal"] != signal.SIGKILL:
        found.append("the controller was not killed")
    if first["outlived"]:
        found.append(f"workers outlived the controller: {first['outlived']}")
    if victim == "worker" and "judged" in first:
        found += [
            f"after a dead worker: {text}" for text in differences(reference, first["judged"])
        ]
        if second.get("ran") != 0:
            found.append(f"a second run ran {second.get('ran')} cases again")
    if victim != "worker" and second.get("ran", 0) > reference["ran"]:
        found.append("more cases ran after the kill than there are")
    found += [f"after the second run: {text}" for text in differences(reference, second)]
    return found


def judged_points(output: Path) -> dict[str, list[str]]:
    """
    Promises broken by each point in a file of the program, each held against its own reference.
    """
    judged: dict[str, list[str]] = {}
    reference: dict[str, Any] = {}
    for text in output.read_bytes().split(b"\n")[:-1]:
        line = json.loads(text)
        reference = line.get("reference", reference)
        if "point" in line:
            judged[line["point"]] = broken_promises(reference, line)
    return judged


def lines_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in output.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_a_kill_at_any_commit_loses_and_doubles_nothing(tmp_path: Path, part: int) -> None:
    points = kill_points(18, seed=part)
    output = tmp_path / "points.jsonl"
    run_program(tmp_path / "work", "fakes", "none", points, output)
    judged = judged_points(output)
    assert list(judged) == points
    assert {point: broken for point, broken in judged.items() if broken} == {}
    reference, *lines = lines_of(output)
    assert reference["reference"]["named"] == ["fake@1.0/liar"]
    # Uniform over the commits: none of the quarters is left out.
    commits = [line["first"]["commit"] for line in lines]
    quarters = {4 * (commit - 1) // reference["reference"]["commits"] for commit in commits}
    assert quarters == {0, 1, 2, 3}
    # Interrupted runs leave evidence, and the second run uses it.
    resumed = [line["second"]["ran"] for line in lines if line["point"][0] != "w"]
    assert min(resumed) < reference["reference"]["ran"]


@pytest.mark.engines
@pytest.mark.slow
def test_a_kill_at_any_commit_loses_and_doubles_nothing_with_engines(tmp_path: Path) -> None:
    points = kill_points(9, seed=1)
    output = tmp_path / "points.jsonl"
    run_program(tmp_path / "work", "engines", "none", points, output)
    judged = judged_points(output)
    assert list(judged) == points
    assert {point: broken for point, broken in judged.items() if broken} == {}
    assert lines_of(output)[0]["reference"]["exit"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["loses", "doubles", "tears"])
def test_a_store_that_loses_doubles_or_tears_a_block_is_noticed(tmp_path: Path, fault: str) -> None:
    output = tmp_path / "points.jsonl"
    points = ["controller:after:100000:0", "worker:after:100000:0"]
    run_program(tmp_path / "work", "fakes", fault, points, output)
    judged = judged_points(output)
    assert list(judged) == points
    for broken in judged.values():
        assert any("evidence" in text for text in broken)
        assert any("state" in text for text in broken)


def source_digest() -> str:
    """
    SHA-256 over the sources that a campaign is about: other sources, another campaign.
    """
    total = hashlib.sha256()
    for room in (
        "weavegate",
        "conformance",
        "runners",
        "reports",
        "tests/fakes",
        "tests/weavegate",
    ):
        for path in sorted((ROOT / room).rglob("*.py")):
            total.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return total.hexdigest()[:16]


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_thousand_kill_points_lose_and_double_nothing(tmp_path: Path, chunk: int) -> None:
    points = kill_points(POINTS_PER_CHUNK, seed=1000 + chunk)
    folder = CAMPAIGNS / source_digest()
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"chunk-{chunk:02}.jsonl"
    if output.exists():
        # What was being written when an earlier campaign was interrupted is run again.
        whole = output.read_bytes()
        output.write_bytes(whole[: whole.rfind(b"\n") + 1])
    left = [p for p in points if not output.exists() or p not in judged_points(output)]
    if left:
        run_program(tmp_path / "work", "fakes", "none", left, output)
    judged = judged_points(output)
    assert set(judged) == set(points)
    assert {point: broken for point, broken in judged.items() if broken} == {}


def test_points_are_seeded_and_distinct() -> None:
    chunks = [kill_points(POINTS_PER_CHUNK, seed=1000 + chunk) for chunk in range(CHUNKS)]
    every = [point for chunk in chunks for point in chunk]
    assert len(set(every)) == len(every) == CHUNKS * POINTS_PER_CHUNK >= 1000
    assert kill_points(9, seed=3) == kill_points(9, seed=3) != kill_points(9, seed=4)
