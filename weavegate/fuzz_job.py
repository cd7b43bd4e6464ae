"""
`weavegate fuzz`: generated modules over engines until the time is up.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from conformance.differential.profiles import NanProfile
from conformance.generate.growth import growing, regrown
from conformance.generate.modules import GeneratedModule, generate, replay
from conformance.generate.soup import recooked, soup
from reports.phrases import count
from runners.pool import Pool
from weavegate.allowing import Allowed
from weavegate.exits import Exit, WeavegateError
from weavegate.findings_files import write_atomically
from weavegate.fuzz_asked import AskedNodes, NotAsked, asked_under, from_catalog
from weavegate.fuzz_findings import Collector, FuzzFinding
from weavegate.fuzz_trial import COUNTED_SHARE, SLOW_SHARE, Bench, Trial, sampled
from weavegate.nodes import Participant
from weavegate.probing import fpu_probe

ROUND: Final = 64
"""Modules that are made, run and judged together."""
GENERATORS: Final[dict[str, Callable[[int, int], GeneratedModule]]] = {
    "shapes": generate,
    "growth": growing,
    "soup": soup,
}
REMAKERS: Final[dict[str, Callable[[tuple[int, ...]], GeneratedModule]]] = {
    "shapes": replay,
    "growth": regrown,
    "soup": recooked,
}
"""What makes a module of a generator from a sequence of decisions."""


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
    generator: Literal["shapes", "growth", "soup"] = "shapes"
    counted: bool = True
    allowances: Path | None = None
    as_of: date | None = None
    stop_at_first: bool = False
    most_tries: int = 1_200
    """To make one finding smaller."""


Step = Callable[[int, int, int], None]
"""Hears of modules, cases and findings so far."""


class NodeCount(Struct, frozen=True, kw_only=True):
    """
    What one node saw.
    """

    label: str
    modules: int
    cases: int


class FuzzReport(Struct, frozen=True, kw_only=True):
    """
    What a fuzzing run did and found.

    All but `seconds` follows from seed, modules and engines, unless the time was up while a
    finding was shrunk: that finding says so.
    """

    schema: int = 1
    seed: int
    generator: str
    nan: str
    first: int
    wanted: int | None
    """Modules that were asked for; None: as many as the time allows."""
    modules: int
    """Modules that were judged."""
    cases: int
    counted: int
    """Modules whose gas was compared as well."""
    trapped: int
    """Cases in which the first node trapped."""
    operators: int
    nodes: tuple[NodeCount, ...]
    not_asked: tuple[NotAsked, ...]
    """Engines that were named, or are core ones, and are asked nothing."""
    known: tuple[tuple[str, int], ...]
    """Known defects that were met: reason, and how many modules."""
    findings: tuple[FuzzFinding, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """
        1 with findings, 3 if no module was judged, else 0.
        """
        if self.findings:
            return int(Exit.FINDINGS)
        return int(Exit.PASS if self.modules else Exit.UNDECIDED)


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


@dataclass(slots=True)
class _Run:
    """
    A run while it lasts.
    """

    options: FuzzOptions
    asked: AskedNodes
    bench: Bench
    collector: Collector
    clock: Callable[[], float]
    started: float
    deadline: float
    seen: list[list[int]]
    """By seat: modules, cases."""
    counts: _Counts = field(default_factory=_Counts)

    def go(self, step: Step) -> None:
        """
        Run and judge modules until the time is up or there are enough.
        """
        for trials in self._rounds():
            seats = {
                trial.index: _seats(self.options.seed, trial.index, self.asked.nodes)
                for trial in trials
            }
            self.bench.run(trials, seats)
            for trial in trials:
                self.collector.take(trial)
                self._count(trial, seats[trial.index])
                if self._enough:
                    break
            step(self.counts.modules, self.counts.cases, len(self.collector.found))
            if self._enough:
                break

    @property
    def _enough(self) -> bool:
        return self.options.stop_at_first and bool(self.collector.found)

    def _count(self, trial: Trial, seats: Sequence[int]) -> None:
        """
        Count a module once it is judged: one in which the run is interrupted comes again.
        """
        for seat in seats:
            self.seen[seat][0] += 1
            self.seen[seat][1] += len(trial.made.rows)
        self.counts.note(trial)

    def _rounds(self) -> Iterator[list[Trial]]:
        """
        Modules by the round.
        """
        options = self.options
        make = GENERATORS[options.generator]
        index = options.first
        end = None if options.modules is None else options.first + options.modules
        while (end is None or index < end) and self.clock() < self.deadline:
            last = index + ROUND if end is None else min(end, index + ROUND)
            yield [
                self.bench.trial(
                    at,
                    make(options.seed, at),
                    counted=options.counted and sampled(options.seed, at, COUNTED_SHARE),
                )
                for at in range(index, last)
            ]
            index = last

    def report(self) -> FuzzReport:
        """
        The report, written beside the findings.
        """
        options, counts = self.options, self.counts
        report = FuzzReport(
            seed=options.seed,
            generator=options.generator,
            nan=options.nan,
            first=options.first,
            wanted=options.modules,
            modules=counts.modules,
            cases=counts.cases,
            counted=counts.counted,
            trapped=counts.trapped,
            operators=counts.operators,
            nodes=tuple(
                NodeCount(label=node.node.label(), modules=modules, cases=cases)
                for node, (modules, cases) in zip(self.asked.nodes, self.seen, strict=True)
            ),
            not_asked=self.asked.left_out,
            known=tuple(sorted(self.collector.known.items())),
            findings=tuple(self.collector.found.values()),
            seconds=self.clock() - self.started,
        )
        text = msgspec.json.format(msgspec.json.encode(report, order="deterministic"), indent=1)
        write_atomically(options.out / "fuzz.json", text + b"\n")
        return report


def fuzz(
    options: FuzzOptions,
    say: Callable[[str], None],
    step: Step = lambda *_: None,
    nodes: Sequence[Participant] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FuzzReport:
    """
    Fuzz until the time is up; *step* hears of modules, cases and findings so far.

    *nodes*: instead of the engines of the catalogue. *clock*: seconds; it decides only when to
    stop, shrinking too. Raises what catalogue and pool raise, and WeavegateError when there is no
    time, when fewer than two nodes can be asked, and when the run is interrupted, after what was
    found is written.
    """
    if not options.minutes > 0:
        sentence = f"--minutes {options.minutes:g} leaves no time for a module: give more than 0"
        raise WeavegateError(sentence, Exit.USAGE)
    started = clock()
    deadline = started + 60 * options.minutes
    named = nodes is not None or bool(options.engines)
    given = nodes if nodes is not None else from_catalog(options.engines)
    asked = asked_under(given, options.nan, named=named)
    for item in asked.left_out:
        say(not_asked_line(item))
    allowed = Allowed.read(options.allowances)
    as_of = options.as_of or datetime.now(UTC).date()
    run: _Run | None = None
    try:
        with Pool([(node.node, node.launch) for node in asked.nodes], probe=fpu_probe()) as pool:
            say("starting workers")
            pool.identities()
            bench = Bench(pool, asked.nodes, options.nan)
            collector = Collector(
                bench, allowed.allowances, options.out, as_of, say, options.most_tries,
                lambda: clock() >= deadline, REMAKERS[options.generator],
            )  # fmt: skip
            seen = [[0, 0] for _ in asked.nodes]
            run = _Run(options, asked, bench, collector, clock, started, deadline, seen)
            run.go(step)
    except KeyboardInterrupt:
        # What was found so far is worth as much as what a longer run would have found.
        anything = run is not None and (run.counts.modules or run.collector.found)
        report = run.report() if run is not None and anything else None
        raise WeavegateError(_interrupted(options, report), Exit.INTERRUPTED) from None
    return run.report()


def _interrupted(options: FuzzOptions, report: FuzzReport | None) -> str:
    """
    What is kept of an interrupted run, and how to go on.
    """
    if report is None:
        return "interrupted before a module was judged: nothing is kept, run it again"
    done = f"interrupted after {count(report.modules, 'module')}, findings: {len(report.findings)}"
    kept = f"both are in {options.out / 'fuzz.json'}"
    left = None if options.modules is None else options.modules - report.modules
    if left == 0:
        return f"{done}: {kept}, and all modules were judged"
    on = command_line(options, options.first + report.modules, left)
    return f"{done}: {kept}, which the next run writes anew; `{on}` goes on from there"


def command_line(options: FuzzOptions, first: int, modules: int | None) -> str:
    """
    The command that runs *modules* modules from number *first* on, else with the same options.
    """
    words = ["weavegate", "fuzz", "--seed", str(options.seed), "--first", str(first)]
    words += [] if modules is None else ["--modules", str(modules)]
    words += ["--minutes", f"{options.minutes:g}"]
    for engine in options.engines:
        words += ["--engine", engine]
    words += ["--nan", options.nan, "--generator", options.generator]
    words += [] if options.counted else ["--no-counters"]
    words += ["--allowances", str(options.allowances)] if options.allowances else []
    return shlex.join([*words, "--out", str(options.out)])


def not_asked_line(item: NotAsked) -> str:
    """
    Who is not asked, and why.
    """
    return f"NOT ASKED{', although named' if item.named else ''}: {item.reason}"


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
