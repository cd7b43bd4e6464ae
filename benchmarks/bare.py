"""
Bare engines: each in its own environment, in one process that does nothing but call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.loop_process import BenchmarkError, LoopProcess
from runners.launch import Launch
from runners.records import ByExport, Call


@dataclass(frozen=True, slots=True)
class Pass:
    """
    One pass of a bare loop over all of its inputs.
    """

    wall_ns: int
    cpu_ns: int
    open_ns: int
    """CPU time of opening one instance and letting it go."""
    sha256: str
    """Digest of all output rows."""


def job_of(call: Call, wasm: Path, inputs: Path, compiler: str) -> dict[str, Any]:
    """
    A bare loop's job; raises BenchmarkError for a call that is no plain buffer in and buffer out.
    """
    source, target = call.input, call.output
    plain = source is not None and target is not None and not call.arguments and not call.results
    if (
        not plain
        or source is None
        or target is None
        or not isinstance(source.place, ByExport)
        or not isinstance(target.place, ByExport)
    ):
        message = f"{call.entry}: bare loops call entries without arguments, on exported buffers"
        raise BenchmarkError(message)
    return {
        "wasm": str(wasm),
        "inputs": str(inputs),
        "compiler": compiler,
        "entry": call.entry,
        "initialize": list(call.initialize),
        "memory": call.memory,
        "in_export": source.place.name,
        "out_export": target.place.name,
        "size_in": source.size_bytes,
        "size_out": target.size_bytes,
    }


class BareEngine(LoopProcess):
    """
    One engine's bare loop as a process; a context manager.
    """

    def __init__(
        self, launch: Launch, call: Call, wasm: Path, inputs: Path, *, quiet: bool = False
    ) -> None:
        """
        Start it, on the interpreter and with the environment that its worker has.

        *quiet* drops what it says when it fails.
        """
        job = job_of(call, wasm, inputs, launch.engine.compiler)
        super().__init__(launch, f"{launch.engine.name}_loop.py", job, quiet=quiet)

    def result(self) -> Pass:
        """
        What the pass took; raises BenchmarkError when the loop failed.
        """
        fields = self.answer()
        return Pass(fields["wall_ns"], fields["cpu_ns"], fields["open_ns"], fields["sha256"])


def one_by_one(engines: Sequence[BareEngine]) -> list[Pass]:
    """
    One pass of each, one after the other.
    """
    passes = []
    for engine in engines:
        engine.start()
        passes.append(engine.result())
    return passes


def side_by_side(engines: Sequence[BareEngine]) -> list[Pass]:
    """
    One pass of each, all at once.
    """
    for engine in engines:
        engine.start()
    return [engine.result() for engine in engines]
