"""
The event log of a run: what happened, as records, one JSON line for each.

Lines hold nothing that differs between two runs of one plan: no time, no path, no engine's words.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from conformance.differential.records import Blame
from conformance.network.transactions import Transaction
from runners.records import Node, canonical_json


class Member(Struct, frozen=True):
    """
    One validator of the plan.
    """

    label: str
    node: Node
    power: int


class ModelLine(Struct, frozen=True):
    """
    One model of the plan.
    """

    name: str
    sha256: str


class Planned(Struct, frozen=True, tag_field="event", tag="planned"):
    """
    The plan: always the first line.
    """

    seed: int
    blocks: int
    meter: str
    """The only gas that enters the results hash."""
    validators: tuple[Member, ...]
    models: tuple[ModelLine, ...]
    schema: int = 1


class Proposed(Struct, frozen=True, tag_field="event", tag="proposed"):
    """
    A block was put to all validators that take part.
    """

    height: int
    tick: int
    transactions_sha256: str
    """Merkle root of the transactions."""
    kinds: tuple[str, ...]
    """`store`, `infer` or `write` of each transaction, in order."""


class Fell(Struct, frozen=True, tag_field="event", tag="fell"):
    """
    A validator's worker broke: its vote is missing from this height on.
    """

    height: int
    tick: int
    validator: str
    transaction: int
    """First place in the block that it has no answer to."""
    what: str
    """`crashed`, `timed out`, `broke the protocol`, or `bent arithmetic`."""
    findings: tuple[str, ...]


class Voted(Struct, frozen=True, tag_field="event", tag="voted"):
    """
    A validator's vote came in.
    """

    height: int
    tick: int
    validator: str
    power: int
    app_hash: str
    results_hash: str


class Committed(Struct, frozen=True, tag_field="event", tag="committed"):
    """
    More than 2/3 of all power voted for the same hashes. That makes nobody right.
    """

    height: int
    tick: int
    power: int
    app_hash: str
    results_hash: str


class Holding(Struct, frozen=True):
    """
    Validators that hold the same hashes for a height.
    """

    validators: tuple[str, ...]
    power: int
    app_hash: str
    results_hash: str


class Shown(Struct, frozen=True):
    """
    What one validator holds at the place where validators differ first.
    """

    validator: str
    value: str
    """Typed bits; the kind of outcome where that differs; `absent` for a key it does not have."""


class Difference(Struct, frozen=True):
    """
    The first thing in a block that two validators do not hold alike.
    """

    transaction: int | None
    """Place in the block; None if every transaction's result is equal and the states are not."""
    request: Transaction | None
    aspect: Literal["kind", "output", "gas", "state"]
    key: str
    """First key of the state that differs; empty if none does."""
    element: int | None
    """Which element of the output, counted over its columns; None but for `output`."""
    shown: tuple[Shown, ...]


class Differed(Struct, frozen=True, tag_field="event", tag="differed"):
    """
    Validators hold different hashes for one height.
    """

    height: int
    tick: int
    sides: tuple[Holding, ...]
    first: Difference
    blame: Blame
    """Of the vote by code families, which power has no part in."""
    findings: tuple[str, ...]


class Halted(Struct, frozen=True, tag_field="event", tag="halted"):
    """
    A validator does not hold what was committed, and takes no part any more.
    """

    height: int
    tick: int
    validator: str


class Stalled(Struct, frozen=True, tag_field="event", tag="stalled"):
    """
    Nothing has more than 2/3 of power: the chain stops before this height.
    """

    height: int
    tick: int
    voted: int
    """Power that voted at all."""
    largest: int
    """Largest power that agrees."""
    total: int


class Verdict(Struct, frozen=True):
    """
    One of the two properties of a run.
    """

    holds: bool | None
    """None: nothing was seen that could tell."""
    reason: str


class Ended(Struct, frozen=True, tag_field="event", tag="ended"):
    """
    The verdicts: always the last line of a run that was not interrupted.
    """

    committed: int
    """Heights that committed."""
    safety: Verdict
    """No two validators held different hashes for one height."""
    liveness: Verdict
    """Every height of the plan committed."""
    findings: tuple[str, ...]


Event = (
    Planned | Proposed | Fell | Voted | Committed | Differed | Halted | Stalled | Ended
)  # fmt: skip


def log_line(event: Event) -> bytes:
    """
    An event as canonical JSON, with its newline.
    """
    return canonical_json(event) + b"\n"
