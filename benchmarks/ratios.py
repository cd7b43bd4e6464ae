"""
The arithmetic of a benchmark: bases, ratios, medians and targets. Pure, apart from every clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

from msgspec import Struct

from runners.instances import cases_per_instance

Kind = Literal["ratio", "inputs-per-second", "process-per-case"]


class Sample(Struct, frozen=True, kw_only=True):
    """
    One repetition of one row: what was measured, in microseconds per input.
    """

    wall_us: float
    """Through pool, vote and evidence, all engines of the row."""
    bare_us: tuple[float, ...]
    """Wall time of each engine's bare loop, alone, taken just before."""
    open_us: tuple[float, ...]
    """CPU time of each engine for opening one instance and letting it go: per instance."""
    engine_cpu_us: tuple[float, ...]
    """CPU time of the same loops, those of one row side by side."""
    worker_cpu_us: tuple[float, ...]
    """CPU time of each worker process."""
    controller_us: Mapping[str, float]
    """CPU time of the controller by part; `rest` is all that is in no other part."""
    idle_us: float
    """Time in which a core had nothing to do at all, summed over cores."""


class Row(Struct, frozen=True, kw_only=True):
    """
    One line of the table: engines that vote together, and how.
    """

    title: str
    engines: tuple[str, ...]
    policy: str
    level: str
    inputs: int
    samples: tuple[Sample, ...]


class Target(Struct, frozen=True, kw_only=True):
    """
    A figure that a row is to reach.
    """

    kind: Kind
    bound: float
    """Most for `ratio`, least for the others."""

    def met(self, reached: float) -> bool:
        """
        Whether a figure reaches the target.
        """
        return reached <= self.bound if self.kind == "ratio" else reached >= self.bound


def base_us(bare_us: Sequence[float], cores: int) -> float:
    """
    What engines alone would take for one input: the slowest, times engines over cores.

    Never less than the slowest itself: an engine runs in one process, and no number of cores makes
    that faster.
    """
    return max(bare_us) * max(1.0, len(bare_us) / cores)


def ratio(row: Row, cores: int) -> float:
    """
    Median over repetitions of wall time over the base of the same repetition.
    """
    return median(s.wall_us / base_us(s.bare_us, cores) for s in row.samples)


def opening_us(sample: Sample, policy: str) -> tuple[float, ...]:
    """
    What each engine takes, per input, for the instances that a policy asks it to open.
    """
    cases = cases_per_instance(policy)
    return tuple(us / cases for us in sample.open_us)


def ratio_with_openings(row: Row, cores: int) -> float:
    """
    As `ratio`, were the bare engines to open instances as often as the row's policy says.
    """
    return median(
        s.wall_us
        / base_us([a + b for a, b in zip(s.bare_us, opening_us(s, row.policy), strict=True)], cores)
        for s in row.samples
    )


def wall_us_at_best(sample: Sample, cores: int) -> float:
    """
    What CPU times alone allow of a wall time: all cores free for it, and nothing ever waits.

    No worker can be done before its own CPU time is over, nor all cores before the sum is.
    """
    whole = sum(sample.worker_cpu_us) + sum(sample.controller_us.values())
    return max(*sample.worker_cpu_us, whole / cores)


def inputs_per_second_at_best(row: Row, cores: int) -> float:
    """
    How many inputs CPU times allow to pass through all engines of a row.
    """
    return 1e6 / median(wall_us_at_best(s, cores) for s in row.samples)


def ratio_at_best(row: Row, cores: int) -> float:
    """
    Median of the ratio that CPU times allow.
    """
    return median(wall_us_at_best(s, cores) / base_us(s.engine_cpu_us, cores) for s in row.samples)


def work_ratio(row: Row) -> float:
    """
    Median of all CPU time over the bare loops' own, which other processes hardly disturb.
    """
    return median(
        (sum(s.worker_cpu_us) + sum(s.controller_us.values())) / sum(s.engine_cpu_us)
        for s in row.samples
    )


def median_base_us(row: Row, cores: int) -> float:
    """
    Median of the bases of a row.
    """
    return median(base_us(s.bare_us, cores) for s in row.samples)


def median_wall_us(row: Row) -> float:
    """
    Median of the wall times of a row.
    """
    return median(s.wall_us for s in row.samples)


def inputs_per_second(row: Row) -> float:
    """
    How many inputs pass through all engines of a row.
    """
    return 1e6 / median_wall_us(row)


def times_faster(row: Row, process_us: Sequence[float]) -> float:
    """
    How many times one process per case takes longer.
    """
    return median(process_us) / median_wall_us(row)


def account(row: Row, cores: int) -> dict[str, float]:
    """
    Where the cores' time goes, in microseconds of one core per input, medians of each part.

    `engines` is what the bare loops take, `openings` what they would take for the instances that
    the policy asks for, `workers` what worker processes take beyond both. `idle` is the time in
    which a core had nothing to do, `others` what other processes of the machine had of the cores.
    """
    openings = [sum(opening_us(s, row.policy)) for s in row.samples]
    parts: dict[str, float] = {
        "engines": median(sum(s.engine_cpu_us) for s in row.samples),
        "openings": median(openings),
        "workers": median(
            sum(s.worker_cpu_us) - sum(s.engine_cpu_us) - opening
            for s, opening in zip(row.samples, openings, strict=True)
        ),
    }
    for name in row.samples[0].controller_us:
        parts[name] = median(s.controller_us[name] for s in row.samples)
    parts["idle"] = median(s.idle_us for s in row.samples)
    parts["others"] = median(
        cores * s.wall_us - sum(s.worker_cpu_us) - sum(s.controller_us.values()) - s.idle_us
        for s in row.samples
    )
    return parts
