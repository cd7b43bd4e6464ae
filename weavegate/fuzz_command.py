"""
The command line of `weavegate fuzz`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from conformance.differential.profiles import PROFILES
from reports.escapes import shortened, visible
from reports.phrases import count
from weavegate.fuzz_findings import FuzzFinding
from weavegate.fuzz_job import (
    GENERATORS,
    FuzzOptions,
    FuzzReport,
    Step,
    fuzz,
    not_asked_line,
    replay_lines,
)
from weavegate.terminal import Output

_EXITS = """
Exit status: 0 pass; 1 findings, each with the command that replays it; 2 wrong usage (one
engine alone, one named twice, no time) or unreadable input; 3 could not decide (an engine
that is not to be had here, fewer than two that can be asked, no module judged in the time);
130 interrupted, after what was found so far is written: the command to go on with is shown.
"""
_MOST_TEXT_LINES = 60
_EVERY = 10
"""Rounds between two lines where there is no terminal."""


@click.command("fuzz", epilog=_EXITS)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.0, min_open=True),
    default=1.0,
    show_default=True,
    help="Stop after this time, start of the workers and shrinking included.",
)
@click.option("--modules", type=click.IntRange(min=1), help="Stop after so many modules as well.")
@click.option(
    "--first",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Number of the first module of the seed.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="What modules are made from.")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="ENGINE",
    help="An engine, such as wasmer/llvm or wasmtime@0.26.0; two or more [default: the core ones].",
)
@click.option(
    "--nan",
    type=click.Choice(PROFILES),
    default="canonical",
    show_default=True,
    help="NaN profile that engines keep; those without a mode run modules rewritten.",
)
@click.option(
    "--generator",
    type=click.Choice(list(GENERATORS)),
    default="shapes",
    show_default=True,
    help="growth: shapes whose memory grows; soup: operators in any order, to measure shapes by.",
)
@click.option("--no-counters", is_flag=True, help="Do not compare gas.")
@click.option(
    "--allowances",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Known defects that are set aside [default: the shipped ones].",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("weavegate-out/fuzz"),
    show_default=True,
    help="Folder for findings.",
)
def fuzz_command(*, no_counters: bool, **given: Any) -> None:
    """
    Run generated modules over engines, and look for any that differ.

    Modules have the shapes of inference code in which miscompilations hid before: values that live
    across calls, addresses made by shifts, loads of the last bytes, NaNs of all origins. A share of
    them runs with gas counters too, which must read the same everywhere. What differs is made
    small, and the first operator that gave something else is named. Engines that cannot keep the
    NaN profile are not asked; the output and fuzz.json say which, and why.

    Module number I of seed S is the same on every machine; only where to stop depends on the clock.

    \b
    Examples:
      weavegate fuzz --minutes 5 --seed 1
      weavegate fuzz --minutes 10 --engine wasmtime@0.26.0 --engine wasmer/singlepass
      weavegate fuzz --seed 1 --first 1234 --modules 1       one module again
      weavegate fuzz --generator growth --minutes 5          memory.grow, granted and refused
      weavegate fuzz --engine reference --engine pywasm --engine wasmtime --nan canonical
    """  # noqa: D301 - click looks for the backspace itself
    options = FuzzOptions(counted=not no_counters, **given)
    with _telling(Output(stderr=True)) as (say, step):
        report = fuzz(options, say, step)
    print_fuzz(report, options.out, Output())
    click.get_current_context().exit(report.exit_code)


Say = Callable[[str], None]


@contextmanager
def _telling(console: Output) -> Iterator[tuple[Say, Step]]:
    """
    A line that counts on a terminal, and one now and then elsewhere.
    """
    if console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
            task = bars.add_task("starting workers", total=None)
            yield (
                lambda text: bars.console.print(Text(text), soft_wrap=True),
                lambda m, c, f: bars.update(task, description=_counted(m, c, f)),
            )
        return
    rounds = [0]

    def step(modules: int, cases: int, findings: int) -> None:
        rounds[0] += 1
        if rounds[0] % _EVERY == 1:
            console.say(_counted(modules, cases, findings))

    yield console.say, step


def _counted(modules: int, cases: int, findings: int) -> str:
    return f"{count(modules, 'module')}, {count(cases, 'case')}, {count(findings, 'finding')}"


def print_fuzz(report: FuzzReport, out: Path, console: Output) -> None:
    """
    What was run, which known defects were met, and each finding with its module.
    """
    rate = report.modules / report.seconds if report.seconds else 0.0
    console.say(
        f"{count(report.modules, 'module')} of seed {report.seed} ({report.generator}, from number"
        f" {report.first}), {count(report.cases, 'case')}, {count(report.operators, 'operator')},"
        f" {count(report.trapped, 'trap')}; NaN profile {report.nan}"
    )
    console.say(f"gas compared on {count(report.counted, 'module')}; {rate:.0f} modules a second")
    if report.wanted is not None and report.modules < report.wanted:
        console.say(f"the time was up after {report.modules:,} of {count(report.wanted, 'module')}")
    for node in report.nodes:
        seen = f"{count(node.modules, 'module')}, {count(node.cases, 'case')}"
        console.say(f"  {visible(node.label)}: {seen}")
    for item in report.not_asked:
        console.say(f"  {shortened(not_asked_line(item), 400)}")
    for reason, modules in report.known:
        console.say(f"known, {count(modules, 'module')}: {shortened(reason, 200)}")
    for found, line in zip(report.findings, replay_lines(report), strict=True):
        _print_finding(found, line, console)
    console.say(f"report: {visible(str(out / 'fuzz.json'))}")
    console.say(_verdict(report))


def _print_finding(found: FuzzFinding, line: str, console: Output) -> None:
    """
    One finding, its module, and the command that replays it.
    """
    console.say("")
    console.say(
        f"FINDING {found.kind}: {', '.join(map(visible, found.nodes))}; first in module"
        f" {found.index}, in {found.modules:,} in all"
    )
    console.say(f"  {shortened(found.blame, 400)}")
    if found.difference:
        console.say(f"  first difference: {shortened(found.difference, 400)}")
    size = f"{count(found.operators, 'operator')} and {count(found.rows, 'input row')}"
    console.say(f"  {found.shrinking}: {size}")
    if found.cut_short == "time":
        console.say(f"  to shrink on: more --minutes, with --first {found.index} --modules 1")
    lines = found.text.splitlines()
    for text in lines[:_MOST_TEXT_LINES]:
        console.say(f"    {visible(text)}")
    if len(lines) > _MOST_TEXT_LINES:
        console.say(f"    ... {len(lines) - _MOST_TEXT_LINES} more lines beside the finding")
    console.say(f"  replay: {line}")


def _verdict(report: FuzzReport) -> str:
    if report.findings:
        return f"FINDINGS: {len(report.findings)}"
    if not report.modules:
        return "UNDECIDED: no module was judged before the time was up: give more --minutes"
    return "nothing differs"
