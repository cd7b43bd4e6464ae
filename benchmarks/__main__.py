"""
`python -m benchmarks`: what conformance costs, measured side by side and printed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console

from benchmarks.loads import LOADS
from benchmarks.loop_process import BenchmarkError
from benchmarks.measure import measure
from benchmarks.printing import LEGEND, print_measured
from runners.environments import Environments
from weavegate.exits import WeavegateError, plainly


@click.command()
@click.option(
    "--load", "names", multiple=True, type=click.Choice(sorted(LOADS)), help="Only this load."
)
@click.option("--quick", is_flag=True, help="Fewer inputs a repetition: noisier figures, sooner.")
@click.option(
    "--json",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every sample to FILE.",
)
def main(names: tuple[str, ...], *, quick: bool, file: Path | None) -> None:
    """
    Compare certification with the engines' bare loops, in one run, by medians of ratios.
    """
    console = Console(width=None if sys.stdout.isatty() else 100)
    cores = len(os.sched_getaffinity(0))
    found = []
    try:
        with plainly():
            for name in names or tuple(sorted(LOADS, reverse=True)):
                load = LOADS[name]
                inputs = load.quick_inputs if quick else load.inputs
                done = measure(load, Environments(), inputs, cores, say=console.print)
                print_measured(console, done)
                found.append(done)
            console.print(LEGEND)
    except (BenchmarkError, WeavegateError) as error:
        raise click.ClickException(str(error)) from error
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


if __name__ == "__main__":
    main()
