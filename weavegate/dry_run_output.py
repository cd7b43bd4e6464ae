"""
A dry run for people: what would run where, what it costs, and what stands in the way.
"""

from __future__ import annotations

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.dry_run import DryRun, PlannedNode
from reports.escapes import shortened, visible
from reports.phrases import count, duration_words
from weavegate.dry_run import dry_run
from weavegate.options import Options
from weavegate.terminal import Output

_COUNTS = ("cases", "stored", "to run", "batches", "instances", "a case", "time")
_LABEL = 18
"""Columns that hold the longest name and version, such as `reference@0.10.0`."""
UNKNOWN = "unknown"


def plan_only(options: Options, output: Output, *, as_json: bool) -> int:
    """
    Make a plan and print it; returns the exit status that it foresees.
    """
    plan = dry_run(options)
    if as_json:
        output.say(msgspec.json.format(msgspec.json.encode(plan)).decode())
    else:
        print_dry_run(output, plan)
    return plan.exit_code


def print_dry_run(console: Console, plan: DryRun) -> None:
    """
    Print a plan; nothing of it is run.
    """
    console.print(Text(shortened(plan.name, 70), style="bold"))
    _line(console, f"sha256 {visible(plan.module_sha256)}")
    _line(
        console,
        f"effort {plan.effort}, seed {plan.seed}, NaN profile {visible(plan.nan)},"
        f" instances {visible(plan.policy)}",
    )
    for title, pairs in (
        ("cases", plan.strata), ("levels", plan.levels), ("origins", plan.origins)
    ):  # fmt: skip
        _line(console, f"{title}: " + ", ".join(f"{cases:,} {name}" for name, cases in pairs))
    _heading(console, "What each node would run")
    console.print(_table(plan.nodes))
    for item in plan.not_asked:
        _line(console, f"not asked: {shortened(item.label, 60)}: {shortened(item.reason, 200)}")
    for absent in plan.missing:
        _line(console, f"missing: {absent.engine}: {absent.sentence}")
    _print_attacks(console, plan)
    _print_bounds(console, plan)
    _heading(console, "Cost")
    _print_cost(console, plan)
    console.print(Text(f"\nNothing was run. Exit {plan.exit_code}: {plan.outlook}."),
                  soft_wrap=True)  # fmt: skip


def _heading(console: Console, text: str) -> None:
    console.print(Text(f"\n{text}", style="bold"))


def _line(console: Console, text: str) -> None:
    console.print(Text(f"  {text}"), soft_wrap=True)


def _table(nodes: tuple[PlannedNode, ...]) -> Table:
    """
    A row for each node.
    """
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0)
    )
    table.add_column("node", overflow="fold", min_width=_LABEL)
    for name in _COUNTS:
        table.add_column(name, justify="right", no_wrap=True)
    for node in nodes:
        label = shortened(node.label, 100).replace("/", "\n  /").replace("[", "\n  [")
        numbers = (node.cases, node.stored, node.to_run, node.batches, node.instances)
        rate = UNKNOWN if node.us_per_case is None else duration_words(node.us_per_case)
        role = "\n  a sample" if node.role == "sample" else ""
        table.add_row(
            Text(label + role), *(f"{number:,}" for number in numbers), rate, _words(node.seconds)
        )
    return table


def _words(seconds: float | None) -> str:
    """
    A time; never one that nobody measured.
    """
    return UNKNOWN if seconds is None else f"{seconds:,.1f} s"


def _print_attacks(console: Console, plan: DryRun) -> None:
    """
    The scenarios; who is left out is said.
    """
    _heading(console, "Attacks")
    for item in plan.attacks:
        _line(
            console,
            f"{item.scenario} ({item.proves}): {count(item.entries, 'entry', 'entries')} on"
            f" {count(len(item.nodes), 'node')}",
        )
        if item.left_out:
            left_out = ", ".join(shortened(label, 60) for label in item.left_out)
            _line(console, f"  left out, too slow for a quick run: {left_out}")
    if not plan.attacks:
        _line(console, "none: there is no node")


def _print_bounds(console: Console, plan: DryRun) -> None:
    """
    What would be proved, if anything.
    """
    asked = plan.bounds
    if asked is None:
        return
    _heading(console, "Bounds")
    entries = ", ".join(shortened(entry, 60) for entry in asked.entries[:8])
    more = f" and {len(asked.entries) - 8:,} more" if len(asked.entries) > 8 else ""  # noqa: PLR2004 - as above
    _line(console, f"gas, memory and stack of {entries}{more}, under {', '.join(asked.models)}")
    if asked.chain:
        _line(console, f"against the limits of {visible(asked.chain)}")
    _line(
        console,
        f"each model counted on {asked.engine}: inputs of the certificate and about"
        f" {asked.cases:,} cases of each entry at most",
    )


def _print_cost(console: Console, plan: DryRun) -> None:
    """
    Times, and what they leave out.
    """
    to_run, stored = sum(n.to_run for n in plan.nodes), sum(n.stored for n in plan.nodes)
    _line(console, f"{count(to_run, 'call')} of entries, and {stored:,} served from evidence")
    there = "" if plan.evidence_there else ", not there yet"
    _line(console, f"evidence file {visible(plan.evidence)}{there}")
    here = "" if not plan.missing else " for the engines that are here"
    if not to_run:
        _line(console, f"nothing is left to run{here}")
    elif plan.seconds is None:
        slow = [node.label for node in plan.nodes if node.seconds is None]
        _line(
            console,
            f"time {UNKNOWN}: no run with this evidence file has measured"
            f" {', '.join(shortened(label, 60) for label in slow) or 'a node'}",
        )
    else:
        _line(
            console,
            f"about {_words(plan.seconds)}{here} on {count(plan.cores, 'core')}, at the rates of"
            " earlier runs with this evidence file",
        )
    _line(
        console,
        "on top, and not counted: compiling, proofs, attacks, shrinking of findings, disputed cases"
        f" put to all nodes, and the evidence of {count(plan.allowances, 'allowance')} about these"
        " nodes",
    )
