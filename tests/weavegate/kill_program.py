"""
Certifies a small subject and kills controller, worker, or both at given commits of the evidence.

    python kill_program.py FOLDER NODES FAULT POINT...

NODES is `fakes` or `engines`. POINT is `VICTIM:WHEN:SHARE:WORKER`: victim `controller`, `worker` or
`both`; `before` (the transaction is written and not committed) or `after`; the commit, as
millionths of all commits of an uninterrupted run; number of the worker, modulo those that live.
Prints one JSON object a line: first what a run that nothing interrupts gives, then what each point
gives. Each run is a fork of this process, so that Python and numpy are loaded once.

FAULT breaks the evidence store of all runs but the first, for the control: `loses` says that a
block is kept and drops it, `doubles` keeps a second story of one, `tears` keeps a block whose last
row is another. `none` does neither.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from product_subject import SEMANTICS, Product
from witnesses import SMALL, honest, options, witness

from conformance.evidence.answers import Put, PutKind
from conformance.evidence.keys import BlockKey
from conformance.evidence.store import EvidenceStore
from reports.model import Report
from runners.blocks import BlockOutcome
from runners.records import Level
from weavegate.certify import Options, certify

RIDGE = Path(__file__).resolve().parents[2] / "vectors" / "models" / "diabetes-ridge"
ORPHAN_MS = 20_000
"""How long workers may outlive their controller: the kernel kills them, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Point:
    """
    Who is killed, and when.
    """

    victim: str
    when: str
    share: int
    worker: int
    commit: int = 0
    """From 1, once the number of commits is known."""

    @classmethod
    def parse(cls, text: str) -> Point:
        """
        Read `VICTIM:WHEN:SHARE:WORKER`.
        """
        victim, when, share, worker = text.split(":")
        return cls(victim, when, int(share), int(worker))


def children() -> list[int]:
    """
    Process ids of this process's children, oldest first.
    """
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@dataclass(slots=True)
class Killer:
    """
    Counts commits and kills at one of them.
    """

    point: Point | None
    tell: Callable[[dict[str, Any]], None]
    seen: int = 0
    workers: list[int] = field(default_factory=list)

    def hook(self) -> None:
        """
        A commit.
        """
        self.seen += 1
        if self.point is None or self.seen != self.point.commit:
            return
        workers = children()
        self.tell({"workers": workers})
        if self.point.victim != "controller" and workers:
            os.kill(workers[self.point.worker % len(workers)], signal.SIGKILL)
        if self.point.victim != "worker":
            os.kill(os.getpid(), signal.SIGKILL)


class FaultyStore(EvidenceStore):
    """
    A store that does one put wrongly.
    """

    fault = "none"
    puts = 0

    def put(self, key: BlockKey, level: Level, outcome: BlockOutcome) -> Put:
        """
        Break the third put.
        """
        self.puts += 1
        if self.puts != 3:
            return super().put(key, level, outcome)
        if self.fault == "loses":
            return Put(PutKind.NEW, 1, 1)
        turned = outcome.outputs.copy()
        turned[-1] ^= np.uint8(255)
        other = replace(outcome, outputs=turned)
        if self.fault == "doubles":
            super().put(key, level, other)
        return super().put(key, level, other if self.fault == "tears" else outcome)


def job(folder: Path, nodes: str) -> Options:
    """
    A certification with every kind of commit: outcomes, escalation, deviants, findings, oracle.

    With engines there is nothing to find and so no deviant and no finding.
    """
    if nodes == "engines":
        size = msgspec.structs.replace(SMALL, block_cases=8)
        engines = ("wasmtime/cranelift", "wasmtime/winch", "wasmer/singlepass")
        return replace(options(RIDGE, folder / "out", (), size=size), engines=engines)
    subject = Product(low=-1.0, high=1.0, semantics=SEMANTICS)
    if not (folder / "subject").exists():
        subject.write(folder / "subject")
    launches = (
        *honest("aa", "bb"),
        witness("honest", "cc", sampled=True),
        witness("swaps_zero_signs", "liar"),
    )
    return options(folder / "subject", folder / "out", launches, shrink_most=1)


def state(path: Path) -> dict[str, Any]:
    """
    Everything that an evidence file holds, as digests and counts.
    """
    with EvidenceStore.open(path, read_only=True) as store:
        stream = io.BytesIO()
        outcomes = store.verify()
        exported = store.export_jsonl(stream)
        rows = {
            table: store.database._connection.execute(
                f"SELECT count(*) FROM {table}"  # noqa: S608 - names from the line below
            ).fetchone()[0]
            for table in ("block_keys", "outcomes", "deviants", "findings", "runs")
        }
        findings = [(each, store.finding(each)) for each in store.finding_ids()]
    return {
        "outcomes": outcomes,
        "exported": exported,
        "rows": rows,
        "lines": hashlib.sha256(stream.getvalue()).hexdigest(),
        "findings": hashlib.sha256(repr(findings).encode()).hexdigest(),
    }


