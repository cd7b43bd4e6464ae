"""
`python -m benchmarks.bounds`: what is proved of the shipped models, and what it takes.

Seconds are those of the processor, of this process, so that a busy machine does not change them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from conformance.bounds.certificate import Bound, write_certificate
from conformance.bounds.check.confirm import Confirmation, confirm
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.check.solving import RESOURCES
from conformance.bounds.precondition import CannotStateError, state
from conformance.bounds.prove.outcome import Attempt
from conformance.bounds.prove.prover import Prover
from conformance.gas.load import gas_model, newest
from conformance.manifest.read import read_manifest
from conformance.wasm.module import Module
from runners.catalog import Catalog
from runners.cell import CellLimits
from runners.environments import Environments
from runners.pool import Pool
from weavegate.exits import plainly
from weavegate.nodes import choose
from weavegate.subject import read_module

MODELS: Final = Path(__file__).parent.parent / "vectors" / "models"
FUEL: Final = "wasmtime-fuel@50.0.1"
_PAGES: Final = 2048


@dataclass(frozen=True, slots=True)
class Row:
    """
    One module.
    """

    name: str
    module: Module
    attempt: Attempt
    confirmation: Confirmation | None
    proof_seconds: float
    checker_seconds: float
    certificate_bytes: int

    @property
    def loops(self) -> int:
        """
        How many of its loops go round.
        """
        return len(self.attempt.loops)

    def bounds(self) -> list[Bound]:
        """
        What the checker confirmed; nothing otherwise.
        """
        certificate = self.attempt.certificate
        confirmed = self.confirmation is not None and self.confirmation.confirmed
        return list(certificate.bounds) if certificate is not None and confirmed else []

    def why(self) -> str:
        """
        Why there is no bound.
        """
        if self.attempt.obstacles:
            return self.attempt.obstacles[0].reason
        refusals = self.confirmation.refusals if self.confirmation else ()
        return f"not confirmed ({refusals[0].reason})" if refusals else "not confirmed"


def measured(name: str, engine: Engine, resources: int) -> Row:
    """
    Prove and check one shipped model.
    """
    folder = MODELS / name
    _, _, module = read_module(folder / "model.wasm")
    stated = state(read_manifest(folder / "model.toml"), module)
    models = [newest(), gas_model(FUEL)]
    began = time.process_time()
    attempt = Prover(module, stated.precondition, models, stated.inputs).run()
    proof = time.process_time() - began
    began = time.process_time()
    found, size = None, 0
    if attempt.certificate is not None:
        size = len(write_certificate(attempt.certificate))
        found = confirm(attempt.certificate, module, engine, resources=resources)
    return Row(name, module, attempt, found, proof, time.process_time() - began, size)


def table(rows: list[Row]) -> list[str]:
    """
    The rows in Markdown, one line for each module and gas model.
    """
    titles = (
        "module", "KB", "loops", "questions", "obligations", "proof s", "checker s",
        "certificate KB", "gas model", "answer", "lo", "hi", "measured", "hi / greatest measured",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for row in rows:
        verdict = row.confirmation.verdict if row.confirmation else None
        start = (
            f"| {row.name} | {len(row.module.binary) / 1000:.1f} | {row.loops}"
            f" | {row.attempt.questions} | {verdict.obligations if verdict else 0}"
            f" | {row.proof_seconds:.1f} | {row.checker_seconds:.1f}"
            f" | {row.certificate_bytes / 1000:.0f} |"
        )
        bounds = row.bounds()
        if not bounds:
            lines.append(f"{start} | unknown: {row.why()} | | | | |")
        for bound in bounds:
            replay = row.confirmation.replay if row.confirmation else None
            gas: list[int] = list(replay.measured[bound.model]) if replay else []
            answer = "exact" if bound.lo == bound.hi else "proved"
            greatest = max(gas, default=0)
            ratio = bound.hi / greatest if greatest else 0.0
            lines.append(
                f"{start} {bound.model} | {answer} | {bound.lo:,} | {bound.hi:,}"
                f" | {min(gas):,}..{max(gas):,} | {ratio:.4f} |"
            )
    return lines


def page(rows: list[Row], resources: int) -> str:
    """
    The whole document.
    """
    kinds = {"exact": 0, "proved": 0, "unknown": 0}
    for row in rows:
        bounds = row.bounds()
        exact = bounds and all(b.lo == b.hi for b in bounds)
        kinds["exact" if exact else "proved" if bounds else "unknown"] += 1
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return "\n".join(
        [
            "# Bounds of the shipped models",
            "",
            "Written by `python -m benchmarks.bounds`. Each bound is about every input that the",
            "model's manifest allows, on a fresh instance, and was confirmed by the checker, which",
            "also ran five inputs: all least, all greatest, three drawn. *measured* is their gas.",
            "Seconds are processor seconds of one process; those of the engine are not in them.",
            f"Each query of the checker may take {resources:,} of cvc5's resource units.",
            "",
            f"{len(rows)} models: {said}.",
            "",
            *table(rows),
            "",
            "`hi / greatest measured` is 1 where the worst input is among those run. Five",
            "inputs are no search for it, so a greater number says nothing of the bound alone.",
            "",
        ]
    )


@click.command()
@click.option("--only", multiple=True, help="Only this model.")
@click.option("--resources", type=int, default=RESOURCES, show_default=True,
              help="Limit of each query of the checker, in the solver's own units.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the document.")
def main(only: tuple[str, ...], resources: int, out: Path | None) -> None:
    """
    Prove, check and tabulate every shipped model.
    """
    rows = []
    with plainly():
        catalog = Catalog.load()
        (node,) = choose(["wasmtime"], "fresh", catalog, Environments(catalog))
        for folder in sorted(MODELS.iterdir()):
            if not (folder / "model.wasm").exists() or (only and folder.name not in only):
                continue
            limits = CellLimits(data_mib=4096)
            with Pool([(node.node, node.launch)], limits=limits) as pool:
                try:
                    rows.append(measured(folder.name, Engine(pool, _PAGES), resources))
                except CannotStateError as error:
                    click.echo(f"{folder.name}: {error}", err=True)
                    continue
            click.echo("\n".join(table(rows[-1:])[2:]))
    if out is not None:
        out.write_text(page(rows, resources), encoding="utf-8")


if __name__ == "__main__":
    main()
