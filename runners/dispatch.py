"""
Puts modules, batches and probes to a worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from runners.arena import row_widths
from runners.blocks import Bytes2, CaseBlock
from runners.flight import Flight, ForBatch, ForLoad, ForProbe
from runners.probe import Probe
from runners.records import Node
from runners.worker_process import WorkerProcess

PROBE_NAME = "probe"
"""What the probe's module is called in a worker; a digest is never spelt so."""


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """
    A module's bytes and the time its compilation may take.
    """

    data: bytes
    compile_deadline_ms: int


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """
    Speaks to the workers of one node, one life after the other.
    """

    node: Node
    modules: Mapping[str, ModuleSource]
    probe: Probe | None

    def load(self, worker: WorkerProcess, name: str, data: bytes, memory_pages: int) -> None:
        """
        Send a module that the worker does not hold yet, or holds with another memory limit.
        """
        if worker.loaded.get(name) == memory_pages:
            return
        worker.loaded[name] = memory_pages
        engine = self.node.engine
        fields = {
            "module": name,
            "settings": {"compiler": engine.compiler, **dict(engine.settings)},
            "cpu": self.node.cpu,
            "memory_pages": memory_pages,
        }
        worker.send("load", fields, [data], ForLoad(name, memory_pages))

    def send(self, worker: WorkerProcess, flight: Flight) -> None:
        """
        Write a span's inputs into the arena and send its commands.
        """
        span, block = flight.span, flight.span.job.block
        source = self.modules[span.job.module]
        self.load(worker, span.job.module, source.data, block.budget.memory_pages)
        self._send_probe(worker, flight, 0)
        fields = batch_fields(worker, flight.at, block, block.inputs[span.start : span.stop])
        fields |= {"module": span.job.module, "policy": self.node.policy}
        worker.send("call", fields, (), ForBatch(flight))
        self._send_probe(worker, flight, 1)

    def _send_probe(self, worker: WorkerProcess, flight: Flight, which: int) -> None:
        """
        Send the probe that goes before or after a batch.
        """
        if self.probe is None:
            return
        block = self.probe.block
        self.load(worker, PROBE_NAME, self.probe.module, block.budget.memory_pages)
        at = worker.arena.place_probe(flight.slot, which, block.call, len(block))
        flight.probes.append(at)
        fields = batch_fields(worker, at, block, block.inputs)
        fields |= {"module": PROBE_NAME, "policy": f"reuse({len(block)})"}
        worker.send("call", fields, (), ForProbe(flight, which))


def batch_fields(
    worker: WorkerProcess, at: dict[str, int], block: CaseBlock, rows: Bytes2
) -> dict[str, Any]:
    """
    Zero a batch's arrays and write its inputs; returns the fields of its `call`.
    """
    arena, count = worker.arena, len(rows)
    arena.rows(at["progress"], 1, 8)[:] = 0
    for name, width in row_widths(block.call, block.level).items():
        arena.rows(at[name], count, width)[:] = rows if name == "input" else 0
    return {
        "call": msgspec.to_builtins(block.call),
        "level": block.level.value,
        "fuel": block.budget.fuel,
        "count": count,
        "at": at,
    }
