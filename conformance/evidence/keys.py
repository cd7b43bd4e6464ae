"""
The key of evidence: digests of all that can change what a node does with a block of cases.

Not in it, because they only change how long is waited, how much is looked at or how a row is
called: the deadline, the observe level and the cases' ids. Nor anything of the judge.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from runners.records import canonical_json, digest_of

if TYPE_CHECKING:
    from runners.blocks import CaseBlock
    from runners.records import Identity, Node


class BlockKey(Struct, frozen=True, order=True):
    """
    Names one block of cases put to one node; equal keys must give equal outcomes.
    """

    module_sha256: str
    """Digest of the module's uncompressed bytes."""
    rewrite: str
    """Id of the rewrite that instrumented the module; empty: the module itself."""
    case_sha256: str
    """Digest of the semantic block (`case_digest`)."""
    node_sha256: str
    worker_sha256: str
    core_version: str
    library_sha256: str
    cpu_features_sha256: str

    def digest(self) -> str:
        """
        SHA-256 of the key's canonical JSON: the name of the key in the evidence file.
        """
        return digest_of(self)


def case_digest(block: CaseBlock) -> str:
    """
    SHA-256 of what the cases of *block* ask: call, fuel, page ceiling, and the input rows in order.

    The order of rows counts, since an instance that is reused sees one after the other. The form
    is canonical JSON of `[call, fuel, memory_pages, rows, row_bytes]`, a zero byte, then the rows.
    """
    rows, row_bytes = block.inputs.shape
    head = [block.call, block.budget.fuel, block.budget.memory_pages, rows, row_bytes]
    digest = hashlib.sha256(canonical_json(head))
    digest.update(b"\0")
    digest.update(np.ascontiguousarray(block.inputs).data)
    return digest.hexdigest()


def block_key(
    module_sha256: str,
    block: CaseBlock,
    node: Node,
    identity: Identity,
    rewrite: str = "",
    *,
    case_sha256: str | None = None,
) -> BlockKey:
    """
    Return the key under which *node*, run by a worker of *identity*, answers *block*.

    *case_sha256* is `case_digest(block)` where a caller has it already: several nodes are asked
    the same block, and wide rows take longer to digest than to send.
    """
    return BlockKey(
        module_sha256=module_sha256,
        rewrite=rewrite,
        case_sha256=case_digest(block) if case_sha256 is None else case_sha256,
        node_sha256=node.digest(),
        worker_sha256=identity.worker_sha256,
        core_version=identity.core_version,
        library_sha256=identity.library_sha256,
        cpu_features_sha256=identity.cpu_features_sha256,
    )
