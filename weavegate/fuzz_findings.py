"""
What becomes of a difference between nodes: the operator is found, known defects are set aside, and
the rest is made small and written down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from conformance.differential.allowances import covering, expired
from conformance.differential.findings import RunFinding
from conformance.differential.records import Allowance, FindingClass
from conformance.generate.choices import Decisions
from conformance.generate.modules import GeneratedModule
from conformance.generate.shrink import shrunk
from conformance.wasm.decode import decode
from conformance.wasm.text import wat
from reports.phrases import count
from weavegate.bisecting import bisected
from weavegate.findings_files import finding_name, save_finding, write_atomically
from weavegate.fuzz_trial import Bench, Trial

MOST_PER_WAY: Final = 1
"""Findings that are shrunk and written for each way in which nodes differ; others are counted."""

Way = tuple[str, tuple[str, ...], str]
"""Class, deviating nodes, operator."""


class FuzzFinding(Struct, frozen=True, kw_only=True):
    """
    One way in which nodes differ.
    """

    kind: str
    nodes: tuple[str, ...]
    """Labels of the nodes that stand apart."""
    blame: str
    index: int
    """Of the first module that showed it: (seed, index) makes it again."""
    operator: str
    """The first operator that gave them something else; empty if none did, or none can be told."""
    difference: str
    """Where, and what it gave; empty as above."""
    operators: int
    """Of the shrunk module: instructions that compute, load, store or call."""
    rows: int
    modules: int
    """How many modules showed it."""
    file: str
    """The finding's file."""
    text: str
    """The shrunk module in the text format."""
    tries: int
    """Modules that were tried to make it smaller."""
    cut_short: Literal["", "tries", "time"]
    """What ended shrinking before nothing simpler showed the same; empty: nothing did."""

    @property
    def shrinking(self) -> str:
        """
        How far shrinking came, in words.
        """
        if not self.cut_short:
            return f"shrunk in {count(self.tries, 'try', 'tries')}"
        if self.cut_short == "time":
            return f"not fully shrunk, the time was up after {count(self.tries, 'try', 'tries')}"
        return f"not fully shrunk, none of {count(self.tries, 'try', 'tries')} is left"


class _TimeUpError(Exception):
    """
    No time is left to shrink.
    """


@dataclass(frozen=True, slots=True)
class _Shrunk:
    """
    The smallest module that was found, and how shrinking ended.
    """

    trial: Trial
    shown: RunFinding
    tries: int
    cut_short: Literal["", "tries", "time"]


