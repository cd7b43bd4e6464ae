"""
What would have to be assumed of a call so that it has a bound: tried, proved, and checked.

A repair is told only with the bound that prover and checker confirmed under it. The tries are few,
each with a limit of its own on questions to the solver, in an order that does not depend on time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from conformance.bounds.assumed import narrowed
from conformance.bounds.bound import BoundReport, Budget, GasAnswer, bound
from conformance.bounds.certificate import Input, Precondition
from conformance.bounds.check.replaying.replay import Runner
from conformance.bounds.precondition import Stated
from conformance.gas.records import GasModel
from conformance.wasm.module import Module

QUESTIONS: Final = 600
"""To the solver, for one try."""
TRIES: Final = 16
_REPAIRABLE: Final = frozenset(
    {"no decreasing measure", "exit depends on input bytes", "solver limit", "recursion",
     "refused by the checker", "address unknown at a store"}
)  # fmt: skip
_SMALL: Final = 48
_LIMITS: Final = ((1 << 31) - 1, 1 << 20, 1 << 10)
"""Greatest values of an argument that are tried, the weakest condition first."""
_SHORT_RUN: Final = 1 << 12
"""Arguments of inputs: what is run to check must come to an end."""


@dataclass(frozen=True, slots=True)
class Repair:
    """
    A condition under which the call has the bounds in `gas`.
    """

    conditions: tuple[str, ...]
    """`arg0<=48`, as `--assume` takes them; empty where what changes is memory."""
    words: tuple[str, ...]
    """The same for people, memory included."""
    precondition: Precondition
    gas: tuple[GasAnswer, ...]
    """Confirmed by the checker, in the order of the models."""
    tries: int

    @property
    def options(self) -> str:
        """
        What `weavegate bound` takes to state the conditions; empty where it cannot.
        """
        return " ".join(f"--assume '{condition}'" for condition in self.conditions)

    @property
    def domains(self) -> tuple[tuple[int, int, int], ...]:
        """
        (Argument, least, greatest) for `domains` of a manifest's call.
        """
        found: dict[int, list[int]] = {}
        for condition in self.conditions:
            place, order, number = _parted(condition)
            allowed = self.precondition.arguments[place]
            ends = found.setdefault(place, [allowed.lo, allowed.hi])
            ends[order == "<="] = number
        return tuple((place, low, high) for place, (low, high) in sorted(found.items()))


def _parted(condition: str) -> tuple[int, str, int]:
    order = "<=" if "<=" in condition else ">="
    place, _, number = condition.removeprefix("arg").partition(order)
    return int(place), order, int(number)


@dataclass(slots=True)
class _Search:
    module: Module
    stated: Stated
    models: Sequence[GasModel]
    runner: Runner
    stop: Callable[[], bool]
    progress: Callable[[str], None]
    tries: int = 0
    known: dict[tuple[str, ...], BoundReport | None] = field(default_factory=dict)

    def proved(self, conditions: tuple[str, ...]) -> BoundReport | None:
        """
        The report under *conditions*, where every model has a confirmed bound.
        """
        if conditions not in self.known:
            stated = narrowed(self.stated, self.module, conditions)
            self.known[conditions] = self.tried(stated, " and ".join(conditions))
        return self.known[conditions]

    def tried(self, stated: Stated, what: str) -> BoundReport | None:
        """
        One try; None where it gives no bound, or no more tries are allowed.
        """
        inputs = tuple(_short(given) for given in stated.inputs)
        if self.tries >= TRIES or self.stop() or not inputs:
            return None
        self.tries += 1
        self.progress(f"what if {what}")
        asked = 0

        def enough() -> bool:
            nonlocal asked
            asked += 1
            return asked > QUESTIONS or self.stop()

        report = bound(
            self.module, stated.precondition, inputs[:2], self.models, self.runner,
            budget=Budget(stop=enough),
        )  # fmt: skip
        return report if all(answer.bound is not None for answer in report.gas) else None

    def limited(self) -> Iterator[Repair]:
        """
        The weakest limits of arguments that do.
        """
        places = list(self._wide())
        if not places:
            return
        for least in (None, 1):
            chosen: dict[int, int] = dict.fromkeys(places, _SMALL)
            if self.proved(_texts(chosen, least)) is None:
                continue
            for place in places:
                rest = {k: most for k, most in chosen.items() if k != place}
                if rest and self.proved(_texts(rest, least)) is not None:
                    chosen = rest
            for place in list(chosen):
                weakest = self._weakest(chosen, place, least)
                chosen[place] = weakest
            texts = _texts(chosen, least)
            found = self.proved(texts)
            if found is not None:
                yield Repair(texts, tuple(map(_words, texts)), found.precondition, found.gas,
                             self.tries)  # fmt: skip
                return

    def _weakest(self, chosen: dict[int, int], place: int, least: int | None) -> int:
        allowed = self.stated.precondition.arguments[place]
        for most in _LIMITS:
            tried = allowed.lo <= most < allowed.hi
            if tried and self.proved(_texts({**chosen, place: most}, least)) is not None:
                return most
        return chosen[place]

    def _wide(self) -> Iterator[int]:
        """
        Integer arguments that can be large.
        """
        export = self.module.exported(self.stated.precondition.entry)
        kinds = self.module.function_type(export.index).parameters if export else ()
        ranges = self.stated.precondition.arguments
        for place, (kind, allowed) in enumerate(zip(kinds, ranges, strict=True)):
            if kind in ("i32", "i64") and allowed.lo <= _SMALL < allowed.hi:
                yield place

    def untouched(self) -> Iterator[Repair]:
        """
        Memory that the host does not write after all; a fresh instance where any was allowed.
        """
        given = self.stated.precondition
        changes: list[tuple[str, Precondition]] = []
        if not given.fresh:
            fresh = msgspec.structs.replace(given, fresh=True)
            changes.append(("each call is made on a fresh instance", fresh))
        for span in given.unknown:
            kept = tuple(other for other in given.unknown if other != span)
            values = tuple(v for v in given.values if not span.start <= v.start < span.end)
            known = msgspec.structs.replace(given, unknown=kept, values=values)
            changes.append((f"the host writes nothing at {span.start}..{span.end}", known))
        for words, precondition in changes:
            arguments = (given.arguments for given in self.stated.inputs)
            inputs = tuple(Input(values) for values in dict.fromkeys(arguments))
            report = self.tried(replace(self.stated, precondition=precondition, inputs=inputs),
                                words)  # fmt: skip
            if report is not None:
                yield Repair((), (words,), precondition, report.gas, self.tries)
                return


def _texts(most: dict[int, int], least: int | None) -> tuple[str, ...]:
    found = []
    for place, number in sorted(most.items()):
        found += [] if least is None else [f"arg{place}>={least}"]
        found.append(f"arg{place}<={number}")
    return tuple(found)


def _words(condition: str) -> str:
    place, order, number = _parted(condition)
    return f"argument {place} is at {'most' if order == '<=' else 'least'} {number:,}"


def _short(given: Input) -> Input:
    small = tuple(min(value, _SHORT_RUN) for value in given.arguments)
    return msgspec.structs.replace(given, arguments=small)


def find_repair(
    module: Module, stated: Stated, models: Sequence[GasModel], runner: Runner,
    report: BoundReport, *, stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str], None] = lambda _: None,
) -> Repair | None:  # fmt: skip
    """
    The condition that gives a call without a bound one under every model; None: none was found.

    *report* is what `bound` answered about *stated*. Nothing is tried against obstacles that no
    condition on the call removes, such as a host without a contract.
    """
    reasons = {obstacle.reason for obstacle in report.obstacles}
    if report.certificate is not None or not reasons or not reasons <= _REPAIRABLE:
        return None
    search = _Search(module, stated, models, runner, stop, progress)
    for found in (search.limited(), search.untouched()):
        repair = next(found, None)
        if repair is not None:
            return repair
    return None
