"""
Networks of fakes over the product subject, and of real engines over shipped models.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import msgspec
from product_subject import Product
from rich.console import Console

from conformance.network.transactions import Infer
from conformance.network.workload import Workload
from runners.bits import parse_bytes
from runners.launch import Launch
from runners.records import Node
from tests.fakes.launches import launch_of
from weavegate.simulate_job import Options, model_of, run_simulation
from weavegate.subject import load_subject

SEED = 11


def subject_folder(folder: Path, deadline_ms: int = 20_000) -> Path:
    """
    The product subject, with another deadline.
    """
    Product().write(folder)
    manifest = folder / "model.toml"
    text = manifest.read_text("utf-8")
    manifest.write_text(
        text.replace("deadline_ms = 20000", f"deadline_ms = {deadline_ms}"), "utf-8"
    )
    return folder


def member(place: int, fake: str, **parameters: object) -> tuple[Node, Launch]:
    """
    A validator that is a fake: told from others of its kind by its environment, with a code
    family of its own.
    """
    launch = launch_of(fake, **parameters)
    families = msgspec.structs.replace(launch.families, generator=f"{fake}-{place}")
    node = Node(launch.engine, environment=(("VALIDATOR", str(place)),))
    return node, msgspec.structs.replace(launch, families=families)


def first_inference(folder: Path, since: int) -> tuple[int, int, float]:
    """
    Height, place and x[0] of the first inference from a height on whose x[0] did not occur before.
    """
    workload = Workload(SEED, (model_of(load_subject(folder), SEED),))
    seen: set[float] = set()
    for height in range(1, 100):
        for place, transaction in enumerate(workload.block(height)):
            if isinstance(transaction, Infer):
                (x,) = struct.unpack_from("<d", parse_bytes(transaction.input))
                if height >= since and x not in seen:
                    return height, place, x
                seen.add(x)
    raise AssertionError("a workload without inferences")


def simulated(options: Options) -> tuple[int, list[dict[str, Any]], str]:
    """
    Exit status, events, and what was printed.
    """
    console = Console(record=True, width=200, file=(options.out.parent / "printed").open("w"))
    with console.file:
        status = run_simulation(options, console)
    lines = (options.out / "events.jsonl").read_bytes().splitlines()
    return status, [json.loads(line) for line in lines], console.export_text()


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]
