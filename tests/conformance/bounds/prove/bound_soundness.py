"""
Bounds of made modules against what calls of them really cost, by wasmtime's own count of fuel.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fueled_calls import FueledCalls, Spent
from loop_modules import BYTES, loop_module
from provable_modules import MODELS, proving

from conformance.bounds.bound import BoundReport, Budget, bound
from conformance.bounds.certificate import HostBytes, Input, Precondition
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.precondition import state_bare
from conformance.generate.modules import generate
from conformance.wasm.decode import validated
from conformance.wasm.module import Module

INPUTS = 64
STEPS = 1_000_000
QUESTIONS = 250
"""Put to the prover's solver for one module."""
KINDS = {"generated": 1, "loops": 3}
"""How many modules of each kind an index stands for; most generated modules have no loop."""
Bounding = Callable[[Module, Precondition, Sequence[Input], Engine], BoundReport]


@dataclass(frozen=True)
class Judged:
    """
    One module.
    """

    kind: str
    seed: int
    index: int
    loops: int
    answer: str
    """exact, proved or unknown."""
    reason: str
    """Class of the first reason of an unknown."""
    lo: int = 0
    hi: int = 0
    least: int = 0
    """Seen, of calls that returned."""
    greatest: int = 0
    pairs: int = 0
    escapes: tuple[str, ...] = ()


def subject_of(kind: str, seed: int, index: int) -> tuple[Module, Precondition]:
    """
    A module, and which calls are asked about.
    """
    if kind == "loops":
        made = loop_module(seed, index)
        return made.module(), made.precondition()
    module = validated(generate(seed, index).binary)
    return module, state_bare(module, "run").precondition


def budgeted(
    module: Module, precondition: Precondition, inputs: Sequence[Input], engine: Engine
) -> BoundReport:
    """
    The bound under fuel, for few questions.
    """
    asked = iter(range(QUESTIONS))
    budget = Budget(STEPS, lambda: next(asked, None) is None)
    return bound(module, precondition, inputs, MODELS[:1], engine, budget=budget, guided=False)


def judged(
    kind: str, seed: int, index: int, engine: Engine, bounding: Bounding = budgeted
) -> Judged:
    """
    Bound one module, then look for calls outside of its bound.
    """
    module, precondition = subject_of(kind, seed, index)
    least = tuple(item.lo for item in precondition.arguments)
    written = (HostBytes(0, bytes(BYTES).hex()),) if precondition.unknown else ()
    report = bounding(module, precondition, (Input(least, written),), engine)
    loops = sum(i.opcode.name == "loop" for f in module.functions for i in f.body)
    answer = report.gas[0]
    if answer.bound is None:
        reason = report.obstacles[0].reason if report.obstacles else "none"
        return Judged(kind, seed, index, loops, "unknown", reason)
    found = answer.bound
    spent, escapes = [], []
    for arguments, content, one in attempts(module, precondition, seed * 1_000_003 + index):
        spent.append(one)
        outside = one.fuel > (found.hi if one.returned else found.any_hi) or (
            one.returned and one.fuel < found.lo
        )
        if outside or one.pages > (report.pages or 0):
            escapes.append(f"{arguments} {content.hex()}: {one} outside {found.lo}..{found.hi}")
    returned = [one.fuel for one in spent if one.returned]
    return Judged(
        kind, seed, index, loops, answer.kind, "", found.lo, found.hi,
        min(returned, default=0), max(returned, default=0), len(spent), tuple(escapes),
    )  # fmt: skip


def attempts(
    module: Module, precondition: Precondition, seed: int
) -> Iterator[tuple[tuple[int, ...], bytes, Spent]]:
    """
    Inputs of the precondition and what they cost: ends and draws first, then what lies near the
    dearest and the cheapest so far.
    """
    draw = random.Random(seed)  # noqa: S311 - inputs, not secrets
    calls = FueledCalls(module, precondition)
    best: dict[int, tuple[int, tuple[int, ...], bytes]] = {}
    for number in range(INPUTS):
        sign = 1 if number % 2 else -1
        near = best.get(sign) if number >= INPUTS // 2 else None
        arguments = _arguments(draw, precondition, number, near[1] if near else None)
        content = _content(draw, precondition, number, near[2] if near else None)
        spent = calls(arguments, content)
        yield arguments, content, spent
        for way in (1, -1):
            if spent.returned and (way not in best or way * spent.fuel > best[way][0]):
                best[way] = (way * spent.fuel, arguments, content)


