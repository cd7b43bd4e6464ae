"""
Progress on a terminal, and a line now and then where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from weavegate.ticker import Ticker


@contextmanager
def ticking(console: Console) -> Iterator[Ticker]:
    """
    A ticker that draws one bar for each node; plain lines when *console* is no terminal.
    """
    if not console.is_terminal:
        yield Ticker(
            lambda text: _line(console, f"{text} ..."), _planned(console), lambda _, __: None
        )
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: list[TaskID] = []
        status = bars.add_task("reading", total=None)

        def plan(nodes: Sequence[tuple[str, int]]) -> None:
            tasks.extend(bars.add_task(label, total=cases) for label, cases in nodes)
            bars.update(status, description="running")

        def step(node: int, cases: int) -> None:
            if node < len(tasks):
                bars.advance(tasks[node], cases)

        yield Ticker(lambda text: bars.update(status, description=text), plan, step)


def _line(console: Console, text: str) -> None:
    """
    One line, in which nothing is taken for markup: labels have brackets.
    """
    console.print(Text(text), soft_wrap=True)


def _planned(console: Console) -> Callable[[Sequence[tuple[str, int]]], None]:
    """
    Say once what each node will see.
    """

    def plan(nodes: Sequence[tuple[str, int]]) -> None:
        for label, cases in nodes:
            _line(console, f"  {label}: {cases:,} cases")

    return plan
