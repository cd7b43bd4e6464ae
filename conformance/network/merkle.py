"""
Merkle trees over byte strings, with SHA-256.

The tree is that of RFC 6962, section 2.1, which CometBFT uses for its hashes too: a leaf is
`H(0x00 || domain || 0x00 || data)`, a node `H(0x01 || left || right)`, and the left subtree holds
the largest power of two of leaves that is smaller than their number. An empty tree is
`H(0x02 || domain)`. The first byte keeps a node from passing for a leaf; the domain, which RFC 6962
does not have, keeps a tree of one kind from passing for a tree of another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def framed(*parts: bytes) -> bytes:
    """
    Join byte strings so that no two sequences of them give the same: each after its u32 length.
    """
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def merkle_root(domain: str, leaves: Sequence[bytes]) -> bytes:
    """
    The 32 bytes that stand for *leaves*, in their order; *domain* is ASCII without NUL.
    """
    head = domain.encode("ascii")
    if not leaves:
        return hashlib.sha256(b"\x02" + head).digest()
    return _root([hashlib.sha256(b"\x00" + head + b"\x00" + leaf).digest() for leaf in leaves])


def join(left: bytes, right: bytes) -> bytes:
    """
    The node above two subtrees.
    """
    return hashlib.sha256(b"\x01" + left + right).digest()


def _root(hashes: Sequence[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return join(_root(hashes[:split]), _root(hashes[split:]))
