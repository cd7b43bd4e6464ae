"""
A host held against its contract: it answers as it does, and what it breaks is written down.

A contract is an assumption. Where the host that a manifest describes can be asked, this shows
whether it keeps it; gas that a host bills is not seen here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.expressions import Scope, State, evaluate, read_formula, read_term
from conformance.bounds.host_records import HostContract
from runners.hosts.host import (
    Answer,
    Grow,
    Host,
    HostCall,
    HostMaker,
    HostStopError,
    Poke,
    Reenter,
    Step,
)
from runners.records import digest_of

MOST_TOLD = 20
"""Broken promises that are kept; the count goes on."""


@dataclass(slots=True)
class Watch:
    """
    What was seen of all hosts of a run.
    """

    contracts: Mapping[str, HostContract]
    answered: dict[str, int] = field(default_factory=dict)
    """Import -> calls that its host answered, or ended."""
    broken: list[str] = field(default_factory=list)
    count: int = 0
    """Of broken promises, those that are not kept among them."""

    def tell(self, key: str, sentence: str) -> None:
        """
        Note a broken promise, once for each sentence.
        """
        self.count += 1
        text = f"{key} {sentence}"
        if text not in self.broken and len(self.broken) < MOST_TOLD:
            self.broken.append(text)


@dataclass(frozen=True, slots=True)
class WatchedHosts:
    """
    The hosts of another maker, watched.
    """

    inner: HostMaker
    watch: Watch

    def digest(self) -> str:
        """
        That of the host that answers: watching changes no answer.
        """
        return digest_of(["host", "watched", 1, self.inner.digest()])

    def host(self) -> WatchedHost:
        """
        A host for the next case.
        """
        return WatchedHost(self.inner.host(), self.watch)


@dataclass(frozen=True, slots=True)
class WatchedHost:
    """
    Passes every step on.
    """

    inner: Host
    watch: Watch

    def answer(self, call: HostCall) -> Answer:
        """
        What the host within answers; raises what it raises.
        """
        key = f"{call.module}.{call.name}"
        contract = self.watch.contracts.get(key)
        if contract is None:
            return (yield from self.inner.answer(call))
        self.watch.answered[key] = self.watch.answered.get(key, 0) + 1
        seen = _Seen(contract, call, self.watch)
        try:
            results = yield from _passed(self.inner.answer(call), seen.step)
        except HostStopError as stop:
            if not contract.traps:
                self.watch.tell(key, f"ended the call, which it may not: {str(stop)[:120]}")
            raise
        seen.returned(results)
        return results

    def ended(self) -> str | None:
        """
        What the host within says.
        """
        return self.inner.ended()


def _passed(inner: Answer, look: Callable[[Step], None]) -> Answer:
    """
    *inner*, each of its steps looked at before it is taken.
    """
    advance: Callable[[], Step] = lambda: next(inner)  # noqa: E731 - one of three ways to go on
    while True:
        try:
            step = advance()
        except StopIteration as end:
            found: tuple[int, ...] = end.value
            return found
        look(step)
        try:
            reply = yield step
        except HostStopError as error:
            advance = _throwing(inner, error)
        else:
            advance = _sending(inner, reply)


def _throwing(inner: Answer, error: HostStopError) -> Callable[[], Step]:
    return lambda: inner.throw(error)


def _sending(inner: Answer, reply: object) -> Callable[[], Step]:
    return lambda: inner.send(reply)  # type: ignore[arg-type]


@dataclass(slots=True)
class _Seen:
    """
    One call beside its contract.
    """

    contract: HostContract
    call: HostCall
    watch: Watch
    entered: dict[str, int] = field(default_factory=dict)
    grown: int = 0

    def tell(self, sentence: str) -> None:
        self.watch.tell(self.contract.key, sentence)

    def step(self, step: Step) -> None:
        """
        Hold a step against the contract.
        """
        if isinstance(step, Poke) and step.data:
            self._written(step.address, step.address + len(step.data))
        elif isinstance(step, Grow):
            self.grown += step.pages
            if self.grown > self.contract.grows:
                self.tell(f"grew memory by {self.grown} pages, {self.contract.grows} are allowed")
        elif isinstance(step, Reenter):
            times = self.entered.get(step.export, 0) + 1
            self.entered[step.export] = times
            allowed = sum(r.times for r in self.contract.reenters if r.export == step.export)
            if times > allowed:
                self.tell(f"called {step.export} {times} times, {allowed} are allowed")

    def _written(self, start: int, end: int) -> None:
        if self.contract.writes is None:
            return
        scope = Scope({"param": [WIDTH[kind] for kind in self.call.parameters]}, loads=False)
        given = State({"param": self.call.arguments})
        for item in self.contract.writes:
            low, high = (evaluate(read_term(t, scope), given) for t in (item.start, item.end))
            if low <= start and end <= high:
                return
        self.tell(f"wrote {end - start} bytes at {start}, which it may not")

    def returned(self, results: tuple[int, ...]) -> None:
        """
        Hold its results, and the lengths that it took, against the contract.
        """
        widths = {
            "param": [WIDTH[kind] for kind in self.call.parameters],
            "result": [WIDTH[kind] for kind in self.call.results],
        }
        state = State({"param": self.call.arguments, "result": results})
        for text in self.contract.ensures:
            if not evaluate(read_formula(text, Scope(widths, loads=False)), state):
                shown = ", ".join(map(str, results))
                self.tell(f"gave {shown}, and promises {text}")
        for length in (length for cost in self.contract.costs for length in cost.lengths):
            term = read_term(length.of, Scope(widths))
            if length.most is None or term.names("load"):
                continue
            value = evaluate(term, state)
            if value > length.most:
                self.tell(f"took a length of {value}, at most {length.most} are allowed")
