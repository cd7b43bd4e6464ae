"""
`python -m benchmarks.metering`: what counting gas and carrying taint cost, beside the plain module.

All forms of a module run in one process on one wasmtime and take turns, so that whatever else the
machine does hits all alike; a ratio is the median over repetitions of form over plain.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import wasmtime
from rich.console import Console
from rich.table import Table

from conformance.bounds.taint import tainted
from conformance.gas.load import gas_model
from conformance.gas.metering import metered
from conformance.manifest.calls import build_calls
from conformance.manifest.read import read_manifest
from conformance.wasm.decode import decode, validated
from conformance.wasm.encode import Rewrite
from conformance.wasm.module import Module
from runners.records import Call, InputPointer, OutputPointer

VECTORS: Final = Path(__file__).parent.parent / "vectors"
SUBJECTS: Final = (
    "bench/bench-mlp-784-128-10",
    "models/digits-cnn",
    "models/digits-mlp-tanh",
    "models/digits-forest",
    "models/digits-transformer",
)
MODELS: Final = ("cosmwasm-vm", "wasmtime-fuel", "wasm-instrument", "internet-computer", "near")
TARGET: Final = 1.3
"""Most that counting may cost, over plain."""
_LEAST_S: Final = 0.02
_LARGE: Final = 800 << 10


def caller(binary: bytes, call: Call, entry: str, *, fuel: bool) -> Callable[[], Any]:
    """
    What runs the entry once, in an instance that stays.
    """
    config = wasmtime.Config()
    config.consume_fuel = fuel
    store = wasmtime.Store(wasmtime.Engine(config))
    if fuel:
        store.set_fuel(1 << 62)
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, binary), [])
    exports: Any = instance.exports(store)
    for name in call.initialize:
        exports[name](store)
    places = [getattr(buffer.place, "name", None) if buffer else None
              for buffer in (call.input, call.output)]  # fmt: skip
    at_in, at_out = (exports[name](store) if name else 0 for name in places)
    given = [
        at_in if isinstance(argument, InputPointer) else at_out
        for argument in call.arguments
        if isinstance(argument, InputPointer | OutputPointer)
    ]
    function = exports[entry]
    return lambda: function(store, *given)


def forms(module: Module, call: Call) -> dict[str, Callable[[], Any]]:
    """
    The module plain, under the engine's own meter, counted by each model, and tainted.
    """
    found = {
        "plain": caller(module.binary, call, call.entry, fuel=False),
        "own fuel": caller(module.binary, call, call.entry, fuel=True),
    }
    for name in MODELS:
        counting = metered(module, gas_model(name), by_function=True)
        found[name] = caller(counting.binary, call, call.entry, fuel=False)
    marked = tainted(module, call, 512)
    found["taint"] = caller(marked.binary, call, marked.entry, fuel=False)
    return found


def ratios(callers: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, float]:
    """
    Median over repetitions of each form's time over the plain one's, taken in turns.
    """
    calls = 1
    while seconds(callers["plain"], calls) < _LEAST_S:
        calls *= 2
    samples: dict[str, list[float]] = {name: [] for name in callers}
    for _ in range(repetitions):
        taken = {name: seconds(call, calls) for name, call in callers.items()}
        for name, value in taken.items():
            samples[name].append(value / taken["plain"])
    return {name: statistics.median(values) for name, values in samples.items()}


def seconds(call: Callable[[], Any], calls: int) -> float:
    """
    Processor time of that many calls.
    """
    start = time.process_time()
    for _ in range(calls):
        call()
    return time.process_time() - start


def large(module: Module) -> bytes:
    """
    A module of 800 KiB: *module* with its largest function many times over.
    """
    rewrite = Rewrite(module)
    function = max(module.functions, key=lambda one: len(one.body))
    body = function.body
    code = body.binary[int(body.offsets[0]) : body.span.end]
    runs = [(run.count, run.type) for run in body.locals]
    for _ in range(max(0, _LARGE - len(module.binary)) // (len(code) + 16)):
        rewrite.append_function(function.type_index, [code], runs)
    return rewrite.binary()


@click.command()
@click.option("--repetitions", default=15, show_default=True, help="Turns of all forms.")
def main(repetitions: int) -> None:
    """
    Counting and taint, over plain, by medians; then the rewriting of a module of 800 KiB.
    """
    console = Console(width=120)
    table = Table(title="time over the plain module", title_justify="left")
    table.add_column("module")
    for name in ("own fuel", *MODELS, "taint"):
        table.add_column(name, justify="right")
    worst = 0.0
    for subject in SUBJECTS:
        folder = VECTORS / subject
        module = validated((folder / "model.wasm").read_bytes())
        memory = next(export.name for export in module.exports if export.kind == "memory")
        (call,) = build_calls(read_manifest(folder / "model.toml"), (), memory, grows=module.grows)
        found = ratios(forms(module, call), repetitions)
        worst = max(worst, found["cosmwasm-vm"], found["wasmtime-fuel"])
        table.add_row(folder.name, *(f"{found[n]:.2f}" for n in ("own fuel", *MODELS, "taint")))
    console.print(table)
    word = "met" if worst <= TARGET else "missed"
    console.print(f"counters: at most {TARGET} wanted, worst {worst:.2f}: {word}")
    start = time.process_time()
    module = decode(large(module))
    middle = time.process_time()
    binary = metered(module, gas_model("cosmwasm-vm")).binary
    end = time.process_time()
    console.print(
        f"{len(module.binary) >> 10} KiB, {len(module.code.codes):,} instructions: decoded in"
        f" {middle - start:.2f} s, rewritten to {len(binary) >> 10} KiB in {end - middle:.2f} s"
    )


if __name__ == "__main__":
    main()
