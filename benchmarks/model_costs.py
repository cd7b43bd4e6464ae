"""
What a shipped model costs: its bounds, the work that its semantics do, and its loops.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bounds import Row, measured
from benchmarks.counted_work import Levels, Work, declared_work, levels, tensors_of
from benchmarks.passage_costs import Passages, Span, gas, multiply_accumulates, operators
from conformance.bounds.check.replaying.engine import Engine
from conformance.gas.records import GasModel
from conformance.manifest.read import read_manifest

_LANGUAGES: Final = {".c": "C", ".zig": "Zig", ".wat": "text format", ".rs": "Rust",
                     ".ts": "AssemblyScript"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where a module comes from, by its recipe.
    """

    family: str
    language: str
    toolchain: str
    level: str


@dataclass(frozen=True, slots=True)
class LoopCost:
    """
    One loop of an entry.
    """

    offset: int
    around: int | None
    """Number of the smallest loop around it."""
    innermost: bool
    runs: int
    """How often its head runs at most in one call."""
    products: Span
    """Multiply-accumulates that can be told in the code of one round."""
    multiplications: Span
    gas: tuple[Span, ...]
    """Of one round, inner loops included, for each gas model."""


@dataclass(frozen=True, slots=True)
class Model:
    """
    A model with its bounds, its work and its loops.
    """

    name: str
    origin: Origin
    row: Row
    work: Work
    levels: Levels | None
    loops: tuple[LoopCost, ...]
    sums: tuple[Span, ...]
    """Of the whole call, put together from loops, for each gas model."""

    def adds_up(self) -> bool:
        """
        Whether rounds, times what a round costs, give the very bounds that are confirmed.
        """
        bounds = self.row.bounds()
        return bool(bounds) and all(
            (bound.lo, bound.hi) == total for bound, total in zip(bounds, self.sums, strict=True)
        )


def origin(recipe: Path) -> Origin:
    """
    Read a recipe: the family is what its kind says after the language.
    """
    told = tomllib.loads(recipe.read_text(encoding="utf-8"))
    source, compiler = told["source"], told["compiler"]
    arguments = [str(argument) for argument in compiler["arguments"]]
    level = next((a for a in arguments if a.startswith("-O")), "")
    if level == "-O":
        level += " " + arguments[arguments.index("-O") + 1]
    suffix = Path(source["file"]).suffix
    return Origin(source["kind"].partition("-")[2], _LANGUAGES.get(suffix, suffix),
                  compiler["package"], level)  # fmt: skip


def loops_of(passages: Passages, function: int, models: Sequence[GasModel]) -> Iterator[LoopCost]:
    """
    What one round of each loop of *function* does and costs.
    """
    module = passages.module
    paid = [passages.costs(gas(module, model))(function).rounds for model in models]
    products = passages.costs(multiply_accumulates(module))(function).rounds
    multiplied = frozenset({"f32.mul", "f64.mul"})
    multiplications = passages.costs(operators(module, multiplied))(function).rounds
    forest = passages.forests[function]
    for number, children in enumerate(forest.children):
        yield LoopCost(
            int(module.functions[function].body.offsets[passages.place(function, number)]),
            forest.loops[number].parent, not children, passages.runs(function, number),
            products[number], multiplications[number], tuple(rounds[number] for rounds in paid),
        )  # fmt: skip


def prove(folder: Path, engine: Engine, models: Sequence[GasModel], resources: int) -> Model:
    """
    Bounds, work and loops of one shipped model.
    """
    row = measured(f"../{folder.parent.name}/{folder.name}", engine, resources)
    manifest = read_manifest(folder / "model.toml")
    work = declared_work(manifest)
    tensors = tensors_of(folder / "weights.json")
    passages = Passages(row.module, row.attempt.loops)
    export = row.module.exported(manifest.run.entry or "")
    assert export is not None  # noqa: S101 - the manifest was checked against the module
    entry = export.index - row.module.imported_functions
    return Model(
        folder.name, origin(folder / "recipe.toml"), row, work,
        levels(tensors) if "left" in tensors else None,
        tuple(loops_of(passages, entry, models)),
        tuple(passages.costs(gas(row.module, model))(entry).call for model in models),
    )  # fmt: skip


def embedded(model: Model) -> Iterator[tuple[str, LoopCost]]:
    """
    Activations in larger rounds: of all loops that run as often, just one has paths that differ.

    What its dearest path costs more than its cheapest one is the activation's doing, unless the
    round has other branches.
    """
    known = {name for name, _ in matched(model)}
    for name in model.work.activations:
        calls = model.work.calls.get(name, 0)
        found = [loop for loop in model.loops if loop.runs == calls and not loop.gas[0].exact]
        if name not in known and len(found) == 1:
            yield name, found[0]


def level_loops(model: Model) -> Iterator[LoopCost]:
    """
    Loops inside those that are a walk down one tree: a round of them is a level.
    """
    walks = [loop for _, loop in matched(model)] if model.levels is not None else []
    for loop in model.loops:
        if loop.around is not None and model.loops[loop.around] in walks:
            yield loop


def matched(model: Model) -> Iterator[tuple[str, LoopCost]]:
    """
    Functions of the semantics that are one round of a loop, with that loop.

    The loop runs as often as the function is called, and the multiply-accumulates of a call lie
    between those told in the code and its multiplications: a compiler may leave out the addition
    to a zero. Nothing is said where two loops are so.
    """
    for name, calls in model.work.calls.items():
        each = model.work.per_call(name)
        if calls == 1 or each is None:
            continue
        found = [
            loop for loop in model.loops
            if loop.runs == calls and loop.products.lo <= each <= loop.multiplications.lo
        ]  # fmt: skip
        if len(found) == 1:
            yield name, found[0]
