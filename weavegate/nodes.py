"""
Which nodes take part in a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runners.catalog import Catalog
from runners.environments import Environments
from runners.launch import Launch
from runners.records import EngineId, Node


@dataclass(frozen=True, slots=True)
class Participant:
    """
    A node, how its worker is started, and whether it sees all cases.
    """

    node: Node
    launch: Launch
    sampled: bool
    """An interpreter that is slower by orders of magnitude: it sees edge and sampled cases."""


def choose(
    engines: Sequence[str], policy: str, catalog: Catalog, environments: Environments
) -> list[Participant]:
    """
    The nodes that the user named, or the core ones; raises what catalogue and environments raise.

    A missing engine is an error, never a smaller vote.
    """
    asked = [catalog.resolve(text) for text in engines] if engines else list(catalog.core())
    found: dict[EngineId, Participant] = {}
    for engine in asked:
        launch = environments.launch(engine)
        found.setdefault(
            engine,
            Participant(Node(engine, policy=policy), launch, catalog.entry(engine.name).sampled),
        )
    return list(found.values())
