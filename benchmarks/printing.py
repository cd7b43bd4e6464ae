"""
Prints what was measured: tables of rows, targets beside what is reached, and where time goes.
"""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Line, Measured, Reached

LEGEND = """\
base: the slowest bare engine of the vote, times engines over cores; us: microseconds per input.
ratio: wall over base. opened: the same, were bare engines to open instances as the policy says.
at best: what CPU times allow of the ratio on a machine without other processes, which disturb wall
times far more than CPU times. CPU: CPU time of workers and controller over that of the bare loops.
Figures are medians over repetitions, in each of which bare loops and votes take turns."""

_WHAT = {
    "engines": "engines themselves, in bare loops",
    "openings": "instances opened as the policy says",
    "workers": "workers beyond that",
    "feeding": "controller: queueing blocks",
    "collecting": "controller: feeding workers, taking their answers",
    "evidence": "controller: evidence",
    "vote": "controller: vote",
    "rest": "controller: keys and the rest",
    "idle": "cores with nothing to do",
    "others": "other processes of the machine",
}


def print_measured(console: Console, measured: Measured) -> None:
    """
    One load.
    """
    console.print(
        f"{measured.load}: {measured.module}, {measured.repetitions} repetitions,"
        f" {measured.cores} cores",
        style="bold",
    )
    kinds = list(dict.fromkeys((line.row.policy, line.row.level) for line in measured.lines))
    for policy, level in kinds:
        lines = [x for x in measured.lines if (x.row.policy, x.row.level) == (policy, level)]
        console.print(_table(f"{policy}, level {level}", lines))
    for line in measured.lines:
        for reached in line.targets:
            console.print(f"{line.row.title}: {_target(reached)}")
    for line in measured.lines:
        if not all(reached.met for reached in line.targets):
            _print_account(console, line, measured.cores)
    console.print()


def _table(title: str, lines: list[Line]) -> Table:
    """
    Rows of one policy and level.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("engines", no_wrap=True)
    for name in ("inputs", "base us", "wall us", "inputs/s", "ratio", "opened", "at best", "CPU"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.row.title.replace(" + ", "\n+ "),
            f"{line.row.inputs:,}",
            f"{line.base_us:,.2f}",
            f"{line.wall_us:,.2f}",
            f"{line.inputs_per_second:,.0f}",
            f"{line.ratio:.2f}",
            f"{line.ratio_with_openings:.2f}",
            f"{line.ratio_at_best:.2f}",
            f"{line.work_ratio:.2f}",
        )
    return table


def _target(reached: Reached) -> str:
    """
    What is reached, whether that is enough, and the target.
    """
    word = "meets" if reached.met else "MISSES"
    target, value, best = reached.target, reached.reached, reached.at_best
    if target.kind == "ratio":
        return f"{value:.2f}x {word} <= {target.bound:.2f}x (at best {best:.2f}x)"
    if target.kind == "inputs-per-second":
        return f"{value:,.0f} inputs/s {word} >= {target.bound:,.0f}/s (at best {best:,.0f}/s)"
    return f"{value:,.0f} times a process per case {word} >= {target.bound:,.0f}"


def _print_account(console: Console, line: Line, cores: int) -> None:
    """
    Where the time of a row goes that misses a target.
    """
    whole = cores * line.wall_us
    console.print(f"\n{line.row.title}: {cores} cores for {line.wall_us:.2f} us are")
    for name, us in sorted(line.account_us.items(), key=lambda item: -item[1]):
        console.print(f"  {us:9.2f} us  {us / whole:6.1%}  {_WHAT[name]}")
