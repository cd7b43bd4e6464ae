"""
Which nodes run a module rewritten, so that they keep its NaN profile, and the rewritten modules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from conformance.differential.profiles import NanProfile, under_profile
from conformance.wasm.decode import decode
from conformance.wasm.module import Module
from conformance.wasm.rewrite.nans import NanRewrite, canonicalised, rewrite_id
from runners.launch import Launch
from runners.pool import Pool
from runners.records import Node

CONVERSIONS = frozenset({"f32.demote_f64", "f64.promote_f32"})
"""What the profiles `canonical` and `cosmwasm` differ in."""


@dataclass(slots=True)
class Rewrites:
    """
    The rewrites of a run: by seat, and what came of them.
    """

    by_seat: Mapping[int, NanRewrite] = field(default_factory=dict)
    """Seats that are missing here run modules as they are."""
    _made: dict[tuple[str, NanRewrite], str] = field(default_factory=dict)

    def name(self, seat: int) -> str:
        """
        Id of the rewrite of a seat, for the key of evidence; empty: none.
        """
        profile = self.by_seat.get(seat)
        return rewrite_id(profile) if profile else ""

    def module(self, pool: Pool, seat: int, sha256: str) -> str:
        """
        Digest of the module that a seat is given for *sha256*, which the pool must know.
        """
        profile = self.by_seat.get(seat)
        if profile is None:
            return sha256
        found = self._made.get((sha256, profile))
        if found is None:
            source = pool.module(sha256)
            data = canonicalised(decode(source.data), profile)
            found = self._made[sha256, profile] = hashlib.sha256(data).hexdigest()
            pool.add_module(found, data, source.compile_deadline_ms)
        return found


def converts(module: Module) -> bool:
    """
    Whether a module demotes or promotes floats at all.
    """
    return bool(CONVERSIONS & set(module.operators))


def keeping(node: Node, launch: Launch, module: Module, profile: NanProfile) -> Node:
    """
    The node in its own mode for *profile*, if it has one; as it is otherwise.
    """
    told = under_profile(
        node.engine,
        launch.families.generator,
        launch.capabilities,
        profile,
        converts=converts(module),
    )
    return node if told.engine is None else replace(node, engine=told.engine)


def rewrites_of(
    nodes: Sequence[tuple[Node, Launch]], module: Module, profile: NanProfile
) -> Rewrites:
    """
    The rewrites with which *nodes*, as they are, keep *profile* in running *module*.
    """
    asked = [
        under_profile(
            node.engine,
            launch.families.generator,
            launch.capabilities,
            profile,
            converts=converts(module),
        )
        for node, launch in nodes
    ]
    return Rewrites({seat: told.rewrite for seat, told in enumerate(asked) if told.rewrite})
