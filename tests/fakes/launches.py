"""
How a fake is started: the `Launch` that the pool takes.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from runners.launch import Launch
from runners.records import EngineId, Families, Node

FAKES = Path(__file__).parent


def launch_of(name: str, **parameters: object) -> Launch:
    """
    The launch of fake `name`; parameters are those of its docstring, such as `at=13`.
    """
    program = FAKES / f"{name}.py"
    words = [f"{key}={value}" for key, value in parameters.items()]
    return Launch(
        engine=EngineId("fake", "1.0", name.replace("_", "")),
        families=Families(generator=name, runtime="fake"),
        argv=(sys.executable, "-I", "-S", "-B", str(program), *words),
        worker_sha256=hashlib.sha256(program.read_bytes()).hexdigest(),
        artifact_sha256="",
    )


def seat_of(name: str, policy: str = "fresh", **parameters: object) -> tuple[Node, Launch]:
    """
    A node with its launch, as `Pool` takes them.
    """
    launch = launch_of(name, **parameters)
    return Node(launch.engine, policy=policy), launch
