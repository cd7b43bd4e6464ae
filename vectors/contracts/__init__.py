"""
Contracts of hosts that are shipped: TOML files, see `docs/host-contracts.md`.
"""

from __future__ import annotations

from pathlib import Path


def shipped_contracts() -> dict[str, Path]:
    """
    Name -> contract file, in the order of names.
    """
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
