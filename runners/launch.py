"""
How a worker is started: what the catalogue and the environments hand to the pool.
"""

from __future__ import annotations

from msgspec import Struct

from runners.records import EngineId, Families


class Launch(Struct, frozen=True, kw_only=True):
    """
    Everything the pool needs to start workers of one engine.
    """

    engine: EngineId
    """Complete: version, compiler and settings filled in."""
    families: Families
    argv: tuple[str, ...]
    """The worker's command line, without the three descriptor numbers."""
    environment: tuple[tuple[str, str], ...] = ()
    """All of the worker's environment."""
    worker_sha256: str
    """Digest of the worker's own source (the packed zipapp or script)."""
    artifact_sha256: str
    """Digest of the installed artefact (wheel, archive, executable); empty if unknown."""
    core_version: str = ""
    """`name@version` of the core inside, as the catalogue knows it."""
    capabilities: tuple[str, ...] = ()
    """What the catalogue says the engine can do; the worker's `hello` may claim less."""
    memory_reserve_mib: int = 0
    """Data segment that the engine itself needs beyond the module's memory."""
