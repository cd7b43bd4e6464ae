"""
The record of a dry run: what a certification would do, as far as it can be told without doing it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class PlannedNode(Struct, frozen=True, kw_only=True):
    """
    What one node would be asked.
    """

    label: str
    generator: str
    """Its code-generator family."""
    role: Literal["all cases", "sample"]
    cases: int
    """Cases that the node votes on, whether it runs them or evidence has them."""
    stored: int
    """Cases whose outcomes are in evidence already: they would not be run."""
    to_run: int
    """The others. Under `reuse(N)` a block that is known in part is run whole."""
    batches: int
    """Batches that the cases to run are sent in."""
    instances: int
    """Instances that the cases to run are opened for."""
    us_per_case: float | None
    """As earlier runs with this evidence file measured it; None: unknown."""
    measured_cases: int
    """Cases that `us_per_case` was measured on."""
    seconds: float | None
    """Time for the cases to run; None: unknown."""


class NotAsked(Struct, frozen=True, kw_only=True):
    """
    A node that would not be asked, and why.
    """

    label: str
    reason: str


class MissingEngine(Struct, frozen=True, kw_only=True):
    """
    An engine that was asked for and is not here.
    """

    engine: str
    sentence: str
    """What is missing and the command that gets it."""


class PlannedAttack(Struct, frozen=True, kw_only=True):
    """
    A scenario that would be put to the module.
    """

    scenario: str
    proves: str
    nodes: tuple[str, ...]
    left_out: tuple[str, ...]
    """Nodes that are too slow for a quick run."""
    entries: int


class PlannedBounds(Struct, frozen=True, kw_only=True):
    """
    Bounds that would be proved before cases run, and what they would be held against.
    """

    entries: tuple[str, ...]
    models: tuple[str, ...]
    chain: str
    """Empty: none."""
    cases: int
    """Cases that each model's rewrite would be counted on, at most about so many an entry."""
    engine: str


class DryRun(Struct, frozen=True, kw_only=True):
    """
    The plan of `weavegate certify --dry-run`.
    """

    schema: int = 1
    name: str
    module_sha256: str
    nan: str
    effort: str
    seed: int
    policy: str
    """Instance policy of the manifest."""
    strata: tuple[tuple[str, int], ...]
    """(`edge`, `sample` or `bulk`; cases)."""
    levels: tuple[tuple[str, int], ...]
    """(observe level, cases)."""
    origins: tuple[tuple[str, int], ...]
    nodes: tuple[PlannedNode, ...]
    not_asked: tuple[NotAsked, ...]
    missing: tuple[MissingEngine, ...]
    attacks: tuple[PlannedAttack, ...]
    allowances: int
    """Allowances about these nodes, whose evidence would be replayed."""
    bounds: PlannedBounds | None = None
    """None: not asked for."""
    evidence: str
    """Path of the evidence file."""
    evidence_there: bool
    seconds: float | None
    """At least so long for the cases to run, on *cores*; None: unknown for a node that runs any."""
    cores: int
    outlook: str
    """What stands in the way of a decision, or that nothing does."""
    exit_code: int
    """0: it can be run and decided; 3: an engine is missing or families are too few."""
