"""
The table of liars, measured: `make liars` prints it.

Every liar of `tests/fakes/` is put among three honest families on 20,000 drawn cases and the edge
cases; then the sampled one under many seeds, because it may be missed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from liars import FAMILIES, FULL, LIARS, SHARE, Trial, chances, try_liar
from product_subject import Product
from witnesses import options, witness

from reports.model import Report
from runners.environments import Environments
from tests.fakes.launches import overspending
from weavegate.certify import certify

SEEDS = range(40)
COMPILERS = ("cranelift", "winch", "pulley")
"""Of wasmtime: the only engines whose meters count the same."""


def rows(folder: Path, seed: int) -> Iterator[Trial]:
    """
    One trial of each liar.
    """
    for place, liar in enumerate(LIARS):
        yield try_liar(liar, folder / str(place), FULL, seed)


def line_of(trial: Trial) -> str:
    """
    A row of the table, in Markdown.
    """
    named = ", ".join(trial.named) or "-"
    cells = (
        trial.liar.name,
        trial.liar.does,
        f"{trial.shown:,} of {trial.cases:,}",
        f"{trial.lies:,}",
        ", ".join(trial.kinds) or "-",
        named.removeprefix("fake@1.0/"),
        f"{trial.caught:,}" if trial.caught else "-",
        "yes" if trial.caught and trial.caught == trial.first_lie else "no lie told",
    )
    return f"| {' | '.join(cells)} |"


def certified(folder: Path) -> Iterator[str]:
    """
    Rows of liars that no vote on outputs can see: they are put to a whole certification.
    """
    subject = Product(low=-1.0, high=1.0).write(folder / "subject")
    keeps = witness("keeps_memory", "liar")
    honest = tuple(witness("honest", name) for name in FAMILIES)
    (folder / "memory").mkdir()
    report = certify(options(subject, folder / "memory" / "out", (*honest, keeps), size=SHARE))
    yield _row("keeps memory", "new instances have the memory of the last one", report)
    environments = Environments()
    for compiler in COMPILERS:
        launches = [
            (overspending(launch) if name == compiler else launch, False)
            for name in COMPILERS
            for launch in [environments.launch(environments.catalog.resolve(f"wasmtime/{name}"))]
        ]
        # A third family, without that meter, so that everything but fuel has its quorum.
        other = environments.launch(environments.catalog.resolve("wasmer/singlepass"))
        (folder / compiler).mkdir()
        asked = options(subject, folder / compiler / "out", (*launches, (other, False)), size=SHARE)
        does = f"real wasmtime/{compiler}, one unit too many, among its three compilers"
        yield _row("lies about fuel", does, certify(asked))


def _row(name: str, does: str, report: Report) -> str:
    """
    A row of a certification: the class, and who is named or why nobody is.
    """
    found = [item.finding for item in report.findings]
    kinds = ", ".join(sorted({str(finding.kind) for finding in found})) or "-"
    named = sorted({node for finding in found for node in finding.blame.nodes})
    who = ", ".join(named).replace("fake@1.0/", "") or "nobody: too few families have the meter"
    return f"| {name} | {does} | {kinds} | {who} |"


def main() -> None:
    """
    Print all tables.
    """
    say = sys.stdout.write
    say("| liar | what it does | cases shown to it | lies | class | named | cases until caught |")
    say(" at its first lie |\n|---|---|--:|--:|---|---|--:|---|\n")
    with tempfile.TemporaryDirectory(prefix="weavegate-liars-") as name:
        for trial in rows(Path(name) / "table", 1):
            say(line_of(trial) + "\n")
            sys.stdout.flush()
        say("\n| liar | what it does | class | named |\n|---|---|---|---|\n")
        for line in certified(Path(name)):
            say(line + "\n")
        trials = list(chances(Path(name) / "seeds", FULL, SEEDS))
    missed = sum(not trial.caught for trial in trials)
    silent = sum(not trial.lies for trial in trials)
    foretold = sum(trial.missing for trial in trials)
    fewest, most = min(t.drawn for t in trials), max(t.drawn for t in trials)
    say(
        f"\nThe sampled liar under {len(trials)} seeds: {fewest:,} to {most:,} drawn cases were"
        f" shown to it, and it was missed {missed} times, in {silent} of which it told no lie. By"
        f" (1 - p)^n with p = 1/1000 that many cases miss it {foretold:.1f} times in"
        f" {len(trials)}.\n"
    )


if __name__ == "__main__":
    main()
