"""
Engines for fuzzing tests: real ones, asked every module.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runners.catalog import Catalog
from runners.environments import Environments
from weavegate.fuzz_job import FuzzOptions, FuzzReport, fuzz
from weavegate.nodes import Participant, choose


def engines(*names: str) -> list[Participant]:
    """
    Installed engines, interpreters among them asked as often as all others.
    """
    catalog = Catalog.load()
    chosen = choose(names, "fresh", catalog, Environments(catalog))
    return [replace(node, sampled=False) for node in chosen]


def fuzzed(
    out: Path, names: tuple[str, ...], modules: int, *, seed: int = 0, first: int = 0,
    allowances: Path | None = None, said: list[str] | None = None,
) -> FuzzReport:  # fmt: skip
    """
    A fuzzing run of a fixed size.
    """
    options = FuzzOptions(
        out=out,
        minutes=10,
        modules=modules,
        seed=seed,
        first=first,
        allowances=allowances,
        stop_at_first=True,
        most_tries=150,
    )
    return fuzz(options, ([] if said is None else said).append, nodes=engines(*names))
