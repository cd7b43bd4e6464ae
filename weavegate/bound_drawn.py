"""
Gas of seeded inputs, for the picture of a bound beside what is measured.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.bounds.bound import GasAnswer
from conformance.bounds.certificate import Input
from conformance.bounds.check.refusals import RefusedError
from conformance.bounds.check.replaying.replay import Runner
from conformance.bounds.precondition import Stated, state
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.metering import metered
from conformance.gas.records import GasModel
from conformance.manifest.records import Manifest
from conformance.wasm.module import Module

DRAWS: Final = 20
"""Draws of inputs beside those of the certificate: each gives a few."""
_SHORT: Final = 1 << 20
"""Arguments are not drawn from wider ranges: a call might not come to an end."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """
    What drawn inputs cost under one model.
    """

    model: str
    gas: tuple[int, ...]
    """Of calls that returned, in the order of the draws."""
    trapped: int
    outside: int
    """Calls that cost what the bound rules out: then the bound is wrong."""


def drawn_inputs(
    manifest: Manifest | None, module: Module, stated: Stated, entry: str, seed: int
) -> tuple[Input, ...]:
    """
    The least and the greatest inputs and seeded ones; *manifest*: where ranges come from, if any.
    """
    if manifest is not None:
        found = [
            given
            for number in range(DRAWS)
            for given in state(manifest, module, entry, seed + number).inputs
        ]
        return tuple({(item.arguments, item.memory): item for item in found}.values())
    draw = random.Random(seed)  # noqa: S311 - inputs, not secrets
    ranges = stated.precondition.arguments
    rows = [given.arguments for given in stated.inputs]
    if all(item.hi - item.lo < _SHORT for item in ranges):
        rows += [tuple(draw.randint(r.lo, r.hi) for r in ranges) for _ in range(3 * DRAWS)]
    return tuple(Input(row) for row in dict.fromkeys(rows))


def measured(
    module: Module, answers: Sequence[GasAnswer], entry: str, inputs: Sequence[Input],
    models: Sequence[GasModel], runner: Runner, tell: Callable[[str], None],
) -> Iterator[Drawn]:  # fmt: skip
    """
    Run all *inputs* under each model, by rewrites that count; models that refuse are left out.
    """
    told = {answer.model: answer for answer in answers}
    for model in models:
        answer = told[model.id]
        tell(f"measuring {len(inputs)} inputs under {model.id}")
        try:
            yield _counted(module, answer, model, entry, inputs, runner)
        except (RefusedOperatorError, RefusedError):
            continue


def _counted(
    module: Module, answer: GasAnswer, model: GasModel, entry: str, inputs: Sequence[Input],
    runner: Runner,
) -> Drawn:  # fmt: skip
    made = metered(module, model, (entry,))
    gas, trapped, outside = [], 0, 0
    for given in inputs:
        with runner(made.binary, made.entries[entry], given, made.counters) as run:
            spent = sum(run.globals[name] for name in made.counters)
            returned = run.returned
        if returned:
            gas.append(spent)
        else:
            trapped += 1
        bound = answer.bound
        if bound is not None:
            low, high = (bound.lo, bound.hi) if returned else (bound.any_lo, bound.any_hi)
            outside += not low <= spent <= high
    return Drawn(model.id, tuple(gas), trapped, outside)
