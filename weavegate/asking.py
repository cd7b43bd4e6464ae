"""
Who is asked: the nodes of a run, and which of them can run the module under its NaN profile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from conformance.differential.blame import listed
from conformance.differential.profiles import NanProfile, under_profile
from runners.catalog import Catalog
from runners.environments import Environments, MissingEngineError
from runners.records import Node
from weavegate import summary
from weavegate.exits import Exit, WeavegateError
from weavegate.hosted import hosted
from weavegate.nodes import Participant, choose
from weavegate.options import Options
from weavegate.rewriting import converts
from weavegate.subject import Subject


def participants(
    options: Options,
    subject: Subject,
    catalog: Catalog,
    environments: Environments,
    lacks: Callable[[MissingEngineError, str], None] | None = None,
) -> list[Participant]:
    """
    Nodes from the catalogue, then workers beyond it.

    Raises MissingEngineError for an engine that is not installed; with *lacks*, that hears of each
    such engine instead, and the others are returned.
    """
    policy = subject.manifest.run.policy
    found: list[Participant] = []
    if options.engines or not options.launches:
        found = choose(options.engines, policy, catalog, environments, lacks)
    found += [
        Participant(Node(launch.engine, policy=policy), launch, sampled)
        for launch, sampled in options.launches
    ]
    return [replace(item, node=hosted(item.node, subject.host)) for item in found]


def profile_of(options: Options, subject: Subject) -> str:
    """
    The NaN profile of the run: the command line's, else the manifest's.
    """
    return options.nan or subject.manifest.judge.nan


def vote_profile(profile: str) -> NanProfile:
    """
    The profile that the vote compares under.
    """
    return profile  # type: ignore[return-value]


def who_can(
    asked: Sequence[Participant], subject: Subject, profile: str
) -> tuple[list[Participant], list[summary.Absent]]:
    """
    Part the nodes into those that can run the module under the profile, and those not asked.
    """
    present, absent = [], []
    for participant in asked:
        engine, launch = participant.node.engine, participant.launch
        lacking = subject.needed_proposals - set(launch.capabilities)
        if lacking:
            words = listed(sorted(name.removeprefix("proposal:") for name in lacking))
            absent.append(summary.Absent(participant, f"does not have {words}"))
            continue
        told = under_profile(
            engine,
            launch.families.generator,
            launch.capabilities,
            vote_profile(profile),
            converts=converts(subject.module),
        )
        if told.engine is None:
            absent.append(summary.Absent(participant, told.reason))
        else:
            node = msgspec.structs.replace(participant.node, engine=told.engine)
            present.append(Participant(node, launch, participant.sampled, told.rewrite))
    if not present:
        sentence = "no node can be asked: " + "; ".join(
            f"{a.participant.node.label()} {a.reason}" for a in absent
        )
        raise WeavegateError(sentence, Exit.UNDECIDED)
    return present, absent
