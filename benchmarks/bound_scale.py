"""
`python -m benchmarks.bound_scale`: what a bound costs as runs grow longer and modules larger.

Seconds of proof and check are those of the processor, of this process; a run's are those of the
wall, of an engine that has compiled the module.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import click
import wasmtime

from benchmarks.scaling_sources import UNITS, perceptron, product
from conformance.bounds.certificate import Bytes, HostBytes, Input, Precondition
from conformance.bounds.check.judge import Verdict, judge
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.check.replaying.replay import Replay, replay
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.precondition import ALL_PAGES
from conformance.bounds.prove.prover import Prover
from conformance.gas.load import gas_model, newest
from conformance.wasm.decode import validated
from conformance.wasm.module import Module
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.pool import Pool
from vectors.build.toolchains import cache_folder, compile_module, obtain
from weavegate.exits import plainly
from weavegate.nodes import choose

FUEL: Final = "wasmtime-fuel@50.0.1"
COMPILER: Final = "ziglang==0.17.1"
_FLAGS: Final = (
    "-m", "ziglang", "cc", "-target", "wasm32-freestanding",
    "-mcpu=mvp+sign_ext+nontrapping_fptoint", "-std=c11", "-O2", "-ffp-contract=off",
    "-fno-sanitize=undefined", "-fno-builtin-memset", "-nostdlib", "-Wl,--no-entry",
    "-Wl,--strip-all", "-Wl,-z,stack-size=16384", "{source}", "-o", "{output}",
)  # fmt: skip
SIZES: Final = (64, 128, 256, 512)
LAYERS: Final = (2, 8, 16, 32, 64, 84)
_RUNS: Final = 3
_SEED: Final = 1
_PAGES: Final = 2048


@dataclass(frozen=True, slots=True)
class Row:
    """
    One module; without a verdict nothing was proved.
    """

    name: str
    module: Module
    loops: int
    questions: int
    proof_seconds: float
    verdict: Verdict | None = None
    checker_seconds: float = 0.0
    replay: Replay | None = None
    replay_seconds: float = 0.0
    bounds: tuple[tuple[str, int, int], ...] = ()
    """Gas model, least, most."""
    run_seconds: float = 0.0
    run_fuel: int = 0
    """Of one call, by wasmtime's own count."""

    @property
    def confirmed(self) -> bool:
        """
        Whether neither proof nor runs were refused.
        """
        return (
            self.verdict is not None
            and self.verdict.confirmed
            and self.replay is not None
            and not self.replay.refusals
        )


def built(text: str, folder: Path) -> Module:
    """
    Compile C; raises ToolchainError.
    """
    source = folder / "model.c"
    source.write_text(text, "utf-8")
    return validated(compile_module(obtain(COMPILER, cache_folder()), _FLAGS, source))


def measured(name: str, module: Module, size: int, engine: Engine) -> Row:
    """
    Prove, check and run a module whose input are *size* bytes where its export `input` says.
    """
    seconds, fuel, start = ran(module)
    precondition = Precondition(
        "infer", (), unknown=(Bytes(start, start + size),), most_pages=ALL_PAGES
    )
    given = Input((), (HostBytes(start, bytes(size).hex()),))
    models = [newest(), gas_model(FUEL)]
    began = time.process_time()
    attempt = Prover(module, precondition, models, [given]).run()
    proof = time.process_time() - began
    row = Row(name, module, len(attempt.loops), attempt.questions, proof, run_seconds=seconds,
              run_fuel=fuel)  # fmt: skip
    if attempt.certificate is None:
        return row
    began = time.process_time()
    verdict = judge(attempt.certificate, module)
    checker = time.process_time() - began
    began = time.process_time()
    found = replay(Subject(module, attempt.certificate), engine)
    bounds = tuple((bound.model, bound.lo, bound.hi) for bound in attempt.certificate.bounds)
    return Row(
        name, module, row.loops, row.questions, proof, verdict, checker, found,
        time.process_time() - began, bounds, seconds, fuel,
    )  # fmt: skip


