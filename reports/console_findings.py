"""
A finding for the terminal: bits side by side, one column per group of nodes that agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports.console_output import printed
from reports.escapes import shortened, visible
from reports.findings import (
    CLASS_WORDS,
    BitRow,
    Group,
    Layout,
    WordRow,
    earlier_words,
    element_text,
    failing_input,
    lay_out,
)
from reports.numerals import decimal, hex_digits, marked_digits
from reports.phrases import blame_words, count

if TYPE_CHECKING:
    from rich.console import Console

    from conformance.differential.records import Finding
    from reports.model import FindingReport, FirstOperator

_NAME_COLUMNS = 12
_GROUP_COLUMNS = 22
"""Room for a name, and for one group: 16 hexadecimal digits, or a decimal, and a gap."""

DIFFERS = "bold red underline"


def _bit_cell(row: BitRow, bits: int | None) -> Text:
    """
    Hexadecimal digits, a line of carets under those that differ, and the decimal.
    """
    if bits is None:
        return Text("-")
    digits = hex_digits(row.dtype, bits)
    marks = marked_digits(row.dtype, row.mask)
    text = Text()
    for digit, marked in zip(digits, marks, strict=True):
        text.append(digit, style=DIFFERS if marked else "none")
    carets = "".join("^" if marked else " " for marked in marks).rstrip()
    if row.mask:
        text.append(f"\n{carets}", style="red")
    text.append(f"\n{decimal(row.dtype, bits)}", style="dim")
    return text


def _bands(groups: tuple[Group, ...], width: int) -> list[range]:
    """
    Ranges of columns that fit beside each other in *width*.
    """
    fit = max(1, (width - 2 - _NAME_COLUMNS) // _GROUP_COLUMNS)
    return [range(i, min(i + fit, len(groups))) for i in range(0, len(groups), fit)]


def _word_cell(row: WordRow, place: int) -> Text:
    return Text(shortened(row.words[place], 100), style="red" if row.differs else "none")


def _band_table(layout: Layout, band: range) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", width=_NAME_COLUMNS - 1, overflow="fold")
    for place in band:
        table.add_column(layout.groups[place].letter, width=_GROUP_COLUMNS - 1, overflow="fold")
    for words in layout.words:
        cells = [_word_cell(words, place) for place in band]
        table.add_row(Text(shortened(words.name, 60)), *cells)
    for row in layout.bits:
        name = Text(f"{row.name}\n{row.dtype}")
        table.add_row(name, *(_bit_cell(row, row.patterns[place]) for place in band))
        if row.note and band.start == 0:
            table.add_row("", Text(row.note, style="italic"))
    return table


def _group_line(group: Group) -> Text:
    if group.oracle:
        return Text.assemble(("oracle", "bold"), "  what the declared semantics gives")
    text = Text(f"{group.letter}  ", style="bold")
    families = count(len(group.generators), "family", "families")
    text.append(f"{count(len(group.labels), 'node')}, {families}: ", style="not bold")
    text.append(", ".join(shortened(label, 80) for label in group.labels), style="not bold cyan")
    if group.blamed:
        text.append("  <- blamed", style="bold red")
    return text


def _input_lines(finding: Finding) -> list[str]:
    shown = failing_input(finding)
    lead = "shrunk input" if finding.shrunk else "input"
    lines = [f"{lead}{earlier_words(finding)}:"] + [
        f"  {element_text(element)}" for element in shown.elements
    ]
    if shown.hidden:
        lines.append(f"  and {count(shown.hidden, 'element')} more")
    if shown.zeros:
        lines.append(f"  {count(shown.zeros, 'element')} all zero bits")
    return lines


def finding_text(item: FindingReport, width: int = 100) -> str:
    """
    One finding as plain text, for formats that hold text in them.
    """
    return printed(lambda console: print_finding(console, item), width=width)


def finding_title(item: FindingReport) -> str:
    """
    Property, class in words, and how many cases failed so.
    """
    finding = item.finding
    what = CLASS_WORDS[finding.kind]
    return f"{shortened(finding.property, 40)}: {what}, {count(finding.count, 'case')}"


def print_finding(
    console: Console, item: FindingReport, operator: FirstOperator | None = None
) -> None:
    """
    Print one finding with its groups, bits, input and replay line, and the operator in which nodes
    part where it was looked for.
    """
    finding = item.finding
    layout = lay_out(finding)
    console.print()
    state = Text("ALLOWED", style="bold yellow") if item.allowed_by else Text("FINDING", DIFFERS)
    console.print(Text.assemble(state, "  ", (finding_title(item), "bold")))

    def put(text: str | Text | Table) -> None:
        body = Text(text) if isinstance(text, str) else text
        console.print(Padding(body, (0, 0, 0, 2)))

    # An id is copied as a whole: it stands on a line of its own, and no width breaks it.
    console.print(Text(f"  {visible(item.id)}"), soft_wrap=True)
    put(f"entry {shortened(finding.call.entry, 60)}, "
        f"NaN profile {visible(finding.nan)}, instances {visible(finding.policy)}")  # fmt: skip
    put(f"blame: {blame_words(item)}")
    if item.allowed_by:
        put(f"allowed: {shortened(item.allowed_by, 300)}")
    for group in layout.groups:
        put(_group_line(group))
    for band in _bands(layout.groups, console.width):
        put(_band_table(layout, band))
    if layout.hidden_elements:
        put(f"and {count(layout.hidden_elements, 'differing element')} more in the JSON report")
    if layout.equal_elements:
        put(f"{count(layout.equal_elements, 'other element')} equal")
    for line in _input_lines(finding):
        put(line)
    if operator is not None:
        put(Text.assemble(("first difference: ", "bold"), visible(str(operator))))
    console.print(Text.assemble(("  replay: ", "bold"), visible(item.replay)), soft_wrap=True)
