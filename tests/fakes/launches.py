"""
How a fake is started: the `Launch` that the pool takes.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec

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


def toy_launch() -> Launch:
    """
    The real worker loop with the toy engine of `toy_engine.py`.
    """
    loop = FAKES.parents[1] / "runners" / "worker"
    program = (
        f"import sys; sys.path[:0] = [{str(loop)!r}, {str(FAKES)!r}]\n"
        "from toy_engine import Engine\n"
        "from loop import main\n"
        "sys.exit(main(Engine, sys.argv))\n"
    )
    return Launch(
        engine=EngineId("toy", "3.1"),
        families=Families(generator="toy", runtime="toy"),
        argv=(sys.executable, "-I", "-S", "-B", "-c", program),
        worker_sha256=hashlib.sha256(program.encode()).hexdigest(),
        artifact_sha256="",
    )


_LIES = """
import sys

sys.path.insert(0, sys.argv.pop(1))

from adapter import Engine
from loop import main


class Liar(Engine):
    def open(self, module, fuel, pooled):
        instance = super().open(module, fuel, pooled)
        told = instance.fuel_used
        instance.fuel_used = lambda: told() + 1
        return instance


sys.exit(main(Liar, sys.argv[1:]))
"""


def overspending(launch: Launch) -> Launch:
    """
    A real engine behind its real worker, whose meter shows one unit too many.
    """
    *python, worker = launch.argv
    return msgspec.structs.replace(
        launch,
        argv=(*python, "-c", _LIES, worker),
        worker_sha256=hashlib.sha256(_LIES.encode()).hexdigest(),
    )


_BENT = """
import sys

# The worker reads its own archive by the name that it was started with.
sys.argv.pop(0)
sys.path.insert(0, sys.argv[0])
operator = sys.argv.pop(1)

from conformance.wasm.evaluate import operations

right = operations.OPERATIONS[operator]
bent = {operator: lambda *operands: right(*operands) ^ 1}
operations.OPERATIONS = {**operations.OPERATIONS, **bent}

from adapter import Engine
from loop import main

sys.exit(main(Engine, sys.argv[1:]))
"""


def bent(reference: Launch, operator: str) -> Launch:
    """
    The reference evaluator behind its real worker, in which one operator's last bit is wrong.
    """
    *python, worker = reference.argv
    return msgspec.structs.replace(
        reference,
        argv=(*python, "-c", _BENT, worker, operator),
        worker_sha256=hashlib.sha256((_BENT + operator).encode()).hexdigest(),
    )


_MISGROWING = """
import sys

# The worker reads its own archive by the name that it was started with.
sys.argv.pop(0)
sys.path.insert(0, sys.argv[0])

from conformance.wasm.evaluate.store import Memory

granted = Memory.grow
Memory.grow = lambda self, pages: granted(self, pages) & 0xFFFFFFFE

from adapter import Engine
from loop import main

sys.exit(main(Engine, sys.argv[1:]))
"""


def misgrowing(reference: Launch) -> Launch:
    """
    The reference evaluator behind its real worker, whose `memory.grow` answers an even number.
    """
    *python, worker = reference.argv
    return msgspec.structs.replace(
        reference,
        argv=(*python, "-c", _MISGROWING, worker),
        worker_sha256=hashlib.sha256(_MISGROWING.encode()).hexdigest(),
    )
