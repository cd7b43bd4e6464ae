"""
Which nodes a simulated network is made of, so that no two of them are alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product

import msgspec

from conformance.differential.blame import listed
from conformance.network.plan import BadPlanError
from runners.catalog import CORE, Catalog, order
from runners.records import EngineId, Node


def choose_nodes(
    engines: Sequence[str], count: int, needed: frozenset[str], catalog: Catalog
) -> list[Node]:
    """
    *count* differing nodes: the engines named, then variants of them, or the core's if none is.

    *needed*: capabilities that the modules ask of every validator. Raises BadPlanError, and
    UnknownEngineError for an engine that is not in the catalogue.
    """
    named = [catalog.resolve(text) for text in engines]
    _check_named(named, count, needed, catalog)
    bases = named or core_bases(catalog)
    able = [base for base in bases if needed <= set(catalog.capabilities(base))]
    candidates: list[Node] = []
    for node in sorted(
        (node for base in able for node in variants(base, catalog)),
        # sorted() is stable: first all bases as they are, then what differs from them in one thing.
        key=lambda node: deviations(node, able),
    ):
        if node not in candidates:
            candidates.append(node)
    if len(candidates) < count:
        words = "the engines named make" if named else "the core engines make"
        only = "with what the modules need, " if needed else ""
        sentence = (
            f"{only}{words} {len(candidates)} nodes that differ, --nodes asks {count}:"
            " name more engines or versions with --engine"
        )
        raise BadPlanError(sentence)
    return candidates[:count]


def _check_named(
    named: Sequence[EngineId], count: int, needed: frozenset[str], catalog: Catalog
) -> None:
    """
    Refuse engines that are named twice, are too many, or lack what the modules need.
    """
    for engine, times in Counter(named).items():
        if times > 1:
            sentence = f"--engine names {engine} {times} times: validators must differ"
            raise BadPlanError(sentence)
        lacking = needed - set(catalog.capabilities(engine))
        if lacking:
            words = listed(sorted(name.partition(":")[2] for name in lacking))
            sentence = (
                f"{engine} does not have {words}, which a module needs: leave one of them out"
            )
            raise BadPlanError(sentence)
    if len(named) > count:
        sentence = (
            f"--engine names {len(named)} engines for {count} validators: give --nodes {len(named)}"
        )
        raise BadPlanError(sentence)


def core_bases(catalog: Catalog) -> list[EngineId]:
    """
    Every compiler of the core engines' newest versions: each code family once, then the others.

    Compiled ones come before interpreters, which are slower by orders of magnitude.
    """
    found = [
        EngineId(name, catalog.resolve(name).version, compiler)
        for name in CORE
        for compiler, facts in catalog.entry(name).compilers.items()
        if order(catalog.resolve(name).version) >= order(facts.since)
    ]
    seen: set[str] = set()
    ranked: list[tuple[bool, bool, EngineId]] = []
    for engine in found:
        generator = catalog.families(engine).generator
        ranked.append((catalog.entry(engine.name).sampled, generator in seen, engine))
        seen.add(generator)
    return [engine for _, _, engine in sorted(ranked, key=lambda item: item[:2])]


def variants(base: EngineId, catalog: Catalog) -> Iterator[Node]:
    """
    The node of an engine as it is, and with every other CPU level and setting it can have.
    """
    entry = catalog.entry(base.name)
    given = dict(base.settings)
    choices: list[list[tuple[str, str] | None]] = []
    for key, setting in sorted(entry.settings.items()):
        usable = base.compiler in setting.compilers and order(base.version) >= order(setting.since)
        if usable and key not in given:
            others = [value for value in setting.values if value != setting.default]
            choices.append([None, *((key, value) for value in others)])
    levels = ["native"]
    # Pulley has no machine code of its own, so it claims no baseline.
    if "cpu:baseline" in catalog.capabilities(base):
        levels.append("baseline")
    for *settings, level in product(*choices, levels):
        extra = [pair for pair in settings if isinstance(pair, tuple)]
        pairs = tuple(sorted([*base.settings, *extra]))
        yield Node(msgspec.structs.replace(base, settings=pairs), cpu=str(level))


def deviations(node: Node, bases: Sequence[EngineId]) -> int:
    """
    In how many things a node differs from the base that it is a variant of.
    """
    bare = msgspec.structs.replace(node.engine, settings=())
    own = [
        len(set(node.engine.settings) - set(base.settings))
        for base in bases
        if msgspec.structs.replace(base, settings=()) == bare
        and set(base.settings) <= set(node.engine.settings)
    ]
    return min(own) + (node.cpu != "native")