@dataclass(slots=True)
class Collector:
    """
    The findings of a fuzzing run.
    """

    bench: Bench
    allowances: Sequence[Allowance]
    out: Path
    as_of: date
    say: Callable[[str], None]
    most_tries: int
    """To make one finding smaller."""
    time_up: Callable[[], bool]
    """Whether shrinking must stop; what was found by then is kept as it is."""
    remake: Callable[[tuple[int, ...]], GeneratedModule]
    """The module that a sequence of decisions gives."""
    known: Counter[str] = field(default_factory=Counter)
    """Known defect -> modules that met it."""
    found: dict[Way, FuzzFinding] = field(default_factory=dict)

    def take(self, trial: Trial) -> None:
        """
        Look at what nodes did with a module.
        """
        seen: set[Way] = set()
        for item in self.bench.findings(trial):
            operator = self._operator(trial, item)
            allowance = self._allowance(item, operator)
            if allowance is not None:
                self.known[allowance.reason] += 1
                continue
            way = (str(item.finding.kind), item.deviants, operator)
            if way in self.found:
                if way not in seen:
                    old = self.found[way]
                    self.found[way] = replace(old, modules=old.modules + 1)
            else:
                self.say(f"module {trial.index}: {way[0]}, {', '.join(way[1])}: shrinking")
                self.found[way] = self._kept(trial, item, way)
            seen.add(way)

    def _operator(self, trial: Trial, item: RunFinding) -> str:
        difference = self._difference(trial, item)
        return difference[0]

    def _difference(self, trial: Trial, item: RunFinding) -> tuple[str, str]:
        """
        The first differing operator and the sentence about it.
        """
        if item.finding.kind is FindingClass.GAS or item.finding.module_sha256 != trial.sha256:
            return "", ""
        seats = {node.node.label(): seat for seat, node in enumerate(self.bench.nodes)}
        found = bisected(
            item.finding,
            trial.made.binary,
            self.bench.pool,
            seats,
            self.bench.rewrites(),
            item.deviants,
        )
        return ("", "") if found is None else (found.operator, str(found))

    def _allowance(self, item: RunFinding, operator: str) -> Allowance | None:
        """
        The allowance for a defect of all deviating nodes in *operator*.

        Shipped allowances are about a module with one entry for each operator, named after it; the
        defect is the same wherever the operator stands.
        """
        as_it_is = covering(self.allowances, item.finding, item.deviants, self.as_of)
        if as_it_is is not None:
            return as_it_is
        for allowance in self.allowances:
            about = all(fnmatchcase(label, allowance.nodes) for label in item.deviants)
            there = about and operator in allowance.differs.entries
            if there and not expired(allowance, self.as_of):
                return allowance
        return None

    # -------------------------------------------------------------------------- shrinking

    def _kept(self, trial: Trial, item: RunFinding, way: Way) -> FuzzFinding:
        """
        Shrink a finding and write it down.
        """
        shrinking = self._shrunk(trial, item)
        small, shown = shrinking.trial, shrinking.shown
        operator, difference = self._difference(small, shown)
        module = small.made.binary
        if shown.finding.module_sha256 != small.sha256 and small.counted is not None:
            module = small.counted.binary
        path = save_finding(self.out, shown.finding, module)
        text = wat(decode(module))
        write_atomically(path.with_suffix(".wat"), text.encode())
        return FuzzFinding(
            kind=way[0],
            nodes=item.deviants,
            blame=shown.finding.blame.reason,
            index=trial.index,
            operator=operator or way[2],
            difference=difference,
            operators=small.made.operators,
            rows=len(small.made.rows),
            modules=1,
            file=str(path.parent / finding_name(shown.finding)),
            text=text,
            tries=shrinking.tries,
            cut_short=shrinking.cut_short,
        )

    def _shrunk(self, trial: Trial, item: RunFinding) -> _Shrunk:
        """
        The smallest module found in which the same nodes stand apart in the same way.
        """
        best: list[tuple[Trial, RunFinding]] = [(trial, item)]
        kind, apart = item.finding.kind, item.deviants
        tries = 0

        def shows(sequence: tuple[int, ...]) -> Decisions | None:
            nonlocal tries
            if self.time_up():
                raise _TimeUpError
            tries += 1
            made = self.remake(sequence)
            again = self._tried(trial.index, made, counted=trial.counted is not None)
            for found in self.bench.findings(again):
                same = found.finding.kind is kind and found.deviants == apart
                if same and self._allowance(found, self._known_operator(again, found)) is None:
                    best.append((again, found))
                    return made.decisions
            return None

        cut_short: Literal["", "tries", "time"] = ""
        try:
            shrunk(trial.made.decisions, shows, most_tries=self.most_tries)
            if tries >= self.most_tries:
                cut_short = "tries"
        except _TimeUpError:
            cut_short = "time"
        return _Shrunk(*best[-1], tries, cut_short)

    def _known_operator(self, trial: Trial, item: RunFinding) -> str:
        """
        The differing operator, asked only where an allowance could be about these nodes.
        """
        about = any(
            fnmatchcase(label, allowance.nodes)
            for allowance in self.allowances
            for label in item.deviants
        )
        return self._operator(trial, item) if about else ""

    def _tried(self, index: int, made: GeneratedModule, *, counted: bool) -> Trial:
        again = self.bench.trial(index, made, counted=counted)
        self.bench.run([again], {index: range(len(self.bench.nodes))})
        return again
