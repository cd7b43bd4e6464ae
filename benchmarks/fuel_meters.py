"""
wasmtime wheels as meters: the fuel that a wheel takes, and what counters say on the same wheel.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.at_hand import at_hand
from benchmarks.loop_process import LoopProcess
from conformance.gas.metering import metered
from conformance.gas.records import GasModel
from conformance.wasm.module import Module
from runners.catalog import Catalog
from runners.launch import Launch
from runners.records import EngineId

Argument = tuple[str, int]
"""Type and bits, or `made` and the number of a result of `Asked.before`."""
_WIDTH: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Asked:
    """
    One call in an instance of its own, and what is done in the instance before.
    """

    entry: str
    arguments: Sequence[Argument] = ()
    before: Sequence[tuple[str, Sequence[Argument]]] = ()
    """Exports to be called first, each with its arguments."""
    writes: Sequence[tuple[str, Argument, bytes]] = ()
    """Memory, address and bytes."""

    def request(self, entry: str) -> dict[str, Any]:
        """
        The call as `bare_loops/fuel_meter.py` reads it, through another *entry*.
        """
        return {
            "entry": entry,
            "arguments": self.arguments,
            "before": self.before,
            "writes": [
                (memory, address, base64.b64encode(data).decode("ascii"))
                for memory, address, data in self.writes
            ],
        }


@dataclass(frozen=True, slots=True)
class Metering:
    """
    One call on one wheel.
    """

    ending: str
    """`returned`, or the trap in the wheel's words."""
    fuel: int


class FuelMeter(LoopProcess):
    """
    A wheel's meter as a process of its own; a context manager.
    """

    def __init__(self, launch: Launch) -> None:
        """
        Start it, on the interpreter and with the environment that the wheel's worker has.
        """
        super().__init__(launch, "fuel_meter.py")
        self.version = launch.engine.version

    def _ask(
        self, binary: bytes, calls: Sequence[dict[str, Any]], names: Sequence[str]
    ) -> list[tuple[str, int, list[int]]] | None:
        """
        What became of the calls; None if the wheel refuses the module.
        """
        request = {
            "wasm": base64.b64encode(binary).decode("ascii"),
            "fuel": not names,
            "globals": list(names),
            "calls": calls,
        }
        answer: dict[str, Any] = self.ask(request)
        return answer.get("calls")

    def fuel(self, module: Module, calls: Sequence[Asked]) -> tuple[Metering, ...] | None:
        """
        How each call ended and the wheel's own fuel; None for a refused module.
        """
        found = self._ask(module.binary, [call.request(call.entry) for call in calls], ())
        return None if found is None else tuple(Metering(end, fuel) for end, fuel, _ in found)

    def counted(
        self, module: Module, model: GasModel, calls: Sequence[Asked]
    ) -> tuple[Metering, ...] | None:
        """
        The same calls on the same wheel without its meter, counted by *model* in the module.

        Raises RefusedOperatorError.
        """
        result = metered(module, model, list(dict.fromkeys(call.entry for call in calls)))
        through = [call.request(result.entries[call.entry]) for call in calls]
        found = self._ask(result.binary, through, result.counters)
        if found is None:
            return None
        return tuple(Metering(end, sum(counters) % _WIDTH) for end, _, counters in found)


@contextmanager
def wheel(version: str) -> Iterator[FuelMeter]:
    """
    The meter of a wheel; one that is not installed is installed for the time being.

    Raises what `at_hand` raises.
    """
    engine = EngineId("wasmtime", version, "cranelift")
    with at_hand(engine, Catalog.load()) as launch, FuelMeter(launch) as meter:
        yield meter
