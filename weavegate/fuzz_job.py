"""
`weavegate fuzz`: generated modules over engines until the time is up.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from conformance.differential.profiles import NanProfile, under_profile
from conformance.generate.modules import GeneratedModule, generate
from conformance.generate.soup import soup
from runners.catalog import Catalog
from runners.environments import Environments
from runners.pool import Pool
from weavegate.allowing import Allowed
from weavegate.exits import Exit, WeavegateError
from weavegate.findings_files import write_atomically
from weavegate.fuzz_findings import Collector, FuzzFinding
from weavegate.fuzz_trial import COUNTED_SHARE, SLOW_SHARE, Bench, Trial, sampled
from weavegate.nodes import Participant, choose
from weavegate.probing import fpu_probe

ROUND: Final = 64
"""Modules that are made, run and judged together."""
GENERATORS: Final[dict[str, Callable[[int, int], GeneratedModule]]] = {
    "shapes": generate,
    "soup": soup,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzOptions:
    """
    What the user asked for.
    """

    out: Path
    minutes: float
    modules: int | None = None
    """Stop after so many, whatever the time."""
    first: int = 0
    seed: int = 0
    engines: tuple[str, ...] = ()
    nan: NanProfile = "canonical"
    generator: Literal["shapes", "soup"] = "shapes"
    counted: bool = True
    allowances: Path | None = None
    as_of: date | None = None
    stop_at_first: bool = False
    most_tries: int = 1_200
    """To make one finding smaller."""


class NodeCount(Struct, frozen=True, kw_only=True):
    """
    What one node saw.
    """

    label: str
    modules: int
    cases: int


class FuzzReport(Struct, frozen=True, kw_only=True):
    """
    What a fuzzing run did and found: all but `seconds` follows from seed, modules and engines.
    """

    schema: int = 1
    seed: int
    generator: str
    nan: str
    first: int
    modules: int
    cases: int
    counted: int
    """Modules whose gas was compared as well."""
    trapped: int
    """Cases in which the first node trapped."""
    operators: int
    nodes: tuple[NodeCount, ...]
    known: tuple[tuple[str, int], ...]
    """Known defects that were met: reason, and how many modules."""
    findings: tuple[FuzzFinding, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """
        1 with findings, else 0.
        """
        return int(Exit.FINDINGS if self.findings else Exit.PASS)


@dataclass(slots=True)
class _Counts:
    modules: int = 0
    cases: int = 0
    counted: int = 0
    trapped: int = 0
    operators: int = 0

    def note(self, trial: Trial) -> None:
        """
        Count a module that was run.
        """
        self.modules += 1
        self.cases += len(trial.made.rows)
        self.counted += trial.counted is not None
        self.operators += trial.made.operators
        first = min(trial.plain, default=None)
        if first is not None:
            status = trial.plain[first].status
            self.trapped += int(((status >= 16) & (status < 48)).sum())  # noqa: PLR2004 - traps


def fuzz(
    options: FuzzOptions,
    say: Callable[[str], None],
    step: Callable[[int, int, int], None] = lambda *_: None,
    nodes: Sequence[Participant] | None = None,
) -> FuzzReport:
    """
    Fuzz until the time is up; *step* hears of modules, cases and findings so far.

    *nodes*: instead of the engines of the catalogue. Raises what catalogue and pool raise, and
    WeavegateError when fewer than two nodes can be asked.
    """
    started = time.monotonic()
    deadline = started + 60 * options.minutes
    asked = _asked(nodes if nodes is not None else _from_catalog(options.engines), options.nan)
    allowed = Allowed.read(options.allowances)
    counts = _Counts()
    seen = [[0, 0] for _ in asked]
    with Pool([(node.node, node.launch) for node in asked], probe=fpu_probe()) as pool:
        say("starting workers")
        pool.identities()
        bench = Bench(pool, asked, options.nan)
        as_of = options.as_of or datetime.now(UTC).date()
        collector = Collector(
            bench, allowed.allowances, options.out, as_of, say, options.most_tries
        )
        try:
            for trials in _rounds(options, bench, deadline):
                seats = {trial.index: _seats(options.seed, trial.index, asked) for trial in trials}
                bench.run(trials, seats)
                for trial in trials:
                    for seat in seats[trial.index]:
                        seen[seat][0] += 1
                        seen[seat][1] += len(trial.made.rows)
                    collector.take(trial)
                    counts.note(trial)
                    if options.stop_at_first and collector.found:
                        break
                step(counts.modules, counts.cases, len(collector.found))
                if options.stop_at_first and collector.found:
                    break
        except KeyboardInterrupt:
            # What was found so far is worth as much as what a longer run would have found.
            _report(options, counts, asked, seen, collector, time.monotonic() - started)
            raise
    return _report(options, counts, asked, seen, collector, time.monotonic() - started)


def _report(
    options: FuzzOptions,
    counts: _Counts,
    asked: Sequence[Participant],
    seen: Sequence[Sequence[int]],
    collector: Collector,
    seconds: float,
) -> FuzzReport:
    """
    The report, written beside the findings.
    """
    report = FuzzReport(
        seed=options.seed,
        generator=options.generator,
        nan=options.nan,
        first=options.first,
        modules=counts.modules,
        cases=counts.cases,
        counted=counts.counted,
        trapped=counts.trapped,
        operators=counts.operators,
        nodes=tuple(
            NodeCount(label=node.node.label(), modules=modules, cases=cases)
            for node, (modules, cases) in zip(asked, seen, strict=True)
        ),
        known=tuple(sorted(collector.known.items())),
        findings=tuple(collector.found.values()),
        seconds=seconds,
    )
    text = msgspec.json.format(msgspec.json.encode(report, order="deterministic"), indent=1)
    write_atomically(options.out / "fuzz.json", text + b"\n")
    return report


def _rounds(options: FuzzOptions, bench: Bench, deadline: float) -> Iterator[list[Trial]]:
    """
    Modules by the round, until the time is up or there are enough.
    """
    make = GENERATORS[options.generator]
    index = options.first
    end = None if options.modules is None else options.first + options.modules
    while (end is None or index < end) and time.monotonic() < deadline:
        last = index + ROUND if end is None else min(end, index + ROUND)
        yield [
            bench.trial(
                at,
                make(options.seed, at),
                counted=options.counted and sampled(options.seed, at, COUNTED_SHARE),
            )
            for at in range(index, last)
        ]
        index = last


def _from_catalog(engines: Sequence[str]) -> list[Participant]:
    catalog = Catalog.load()
    return choose(engines, "fresh", catalog, Environments(catalog))


def _asked(nodes: Sequence[Participant], profile: NanProfile) -> list[Participant]:
    """
    The nodes in the form in which they keep the profile for any module.
    """
    found = []
    for node in nodes:
        told = under_profile(
            node.node.engine,
            node.launch.families.generator,
            node.launch.capabilities,
            profile,
        )
        if told.engine is not None:
            given = msgspec.structs.replace(node.node, engine=told.engine)
            found.append(replace(node, node=given))
    if len(found) < 2:  # noqa: PLR2004 - one node has nobody to differ from
        sentence = f"only {len(found)} of the engines can be asked under NaN profile {profile}"
        raise WeavegateError(f"{sentence}: name two or more with --engine", Exit.UNDECIDED)
    return found


def _seats(seed: int, index: int, nodes: Sequence[Participant]) -> list[int]:
    """
    Which nodes see a module: interpreters a seeded share.
    """
    slow = sampled(seed, index, SLOW_SHARE)
    seats = [seat for seat, node in enumerate(nodes) if slow or not node.sampled]
    return seats if len(seats) > 1 else list(range(len(nodes)))


def replay_lines(report: FuzzReport) -> list[str]:
    """
    One command for each finding that shows it again.
    """
    return [f"weavegate replay {shlex.quote(found.file)}" for found in report.findings]
