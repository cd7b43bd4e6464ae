"""
What cases cost on a node, as runs so far measured it: kept beside the evidence file, never in it.

Times cannot be reproduced, and a run that was killed and went on must leave the evidence that an
undisturbed one leaves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from runners.records import digest_of
from weavegate.exits import WeavegateError
from weavegate.findings_files import write_atomically
from weavegate.judging import RunRecord
from weavegate.nodes import Participant


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """
    Cases of one module that ran on one node, and the time of their batches.
    """

    cases: int
    busy_ns: int

    @property
    def us_per_case(self) -> float:
        """
        Microseconds per case, from the controller's side.
        """
        return self.busy_ns / 1e3 / self.cases


def rates_path(evidence: Path) -> Path:
    """
    The file of what was spent by runs with an evidence file.
    """
    return Path(f"{evidence}.rates.json")


def remember_spent(
    evidence: Path, module_sha256: str, nodes: Sequence[Participant], record: RunRecord
) -> None:
    """
    Add what a run spent to what earlier ones did; nodes that ran nothing are left as they are.

    It is a convenience: where the file cannot be written, nothing is remembered.
    """
    known = dict(_read(evidence))
    for seat, participant in enumerate(nodes):
        cases, busy_ns = record.ran.get(seat, 0), record.busy_ns.get(seat, 0)
        if cases and busy_ns:
            name = _name(module_sha256, participant)
            before = known.get(name, Spent(cases=0, busy_ns=0))
            known[name] = Spent(cases=cases + before.cases, busy_ns=busy_ns + before.busy_ns)
    with contextlib.suppress(WeavegateError):
        write_atomically(rates_path(evidence), msgspec.json.encode(known, order="sorted"))


def recall_spent(
    evidence: Path, module_sha256: str, nodes: Sequence[Participant]
) -> list[Spent | None]:
    """
    What is known of a module on each node; None if it never ran there.
    """
    known = _read(evidence)
    return [known.get(_name(module_sha256, participant)) for participant in nodes]


def _read(evidence: Path) -> Mapping[str, Spent]:
    """
    All that is remembered; a file that is none of ours counts as nothing.
    """
    try:
        text = rates_path(evidence).read_bytes()
        known = msgspec.json.decode(text, type=dict[str, Spent])
    except (OSError, msgspec.DecodeError):
        return {}
    return {name: spent for name, spent in known.items() if spent.cases > 0}


def _name(module_sha256: str, participant: Participant) -> str:
    """
    Digest of all that can be known of a node before its worker is started.
    """
    launch = participant.launch
    return digest_of(
        [module_sha256, participant.node, launch.worker_sha256, launch.artifact_sha256]
    )
