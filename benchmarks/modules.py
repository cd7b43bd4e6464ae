"""
`python -m benchmarks.modules`: how fast modules are read, judged, rewritten, executed and fuzzed.

Figures of one process are processor time, which a busy machine changes little; fuzzing is told by
the clock and by the processor time of controller and workers. Every figure is the median of its
repetitions.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import click

from benchmarks.metering import VECTORS, large
from conformance.gas.load import gas_model
from conformance.gas.metering import metered
from conformance.generate.modules import generate
from conformance.wasm.decode import decode, validated
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.program import Program
from conformance.wasm.validate import validate
from runners.catalog import Catalog
from runners.environments import Environments
from weavegate.exits import plainly
from weavegate.fuzz_job import ROUND, FuzzOptions, fuzz
from weavegate.nodes import Participant, choose
from weavegate.subject import load_subject

COUNTED: Final = "cosmwasm-vm@3.0.4"
OPERATORS: Final = "wasmtime-fuel@50.0.1"
"""Bills 1 for each operator but blocks, their ends, `drop`, `nop` and the like."""
COMPILED: Final = ("wasmtime", "wasmer/singlepass")
RED: Final = ("wasmtime@6.0.0", "wasmtime@50.0.1")
"""A wheel with a known miscompilation (CVE-2023-26489), and one without."""
EVALUATED: Final = VECTORS / "models" / "digits-mlp-tanh"
GROWN: Final = VECTORS / "models" / "digits-cnn" / "model.wasm"
_AS_OF: Final = date(2026, 1, 1)
"""Day on which allowances are judged; these engines need none."""


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One line of the table.
    """

    what: str
    samples: tuple[float, ...]
    unit: str
    target: float | None = None
    at_most: bool = True
    """Whether the target is a ceiling; otherwise it is a floor."""

    @property
    def median(self) -> float:
        """
        Of the samples.
        """
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """
        Whether the target is met; None without one.
        """
        if self.target is None:
            return None
        return self.median <= self.target if self.at_most else self.median >= self.target


def seconds(work: Callable[[], object], repetitions: int) -> tuple[float, ...]:
    """
    Processor time of each repetition.
    """
    taken = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return tuple(taken)


def reading(binary: bytes, repetitions: int) -> list[Figure]:
    """
    Decoding, validating and rewriting a module; each repetition decodes anew, so nothing is kept.
    """
    decoded = [decode(binary) for _ in range(2 * repetitions)]
    left = iter(decoded)
    size = f"{len(binary) / 1024:.0f} KiB"
    instructions = sum(len(function.body) for function in decoded[0].functions)
    what = f"{size}, {instructions:,} instructions"
    return [
        Figure(f"decode {what}", seconds(lambda: decode(binary), repetitions), "s", 1.0),
        Figure("validate it", seconds(lambda: validate(next(left)), repetitions), "s", 3.0),
        Figure(
            f"rewrite it to count {COUNTED}",
            seconds(lambda: metered(next(left), gas_model(COUNTED)), repetitions),
            "s",
            3.0,
        ),
    ]


def instance_of(binary: bytes, row: bytes) -> Instance:
    """
    An instance of a model in the reference evaluator, with an input row in its memory.
    """
    instance = Instance(Program.load(binary))
    (place,) = instance.call("in_ptr")
    memory = instance.memory("memory")
    memory.data[memory.span(_whole(place), len(row))] = row
    return instance


def evaluating(folder: Path, repetitions: int) -> Figure:
    """
    The reference evaluator on one inference, compiled before, in this interpreter.
    """
    subject = load_subject(folder)
    if subject.rows is None:
        message = f"{folder} has no held-out rows"
        raise ValueError(message)
    row = subject.rows.rows[0].tobytes()
    counting = metered(subject.module, gas_model(OPERATORS), ["infer"])
    counted = instance_of(counting.binary, row)
    counted.call(counting.entries["infer"])
    operators = sum(_whole(counted.cell(name).value) for name in counting.counters)
    instance = instance_of(subject.data, row)
    instance.call("infer")
    taken = seconds(lambda: instance.call("infer"), repetitions)
    what = f"reference evaluator, {folder.name}, {operators:,} operators a call"
    return Figure(what, tuple(operators / each for each in taken), "operators/s")


def _whole(value: object) -> int:
    """
    A value that must be a number, and no reference.
    """
    if not isinstance(value, int):
        message = f"{value!r} is no number"
        raise TypeError(message)
    return value


def generating(modules: int, repetitions: int, seed: int) -> Figure:
    """
    The generator alone.
    """
    taken = [
        seconds(lambda first=first: [generate(seed, first + at) for at in range(modules)], 1)[0]  # type: ignore[misc]
        for first in range(0, repetitions * modules, modules)
    ]
    return Figure("generator alone", tuple(modules / each for each in taken), "modules/s")


