"""
Which nodes take part in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conformance.wasm.rewrite.nans import NanRewrite
from runners.catalog import Catalog
from runners.environments import Environments, MissingEngineError
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
    rewrite: NanRewrite | None = None
    """The rewrite that the module gets for it, to keep the NaN profile; None: as it is."""


def choose(
    engines: Sequence[str],
    policy: str,
    catalog: Catalog,
    environments: Environments,
    lacks: Callable[[MissingEngineError, str], None] | None = None,
) -> list[Participant]:
    """
    The nodes that the user named, or the core ones; raises what catalogue and environments raise.

    A missing engine is an error, never a smaller vote; a plan of a vote names all that are missing
    with *lacks*, which hears of each.
    """
    asked = [catalog.resolve(text) for text in engines] if engines else list(catalog.core())
    found: dict[EngineId, Participant] = {}
    for engine in asked:
        try:
            launch = environments.launch(engine)
        except MissingEngineError as error:
            if lacks is None:
                raise
            lacks(error, str(engine))
            continue
        found.setdefault(
            engine,
            Participant(Node(engine, policy=policy), launch, catalog.entry(engine.name).sampled),
        )
    return list(found.values())
