"""
What is run: two shipped modules, engines that vote together, and how many inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.ratios import Target
from conformance.differential.corpus import QUICK, Corpus, Stratum, build_corpus
from runners.environments import Environments, MissingEngineError
from runners.launch import Launch
from runners.records import Level
from weavegate.subject import Subject

MODELS = Path(__file__).parent.parent / "vectors" / "bench"
COMPILED = (
    "wasmtime/cranelift",
    "wasmtime/winch",
    "wasmer/cranelift",
    "wasmer/singlepass",
    "wasmer/llvm",
)
"""Engines that run machine code."""
INTERPRETED = ("wasmtime/pulley",)
OPTIONAL = ("wasm3",)
"""Interpreters that take part where they are installed."""
PAIRS: tuple[tuple[str, ...], ...] = (
    ("wasmtime/cranelift", "wasmer/cranelift"),
    ("wasmtime/cranelift", "wasmer/singlepass"),
)
SLOWER = 16
"""How many times fewer inputs an interpreter gets, and level `full` on new instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    A module, how many inputs one repetition has, and what a row of it is to reach.
    """

    name: str
    folder: Path
    inputs: int
    quick_inputs: int
    targets: tuple[Target, ...] = ()
    """For rows at level `result` on reused instances."""
    pair_targets: tuple[Target, ...] = ()
    """For such rows of two engines alone."""


LOADS = {
    load.name: load
    for load in (
        Load(
            name="small",
            folder=MODELS / "bench-mlp-16-52-10",
            inputs=32_768,
            quick_inputs=8_192,
            pair_targets=(
                Target(kind="inputs-per-second", bound=150_000),
                Target(kind="process-per-case", bound=1_000),
            ),
        ),
        Load(
            name="big",
            folder=MODELS / "bench-mlp-784-128-10",
            inputs=2_048,
            quick_inputs=512,
            targets=(Target(kind="ratio", bound=1.10),),
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    One row before it is measured.
    """

    title: str
    engines: tuple[str, ...]
    launches: tuple[Launch, ...]
    policy: str
    level: Level
    inputs: int
    targets: tuple[Target, ...] = field(default=())


def plans(load: Load, environments: Environments, inputs: int) -> list[list[Plan]]:
    """
    The rows of a load, in groups that are measured together; raises MissingEngineError.

    *inputs*: of one repetition of a row of compiled engines at level `result`.
    """
    launches: dict[str, Launch] = {}
    for name in (*COMPILED, *INTERPRETED):
        launches[name] = environments.launch(environments.catalog.resolve(name))
    for name in OPTIONAL:
        try:
            launches[name] = environments.launch(environments.catalog.resolve(name))
        except MissingEngineError:
            continue
    votes: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in launches]
    votes += [(" + ".join(pair), pair) for pair in PAIRS]
    votes.append((f"all {len(COMPILED)} compiled", COMPILED))
    groups = []
    for policy, level in (("reuse(64)", Level.RESULT), ("fresh", Level.FULL)):
        group = []
        for title, engines in votes:
            slow = any(name not in COMPILED for name in engines) or level is Level.FULL
            targets = load.targets + (load.pair_targets if engines in PAIRS else ())
            group.append(
                Plan(
                    title=title,
                    engines=engines,
                    launches=tuple(launches[name] for name in engines),
                    policy=policy,
                    level=level,
                    inputs=max(1, inputs // SLOWER) if slow else inputs,
                    targets=targets if level is Level.RESULT else (),
                )
            )
        groups.append(group)
    return groups


def corpus_of(subject: Subject, inputs: int, level: Level, seed: int) -> Corpus:
    """
    A certification's corpus of *inputs* cases, all drawn from the domain, at one level.
    """
    row_bytes = subject.calls[0].input_bytes
    size = msgspec.structs.replace(
        QUICK,
        dataset=0,
        uniform=inputs,
        edges=0,
        sample_share=0.0,
        state_share=0.0,
        full_share=1.0 if level is Level.FULL else 0.0,
        total_bytes=max(QUICK.total_bytes, 2 * inputs * row_bytes),
    )
    corpus = build_corpus(subject.manifest, subject.calls, None, {}, seed, size, None)
    # Rows of one value throughout come with every corpus and are no part of the load.
    bulk = tuple(part for part in corpus.blocks if part.stratum is Stratum.BULK)
    count = sum(len(part.block) for part in bulk)
    return Corpus(
        blocks=bulk,
        origins=(("uniform", count),),
        strata=((str(Stratum.BULK), count),),
        levels=((str(level), count),),
    )


def input_bytes(corpus: Corpus) -> bytes:
    """
    All input rows, in the order in which they are put to nodes.
    """
    return b"".join(part.block.inputs.tobytes() for part in corpus.blocks)
