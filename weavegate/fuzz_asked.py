"""
Which engines a fuzzing run asks, in which form, and which it does not ask and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from msgspec import Struct

from conformance.differential.profiles import NanProfile, under_profile
from runners.catalog import Catalog
from runners.environments import Environments
from runners.records import EngineId
from weavegate.exits import Exit, WeavegateError
from weavegate.nodes import Participant, choose

FEWEST: Final = 2
"""One node has nobody to differ from."""


class NotAsked(Struct, frozen=True, kw_only=True):
    """
    An engine that is not asked anything in a run.
    """

    label: str
    named: bool
    """Whether the user named it; else it is one of the core engines."""
    reason: str
    """A sentence."""


@dataclass(frozen=True, slots=True)
class AskedNodes:
    """
    The nodes of a run, each in the one form in which it keeps the profile for every module.
    """

    nodes: tuple[Participant, ...]
    """With `rewrite`: what every module is rewritten with for it."""
    left_out: tuple[NotAsked, ...]


def from_catalog(engines: Sequence[str]) -> list[Participant]:
    """
    The engines that the user named, or the core ones.

    Raises what catalogue and environments raise, and WeavegateError for wrong usage: one engine
    alone, or one that is named twice.
    """
    catalog = Catalog.load()
    named: dict[EngineId, str] = {}
    for text in engines:
        engine = catalog.resolve(text)
        if engine in named:
            sentence = f"--engine {named[engine]} and --engine {text} are both {engine}"
            raise WeavegateError(f"{sentence}: name every engine once", Exit.USAGE)
        named[engine] = text
    if len(named) == 1:
        sentence = f"{engines[0]} alone has nobody to differ from: name two or more with --engine"
        raise WeavegateError(sentence, Exit.USAGE)
    return choose(engines, "fresh", catalog, Environments(catalog))


def asked_under(
    nodes: Sequence[Participant], profile: NanProfile, *, named: bool = False
) -> AskedNodes:
    """
    The nodes in the form in which they keep *profile* for any module.

    Mode and rewrite of a node come from one answer, about modules that may convert floats: a
    generated module without conversions runs in the same form as any other. *named*: whether the
    user named the nodes. Raises WeavegateError where fewer than two are left.
    """
    found: dict[EngineId, Participant] = {}
    left_out: list[NotAsked] = []
    for node in nodes:
        label = node.node.label()
        told = under_profile(
            node.node.engine,
            node.launch.families.generator,
            node.launch.capabilities,
            profile,
            converts=True,
        )
        reason = told.reason
        if told.engine is not None and told.engine in found:
            reason = f"{label} is {told.engine} under NaN profile {profile}, which is asked already"
        if told.engine is None or told.engine in found:
            left_out.append(NotAsked(label=label, named=named, reason=reason))
            continue
        given = msgspec.structs.replace(node.node, engine=told.engine)
        found[told.engine] = replace(node, node=given, rewrite=told.rewrite)
    if len(found) < FEWEST:
        reasons = "; ".join(item.reason for item in left_out)
        sentence = f"only {len(found)} of {len(nodes)} engines can be asked" + (
            f" ({reasons})" if reasons else ""
        )
        advice = "name two or more others with --engine, or another --nan"
        raise WeavegateError(f"{sentence}: {advice}", Exit.UNDECIDED)
    return AskedNodes(tuple(found.values()), tuple(left_out))