def fuzzing(modules: int, repetitions: int, seed: int) -> list[Figure]:
    """
    Generated, compiled and run on two compiled engines, voted; a share with counters.

    The first round and the start of the workers are not counted: by the clock, what comes after the
    first round; by the processor, what a run takes beyond a run of the first round alone.
    """
    catalog = Catalog.load()
    nodes = choose(COMPILED, "fresh", catalog, Environments(catalog))
    by_clock, by_processor = [], []
    for at in range(repetitions):
        short = _fuzzed(nodes, seed, at * modules, ROUND)
        long = _fuzzed(nodes, seed, at * modules, modules)
        (start, before), (end, after) = long.moments[0], long.moments[-1]
        by_clock.append((after - before) / (end - start))
        by_processor.append((modules - ROUND) / (long.processor - short.processor))
    what = f"fuzz end to end on {' and '.join(COMPILED)}"
    return [
        Figure(f"{what}, by the clock", tuple(by_clock), "modules/s"),
        Figure(f"{what}, a second of one core", tuple(by_processor), "modules/s", 100.0,
               at_most=False),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fuzzed:
    """
    What a run took.
    """

    moments: tuple[tuple[float, int], ...]
    """By the clock, with the modules done, after each round."""
    processor: float
    """Seconds of processor of this process and of the workers, which have ended."""


def _fuzzed(nodes: Sequence[Participant], seed: int, first: int, modules: int) -> _Fuzzed:
    moments: list[tuple[float, int]] = []
    before = _processor()
    with tempfile.TemporaryDirectory(prefix="weavegate-") as folder:
        options = FuzzOptions(out=Path(folder), minutes=10, modules=modules, seed=seed,
                              first=first, as_of=_AS_OF)  # fmt: skip
        fuzz(
            options,
            lambda _: None,
            lambda done, *_: moments.append((time.monotonic(), done)),
            nodes,
        )
    return _Fuzzed(tuple(moments), _processor() - before)


def _processor() -> float:
    """
    Seconds of processor of this process and of all its children that have ended.
    """
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


def shrinking(seeds: Sequence[int], minutes: float) -> Figure | None:
    """
    Operators of the first finding of each seed, shrunk; None if no seed finds one in time.
    """
    catalog = Catalog.load()
    nodes = choose(RED, "fresh", catalog, Environments(catalog))
    sizes: list[float] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="weavegate-") as folder:
            options = FuzzOptions(out=Path(folder), minutes=minutes, seed=seed, counted=False,
                                  stop_at_first=True, as_of=_AS_OF)  # fmt: skip
            report = fuzz(options, lambda _: None, nodes=nodes)
            sizes += [found.operators for found in report.findings[:1]]
    if not sizes:
        return None
    what = f"shrunk finding, {RED[0]} beside {RED[1]}, found by {len(sizes)} of {len(seeds)} seeds"
    return Figure(what, tuple(sizes), "operators", 12.0)


def table(figures: Sequence[Figure]) -> str:
    """
    A row for each figure.
    """
    lines = ["| what | median | lowest to highest | target | met |", "|---|---|---|---|---|"]
    for figure in figures:
        target = ""
        if figure.target is not None:
            sign = "<=" if figure.at_most else ">="
            target = f"{sign} {figure.target:g} {figure.unit}"
        met = {None: "", True: "yes", False: "**no**"}[figure.met]
        spread = f"{_number(min(figure.samples))} to {_number(max(figure.samples))}"
        middle = f"{_number(figure.median)} {figure.unit}"
        times = "once" if len(figure.samples) == 1 else f"{len(figure.samples)} times"
        lines.append(f"| {figure.what} | {middle} | {spread}, {times} | {target} | {met} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"  # noqa: PLR2004 - digits


_TEXT: Final = """# What handling modules costs

Written by `python -m benchmarks.modules`. The large module is digits-cnn with its largest function
many times over. Reading, rewriting, executing and generating are processor time of one process.
Fuzzing is from the first 64 modules on: modules are generated, compiled and run by both engines and
voted, one in four with gas counters as well; by the clock on whatever the machine had left, and by
processor time of the controller and the workers together.

"""


@click.command()
@click.option("--repetitions", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--modules", type=click.IntRange(min=128), default=512, show_default=True,
              help="In each repetition of fuzzing; 64 of them are not counted.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the document.")
def main(repetitions: int, modules: int, seed: int, out: Path | None) -> None:
    """
    Measure, print the table, and write it.
    """
    with plainly():
        click.echo("reading and rewriting", err=True)
        figures = reading(large(validated(GROWN.read_bytes())), repetitions)
        click.echo("evaluating", err=True)
        figures.append(evaluating(EVALUATED, repetitions))
        click.echo("generating", err=True)
        figures.append(generating(modules, repetitions, seed))
        click.echo("fuzzing", err=True)
        figures += fuzzing(modules, min(3, repetitions), seed)
        click.echo("shrinking", err=True)
        shrunk = shrinking((1, 2, 3), 1.0)
    if shrunk is not None:
        figures.append(shrunk)
    click.echo(table(figures))
    if out is not None:
        out.write_text(_TEXT + table(figures) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
