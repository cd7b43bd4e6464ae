"""
What a scenario tells: what it saw where, and whom it could not ask.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from runners.records import Node, Outcome


class Importance(StrEnum):
    """
    What a success of the attack means.
    """

    LOW = "low"
    """A pedantic reading of a rule; nobody gains by it."""
    MEDIUM = "medium"
    """Nodes may be told apart, or slowed down."""
    HIGH = "high"
    """Nodes may disagree, so a chain may halt."""
    CRITICAL = "critical"
    """One caller reads or changes what belongs to another."""


Aspect = Literal["secret", "new memory", "kind", "output", "memory", "pages", "globals", "gas",
                 "memory kept", "reset"]  # fmt: skip
"""
In what an attack succeeded: `secret`: its bits were found; `new memory`: a new instance does not
start like another; `memory kept`: memory differs and the next call sees it; `reset`: the reset is
missing or fails; else the observation that differs.
"""


class Breach(Struct, frozen=True, kw_only=True):
    """
    One success of an attack: one node, one entry, one aspect.
    """

    node: Node
    entry: str
    aspect: Aspect
    sentence: str
    """What was seen, without the node's name."""
    history: tuple[str, ...]
    """Input rows (`bytes:...`) that show it: the secret's first, then the one that follows."""
    outcome: Outcome
    """Of the call that follows the secret's; of the secret's where there was no other."""
    usual: Outcome | None = None
    """What the same call does with the manifest's host, where another host was tried."""
    imports: tuple[str, ...] = ()
    """Imports whose answers make the difference."""
    world: int = 0
    """Seed of the world that answered."""


class Unasked(Struct, frozen=True):
    """
    A node that could not be attacked.
    """

    node: str
    """Its label."""
    reason: str
    lost: bool
    """Whether its worker died of it; else it cannot do what the scenario needs."""


class Result(Struct, frozen=True, kw_only=True):
    """
    What one scenario saw.
    """

    breaches: tuple[Breach, ...]
    nodes: tuple[str, ...]
    """Labels of the nodes that were attacked on every entry."""
    unasked: tuple[Unasked, ...]
    entries: int
    """Entries that were tried."""
    remarks: tuple[str, ...]
    """What is worth knowing and breaks nothing, one clause each."""
    worlds: int = 0
    """Different hosts that answered imports, the manifest's included."""
    cases: int = 0
    """Calls that were put to each of them."""
    usual: int = 0
    """Calls with the manifest's host, on all nodes together, whose end was looked at."""
    host_ended: int = 0
    """How many of them that host ended."""
    host_words: str = ""
    """What it said the first time."""
