"""
Measures a load: groups of rows, repetitions interleaved so that a busy machine hits all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from msgspec import Struct

from benchmarks.certifying import Certifying, process_per_case_us
from benchmarks.loads import Load, Plan, plans
from benchmarks.ratios import (
    Row,
    Sample,
    Target,
    account,
    inputs_per_second,
    inputs_per_second_at_best,
    median_base_us,
    median_wall_us,
    ratio,
    ratio_at_best,
    ratio_with_openings,
    times_faster,
    work_ratio,
)
from runners.environments import Environments
from weavegate.subject import Subject, load_subject

REPETITIONS = 5
PROCESS_CASES = 5


class Reached(Struct, frozen=True, kw_only=True):
    """
    A target beside what was reached.
    """

    target: Target
    reached: float
    at_best: float
    """What CPU times allow, on a machine without other processes."""
    met: bool


class Line(Struct, frozen=True, kw_only=True):
    """
    A measured row with every figure that is printed of it.
    """

    row: Row
    base_us: float
    wall_us: float
    ratio: float
    ratio_with_openings: float
    ratio_at_best: float
    work_ratio: float
    inputs_per_second: float
    account_us: dict[str, float]
    process_per_case_us: tuple[float, ...] = ()
    process_per_case: float = 0.0
    """How many times longer a new process for every case takes; 0: not measured."""
    targets: tuple[Reached, ...] = ()


class Measured(Struct, frozen=True, kw_only=True):
    """
    All lines of one load.
    """

    load: str
    module: str
    cores: int
    repetitions: int
    lines: tuple[Line, ...]


def measure(
    load: Load,
    environments: Environments,
    inputs: int,
    cores: int,
    repetitions: int = REPETITIONS,
    say: Callable[[str], None] = lambda _: None,
) -> Measured:
    """
    Measure every row of *load*, *inputs* cases a repetition.

    Raises BenchmarkError when nodes disagree, MissingEngineError for a core engine.
    """
    subject = load_subject(load.folder)
    lines: list[Line] = []
    for group in plans(load, environments, inputs):
        say(f"{load.name}: {group[0].policy}, level {group[0].level}")
        samples = interleaved(group, subject, repetitions)
        for plan, taken in zip(group, samples, strict=True):
            lines.append(_line(plan, taken, subject, cores))
    return Measured(
        load=load.name,
        module=subject.manifest.name,
        cores=cores,
        repetitions=repetitions,
        lines=tuple(lines),
    )


def interleaved(
    group: Sequence[Plan], subject: Subject, repetitions: int
) -> list[tuple[Sample, ...]]:
    """
    The samples of each row: first repetition of every row, then the second of every row, and on.
    """
    taken: list[list[Sample]] = [[] for _ in group]
    with ExitStack() as stack:
        rows = [stack.enter_context(Certifying(plan, subject, seed=0)) for plan in group]
        for _ in range(repetitions):
            for row, samples in zip(rows, taken, strict=True):
                samples.append(row.sample())
    return [tuple(samples) for samples in taken]


def _line(plan: Plan, samples: tuple[Sample, ...], subject: Subject, cores: int) -> Line:
    """
    A row's figures, its targets beside them.
    """
    row = Row(
        title=plan.title,
        engines=plan.engines,
        policy=plan.policy,
        level=plan.level.value,
        inputs=plan.inputs,
        samples=samples,
    )
    asked = any(target.kind == "process-per-case" for target in plan.targets)
    process = process_per_case_us(plan, subject, 0, PROCESS_CASES) if asked else []
    faster = times_faster(row, process) if process else 0.0
    figures = {
        "ratio": (ratio(row, cores), ratio_at_best(row, cores)),
        "inputs-per-second": (inputs_per_second(row), inputs_per_second_at_best(row, cores)),
        "process-per-case": (faster, faster),
    }
    return Line(
        row=row,
        base_us=median_base_us(row, cores),
        wall_us=median_wall_us(row),
        ratio=figures["ratio"][0],
        ratio_with_openings=ratio_with_openings(row, cores),
        ratio_at_best=figures["ratio"][1],
        work_ratio=work_ratio(row),
        inputs_per_second=figures["inputs-per-second"][0],
        account_us=account(row, cores),
        process_per_case_us=tuple(process),
        process_per_case=faster,
        targets=tuple(_reached(target, *figures[target.kind]) for target in plan.targets),
    )


def _reached(target: Target, reached: float, at_best: float) -> Reached:
    return Reached(target=target, reached=reached, at_best=at_best, met=target.met(reached))
