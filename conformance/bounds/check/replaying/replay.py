"""
The certificate's inputs, run on an engine: no claim may be false on a real run.

A false hypothesis can make every obligation true, so the checker looks at what an engine does: the
state at every cut against everything the certificate says of that cut, and the gas against its
bounds. The module is rewritten by checkpoints for the one and by counters for the other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from conformance.bounds.certificate import ENTRY, Input, Summary, Values
from conformance.bounds.check.refusals import NotModelledError, Refusal, RefusedError
from conformance.bounds.check.replaying.columns import Columns
from conformance.bounds.check.semantics.image import PAGE_BYTES
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.expressions import State, evaluate
from conformance.gas.load import gas_model
from conformance.gas.metering import metered
from conformance.wasm.limits import MOST_PAGES
from conformance.wasm.rewrite.checkpoints import Checkpoint, Instrumented, checkpointed
from conformance.wasm.rewrite.errors import CannotRewriteError
from conformance.wasm.rewrite.recorder import HEAD_WORDS, HITS

MOST_ROWS: Final = 1_000_000
"""Rows of one input that are all looked at; beyond, a seeded share."""
SHARE: Final = 100_000
"""Rows of that share, at least."""
_WINDOW_PAGES: Final = 256
_MOST_GROWTH: Final = 1024
"""Pages by which memory may grow in a replay; more is refused, as any host may do."""
_CHUNK: Final = 1 << 20
_MOST_WORD: Final = (1 << 64) - 1


class Run(Protocol):
    """
    One call that has been made, while its instance is still there.
    """

    returned: bool
    globals: Mapping[str, int]

    def peek(self, address: int, size: int) -> bytes:
        """
        Bytes of memory after the call.
        """


Runner = Callable[[bytes, str, Input, Sequence[str]], "Any"]
"""Module, entry, input, exported i64 globals to read -> context manager that gives a Run."""


@dataclass(slots=True)
class Replay:
    """
    What replaying found.
    """

    refusals: list[Refusal] = field(default_factory=list)
    runs: int = 0
    rows: int = 0
    """Times that a cut was reached."""
    looked_at: int = 0
    """Rows that were read."""
    tried: int = 0
    """Formulas evaluated, each on each row that shows it."""
    hidden: int = 0
    """The same where a row does not show what the formula asks for."""
    measured: dict[str, list[int]] = field(default_factory=dict)
    """Gas model -> gas of each input."""
    reached: set[tuple[str, int]] = field(default_factory=set)
    """Summary and cut."""


def replay(subject: Subject, runner: Runner, *, seed: int = 0) -> Replay:
    """
    Run all inputs of the certificate; RefusedError where there is none, or one may not be run.
    """
    found = Replay()
    if not subject.certificate.inputs:
        raise RefusedError("replay", "the certificate has no input to run")
    if any(item.kind == "function" for item in subject.module.imports):
        raise NotModelledError("the replay of a module with imports", "import section")
    index = subject.certificate.stack.shadow_global
    if index is not None and index >= len(subject.module.global_types):
        raise RefusedError("form", f"there is no global {index}")
    watch = _Watch(subject, found, runner, random.Random(seed))  # noqa: S311 - a sample, not a secret
    for number, given in enumerate(subject.certificate.inputs):
        check_input(subject, given, number)
        watch.cuts(given, number)
        watch.gas(given, number)
    return found


def check_input(subject: Subject, given: Input, number: int) -> None:
    """
    Raise RefusedError for an input that does not meet the precondition.
    """
    precondition = subject.certificate.precondition
    title = f"input {number}"
    if len(given.arguments) != len(precondition.arguments) or any(
        not item.lo <= value <= item.hi
        for value, item in zip(given.arguments, precondition.arguments, strict=False)
    ):
        raise RefusedError("replay", f"{title} does not meet the precondition")
    for written in given.memory:
        data, start = bytes.fromhex(written.data), written.address
        end = start + len(data)
        if end > subject.image.pages * PAGE_BYTES or not any(
            span.start <= start and end <= span.end for span in precondition.unknown
        ):
            raise RefusedError("replay", f"{title} writes to {start}, outside of unknown memory")
    values: dict[str, Sequence[int]] = {"param": given.arguments}
    for text in precondition.assume:
        formula = subject.formula(subject.entry, ENTRY, text)
        try:
            met = evaluate(formula, State(values, None, subject.tables))
        except LookupError as error:
            message = f"what the precondition assumes is not about arguments: {text[:200]}"
            raise RefusedError("form", message) from error
        if not met:
            raise RefusedError("replay", f"{title} does not meet {text[:200]}")
    for item in precondition.values:
        _check_values(subject, given, item, title)


def _check_values(subject: Subject, given: Input, item: Values, title: str) -> None:
    """
    Raise RefusedError where an element of the input has a value outside of its range.
    """
    memory = subject.image.initial(item.start, item.end)
    for written in given.memory:
        for at, byte in enumerate(bytes.fromhex(written.data), written.address):
            if item.start <= at < item.end:
                memory[at - item.start] = byte
    for k in range(0, len(memory) - item.size + 1, item.size):
        if not item.lo <= int.from_bytes(memory[k : k + item.size], "little") <= item.hi:
            raise RefusedError("replay", f"{title} has a value outside of its range")


@dataclass(slots=True)
class _Watch:
    """
    Runs inputs and compares what is seen with what is claimed.
    """

    subject: Subject
    found: Replay
    runner: Runner
    random: random.Random

    def cuts(self, given: Input, number: int) -> None:
        """
        Every cut that a run of one input reaches.
        """
        seen, last, first = 0, dict[int, Any](), 0
        hits, window = 1, 0
        while first < hits and seen < MOST_ROWS:
            # Only the first run has to go to its end, to count; others stop behind their window.
            made = self._instrumented(first, 1, first + 2 * window if window else None)
            rows, reached = self._rows(made, given)
            self._compare(made, rows, last, number)
            hits, window = max(hits, reached), max(window, len(rows))
            seen += len(rows)
            first += len(rows)
            if not rows:
                break
        self.found.rows += hits
        if seen < hits:
            every = max(1, (hits - seen) // SHARE)
            while every > 1 and (hits - seen) // every < SHARE:
                every -= 1
            made = self._instrumented(first + self.random.randrange(every), every)
            rows, _ = self._rows(made, given)
            self._compare(made, rows, None, number)
            seen += len(rows)
        self.found.looked_at += seen

    def _instrumented(self, first: int, every: int, stop: int | None = None) -> Instrumented:
        offset = self.subject.module.imported_functions
        points = set()
        for summary in self.subject.live:
            layout, place = self.subject.layout(summary), summary.function - offset
            points.add((place, 0))
            points.update((place, cut + 1) for cut in layout.cuts)
        least = self.subject.image.pages
        ceiling = max(least, min(self.subject.certificate.pages, least + _MOST_GROWTH))
        pages = _WINDOW_PAGES if every == 1 else 4 * _WINDOW_PAGES
        try:
            return checkpointed(
                self.subject.module, sorted(points), first=first, every=every, stop=stop,
                hashed=False, buffer_pages=pages, ceiling=ceiling,
            )  # fmt: skip
        except CannotRewriteError as error:
            raise RefusedError("replay", f"the module cannot be watched: {error}") from error

    def _rows(self, made: Instrumented, given: Input) -> tuple[list[tuple[int, Any]], int]:
        """
        (Point, values) of each row in a window, and how often points were reached in all.
        """
        entry = self.subject.certificate.precondition.entry
        with self.runner(made.binary, entry, given, (HITS,)) as run:
            self.found.runs += 1
            hits = run.globals[HITS]
            sizes = [HEAD_WORDS + len(point.words) for point in made.checkpoints]
            size = min(made.size_bytes, hits * 8 * max(sizes))
            parts = (run.peek(made.address + at, min(_CHUNK, size - at))
                     for at in range(0, size, _CHUNK))  # fmt: skip
            words = np.frombuffer(b"".join(parts), np.uint64)
        rows: list[tuple[int, Any]] = []
        at, count = 0, len(words)
        while at + HEAD_WORDS <= count and words[at]:
            point = int(words[at]) - 1
            if at + sizes[point] > count:
                break
            rows.append((point, words[at + HEAD_WORDS : at + sizes[point]]))
            at += sizes[point]
        return rows, hits

    def _compare(
        self, made: Instrumented, rows: Sequence[tuple[int, Any]],
        last: dict[int, Any] | None, number: int,
    ) -> None:  # fmt: skip
        """
        Rows of a window against the cuts; *last*: function -> newest entry row, None in a share.
        """
        by_point: dict[int, list[Any]] = {}
        entries: dict[int, list[Any]] = {}
        for point, values in rows:
            checkpoint = made.checkpoints[point]
            if last is not None and checkpoint.number == 0:
                last[checkpoint.place] = values
            by_point.setdefault(point, []).append(values)
            if last is not None:
                entries.setdefault(point, []).append(last.get(checkpoint.place))
        for point, values in sorted(by_point.items()):
            self._cut(made.checkpoints[point], np.stack(values), entries.get(point), number)

    def _cut(
        self, point: Checkpoint, rows: Any, entries: Sequence[Any] | None, number: int
    ) -> None:
        """
        All rows of one cut against the summaries of its function.
        """
        function = point.place + self.subject.module.imported_functions
        cut = point.number - 1
        summaries = [s for s in self.subject.live if s.function == function]
        verdicts = []
        for summary in summaries:
            columns = self._columns(summary, point, rows, entries)
            self.found.reached.add((summary.name, cut))
            verdicts.append(self._holds(summary, cut, columns, single=len(summaries) == 1))
        good = np.logical_or.reduce([verdict for verdict, _ in verdicts])
        if not good.all():
            bad = int(np.flatnonzero(~good)[0])
            values = ", ".join(
                f"{word.role} {word.index} = {int(value)}"
                for word, value in list(zip(point.words, rows[bad], strict=True))[:8]
            )
            what = verdicts[0][1](bad)
            name = self.subject.module.function_name(function)
            sentence = f"input {number} at cut {cut} of {name}: {what} is false ({values})"
            self.found.refusals.append(Refusal("replay", sentence))

    def _holds(
        self, summary: Summary, cut: int, columns: Columns, *, single: bool
    ) -> tuple[Any, Callable[[int], str]]:
        """
        Shape (rows,): whether all that is claimed holds; and which claim is false in a row.
        """
        claims = self.subject.cut(summary, cut)
        results: list[tuple[str, Any]] = []
        if claims.dead:
            results.append(("that it is never reached", np.zeros(columns.count, bool)))
        for text in claims.holds:
            formula = self.subject.formula(summary, cut, text)
            try:
                results.append((text, columns.formula(formula)))
                self.found.tried += columns.count
            except LookupError:
                self.found.hidden += columns.count
        pages = columns.values["pages"][0] <= np.uint64(
            min(self.subject.certificate.pages, MOST_PAGES)
        )
        results.append(("the number of pages", pages))
        shadow = self.subject.certificate.stack
        if shadow.shadow_global is not None and single:
            low = columns.values["global"][shadow.shadow_global] >= np.uint64(
                min(shadow.shadow_lowest, _MOST_WORD)
            )
            results.append(("the least address of the shadow stack", low))
        good = np.logical_and.reduce([result for _, result in results])
        return good, lambda row: next(text for text, result in results if not result[row])

    def _columns(
        self, summary: Summary, point: Checkpoint, rows: Any, entries: Sequence[Any] | None
    ) -> Columns:
        layout = self.subject.layout(summary)
        found: dict[str, dict[int, Any]] = {}
        operands = sum(word.role == "operand" for word in point.words)
        height = len(layout.loops.get(point.number - 1, ())) - operands
        for column, word in enumerate(point.words):
            kind = {"operand": "stack"}.get(word.role, word.role)
            index = word.index + (height if kind == "stack" else 0)
            found.setdefault(kind, {})[index] = rows[:, column]
        recursive = summary.recursion is not None
        if point.number == 0:
            entries = list(rows)
        if entries is not None and not recursive and all(row is not None for row in entries):
            first = np.stack(entries)
            count, own = len(layout.type.parameters), len(layout.locals)
            found["param"] = {k: first[:, k] for k in range(count)}
            kinds = range(len(self.subject.module.global_types))
            found["entry-global"] = {k: first[:, own + k] for k in kinds}
            found["entry-pages"] = {0: first[:, own + len(kinds)]}
        return Columns(len(rows), found, self._constant, self.subject.tables)

    def _constant(self, address: int, size: int) -> int | None:
        inside = self.subject.in_region(address, size)
        return self.subject.image.known(address, size) if inside else None

    def gas(self, given: Input, number: int) -> None:
        """
        Gas of one input under every model against its bounds.
        """
        precondition = self.subject.certificate.precondition
        for bound in self.subject.certificate.bounds:
            made = metered(self.subject.module, gas_model(bound.model), (precondition.entry,))
            door = made.entries[precondition.entry]
            with self.runner(made.binary, door, given, made.counters) as run:
                self.found.runs += 1
                gas = sum(run.globals[name] for name in made.counters)
                returned = run.returned
            self.found.measured.setdefault(bound.model, []).append(gas)
            low, high = (bound.lo, bound.hi) if returned else (bound.any_lo, bound.any_hi)
            if not low <= gas <= high:
                sentence = f"input {number} costs {gas} under {bound.model}, not {low} to {high}"
                self.found.refusals.append(Refusal("replay", sentence))


def unreached(subject: Subject, found: Replay) -> Iterator[tuple[str, int]]:
    """
    Live cuts that no input reached.
    """
    for summary in subject.live:
        for cut in subject.layout(summary).cuts:
            if not subject.cut(summary, cut).dead and (summary.name, cut) not in found.reached:
                yield summary.name, cut
