"""
Puts a series of blocks through an evidence store and kills itself at a given commit.

    python crash_program.py FOLDER UNITS prefixes
    python crash_program.py FOLDER UNITS kill FAULT WHEN:COMMIT...
    python crash_program.py FOLDER UNITS race PROCESSES

Prints one JSON object a line. Each victim is a fork of this process, so that Python and numpy are
loaded once. WHEN is `before` (the transaction is written and not committed) or `after`. FAULT
breaks the store on purpose, for the control: `early` commits what should not be, `lost` throws
away the log, `none` does neither.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from evidence_samples import LEVELS, key, outcome

from conformance.evidence.errors import BadEvidenceError
from conformance.evidence.store import EvidenceStore
from runners.records import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.evidence.answers import Put

LATE = 81


def unit(number: int) -> Iterator[Callable[[EvidenceStore], Put | None]]:
    """
    Eight steps, each one commit: every way in which a row of the file can come about or change.
    """
    low, gaps, values = key(2 * number), key(2 * number + 1), [number, 7, number * number, 3]
    other = [number + 1, *values[1:]]
    holes = [1, LATE, 1, LATE]
    filled = [0, 1, 0, 1]
    yield lambda s: s.put(low, Level.RESULT, outcome(values, level=Level.RESULT, width=80))
    yield lambda s: s.put(gaps, Level.FULL, outcome(values, holes))
    yield lambda s: s.put(low, Level.STATE, outcome(values, level=Level.STATE, width=80))
    yield lambda s: s.put(gaps, Level.FULL, outcome(values, filled))
    yield lambda s: s.put(low, Level.RESULT, outcome(other, level=Level.RESULT, width=80))
    yield lambda s: s.put_deviants(low, outcome(values, width=80), [0, 2])
    yield lambda s: s.put_finding(f"finding:{number:016x}", b"x" * number)
    yield lambda s: s.remember_run(f"{number:064x}", json.dumps(values).encode(), b"1.5")


def series(units: int) -> list[Callable[[EvidenceStore], Put | None]]:
    """
    All steps; step *i* is commit *i + 2*, after the one that creates the file.
    """
    return [step for number in range(units) for step in unit(number)]


def state(store: EvidenceStore, units: int) -> str:
    """
    SHA-256 of everything that the file holds.
    """
    keys = [key(number) for number in range(2 * units)]
    stream = io.BytesIO()
    count = store.export_jsonl(stream)
    parts = [
        store.verify(),
        count,
        [store.digest((each, level) for each in keys) for level in LEVELS],
        [store.deviants(each) for each in keys],
        [(each, store.finding(each)) for each in store.finding_ids()],
        [store.recall_run(f"{number:064x}") for number in range(units)],
        [store.recall_times(f"{number:064x}") for number in range(units)],
    ]
    return hashlib.sha256(repr(parts).encode() + stream.getvalue()).hexdigest()


def state_of(path: Path, units: int) -> str:
    """
    `state` of the file at *path*, or `nothing` when it was never set up.
    """
    try:
        with EvidenceStore.open(path, read_only=True) as store:
            return state(store, units)
    except BadEvidenceError as error:
        if "is empty" in str(error) or "does not exist" in str(error):
            return "nothing"
        raise


def run(store: EvidenceStore, units: int) -> list[str]:
    """
    Carry out the series and return what became of each put.
    """
    puts = [step(store) for step in series(units)]
    return [put.kind.value for put in puts if put is not None]


def forked(work: Callable[[], None]) -> int:
    """
    Do *work* in a fork of this process and return its wait status.
    """
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a fork must never come back
            sys.stderr.write(repr(error))
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def victim(path: Path, units: int, when: str, commit: int, fault: str) -> None:
    """
    Run the series and die at one commit.
    """
    seen = 0
    opened: list[EvidenceStore] = []

    def hook() -> None:
        nonlocal seen
        seen += 1
        if seen != commit:
            return
        if fault == "early":
            opened[0].database._connection.execute("COMMIT")
        if fault == "lost":
            path.with_name(path.name + "-wal").unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    before, after = (hook, None) if when == "before" else (None, hook)
    opened.append(EvidenceStore.open(path, before_commit=before, after_commit=after))
    run(opened[0], units)


def kill_and_resume(
    path: Path, units: int, when: str, commit: int, fault: str
) -> dict[str, object]:
    """
    Kill one victim on a new file, look at what it left, and run the series again to its end.
    """
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    status = forked(lambda: victim(path, units, when, commit, fault))
    left = state_of(path, units)
    with EvidenceStore.open(path) as store:
        kinds = run(store, units)
        final = state(store, units)
    signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return {
        "when": when, "commit": commit, "signal": signalled,
        "left": left, "final": final, "same": kinds.count("same"),
    }  # fmt: skip


def prefixes(path: Path, units: int) -> Iterator[dict[str, object]]:
    """
    Yield the state after each number of commits of a run that nothing interrupts.
    """
    yield {"commits": 0, "state": "nothing", "puts": 0}
    puts = 0
    with EvidenceStore.open(path) as store:
        yield {"commits": 1, "state": state(store, units), "puts": 0}
        for number, step in enumerate(series(units)):
            puts += step(store) is not None
            yield {"commits": number + 2, "state": state(store, units), "puts": puts}


def race(path: Path, units: int, processes: int) -> dict[str, object]:
    """
    Let several processes create one file at the same moment and put the same series into it.
    """
    ready, go = os.pipe()
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)
            try:
                with EvidenceStore.open(path) as store:
                    run(store, units)
            except BaseException as error:  # noqa: BLE001 - a fork must never come back
                sys.stderr.write(repr(error))
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        children.append(child)
    os.close(go)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return {"codes": codes, "state": state_of(path, units)}


def say(line: dict[str, object]) -> None:
    """
    Print one line now, so that a fork does not print it again.
    """
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(folder: str, units: str, command: str, *rest: str) -> None:
    """
    Carry out one command line.
    """
    path, count = Path(folder) / "evidence.db", int(units)
    if command == "prefixes":
        for line in prefixes(path, count):
            say(line)
    elif command == "race":
        say(race(path, count, int(rest[0])))
    else:
        for point in rest[1:]:
            when, _, commit = point.partition(":")
            say(kill_and_resume(path, count, when, int(commit), rest[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
