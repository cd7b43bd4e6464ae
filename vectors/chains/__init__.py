"""
Chains that are shipped: TOML files, each value with its source.
"""

from __future__ import annotations

from pathlib import Path


def shipped_chains() -> dict[str, Path]:
    """
    Name -> chain file, in the order of names.
    """
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
