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
from runners.hosting import Hosting
from runners.hosts.host import HostMaker
from runners.interface import NO_INTERFACE, Interface
from runners.probe import Probe
from runners.records import Budget, Level, Node
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
    interface: Interface = NO_INTERFACE

    def hosting(self, maker: HostMaker | None, count: int, level: Level) -> Hosting | None:
        """
        What answers the host calls of `count` cases; None for a module that can make none.
        """
        if not self.interface.imports:
            return None
        return Hosting(self.interface, maker, count=count, logged=level is Level.FULL)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """
    Speaks to the workers of one node, one life after the other.
    """

    node: Node
    modules: Mapping[str, ModuleSource]
    probe: Probe | None
    host: HostMaker | None = None
    """What answers the modules' imports on this node; None: all are refused."""

    def load(
        self, worker: WorkerProcess, name: str, source: ModuleSource, budget: Budget, level: Level
    ) -> None:
        """
        Send a module that the worker does not hold yet, or holds with another memory limit.

        *budget* and *level* are those of the first cases: what they need is compiled.
        """
        memory_pages = budget.memory_pages
        if worker.loaded.get(name) == memory_pages:
            return
        worker.loaded[name] = memory_pages
        engine = self.node.engine
        fields: dict[str, Any] = {
            "module": name,
            "settings": {"compiler": engine.compiler, **dict(engine.settings)},
            "cpu": self.node.cpu,
            "memory_pages": memory_pages,
            "level": level.value,
            "fuel": budget.fuel,
        }
        if source.interface.imports:
            fields["imports"] = [
                {
                    "module": function.module,
                    "name": function.name,
                    "parameters": function.type.parameters,
                    "results": function.type.results,
                }
                for function in source.interface.imports
            ]
        worker.send("load", fields, [source.data], ForLoad(name, memory_pages))

    def send(self, worker: WorkerProcess, flight: Flight) -> None:
        """
        Write a span's inputs into the arena and send its commands.
        """
        span, block = flight.span, flight.span.job.block
        source = self.modules[span.job.module]
        self.load(worker, span.job.module, source, block.budget, block.level)
        flight.hosting = source.hosting(self.host, len(span), block.level)
        if flight.hosting is not None:
            span.job.watch_hosts()
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
        source = ModuleSource(self.probe.module, 0)
        self.load(worker, PROBE_NAME, source, block.budget, block.level)
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
