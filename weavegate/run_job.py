"""
`weavegate run`: one case on chosen engines, outcomes side by side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.differential.outcomes import outcome_at
from conformance.differential.vote import Voice, vote
from conformance.manifest.calls import input_columns
from reports.escapes import shortened, visible
from runners.bits import WIDTH_BYTES, BadBitsError, parse_bits
from runners.blocks import BlockOutcome, CaseBlock
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.hosts.script import script_of
from runners.pool import Pool
from runners.records import Budget, Level, Outcome
from weavegate.exits import Exit, WeavegateError
from weavegate.findings_files import write_atomically
from weavegate.hosted import hosted, makers
from weavegate.nodes import Participant, choose
from weavegate.probing import fpu_probe
from weavegate.refusals import require_callable
from weavegate.subject import Subject, load_subject


class InputFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    One case as the user writes it down.
    """

    input: tuple[str, ...]
    """Typed bits of every element or parameter, in order."""
    entry: str = ""
    """The entry; may be left out where the manifest has one call."""


def run_once(
    console: Console,
    module: Path,
    input_file: Path,
    manifest: Path | None,
    engines: Sequence[str],
    *,
    as_json: bool,
    record: Path | None = None,
) -> int:
    """
    Run the case and print; 1 when nodes differ, else 0.

    *record*: file for the host script of the case, as the first node's host answered.
    """
    subject = load_subject(module, manifest)
    if record is not None and subject.host is None:
        sentence = f"{subject.path}: imports nothing, so there is nothing to record"
        raise WeavegateError(sentence, Exit.USAGE)
    block = read_case(subject, input_file)
    catalog = Catalog.load()
    nodes = [
        replace(item, node=hosted(item.node, subject.host))
        for item in choose(engines, "fresh", catalog, Environments(catalog))
    ]
    limits = CellLimits(data_mib=2048 + subject.manifest.run.memory_pages // 16)
    pairs, hosts = [(n.node, n.launch) for n in nodes], makers(len(nodes), subject.host)
    with Pool(pairs, limits=limits, probe=fpu_probe(), hosts=hosts) as pool:
        pool.identities()
        pool.add_module(subject.sha256, subject.data, subject.manifest.run.compile_deadline_ms)
        outcomes: dict[int, BlockOutcome] = {}
        for seat in range(len(nodes)):
            pool.submit(seat, subject.sha256, block)
        for done in pool.drain():
            outcomes[done.seat] = done.outcome
    require_callable(subject.path, list(outcomes.values()))
    if record is not None:
        lines = script_of(outcomes[0].host_log or ())
        write_atomically(record, "".join(line + "\n" for line in lines).encode())
    voices = [Voice(n.node, n.launch.families, outcomes[s]) for s, n in enumerate(nodes)]
    result = vote(block, subject.shapes[block.call.entry], voices, "exact", 0)
    shown = [outcome_at(outcomes[s], 0, block.call, block.level) for s in range(len(nodes))]
    if as_json:
        console.print_json(_json(nodes, shown))
    else:
        _print(console, nodes, shown, outcomes)
        words = "nodes differ" if result.disagreements else "all nodes did the same"
        kinds = sorted({str(d.kind) for d in result.disagreements})
        console.print(words + (f": {', '.join(kinds)}" if kinds else ""))
    return int(Exit.FINDINGS if result.disagreements else Exit.PASS)


def read_case(subject: Subject, path: Path) -> CaseBlock:
    """
    The case that a file describes, as a block of one; raises WeavegateError.
    """
    try:
        given = msgspec.json.decode(path.read_bytes(), type=InputFile)
    except OSError as error:
        sentence = f"{path}: cannot be read: {error.strerror}"
        raise WeavegateError(sentence, Exit.USAGE) from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        sentence = f'{path}: {error}: write {{"entry": NAME, "input": ["f64:...", ...]}}'
        raise WeavegateError(sentence, Exit.USAGE) from error
    entries = {call.entry: call for call in subject.calls}
    entry = given.entry or (next(iter(entries)) if len(entries) == 1 else "")
    if entry not in entries:
        sentence = (
            f"{path}: entry {shortened(entry)!r} is none of"
            f" {', '.join(shortened(name) for name in list(entries)[:8])}"
        )
        raise WeavegateError(sentence, Exit.USAGE)
    call = entries[entry]
    row = _row(subject, entry, given.input, path)
    run = subject.manifest.run
    budget = Budget(deadline_ms=run.deadline_ms, fuel=run.fuel, memory_pages=run.memory_pages)
    inputs = np.frombuffer(row, np.uint8).reshape(1, call.input_bytes)
    return CaseBlock(call, budget, Level.FULL, np.zeros(1, np.uint64), inputs)


def _row(subject: Subject, entry: str, values: Sequence[str], path: Path) -> bytes:
    """
    Pack typed values as an input row.
    """
    columns = input_columns(subject.manifest, entry)
    wanted = [dtype for _, dtype, count in columns for _ in range(count)]
    if len(values) != len(wanted):
        sentence = (
            f"{path}: the wrong number of values: {entry} takes {len(wanted)}, {len(values)} given"
        )
        raise WeavegateError(sentence, Exit.USAGE)
    slots = subject.manifest.run.entry is None
    row = bytearray()
    for place, (text, dtype) in enumerate(zip(values, wanted, strict=True)):
        try:
            told, bits = parse_bits(text)
        except BadBitsError as error:
            sentence = f"{path}: value {place}: {error}: {entry} takes {dtype}, as bits"
            raise WeavegateError(sentence, Exit.USAGE) from error
        if told != dtype:
            sentence = f"{path}: value {place} is {told}, {entry} takes {dtype}"
            raise WeavegateError(sentence, Exit.USAGE)
        row += bits.to_bytes(8 if slots else WIDTH_BYTES[dtype], "little")
    return bytes(row)


def _json(nodes: Sequence[Participant], outcomes: Sequence[Outcome]) -> str:
    pairs = [
        {"node": node.node.label(), "outcome": msgspec.to_builtins(outcome)}
        for node, outcome in zip(nodes, outcomes, strict=True)
    ]
    return json.dumps(pairs)


def _print(
    console: Console,
    nodes: Sequence[Participant],
    shown: Sequence[Outcome],
    outcomes: dict[int, BlockOutcome],
) -> None:
    """
    A column for each group of nodes with one outcome, a row for each thing observed.
    """
    for seat, (node, outcome) in enumerate(zip(nodes, shown, strict=True)):
        console.print(Text(node.node.label(), style="bold"), soft_wrap=True)
        table = Table(show_header=False, box=None)
        table.add_column()
        table.add_column(overflow="fold")
        for name, value in _lines(outcome):
            table.add_row(Text(name), Text(value))
        for text in outcomes[seat].details.values():
            table.add_row("its words", Text(visible(text)))
        console.print(table)


def _lines(outcome: Outcome) -> list[tuple[str, str]]:
    """
    An outcome as pairs of words.
    """
    kind = msgspec.to_builtins(outcome.kind)
    lines = [("outcome", str(kind.pop("type")))]
    lines += [
        (name, ", ".join(v) if isinstance(v, list | tuple) else str(v)) for name, v in kind.items()
    ]
    for name in ("memory_sha256", "pages", "globals", "gas", "host_calls"):
        value = msgspec.to_builtins(getattr(outcome, name))
        if isinstance(value, dict):
            value = f"not observed: {value['reason']}"
        lines.append((name, value if isinstance(value, str) else json.dumps(value)))
    return lines
