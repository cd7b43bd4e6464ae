"""
What a simulated network did, for the terminal: a line for each stretch of heights that are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from conformance.differential.blame import listed
from conformance.network.events import (
    Committed,
    Differed,
    Event,
    Fell,
    Halted,
    Planned,
    Proposed,
    Stalled,
    Verdict,
    Voted,
)
from conformance.network.simulation import RunResult
from conformance.network.verdicts import place_words
from reports.console_findings import print_finding
from reports.escapes import visible
from reports.model import FindingReport
from weavegate.findings_files import replay_line


@dataclass(slots=True)
class Height:
    """
    What happened at one height, or at several that are alike.
    """

    first: int
    last: int
    transactions: int
    inferences: int
    votes: dict[tuple[str, str], int] = field(default_factory=dict)
    """Power that voted, by app hash and results hash."""
    state: str = "interrupted"
    notes: list[str] = field(default_factory=list)

    @property
    def voted(self) -> int:
        """
        Power that voted.
        """
        return sum(self.votes.values())

    @property
    def agree(self) -> int:
        """
        Largest power that agrees.
        """
        return max(self.votes.values(), default=0)

    def continues(self, other: Height) -> bool:
        """
        Whether *other* is the next height and nothing new happened at it.
        """
        mine, its = ((h.voted, h.agree, h.state) for h in (self, other))
        return mine == its and not self.notes and not other.notes and self.last + 1 == other.first


@dataclass(slots=True)
class Timeline:
    """
    Gathers the events of a run by height.
    """

    plan: Planned | None = None
    heights: list[Height] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """
        Take an event into account.
        """
        match event:
            case Planned():
                self.plan = event
            case Proposed(height=height, kinds=kinds):
                self.heights.append(Height(height, height, len(kinds), kinds.count("infer")))
            case Voted():
                votes, held = self.heights[-1].votes, (event.app_hash, event.results_hash)
                votes[held] = votes.get(held, 0) + event.power
            case Committed():
                self.heights[-1].state = "committed"
            case Stalled():
                self.heights[-1].state = "NOT committed"
            case _:
                self._remark(event)

    def _remark(self, event: Event) -> None:
        """
        Keep in words what is out of the ordinary.
        """
        words = ""
        match event:
            case Fell():
                words = f"{event.validator} {event.what} at transaction {event.transaction}: out"
            case Differed():
                words = place_words(event.first)
            case Halted():
                words = f"{event.validator} does not hold what was committed: halted"
            case _:
                return
        self.heights[-1].notes.append(words)

    def stretches(self) -> list[Height]:
        """
        Heights that follow each other and are alike, as one.
        """
        found: list[Height] = []
        for height in self.heights:
            if found and found[-1].continues(height):
                found[-1].last = height.last
                found[-1].transactions += height.transactions
                found[-1].inferences += height.inferences
            else:
                found.append(replace(height))
        return found


@contextmanager
def progress(console: Console, validators: int, blocks: int) -> Iterator[Callable[[Event], None]]:
    """
    A bar of heights on a terminal; one line where there is none.
    """
    if not console.is_terminal:
        console.print(f"{validators} validators, {blocks:,} blocks ...", highlight=False)
        yield lambda _: None
        return
    columns = (TextColumn("height"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("height", total=blocks)

        def step(event: Event) -> None:
            if isinstance(event, Committed):
                bars.update(task, completed=event.height)

        yield step


def print_run(
    console: Console,
    timeline: Timeline,
    result: RunResult,
    files: Sequence[Path],
    unstable: Sequence[str],
) -> None:
    """
    Validators, timeline, findings and the two verdicts.
    """
    if timeline.plan is not None:
        _print_plan(console, timeline.plan)
        total = sum(member.power for member in timeline.plan.validators)
        console.print(_timeline_table(timeline.stretches(), total))
        for height in timeline.heights:
            for note in height.notes:
                text = Text.assemble((f"height {height.first}  ", "bold"), visible(note))
                console.print(text, soft_wrap=True)
    for item, path in zip(result.findings, files, strict=True):
        console.print(Text(f"height {item.height}, transaction {item.transaction}:", style="bold"))
        report = FindingReport(
            id=item.finding.id, finding=item.finding, file=str(path), replay=replay_line(path)
        )
        print_finding(console, report)
    for line in unstable:
        console.print(f"unstable: {visible(line)}", highlight=False)
    ended = result.ended
    console.print()
    for name, verdict in (("safety", ended.safety), ("liveness", ended.liveness)):
        console.print(_verdict(name, verdict), soft_wrap=True)


def _print_plan(console: Console, plan: Planned) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("validator")
    table.add_column("power", justify="right")
    for member in plan.validators:
        table.add_row(Text(visible(member.label)), f"{member.power:,}")
    console.print(table)
    names = listed([visible(model.name) for model in plan.models])
    console.print(f"models: {names}; gas: {plan.meter}", highlight=False)
    console.print()


def _timeline_table(stretches: Sequence[Height], total: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("heights")
    for name in ("transactions", "inferences", "voted", "agree"):
        table.add_column(name, justify="right")
    table.add_column("outcome")
    for part in stretches:
        span = f"{part.first}" if part.first == part.last else f"{part.first}-{part.last}"
        words = Text(part.state, style="green" if part.state == "committed" else "bold red")
        table.add_row(
            span,
            f"{part.transactions:,}",
            f"{part.inferences:,}",
            f"{part.voted:,}/{total:,}",
            f"{part.agree:,}/{total:,}",
            words,
        )
    return table


def _verdict(name: str, verdict: Verdict) -> Text:
    word, style = {
        True: ("holds", "bold green"),
        False: ("FAILS", "bold red"),
        None: ("undecided", "bold yellow"),
    }[verdict.holds]
    return Text.assemble((f"{name} ", "bold"), (word, style), f": {visible(verdict.reason)}")
