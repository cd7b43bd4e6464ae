"""
A report for the terminal: tables and findings at any width, with or without colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports.console_findings import print_finding
from reports.console_output import printed
from reports.escapes import shortened, visible
from reports.phrases import (
    DEFECT_RATES,
    VERDICT_WORDS,
    count,
    drawn_cases,
    duration_words,
    headline,
    missed_words,
    sampling_sentence,
    strength_words,
)

if TYPE_CHECKING:
    from rich.console import Console

    from reports.model import AllowanceReport, NodeReport, Report

_WIDE = 100
"""Columns from which on an engine label fits on one line of every table."""

_STYLES = {
    "holds": "green",
    "fails": "bold red",
    "undecided": "yellow",
    "not-asked": "dim",
    "good": "bold green",
    "bad": "bold red",
    "open": "bold yellow",
    "used": "yellow",
    "not met": "dim",
    "stale": "bold red",
    "expired": "yellow",
}


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _indented(console: Console, body: str | Text | Table) -> None:
    console.print(Padding(Text(body) if isinstance(body, str) else body, (0, 0, 0, 2)))


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0)
    )
    for name in columns:
        if name in right:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table


def _subject(console: Console, report: Report) -> None:
    subject = report.subject
    console.print(Text(shortened(subject.name, 70), style="bold"))
    _indented(console, f"sha256 {visible(subject.sha256)}")
    memory = "no memory"
    if subject.memory_pages is not None:
        low, high = subject.memory_pages
        memory = f"memory {low} to {'any' if high is None else high} pages"
    imports = count(len(subject.imports), "import")
    exports = count(len(subject.exports), "export")
    _indented(console, f"{subject.size_bytes:,} bytes, {imports}, {exports}, {memory}")
    _indented(console, f"NaN profile {visible(report.nan)}, effort {visible(report.effort)}")


def _verdicts(console: Console, report: Report) -> None:
    table = _table("property", "verdict", "what was found")
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for verdict in report.verdicts:
        lines = [shortened(verdict.sentence, 1200)]
        lines += [strength_words(item) for item in verdict.strength]
        word = Text(VERDICT_WORDS[verdict.verdict], style=_STYLES[verdict.verdict])
        table.add_row(Text(shortened(verdict.property, 24)), word, Text("\n".join(lines)))
    _indented(console, table)


def _label(label: str, width: int) -> Text:
    """
    Break an engine label before its compiler where columns are scarce.
    """
    text = shortened(label, 100)
    return Text(
        text if width >= _WIDE else text.replace("/", "\n  /").replace("[", "\n  ["), style="cyan"
    )


def _inside(item: NodeReport) -> str:
    if item.identity is None:
        return "never came up"
    identity = item.identity
    library = visible(identity.library_sha256[:12])
    return (
        f"package {shortened(identity.package_version, 40)}\n"
        f"core {shortened(identity.core_version, 40)}\nlibrary {library}"
    )


def _engines(console: Console, report: Report) -> None:
    table = _table("engine", "inside", "families", "asked")
    for item in report.nodes:
        family = item.families
        families = (
            f"{shortened(family.generator, 40)} code\n{shortened(family.runtime, 40)} runtime"
        )
        asked = item.role if not item.reason else f"{item.role}: {shortened(item.reason, 200)}"
        table.add_row(
            _label(item.label, console.width), Text(_inside(item)), Text(families), Text(asked)
        )
    _indented(console, table)


def _compared(console: Console, report: Report) -> None:
    right = ("result", "state", "full", "agree", "differ", "abstain", "broken", "a case")
    table = _table("engine", *right, right=right)
    times = {item.label: item for item in report.run.engines}
    styles = ("green", "bold red", "yellow", "bold red")
    for item in report.nodes:
        time = times.get(item.label)
        levels = (item.cases_result, item.cases_state, item.cases_full)
        votes = (item.agreeing, item.differing, item.abstained, item.broken)
        cells = [f"{number:,}" for number in levels]
        shown = [
            Text(f"{n:,}", style=s if n else "dim") for n, s in zip(votes, styles, strict=True)
        ]
        spent = duration_words(time.us_per_case) if time and time.cases else "-"
        table.add_row(_label(item.label, console.width), *cells, *shown, spent)
    _indented(console, table)
    served = sum(item.served_from_evidence for item in report.run.engines)
    if served:
        _indented(console, f"{count(served, 'outcome')} served from evidence, not run again.")


def _sampling(console: Console, report: Report) -> None:
    _indented(console, sampling_sentence(report))
    origins = ", ".join(f"{item.cases:,} {shortened(item.origin, 40)}" for item in report.origins)
    if origins:
        _indented(console, f"Origins: {origins}.")
    _indented(console, "Chance to miss a defect that shows in one of N cases drawn at random:")
    rates = tuple(f"N = {number:,}" for number in DEFECT_RATES)
    table = _table("engine", "drew", *rates, right=("drew", *rates))
    for item in report.nodes:
        if item.role != "not asked":
            draws = drawn_cases(report, item)
            chances = [missed_words(draws, number) for number in DEFECT_RATES]
            table.add_row(_label(item.label, console.width), f"{draws:,}", *chances)
    _indented(console, table)


def _unobserved(console: Console, report: Report) -> None:
    for item in report.unobserved:
        who = ", ".join(shortened(label, 60) for label in item.nodes)
        lead = (
            "shown by nobody"
            if item.nobody
            else f"not shown by {who}"
            if who
            else "compared by nobody"
        )
        text = Text(f"{shortened(item.aspect, 60)}: {lead}: {shortened(item.reason, 200)}")
        if item.nobody:
            text.append("; nothing is claimed about it", style="bold")
        _indented(console, text)


def _allowance(console: Console, item: AllowanceReport) -> None:
    given = item.allowance
    text = Text(item.state, style=_STYLES[item.state])
    kinds = ", ".join(given.differs.kinds)
    text.append(f"  {shortened(given.nodes, 80)}: {kinds} ({given.differs.bound})", style="none")
    text.append(f"\n{shortened(given.reason, 300)}", style="none")
    text.append(
        f"\n{shortened(given.author, 60)}, {visible(given.date)}, until {visible(given.expiry)}, "
        f"evidence {shortened(given.evidence, 60)}",
        style="dim",
    )
    _indented(console, text)


def _allowances(console: Console, report: Report, *, verbose: bool) -> None:
    """
    Those that bear on the verdict in full; those that were merely not needed as one line.
    """
    unmet = [item for item in report.allowances if item.state == "not met"]
    for item in report.allowances:
        if verbose or item.state != "not met":
            _allowance(console, item)
    if unmet and not verbose:
        words = f"{count(len(unmet), 'allowance')} about these nodes not met: no finding is theirs"
        _indented(console, Text(f"{words} (--verbose and the reports list them)", style="dim"))


def _closing(console: Console, report: Report) -> None:
    verdict = headline(report)
    console.print()
    text = Text(verdict.word, style=_STYLES[verdict.tone])
    text.append(f" (exit {report.exit_code})  {verdict.sentence}", style="none")
    console.print(text, soft_wrap=True)


def print_report(report: Report, console: Console, *, verbose: bool = False) -> None:
    """
    Print a report on *console*, whose width and colour system decide how it looks.

    *verbose* lists the allowances too that no finding met.
    """
    _subject(console, report)
    _heading(console, "Verdicts")
    _verdicts(console, report)
    for item in report.findings:
        print_finding(console, item, report.run.operator_of(item.id))
    if report.nodes:
        _heading(console, "Engines")
        _engines(console, report)
        _heading(console, "Cases compared by level, votes, and time")
        _compared(console, report)
        _heading(console, "Who saw what")
        _sampling(console, report)
    if report.unobserved:
        _heading(console, "Not observed")
        _unobserved(console, report)
    if report.allowances:
        _heading(console, f"Allowances, judged as of {visible(report.as_of)}")
        _allowances(console, report, verbose=verbose)
    if report.run.unstable:
        _heading(console, "Unstable: crashed once, not again")
        for text in report.run.unstable:
            _indented(console, shortened(text, 300))
    if report.accuracy:
        _heading(console, "Accuracy")
        _indented(console, shortened(report.accuracy, 400))
    _heading(console, "To run it again")
    _indented(console, f"evidence {visible(report.evidence_sha256)}")
    console.print(Text("  " + visible(report.run.command)), soft_wrap=True)
    _closing(console, report)


def console_text(
    report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False
) -> str:
    """
    Write the report as text of at most *width* columns, command lines and the last line excepted.

    Without *colour* there are no escape sequences: what a pipe gets.
    """
    return printed(
        lambda console: print_report(report, console, verbose=verbose), width=width, colour=colour
    )
