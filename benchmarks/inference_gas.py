"""
`python -m benchmarks.inference_gas`: what inference costs in gas, by what a model does.

Bounds are proved and confirmed as by `weavegate bound`, and divided by the work that the declared
semantics do. Then each scalar operator's gas is held against the time that it takes here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
import wasmtime

from benchmarks.bounds import FUEL
from benchmarks.counted_work import UnequalWorkError
from benchmarks.inference_gas_page import page
from benchmarks.loop_process import BenchmarkError
from benchmarks.mispricing import Priced, StepTimer, priced, step_times
from benchmarks.model_costs import Model, prove
from benchmarks.operator_steps import Step, gas_of_steps, module_text, steps
from benchmarks.passage_costs import NoPriceError
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.precondition import CannotStateError
from conformance.fidelity.errors import BadSemanticsError
from conformance.gas.load import gas_model, newest
from conformance.wasm.decode import validated
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.pool import Pool
from weavegate.exits import Exit, WeavegateError, plainly
from weavegate.nodes import choose

VECTORS: Final = Path(__file__).parent.parent / "vectors"
ROOMS: Final = ("models", "bench")
ENGINES: Final = ("wasmer/singlepass", "wasmtime")
RESOURCES: Final = 300_000
"""
Of cvc5 for each query: less than `weavegate bound` allows, so that one model that is undecided
either way does not take minutes.
"""
_FEW, _MANY = 100, 2100
_PAGES: Final = 2048


def timed(passes: int) -> tuple[tuple[Step, ...], dict[str, dict[str, float]],
                                dict[str, dict[str, float]]]:  # fmt: skip
    """
    Steps; gas of each by model; nanoseconds of each by engine, engines taking turns.
    """
    measured_steps = steps()
    binary = bytes(wasmtime.wat2wasm(module_text(measured_steps)))
    module = validated(binary)
    models = (newest(), gas_model(FUEL))
    paid = {model.id: gas_of_steps(module, measured_steps, model) for model in models}
    catalog = Catalog.load()
    participants = choose(list(ENGINES), "fresh", catalog, Environments(catalog))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        wasm = Path(folder) / "steps.wasm"
        wasm.write_bytes(binary)
        timers = [stack.enter_context(StepTimer(one.launch, wasm, measured_steps, _FEW, _MANY))
                  for one in participants]  # fmt: skip
        found: list[list[dict[str, int]]] = [[] for _ in timers]
        for _ in range(passes):
            for place, timer in enumerate(timers):
                found[place].append(timer.measure())
    rounds = _MANY - _FEW
    taken = {str(timer.engine): step_times(rows, measured_steps, rounds)
             for timer, rows in zip(timers, found, strict=True)}  # fmt: skip
    return measured_steps, paid, taken


def outliers(
    paid: dict[str, dict[str, float]], taken: dict[str, dict[str, float]]
) -> dict[tuple[str, str], dict[str, Priced]]:
    """
    Every operator under each gas model on each engine.
    """
    return {
        (model, engine): priced(times, gases)
        for model, gases in paid.items()
        for engine, times in taken.items()
    }


@click.command()
@click.option("--only", multiple=True, help="Only this model.")
@click.option("--resources", default=RESOURCES, show_default=True,
              help="Limit of each query of the checker, in the solver's own units.")  # fmt: skip
@click.option("--passes", type=click.IntRange(1), default=25, show_default=True,
              help="Of timing all operators.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the document.")
def main(only: tuple[str, ...], resources: int, passes: int, out: Path | None) -> None:
    r"""
    Gas of inference by what models do, and operators whose gas does not fit their time.

    \b
    Examples:
      python -m benchmarks.inference_gas --only digits-cnn
      python -m benchmarks.inference_gas --out docs/inference-gas.md
    """
    try:
        with plainly():
            text = _document(only, resources, passes)
    except WeavegateError as error:
        raise _said(str(error), error.status) from error
    except BenchmarkError as error:
        raise _said(str(error), Exit.UNDECIDED) from error
    if out is None:
        click.echo(text)
    else:
        out.write_text(text, encoding="utf-8")


class _UndecidedError(click.ClickException):
    exit_code = int(Exit.UNDECIDED)


def _said(sentence: str, status: Exit) -> click.ClickException:
    return click.UsageError(sentence) if status is Exit.USAGE else _UndecidedError(sentence)


def _document(only: Sequence[str], resources: int, passes: int) -> str:
    """
    Prove, measure, and write down; models that cannot be divided are named with the reason.
    """
    folders = [folder for room in ROOMS for folder in sorted((VECTORS / room).iterdir())
               if (folder / "recipe.toml").exists()]  # fmt: skip
    for name in only:
        if name not in {folder.name for folder in folders}:
            names = ", ".join(folder.name for folder in folders)
            sentence = f"there is no model {name!r}: name one of {names}"
            raise WeavegateError(sentence, Exit.USAGE)
    models = (newest(), gas_model(FUEL))
    catalog = Catalog.load()
    (node,) = choose(["wasmtime"], "fresh", catalog, Environments(catalog))
    found: list[Model] = []
    left_out: list[str] = []
    for folder in folders:
        if only and folder.name not in only:
            continue
        click.echo(f"proving {folder.name}", err=True)
        with Pool([(node.node, node.launch)], limits=CellLimits(data_mib=4096)) as pool:
            try:
                found.append(prove(folder, Engine(pool, _PAGES), models, resources))
            except (CannotStateError, NoPriceError, UnequalWorkError, BadSemanticsError) as error:
                left_out.append(f"{folder.name}: {error}")
    click.echo(f"timing operators, {passes} passes", err=True)
    measured_steps, paid, taken = timed(passes)
    ids = [model.id for model in models]
    return page(found, left_out, ids, measured_steps, outliers(paid, taken))


if __name__ == "__main__":
    main()
