"""
The command lines of `weavegate gas` and `weavegate gas-models`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.gas.load import catalogue, names, newest
from conformance.gas.records import GasModel
from reports.escapes import shortened
from reports.gas import Bill, GasReport
from runners.records import NotObserved
from weavegate.gas_job import DEFAULT_ENGINE, exit_code, gas_report
from weavegate.terminal import Output

_PATH = click.Path(path_type=Path)
_MOST_FUNCTIONS = 20
_EPILOG = """
\b
Exit status: 0 pass; 1 findings (a model refuses the module, or two readings
that must be equal differ); 2 wrong usage, unreadable input, unknown engine or
gas model; 3 could not decide (a bill is not complete, the host ended the call,
an engine that is not to be had here); 130 interrupted.
"""


@click.command("gas", epilog=_EPILOG)
@click.argument("module", type=_PATH)
@click.option("--input", "input_file", type=_PATH, required=True, metavar="BITS.json",
              help='{"entry": NAME, "input": ["f64:3ff8000000000000", ...]}')  # fmt: skip
@click.option("--manifest", type=_PATH, help="The manifest, if it is not model.toml beside MODULE.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="name@version of a gas model; repeat it [default: the newest cosmwasm-vm].",
)
@click.option("--engine", default=DEFAULT_ENGINE, show_default=True, metavar="ENGINE",
              help="Where to run: name[@version][/compiler][+key=value].")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The bills as JSON.")
def gas_command(*, as_json: bool, **given: Any) -> None:
    """
    Meter one call of MODULE: in total, by function, and by several gas models side by side.

    Any model is counted on any engine: the module is rewritten so that it counts for itself. The
    engine's own meter, if it has one, stands beside. What no source prices is never billed as a
    number: such a bill says what is missing.

    \b
    Examples:
      weavegate gas MODEL --input case.json
      weavegate gas MODEL --input case.json --model cosmwasm-vm@3.0.4 --model wasmtime-fuel@50.0.1
      weavegate gas MODEL --input case.json --model cosmwasm-vm@2.1.0 --engine wasmer/singlepass
    """  # noqa: D301 - click looks for the backspace itself
    with Output(stderr=True).status("running"):
        report = gas_report(**given)
    console = Output()
    if as_json:
        console.say(json.dumps(msgspec.to_builtins(report), indent=2))
    else:
        print_gas(console, report)
    click.get_current_context().exit(int(exit_code(report)))


def print_gas(console: Console, report: GasReport) -> None:
    """
    A line for each meter, then the functions that paid.
    """
    entry = shortened(report.entry)
    console.print(Text(f"{entry} on {report.node}: {report.outcome}", style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("meter", overflow="fold")
    table.add_column("VM part", justify="right", no_wrap=True)
    table.add_column("host part", justify="right", no_wrap=True)
    table.add_column("unit")
    for bill in report.bills:
        vm, host = _number(bill.vm_part), _number(bill.host_part)
        if bill.unknown:
            vm = f"at least {vm}"
        table.add_row(Text(bill.model), vm, host, bill.unit)
    for own in () if isinstance(report.meters, NotObserved) else report.meters:
        table.add_row(Text(own.meter), _number(own.vm_part), _number(own.host_part), own.unit)
    console.print(table)
    for sentence in _remarks(report):
        console.print(Text(sentence), soft_wrap=True)
    _print_functions(console, [bill for bill in report.bills if bill.functions])


def _number(value: int | NotObserved) -> str:
    return "unknown" if isinstance(value, NotObserved) else f"{value:,}"


def _remarks(report: GasReport) -> list[str]:
    """
    What numbers do not say.
    """
    said = list(report.contradictions)
    if report.host_error:
        said.append(f"the host ended the call: {shortened(report.host_error, 300)}")
    for bill in report.bills:
        if bill.refused:
            said.append(shortened(bill.refused, 300))
        elif isinstance(bill.vm_part, NotObserved):
            said.append(f"{bill.model}: not counted: {shortened(bill.vm_part.reason)}")
        if not bill.refused and isinstance(bill.host_part, NotObserved):
            said.append(f"{bill.model}: host part unknown: {shortened(bill.host_part.reason)}")
        said += [f"{bill.model}: {shortened(text, 200)}" for text in bill.unknown[:5]]
        if len(bill.unknown) > 5:  # noqa: PLR2004 - the others say the same
            said.append(f"{bill.model}: and {len(bill.unknown) - 5} more of these")
    if isinstance(report.meters, NotObserved):
        said.append(f"no meter of the engine's own: {shortened(report.meters.reason)}")
    return said


def _print_functions(console: Console, bills: list[Bill]) -> None:
    """
    A table for each model, a row for each function that paid, dearest first.
    """
    for bill in bills:
        total = sum(share.gas for share in bill.functions)
        rows = [(share.function, share.gas) for share in bill.functions[:_MOST_FUNCTIONS]]
        rest = bill.functions[_MOST_FUNCTIONS:]
        if rest:
            rows.append((f"{len(rest)} more", sum(share.gas for share in rest)))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(Text(f"{bill.model}, by function"), overflow="fold")
        table.add_column("gas", justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        for name, gas in rows:
            table.add_row(Text(shortened(name)), f"{gas:,}", f"{gas / total:.1%}")
        console.print(table)


# ------------------------------------------------------------------------------ gas-models


@click.command("gas-models", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="All models with every price, as JSON.")
@click.argument("meters", nargs=-1, metavar="[NAME]...")
def gas_models_command(meters: tuple[str, ...], *, as_json: bool) -> None:
    """
    The gas models that are known: versions, prices, sources, and what no source gives.

    Versions with the same prices stand in one line. With a NAME, such as cosmwasm-vm, also where
    each value was taken from.

    \b
    Examples:
      weavegate gas-models
      weavegate gas-models cosmwasm-vm
      weavegate gas-models --json stylus
    """  # noqa: D301 - click looks for the backspace itself
    chosen = {newest(meter).name for meter in meters} or set(names())
    groups = {model.alike: model for model in catalogue().values() if model.name in chosen}
    console = Output()
    if as_json:
        told = [_as_json(model) for model in groups.values()]
        console.say(json.dumps(told, indent=2))
        return
    for model in groups.values():
        _print_model(console, model, sources=bool(meters))


def _as_json(model: GasModel) -> dict[str, Any]:
    """
    A model as data, with sets in order.
    """
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(GasModel):
        value = getattr(model, field.name)
        if isinstance(value, frozenset):
            value = sorted(value)
        elif field.name in ("weights", "sources"):
            value = dict(value)
        found[field.name] = msgspec.to_builtins(value)
    return found


def _print_model(console: Console, model: GasModel, *, sources: bool) -> None:
    """
    One generation of a meter.
    """
    versions = " ".join(model.alike)
    console.print(Text(f"{model.name}@ {versions}", style="bold"), soft_wrap=True)
    prices = sorted(set(model.weights.values()))
    shown = ", ".join(f"{price:,}" for price in prices[:8]) + (", ..." if prices[8:] else "")
    lines = [f"operators: {shown} {model.unit}, paid by {model.point}"]
    if model.refused:
        lines.append(f"refuses: {model.refused}")
    if model.locals:
        lines.append(f"locals: {model.locals.price:,} each beyond {model.locals.free}")
    for term in model.dynamic:
        price = "unknown" if term.price is None else f"{term.price:,}"
        back = "; refused, it takes back what its run was paid" if term.drops_run else ""
        lines.append(f"{' '.join(term.operators)}: {price} for each of {term.kind}{back}")
    if model.host:
        lines.append(f"host: {_host_words(model)}")
    lines += [f"unknown: {sentence}" for sentence in model.unknown]
    if sources:
        lines += [f"source of {name}: {text}" for name, text in model.sources.items()]
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)


def _host_words(model: GasModel) -> str:
    terms = model.host
    assert terms is not None and terms.call is not None  # noqa: S101, PT018 - seen by the caller
    parts = [f"{terms.call:,} a call"]
    for verb, term in (("reading", terms.read and terms.read.small), ("writing", terms.write),
                       ("decoding", terms.text)):  # fmt: skip
        if term:
            parts.append(f"{verb} {term.base:,} + {term.per_unit:,} a byte")
    dear = sum(1 for price in terms.functions.values() if price)
    return ", ".join(parts) + f"; {dear} functions with a price of their own"
