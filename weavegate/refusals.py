"""
A manifest that no engine can follow is wrong usage, not a question for a vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runners.blocks import BlockOutcome
from runners.status import Status
from weavegate.exits import Exit, WeavegateError


def require_callable(path: Path, outcomes: Sequence[BlockOutcome]) -> None:
    """
    Raise WeavegateError when every node refused every case before its entry was called.

    That is what becomes of buffers that do not fit in the module's memory.
    """
    if not outcomes or not all((o.status == Status.REJECTED_ENTRY).all() for o in outcomes):
        return
    words = next(
        (text for o in outcomes for _, text in sorted(o.details.items())), "no reason given"
    )
    sentence = (
        f"{path}: the manifest does not fit the module: no engine could call it ({words}):"
        " look at shape and pointer in [input] and [output]"
    )
    raise WeavegateError(sentence, Exit.USAGE)
