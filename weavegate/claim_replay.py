"""
Reproduces findings of class `bound`: whether a reading still contradicts what was proved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from conformance.differential.records import Claim, Finding
from conformance.differential.vote import Voice
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.load import gas_model
from conformance.wasm.decode import decode
from runners.bits import parse_bytes
from runners.launch import Launch
from runners.records import Node
from weavegate.bound_counting import counted_finding
from weavegate.bound_spans import PAGES
from weavegate.counting import counter
from weavegate.exits import Exit, WeavegateError
from weavegate.nodes import Participant

_COUNTED = "model:"


def is_counted(finding: Finding) -> bool:
    """
    Whether a rewrite that counts showed it, not an engine itself.
    """
    return finding.claim is not None and finding.claim.what.startswith(_COUNTED)


def breaks(claim: Claim, voices: Sequence[Voice], row: int) -> bool:
    """
    Whether a node shows in *row* what the claim rules out, by the meter that the claim names.
    """
    for voice in voices:
        outcome = voice.outcome
        shown = outcome.pages if claim.what == PAGES else outcome.gas
        if shown is None or claim.what not in (PAGES, outcome.meter):
            continue
        if not claim.lo <= int(shown[row]) <= claim.hi:
            return True
    return False


def replay_counted(
    finding: Finding, nodes: Sequence[tuple[Node, Launch]], data: bytes
) -> tuple[bool, Finding]:
    """
    Count the finding's case again on each node; returns whether it shows, and what was seen last.

    Raises WeavegateError where a node cannot count.
    """
    claim = finding.claim
    assert claim is not None  # noqa: S101 - only such findings come here
    model = gas_model(claim.what.removeprefix(_COUNTED))
    rows = np.frombuffer(parse_bytes(finding.history[-1]), np.uint8).reshape(1, -1)
    shown, ids = finding, np.zeros(1, np.uint64)
    for node, launch in nodes:
        participant = Participant(node, launch, sampled=False)
        with counter(participant, finding.budget.memory_pages) as counting:
            try:
                done = next(
                    counting.count(decode(data), model, finding.call, finding.budget, ids, rows),
                    None,
                )
            except RefusedOperatorError as error:
                raise WeavegateError(f"{model.id}: {error}", Exit.UNDECIDED) from error
        if done is None:
            raise WeavegateError(f"{node.label()} shows no counters", Exit.UNDECIDED)
        shown = counted_finding(
            done, 0, model, participant, claim, finding.module_sha256, finding.nan,
            finding.blame.reason,
        )  # fmt: skip
        if not claim.lo <= int(done.gas[0]) <= claim.hi:
            return True, shown
    return False, shown
