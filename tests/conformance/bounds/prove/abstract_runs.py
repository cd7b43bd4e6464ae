"""
Abstract execution against calls of the module: gas by wasmtime's own count, states by checkpoints.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from bound_soundness import subject_of
from fueled_calls import FueledCalls
from loop_modules import BYTES
from provable_modules import MODELS

from conformance.bounds.abstract.domain import Value, holds
from conformance.bounds.abstract.explore import Explored, explore
from conformance.bounds.abstract.state import State
from conformance.bounds.certificate import HostBytes, Input, Precondition
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.prove.observe import Observed, observe
from conformance.wasm.module import Module

BUDGET = 60_000
Row = dict[tuple[str, int], Value]


@dataclass
class Compared:
    """
    What came of one module.
    """

    explored: Explored
    calls: int = 0
    met: int = 0
    """Calls that cost the most or the least that abstract execution allows."""
    rows: int = 0
    """States of calls that were held against abstract ones."""
    escapes: list[str] = field(default_factory=list)


def drawn(module: Module, precondition: Precondition, seed: int, count: int) -> Iterator[Input]:
    """
    Inputs of a precondition: least, greatest, then seeded ones, small numbers among them.
    """
    draw = random.Random(f"inputs {module.sha256} {seed}")  # noqa: S311 - inputs, not secrets
    for number in range(count):
        values = []
        for item in precondition.arguments:
            small = min(item.hi, item.lo + draw.randint(0, 64))
            chosen = draw.choice((small, draw.randint(item.lo, item.hi)))
            values.append((item.lo, item.hi)[number] if number < 2 else chosen)
        content = bytes(draw.choice((0, 1, 15, 255, draw.randrange(256))) for _ in range(BYTES))
        memory = (HostBytes(0, content.hex()),) if precondition.unknown else ()
        yield Input(tuple(values), memory)


def compared(
    module: Module, precondition: Precondition, *, inputs: int = 12, states: bool = False,
    budget: int = BUDGET,
) -> Compared:  # fmt: skip
    """
    Explore the calls of a precondition, then make some and look for what lies outside.
    """
    seen: dict[tuple[int, int], list[Row]] = {}

    def watch(state: State, place: int) -> None:
        frame = state.frames[-1]
        live = frame.code.read_from(max(place, 0) + (place >= 0))[0]
        row: Row = {("local", k): frame.locals[k] for k in live}
        row.update({("global", k): value for k, value in enumerate(state.globals)})
        row.update({("param", k): value for k, value in enumerate(frame.arguments)})
        row["pages", 0] = state.pages
        seen.setdefault((frame.code.function, place), []).append(row)

    image = Image(module, precondition)
    found = Compared(explore(image, MODELS[:1], budget=budget, watch=watch if states else None))
    if not found.explored.complete:
        return found
    chosen = list(drawn(module, precondition, 0, inputs))
    _gas(found, FueledCalls(module, precondition), chosen)
    if states:
        _states(found, seen, observe(module, precondition, chosen[:4]))
    return found


def _gas(found: Compared, calls: FueledCalls, inputs: list[Input]) -> None:
    (gas,) = found.explored.gas
    for given in inputs:
        written = bytes.fromhex(given.memory[0].data) if given.memory else b""
        spent = calls(given.arguments, written)
        found.calls += 1
        found.met += spent.fuel in (gas.lo, gas.hi)
        outside = spent.fuel > (gas.hi if spent.returned else gas.any_hi)
        if outside or (spent.returned and spent.fuel < gas.lo):
            found.escapes.append(f"{given}: {spent} outside {gas}")
        if spent.pages > found.explored.pages:
            found.escapes.append(f"{given}: {spent.pages} pages, not {found.explored.pages}")


def _states(found: Compared, seen: dict[tuple[int, int], list[Row]], observed: Observed) -> None:
    for key, rows in observed.rows.items():
        for row in rows:
            found.rows += 1
            if not any(_inside(row, state) for state in seen.get(key, ())):
                found.escapes.append(f"{key}: {row} in no abstract state")


def _inside(row: dict[tuple[str, int], int], state: Row) -> bool:
    return all(holds(state[name], bits) for name, bits in row.items() if name in state)


def made(kind: str, seed: int, index: int, *, states: bool = False) -> Compared:
    """
    `compared` for one made module.
    """
    module, precondition = subject_of(kind, seed, index)
    return compared(module, precondition, states=states)
