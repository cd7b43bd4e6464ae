"""
Opens an evidence file under a limit that only a whole process can have, and says what happened.

    python hostile_disk_program.py FILE file-size LIMIT_BYTES
    python hostile_disk_program.py FILE nobody

`file-size` puts blocks until the limit is met; `nobody` gives up root's rights, if it has them,
before it opens the file. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import sys

from evidence_samples import key, outcome

from conformance.evidence.errors import EvidenceError
from conformance.evidence.store import EvidenceStore
from runners.records import Level

NOBODY = 65534
ROWS = 512


def fill(store: EvidenceStore, start: int, count: int) -> tuple[int, str, str]:
    """
    Put blocks until *count* of them are there or the store refuses one.
    """
    for number in range(start, start + count):
        values = list(range(number * ROWS, (number + 1) * ROWS))
        try:
            store.put(key(number), Level.FULL, outcome(values))
        except EvidenceError as error:
            return number, type(error).__name__, str(error)
    return start + count, "", ""


def readable(store: EvidenceStore, count: int) -> bool:
    """
    Whether blocks 0 to *count* are there, and no more.
    """
    found = [store.lookup(key(number), Level.FULL) for number in range(count + 1)]
    return store.verify() == count and [each is not None for each in found] == [
        *([True] * count),
        False,
    ]


def main(path: str, command: str, limit: str = "") -> None:
    """
    Carry out one command line.
    """
    answer: dict[str, object] = {}
    if command == "file-size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
        with EvidenceStore.open(path) as store:
            stored, kind, sentence = fill(store, 0, 1000)
            answer = {"stored": stored, "kind": kind, "sentence": sentence}
            answer["readable"] = readable(store, stored)
            again = fill(store, stored, 1)
            answer["again"] = again[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            answer["with_room"] = fill(store, stored, 3)[0] - stored
    else:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            with EvidenceStore.open(path) as store:
                answer["opened"] = fill(store, 0, 1)[0]
        except EvidenceError as error:
            answer = {"kind": type(error).__name__, "sentence": str(error)}
        try:
            with EvidenceStore.open(path, read_only=True) as store:
                answer["found"] = store.lookup(key(0), Level.FULL) is not None
        except EvidenceError as error:
            answer["reading"] = str(error)
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
