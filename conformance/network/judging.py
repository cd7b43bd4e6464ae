"""
Findings of a network: the vote by code families on the inference over which validators differ.

Power has no part in it: a majority of power commits, it does not judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from conformance.differential.blame import blame
from conformance.differential.division import deviants
from conformance.differential.findings import JudgedBlock, finding_at
from conformance.differential.records import Finding
from conformance.differential.vote import Voice, vote
from conformance.network.batches import Batch
from conformance.network.models import Entry


@dataclass(frozen=True, slots=True)
class NetworkFinding:
    """
    A finding, and where on the chain it arose.
    """

    height: int
    transaction: int
    finding: Finding


def findings_at(
    batch: Batch, entry: Entry, place: int, height: int, voices: Sequence[Voice]
) -> tuple[NetworkFinding, ...]:
    """
    Put what *voices* did with the inference at *place* to the vote; nothing if they agree.
    """
    row = batch.places.index(place)
    result = vote(batch.block, entry.shape, voices, "exact", 0)
    judged = JudgedBlock(batch.block, entry.shape, voices, result)
    found = []
    for disagreement in result.disagreements:
        if disagreement.row != row:
            continue
        finding = finding_at(
            judged,
            row,
            kind=disagreement.kind,
            blame=blame(disagreement),
            apart=deviants(disagreement.division),
            module_sha256=batch.module_sha256,
            nan="exact",
        )
        finding = msgspec.structs.replace(
            finding, input_dtype=entry.input_dtype, slot_dtypes=entry.slot_dtypes
        )
        found.append(NetworkFinding(height, place, finding))
    return tuple(found)