def ran(module: Module) -> tuple[float, int, int]:
    """
    Seconds of a call (median), its fuel, and where the input lies.
    """
    config = wasmtime.Config()
    config.consume_fuel = True
    store = wasmtime.Store(wasmtime.Engine(config))
    store.set_fuel(1 << 62)
    exports = wasmtime.Instance(store, wasmtime.Module(store.engine, module.binary), []).exports(
        store
    )
    start = exports["input"](store)  # type: ignore[operator]
    seconds, spent = [], 0
    for _ in range(_RUNS):
        before, began = store.get_fuel(), time.perf_counter()
        exports["infer"](store)  # type: ignore[operator]
        seconds.append(time.perf_counter() - began)
        spent = before - store.get_fuel()
    return median(seconds), spent, int(start)


def table(rows: Sequence[Row]) -> list[str]:
    """
    The rows in Markdown.
    """
    titles = (
        "module", "KB", "operators", "loops", "fuel of a call", "a call s", "proof s",
        "obligations", "checker s", "checker / proof", "runs s", "rows read", "answer, fuel",
        "hi / measured",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for row in rows:
        operators = sum(len(function.body) for function in row.module.functions)
        start = (
            f"| {row.name} | {len(row.module.binary) / 1000:.0f} | {operators:,} | {row.loops}"
            f" | {row.run_fuel:,} | {row.run_seconds:.3f} | {row.proof_seconds:.1f}"
        )
        if row.verdict is None or row.replay is None or not row.confirmed:
            lines.append(f"{start} | | | | | | unknown | |")
            continue
        _, low, high = next(item for item in row.bounds if item[0] == FUEL)
        answer = f"exact {high:,}" if low == high else f"proved {low:,}..{high:,}"
        lines.append(
            f"{start} | {row.verdict.obligations} | {row.checker_seconds:.1f}"
            f" | {row.checker_seconds / row.proof_seconds:.0%} | {row.replay_seconds:.1f}"
            f" | {row.replay.looked_at:,} of {row.replay.rows:,} | {answer}"
            f" | {high / row.run_fuel:.4f} |"
        )
    return lines


def page(products: Sequence[Row], perceptrons: Sequence[Row]) -> str:
    """
    The whole document.
    """
    return "\n".join(
        [
            "# Bounds of long runs and of large modules",
            "",
            "Written by `python -m benchmarks.bound_scale`, which compiles the modules with",
            f"{COMPILER} (-O2). Seconds of proof, checker and runs are processor seconds of one",
            "process, without those of engines; those of a call are wall seconds on wasmtime.",
            "",
            "## Products of matrices",
            "",
            "A proof does not execute what it is about, so its time does not grow with the call.",
            "",
            *table(products),
            "",
            "## Perceptrons in one function",
            "",
            f"Dense layers of {UNITS} units with max(0, x), all in one function; 84 of them come",
            "near the 800 KiB that chains accept.",
            "",
            *table(perceptrons),
            "",
        ]
    )


@click.command()
@click.option("--size", "sizes", type=int, multiple=True, default=SIZES, help="Of the matrices.")
@click.option("--layers", type=int, multiple=True, default=LAYERS, help="Of the perceptrons.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the document.")
def main(sizes: tuple[int, ...], layers: tuple[int, ...], out: Path | None) -> None:
    """
    Prove and check modules of growing runs and growing size.
    """
    products, perceptrons = [], []
    with plainly(), tempfile.TemporaryDirectory(prefix="weavegate-scale-") as scratch:
        catalog = Catalog.load()
        (node,) = choose(["wasmtime"], "fresh", catalog, Environments(catalog))
        with Pool([(node.node, node.launch)], limits=CellLimits(data_mib=8192)) as pool:
            engine = Engine(pool, _PAGES)
            for size in sizes:
                module = built(product(size), Path(scratch))
                products.append(measured(f"product {size}", module, 4 * size * size, engine))
                click.echo("\n".join(table(products[-1:])[2:]))
            for count in layers:
                module = built(perceptron(count, _SEED), Path(scratch))
                perceptrons.append(measured(f"{count} layers", module, 4 * UNITS, engine))
                click.echo("\n".join(table(perceptrons[-1:])[2:]))
    if out is not None:
        out.write_text(page(products, perceptrons), encoding="utf-8")


if __name__ == "__main__":
    main()
