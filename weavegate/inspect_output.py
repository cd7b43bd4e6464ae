"""
What `weavegate inspect` prints: a survey as plain text, the same on every terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from conformance.wasm.survey import CallFact, ExternFact, FlowFact, Survey
from reports.escapes import shortened
from reports.phrases import count

_ROWS: Final = 24
"""Rows of a table that are shown; JSON has them all."""
_NAME: Final = 60
_KIND_WORDS: Final = {
    "nan-made": "a NaN whose bits are open",
    "nan-shown": "NaN bits shown",
    "conversion-between-floats": "between f32 and f64",
    "growth": "growth",
    "host": "the host",
    "call-depth": "depth of calls",
}

Rows = Sequence[tuple[object, ...]]


def survey_lines(path: str, found: Survey) -> Iterator[str]:
    """
    The lines of the whole survey.
    """
    yield f"{shortened(path)}: a valid module"
    yield f"  sha256 {found.sha256}"
    yield (
        f"  {count(found.size_bytes, 'byte')}, {count(found.instructions, 'instruction')} in "
        f"{count(found.calls.functions, 'function')}, {count(found.data_bytes, 'byte')} of data"
    )
    yield from _table(
        "Sections",
        [(s.name, count(s.size_bytes, "byte"), f"at {s.offset:#x}") for s in found.sections],
    )
    yield from _externs("Imports", found.imports)
    yield from _externs("Exports", found.exports)
    yield from _table(
        "Memory, tables, globals",
        [(s.kind, s.index, s.type, "imported" if s.imported else "") for s in found.spaces],
    )
    if found.start is not None:
        yield f"\nStart: function {found.start} runs at instantiation"
    yield from _calls(found.calls)
    yield from _loops(found.flow)
    yield from _table(
        "Float operators",
        [(o.name, f"{o.count:,}x", f"first at {o.first_offset:#x}") for o in found.float_operators],
    )
    yield from _table(
        "Proposals used beyond the MVP",
        [(name, f"first at {offset:#x}") for name, offset in found.proposals.items()],
    )
    yield f"  not in use, because it would be refused: {found.not_admitted}"
    yield from _table(
        "What two correct engines may answer differently",
        [
            (
                _KIND_WORDS[c.kind],
                c.what,
                f"{c.count:,}x",
                "" if c.first_offset is None else f"first at {c.first_offset:#x}",
                c.sentence,
            )
            for c in found.open_choices
        ],
    )
    yield from _table(
        "Largest functions",
        [
            (
                f.name,
                count(f.size_bytes, "byte"),
                count(f.instructions, "instruction"),
                count(f.locals, "local"),
                f"at {f.offset:#x}",
            )
            for f in found.largest
        ],
    )
    yield from _names(found)


def _table(title: str, rows: Rows) -> Iterator[str]:
    """
    A heading, and rows in columns; `none` where there is nothing.
    """
    yield ""
    if not rows:
        yield f"{title}: none"
        return
    yield f"{title}:"
    cells = [[shortened(str(cell), _NAME * 2) for cell in row] for row in rows[:_ROWS]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {line.rstrip()}"
    if len(rows) > _ROWS:
        yield f"  ... and {len(rows) - _ROWS:,} more: --json has them all"


def _externs(title: str, items: Sequence[ExternFact]) -> Iterator[str]:
    yield from _table(
        title,
        [
            (item.kind, item.index, shortened(item.name, _NAME), item.type, f"at {item.offset:#x}")
            for item in items
        ],
    )


def _set(functions: Sequence[int]) -> str:
    shown = ", ".join(map(str, functions[:12]))
    return shown + (f", ... ({len(functions):,})" if len(functions) > 12 else "")  # noqa: PLR2004 - as many as fit


def _calls(found: CallFact) -> Iterator[str]:
    yield "\nCalls:"
    indirect = sum(group.sites for group in found.indirect)
    yield (
        f"  {found.direct_sites:,} by name, {indirect:,} through tables; "
        f"{count(found.imported, 'function')} of the host"
    )
    for caller, callees in list(found.callees.items())[:_ROWS]:
        if callees:
            yield f"  function {caller} calls {_set(callees)}"
    if len(found.callees) > _ROWS:
        yield f"  ... and {len(found.callees) - _ROWS:,} more callers: --json has them all"
    for group in found.indirect[:_ROWS]:
        reach = _set(group.functions) or "no function of the module"
        note = f"; the host can add others: {shortened(group.open, _NAME)}" if group.open else ""
        type_ = shortened(group.type, _NAME)
        yield f"  {group.sites:,} through table {group.table} as {type_}: {reach}{note}"
    for component in found.recursive[:_ROWS]:
        yield f"  recursion: {_set(component)} can call themselves"
    if not found.recursive:
        yield "  no recursion"
    if found.unreached:
        yield f"  not reached from exports, start or open tables: {_set(found.unreached)}"


def _loops(flow: Sequence[FlowFact]) -> Iterator[str]:
    """
    Loops by function; nesting is shown by indentation.
    """
    total = sum(len(each.loops) for each in flow)
    if not total:
        yield "\nLoops: none"
        return
    yield "\nLoops (how often each runs is not known from the graph alone):"
    left = _ROWS * 2
    for each in flow:
        if not each.loops:
            continue
        if left <= 0:
            break
        yield (
            f"  {shortened(each.name, _NAME)}: {count(len(each.loops), 'loop')} in "
            f"{count(each.blocks, 'basic block')}"
        )
        for loop in each.loops[:left]:
            margin = "  " * min(loop.depth + 1, 12)
            exits = "no exit" if not loop.exits else f"exits {loop.exits}"
            yield (
                f"{margin}loop at {loop.offset:#x}, depth {loop.depth}, "
                f"{count(loop.instructions, 'instruction')}, {exits}"
            )
        left -= len(each.loops)
    if total > _ROWS * 2:
        yield f"  ... {total:,} loops in all: --json has them"


def _names(found: Survey) -> Iterator[str]:
    if found.names is None:
        yield "\nName section: none"
        return
    names = found.names.functions
    total = found.calls.functions + found.calls.imported
    yield f"\nName section: names {len(names):,} of {count(total, 'function')}"
    for index, name in list(names.items())[:_ROWS]:
        yield f"  function {index}: {shortened(name, _NAME)}"
    if len(names) > _ROWS:
        yield f"  ... and {len(names) - _ROWS:,} more: --json has them all"
