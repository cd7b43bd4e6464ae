"""
`python -m benchmarks.fuel`: what wasmtime's own meter takes, wheel by wheel, beside the gas models.

Each wheel is asked for its fuel on modules that show one operator, one growth, one bulk length or
one trap each (`benchmarks/fuel_probes.py`), and the same wheel then runs them with the counters of
the wheel's own model and without its meter. Both must tell the same number. Wheels that are not
installed are installed one at a time and removed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from benchmarks.fuel_meters import FuelMeter, wheel
from benchmarks.fuel_probes import Probe, probes
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.load import catalogue, gas_model, order
from conformance.gas.records import GasModel
from weavegate.exits import plainly

NAME: Final = "wasmtime-fuel"
GROUPS: Final = ("operator", "growth", "bulk", "trap")


@dataclass(slots=True)
class Reading:
    """
    What one wheel came to.
    """

    version: str
    equal: Counter[str] = field(default_factory=Counter)
    """By group of probes."""
    refused: int = 0
    """Probes that the wheel and the model both refuse."""
    different: list[str] = field(default_factory=list)
    """A line for each probe in which the wheel and its model do not agree."""


def read(meter: FuelMeter, model: GasModel, asked: Sequence[Probe]) -> Reading:
    """
    Hold a wheel's fuel against *model* on all probes.
    """
    reading = Reading(meter.version)
    for probe in asked:
        own = meter.fuel(probe.module, [probe.call])
        try:
            counted = meter.counted(probe.module, model, [probe.call])
        except RefusedOperatorError:
            counted = None
        if own != counted:
            reading.different.append(f"{probe.group} {probe.name}: {own} is not {counted}")
        elif own is None:
            reading.refused += 1
        else:
            reading.equal[probe.group] += 1
    return reading


def generations() -> list[GasModel]:
    """
    One model for each set of prices, oldest first.
    """
    models = [model for model in catalogue().values() if model.name == NAME]
    first = {model.alike: model for model in reversed(models)}
    return sorted(first.values(), key=lambda model: order(model.version))


def table(readings: Sequence[Reading]) -> str:
    """
    A row for each generation: its wheels, and what was equal on how many of those measured.
    """
    lines = [
        f"| wheels | measured | {' | '.join(GROUPS)} | refused by both | different |",
        "|---|---|" + "---|" * (len(GROUPS) + 2),
    ]
    for model in generations():
        among = [reading for reading in readings if reading.version in model.alike]
        if not among:
            continue
        cells = [f"{sum(one.equal[group] for one in among):,}" for group in GROUPS]
        cells.append(f"{sum(one.refused for one in among):,}")
        cells.append(f"{sum(len(one.different) for one in among):,}")
        span = f"{model.alike[0]} to {model.alike[-1]}" if len(model.alike) > 1 else model.version
        lines.append(f"| {span} | {len(among)} of {len(model.alike)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--wheel", "wheels", multiple=True, help="A wheel such as 36.0.0 [default: all].")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the table here."
)
def main(wheels: tuple[str, ...], out: Path | None) -> None:
    """
    Hold wasmtime's own fuel against the gas model of each wheel.

    \b
    Examples:
      python -m benchmarks.fuel --wheel 36.0.0
      python -m benchmarks.fuel                  every wheel since 0.24, in about 5 minutes
    """  # noqa: D301 - click looks for the backspace itself
    asked = list(probes())
    readings = []
    with plainly():
        for model in [gas_model(f"{NAME}@{version}") for version in wheels] or [
            model for model in catalogue().values() if model.name == NAME
        ]:
            with wheel(model.version) as meter:
                readings.append(read(meter, model, asked))
            last = readings[-1]
            for line in last.different:
                click.echo(f"wasmtime@{last.version}: {line}", err=True)
            told = f"{last.equal.total()} equal, {last.refused} refused by both"
            click.echo(f"wasmtime@{last.version}: {told}", err=True)
    if out is None:
        click.echo(table(readings))
    else:
        out.write_text(table(readings), encoding="utf-8")
    click.get_current_context().exit(int(any(reading.different for reading in readings)))


if __name__ == "__main__":
    main()
