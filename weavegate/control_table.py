"""
Attack x control as a table: what each control must be, and what it was on each node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from weavegate.attack_job import ControlRun

_HEADS: Final = ("attack", "control", "must be", "node", "was")


def table_lines(runs: Sequence[ControlRun]) -> list[str]:
    """
    The table in Markdown, its columns aligned; a row for each control and node.
    """
    rows = [_HEADS, *(row for run in runs for row in _rows(run))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _rows(run: ControlRun) -> list[tuple[str, ...]]:
    """
    Nodes that were asked, then those that could not be.
    """
    scenario = run.control.scenario.id.rpartition("::")[2]
    must = "caught" if run.control.red else "passed"
    head = (scenario, run.control.folder.removeprefix("attacks/"), must)
    result = run.attacked.result
    asked = [(n, "caught" if n in run.caught else "passed") for n in result.nodes]
    return [(*head, *pair) for pair in asked + [(u.node, "not asked") for u in result.unasked]]
