"""
What the verdicts say of cases that the host ended, so that the module never came to its end.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from attacks.records import Result
from conformance.differential.blame import listed
from conformance.differential.findings import JudgedBlock
from runners.hosting import LEFT_OUT, MOST_BYTES, MOST_CALLS, MOST_CUT
from runners.status import Status

_SILENT = "it gave no reason"


def ended_sentence(ended: int, total: int, words: str) -> str:
    """
    How many of *total* cases the host ended, and its first words; empty if it ended none.
    """
    if not ended:
        return ""
    if ended == total:
        counted = f"all {total:,} cases were" if total > 1 else "the only case was"
    else:
        counted = f"{ended:,} of {total:,} cases {'was' if ended == 1 else 'were'}"
    return f"{counted} ended by the host: {words or _SILENT}"


def attack_ended(result: Result) -> str:
    """
    The same of the calls of an attack, as they usually end; empty if the host ended none.
    """
    return ended_sentence(result.host_ended, result.usual, result.host_words)


def nothing_tried(result: Result) -> bool:
    """
    Whether the host ended all that an attack called, so that the attack says nothing.
    """
    return 0 < result.usual == result.host_ended


def left_out(judged: Iterable[JudgedBlock]) -> list[str]:
    """
    A sentence on nodes that were not asked some cases, because of what those before asked.
    """
    missed: dict[str, int] = {}
    for block in judged:
        for voice in block.voices:
            if LEFT_OUT in voice.outcome.details.values():
                rows = int((voice.outcome.status == Status.PENDING).sum())
                label = voice.node.label()
                missed[label] = missed.get(label, 0) + rows
    if not missed:
        return []
    most, labels = max(missed.values()), listed(sorted(missed))
    sentence = (
        f"up to {most:,} cases were not run on {labels}: {MOST_CUT} before them asked more of their"
        f" host than one may, {MOST_CALLS:,} calls and {MOST_BYTES:,} bytes"
    )
    return [sentence]


def vote_ended(judged: Iterable[JudgedBlock]) -> tuple[int, str]:
    """
    Cases of a vote that the host ended on a node that saw all of them, and the first words of it.
    """
    ended, words = 0, ""
    for block in judged:
        whole = [voice.outcome for voice in block.voices if voice.rows is None]
        if not whole:
            continue
        stopped = [outcome.status == Status.TRAP_HOST for outcome in whole]
        ended += int(np.logical_or.reduce(stopped).sum())
        for outcome, rows in zip(whole, stopped, strict=True):
            said = (text for row, text in sorted(outcome.details.items()) if rows[row])
            words = words or next(said, "")
    return ended, words
