"""
Fakes as witnesses of a certification: each with a code family of its own.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec

from conformance.differential.corpus import CorpusSize
from runners.launch import Launch
from runners.records import EngineId, Families
from tests.fakes.launches import launch_of
from weavegate.certify import Options

SMALL = CorpusSize(dataset=40, uniform=60, edges=24, sample_share=0.2, block_cases=16)
"""A corpus that is done in milliseconds and has every stratum and level."""


def witness(
    program: str,
    family: str,
    *,
    sampled: bool = False,
    capabilities: tuple[str, ...] = (),
    **parameters: object,
) -> tuple[Launch, bool]:
    """
    Node `fake@1.0/FAMILY`, of code family *family*, whose worker is fake *program*.
    """
    launch = msgspec.structs.replace(
        launch_of(program, **parameters),
        engine=EngineId("fake", "1.0", family),
        families=Families(generator=family, runtime=family),
        capabilities=capabilities,
    )
    return launch, sampled


def label(family: str, policy: str = "") -> str:
    """
    Label of the node that `witness` makes.
    """
    return f"fake@1.0/{family}" + (f"[{policy}]" if policy else "")


def honest(*families: str) -> tuple[tuple[Launch, bool], ...]:
    """
    One honest witness per family.
    """
    return tuple(witness("honest", family) for family in families)


DAY = date(2026, 6, 1)
"""The day that runs are judged on unless a test says another."""


def options(
    folder: Path, out: Path, launches: tuple[tuple[Launch, bool], ...], **given: object
) -> Options:
    """
    Options of a small run without the shipped allowances.
    """
    empty = out.parent / "no-allowances.toml"
    empty.write_bytes(b"")
    fields: dict[str, object] = {
        "argument": folder,
        "out": out,
        "launches": launches,
        "allowances": empty,
        "size": SMALL,
        "command": "weavegate certify product",
        # A run that passes midnight would be judged as of two days.
        "as_of": DAY,
    }
    return Options(**(fields | given))  # type: ignore[arg-type]
