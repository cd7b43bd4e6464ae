"""
Gas of operators held against the time that they take: which of them are priced out of line.

Times are of this machine only, and of operators that wait for each other: what a module pays for
one and the same work is compared, not what it could do at best.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from benchmarks.loop_process import BenchmarkError, LoopProcess
from benchmarks.operator_steps import STEPS, Step
from runners.launch import Launch

FACTOR: Final = 4.0
"""How far from the median time for a unit of gas lies an outlier."""
_BASES: Final = ("without-i32", "without-i64", "without-f32", "without-f64")

Flag = Literal["", "too cheap", "too dear"]


@dataclass(frozen=True, slots=True)
class Priced:
    """
    One operator on one engine under one gas model.
    """

    operator: str
    nanoseconds: float
    """Of one step, less that of the step without; at or below 0 where it is too small to see."""
    gas: float
    median: float
    """Nanoseconds for a unit of gas, the median of all operators that cost gas."""

    @property
    def ratio(self) -> float | None:
        """
        Time for a unit of gas, over the median; None where no gas is paid.
        """
        return self.nanoseconds / self.gas / self.median if self.gas > 0 else None

    @property
    def flag(self) -> Flag:
        """
        `too cheap` where it takes more than FACTOR times the median time for its gas.

        So is free work that takes longer than FACTOR units of gas. `too dear` is what takes less
        than a FACTORth, which is where work ends up that takes no time that could be seen.
        """
        if self.ratio is None:
            return "too cheap" if self.nanoseconds > FACTOR * self.median else ""
        if self.ratio > FACTOR:
            return "too cheap"
        return "too dear" if self.ratio * FACTOR < 1 else ""


def priced(nanoseconds: Mapping[str, float], gas: Mapping[str, float]) -> dict[str, Priced]:
    """
    Each operator's time against its gas.

    The median is over operators that cost gas; raises BenchmarkError where it is not above 0.
    """
    rates = [nanoseconds[name] / gas[name] for name in nanoseconds if gas[name] > 0]
    median = statistics.median(rates) if rates else 0.0
    if median <= 0:
        message = "most operators took no time at all: measure more rounds"
        raise BenchmarkError(message)
    return {name: Priced(name, taken, gas[name], median) for name, taken in nanoseconds.items()}


def step_times(
    passes: Sequence[Mapping[str, int]], measured: Sequence[Step], rounds: int
) -> dict[str, float]:
    """
    Nanoseconds of each step: medians over passes, less the loop without in the same pass.

    *passes* say by how many nanoseconds each function's *rounds* more rounds took longer.
    """
    return {
        step.operator: statistics.median(
            (taken[step.operator] - taken[step.base]) / (rounds * STEPS) for taken in passes
        )
        for step in measured
    }


class StepTimer(LoopProcess):
    """
    One engine in a process that times the steps; a context manager.
    """

    def __init__(
        self, launch: Launch, wasm: Path, measured: Sequence[Step], few: int, many: int
    ) -> None:
        """
        Start it, on the interpreter and with the environment that its worker has.
        """
        self._names = [*_BASES, *(step.operator for step in measured)]
        job = {
            "wasm": str(wasm), "engine": launch.engine.name, "compiler": launch.engine.compiler,
            "functions": self._names, "few": few, "many": many,
        }  # fmt: skip
        super().__init__(launch, "step_times.py", job)

    def measure(self) -> dict[str, int]:
        """
        One pass over all functions; raises BenchmarkError when the engine failed.
        """
        self.start()
        return dict(zip(self._names, self.answer(), strict=True))