def judged(report: Report) -> dict[str, Any]:
    """
    A report but for its run block, and how many cases the run block accounts for.
    """
    plain = msgspec.to_builtins(report)
    run = plain.pop("run")
    return {
        "report": hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest(),
        "evidence": report.evidence_sha256,
        "exit": report.exit_code,
        "findings": [item.id for item in report.findings],
        "named": sorted({name for item in report.findings for name in item.finding.blame.nodes}),
        "cases": [each["cases"] + each["served_from_evidence"] for each in run["engines"]],
        "ran": sum(each["cases"] for each in run["engines"]),
        "unstable": run["unstable"],
    }


def files(folder: Path) -> str:
    """
    SHA-256 over names and contents of the files of findings.
    """
    total = hashlib.sha256()
    for path in sorted((folder / "out" / "findings").glob("*")):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def run(given: Options, killer: Killer, fault: str) -> dict[str, Any]:
    """
    Certify once, with the killer's hook at the commits.
    """

    def opened(path: Path, max_pages: int | None) -> EvidenceStore:
        after = killer.point is None or killer.point.when == "after"
        store = FaultyStore.open(
            path,
            max_pages=max_pages,
            before_commit=None if after else killer.hook,
            after_commit=killer.hook if after else None,
        )
        store.fault = fault
        return store

    return judged(certify(given, open_store=opened)) | {"commits": killer.seen}


def forked(work: Callable[[Callable[[dict[str, Any]], None]], None]) -> tuple[int, dict[str, Any]]:
    """
    Do *work* in a fork of this process; its wait status, and all that it told.
    """
    reading, writing = os.pipe()

    def tell(told: dict[str, Any]) -> None:
        os.write(writing, json.dumps(told).encode() + b"\n")

    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            work(tell)
        except BaseException as error:  # noqa: BLE001 - a fork must never come back
            sys.stderr.write(repr(error))
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        lines = stream.read().splitlines()
    status = os.waitpid(child, 0)[1]
    told: dict[str, Any] = {}
    for line in lines:
        told |= json.loads(line)
    return status, told


def outlived(pids: list[int]) -> list[int]:
    """
    Those of the processes that are still there after a while.
    """
    left = []
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        if not waiting.poll(ORPHAN_MS):
            left.append(pid)
        os.close(handle)
    return left


def whole(folder: Path, nodes: str, fault: str) -> dict[str, Any]:
    """
    A run to its end, on whatever evidence there is, and what it leaves.
    """

    def work(tell: Callable[[dict[str, Any]], None]) -> None:
        tell(run(job(folder, nodes), Killer(None, tell), fault))

    status, told = forked(work)
    if status:
        return {"status": status}
    return told | {"state": state(folder / "out" / "evidence.sqlite"), "files": files(folder)}


def killed(folder: Path, nodes: str, fault: str, point: Point) -> dict[str, Any]:
    """
    A run in which somebody is killed, and a second one that completes what it left.
    """
    shutil.rmtree(folder / "out", ignore_errors=True)

    def work(tell: Callable[[dict[str, Any]], None]) -> None:
        given = job(folder, nodes)
        tell(run(given, Killer(point, tell), fault))

    status, told = forked(work)
    first = {
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
        "hit": "workers" in told,
        "outlived": outlived(told.get("workers", [])),
        "commit": point.commit,
    }
    if point.victim == "worker" and not status:
        first["judged"] = told | {
            "state": state(folder / "out" / "evidence.sqlite"),
            "files": files(folder),
        }
    return {"first": first, "second": whole(folder, nodes, fault)}


def main(folder: str, nodes: str, fault: str, *points: str) -> None:
    """
    Carry out one command line.
    """
    place = Path(folder)
    shutil.rmtree(place / "out", ignore_errors=True)
    reference = whole(place, nodes, "none")
    if "commits" not in reference:
        sys.exit(f"the run that nothing interrupts failed: {reference}")
    say({"reference": reference})
    for text in points:
        point = Point.parse(text)
        commit = 1 + point.share * reference["commits"] // 1_000_000
        say({"point": text} | killed(place, nodes, fault, replace(point, commit=commit)))


def say(line: dict[str, Any]) -> None:
    """
    Print one line now, so that a fork does not print it again.
    """
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