def _arguments(
    draw: random.Random, precondition: Precondition, number: int, near: tuple[int, ...] | None
) -> tuple[int, ...]:
    if number < 2:
        return tuple(item.hi if number else item.lo for item in precondition.arguments)
    found = []
    for place, item in enumerate(precondition.arguments):
        small = min(item.hi, item.lo + draw.randint(0, 64))
        top = max(item.lo, item.hi - draw.randint(0, 64))
        value = draw.choice((item.lo, item.hi, small, top, draw.randint(item.lo, item.hi)))
        if near is not None and draw.random() < 0.7:
            moved = near[place] + draw.choice((0, 0, 1, -1, 2, -2, 8, -8))
            value = min(item.hi, max(item.lo, moved))
        found.append(value)
    return tuple(found)


def _content(
    draw: random.Random, precondition: Precondition, number: int, near: bytes | None
) -> bytes:
    if not precondition.unknown:
        return b""
    if number < 4:
        return bytes([255 * (number // 2)]) * BYTES
    if near is not None:
        changed = bytearray(near)
        changed[draw.randrange(BYTES)] = draw.choice((0, 1, 15, 255, draw.randrange(256)))
        return bytes(changed)
    return bytes(draw.choice((0, 1, 15, 255, draw.randrange(256))) for _ in range(BYTES))


# ------------------------------------------------------------------------------------- campaign


def campaign(
    seed: int, indices: Iterable[int], kept: Path | None = None, bounding: Bounding = budgeted
) -> list[Judged]:
    """
    Judge modules of both kinds; what *kept* has already is not done again.
    """
    known = {(one.kind, one.index): one for one in read(kept)} if kept is not None else {}
    found = []
    with proving() as prove:
        for kind, number in _numbered(indices):
            one = known.get((kind, number))
            if one is None:
                one = judged(kind, seed, number, prove.engine, bounding)
                if kept is not None:
                    with kept.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(one)) + "\n")
            found.append(one)
    return found


def _numbered(indices: Iterable[int]) -> Iterator[tuple[str, int]]:
    for index in indices:
        for kind, many in KINDS.items():
            yield from ((kind, many * index + part) for part in range(many))


def read(kept: Path) -> list[Judged]:
    """
    What a campaign has kept; a last line that was cut off is left out.
    """
    if not kept.exists():
        return []
    found = []
    text = kept.read_text("utf-8")
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            fields = json.loads(line)
            found.append(Judged(**{**fields, "escapes": tuple(fields["escapes"])}))
    if text and not text.endswith("\n"):
        kept.write_text(text[: text.rfind("\n") + 1], "utf-8")
    return found


@dataclass
class Tally:
    """
    Counts of judged modules of one kind.
    """

    answers: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    with_loops: int = 0
    """Bounded modules that have a loop."""
    pairs: int = 0
    loop_pairs: int = 0
    met: int = 0
    """Modules of which an input cost as much as the bound allows."""
    escapes: list[str] = field(default_factory=list)

    def add(self, one: Judged) -> None:
        """
        Count one more.
        """
        self.answers[one.answer] += 1
        if one.answer == "unknown":
            self.reasons[one.reason] += 1
            return
        self.with_loops += one.loops > 0
        self.pairs += one.pairs
        self.loop_pairs += one.pairs * (one.loops > 0)
        self.met += one.greatest == one.hi
        self.escapes += [f"{one.kind} {one.seed} {one.index}: {text}" for text in one.escapes]


def tallied(found: Iterable[Judged]) -> dict[str, Tally]:
    """
    By kind.
    """
    tallies = {kind: Tally() for kind in KINDS}
    for one in found:
        tallies[one.kind].add(one)
    return tallies
