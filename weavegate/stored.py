"""
What evidence holds of a node, asked before its worker can say who it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from conformance.evidence.keys import BlockKey, case_digest
from conformance.evidence.store import EvidenceStore
from conformance.wasm.rewrite.nans import rewrite_id
from runners.blocks import CaseBlock
from runners.environments import Environments
from weavegate.execution import rows_left
from weavegate.nodes import Participant

_CPU: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Kept:
    """
    The evidence of one node about one module.

    A key holds what a worker says of itself. Before it runs, its source and its library are known
    from where it is installed and the CPU from the kernel; the core's version follows from the
    library. Of a worker from outside the catalogue nothing but its source is known.
    """

    store: EvidenceStore
    policy: str
    keys: Mapping[str, tuple[BlockKey, ...]]
    """By digest of the block of cases."""

    @classmethod
    def of(
        cls,
        store: EvidenceStore,
        module_sha256: str,
        participant: Participant,
        environments: Environments,
    ) -> Self:
        """
        Gather the keys that the node's worker would ask for.
        """
        node, launch = participant.node, participant.launch
        rewrite = rewrite_id(participant.rewrite) if participant.rewrite else ""
        known = {"node_sha256": node.digest(), "worker_sha256": launch.worker_sha256}
        known["rewrite"] = rewrite
        if launch.engine.name in environments.catalog.entries:
            marker = environments.marker(launch.engine)
            known["library_sha256"] = marker.library_sha256 if marker else launch.artifact_sha256
            known["cpu_features_sha256"] = cpu_features_sha256()
        keys: dict[str, tuple[BlockKey, ...]] = {}
        for key in store.keys_of(module_sha256):
            if all(getattr(key, name) == value for name, value in known.items()):
                keys[key.case_sha256] = (*keys.get(key.case_sha256, ()), key)
        return cls(store, node.policy, keys)

    def left(self, block: CaseBlock, digests: dict[int, str]) -> int:
        """
        How many cases of a block are not known; *digests* are those of blocks asked for before.
        """
        if id(block) not in digests:
            digests[id(block)] = case_digest(block)
        left = len(block)
        for key in self.keys.get(digests[id(block)], ()):
            rows = rows_left(self.store.lookup(key, block.level), self.policy)
            left = min(left, len(block) if rows is None else len(rows))
        return left


def cpu_features_sha256(path: Path = _CPU) -> str:
    """
    SHA-256 over this CPU's feature flags, sorted, a space between them: what workers answer.
    """
    for line in path.read_text("ascii", "replace").splitlines():
        if line.startswith(("flags", "Features")):
            words = sorted(line.partition(":")[2].split())
            return hashlib.sha256(" ".join(words).encode("ascii")).hexdigest()
    return "unknown: no flags listed"
