"""
What the user asked `weavegate certify` for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from conformance.differential.corpus import QUICK, RELEASE, CorpusSize
from runners.launch import Launch
from weavegate.first_operators import BISECT_SECONDS, MOST_BISECTED
from weavegate.shrinking import MOST_FINDINGS

EFFORTS: dict[str, CorpusSize] = {"quick": QUICK, "release": RELEASE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    What the user asked for.
    """

    argument: Path
    out: Path
    manifest: Path | None = None
    engines: tuple[str, ...] = ()
    launches: tuple[tuple[Launch, bool], ...] = ()
    """Workers beyond the catalogue, and whether they see a sample only."""
    expect: Path | None = None
    nan: str | None = None
    effort: str = "quick"
    seed: int = 0
    as_of: date | None = None
    allowances: Path | None = None
    evidence: Path | None = None
    evidence_pages: int | None = None
    again: bool = False
    command: str = "weavegate certify"
    size: CorpusSize | None = None
    shrink_most: int = MOST_FINDINGS
    """Red findings that are shrunk, the first ones."""
    bisect_most: int = MOST_BISECTED
    """Red findings whose first differing operator is looked for, the first ones."""
    bisect_seconds: float = BISECT_SECONDS
    """For all of them together."""
    chain: str | None = None
    """A shipped chain or a chain file, whose limits every call is held to."""
    require: tuple[str, ...] = ()
    """Properties that must be decided."""
