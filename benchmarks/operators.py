"""
`python -m benchmarks.operators`: every scalar operator on every engine, against the evaluator.

The reference evaluator executes the specification in integers and shares no code with any engine,
so it is the column that the others are compared with, case by case, bit by bit.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
import numpy as np

from conformance.differential.corpus import RELEASE, CorpusSize, Stratum
from conformance.differential.profiles import OutputShape, nan_bits_only
from conformance.evidence.store import EvidenceStore
from runners.blocks import BlockOutcome
from runners.catalog import Catalog
from runners.environments import Environments
from runners.pool import Pool
from runners.status import TRAPS, Status
from weavegate.execution import Done, Executor, Task
from weavegate.exits import plainly
from weavegate.nodes import Participant, choose
from weavegate.opening import corpus_of
from weavegate.subject import load_subject

SUBJECT: Final = Path(__file__).parent.parent / "vectors" / "operators"
REFERENCE: Final = "reference"
ENGINES: Final = (
    "wasmtime/cranelift",
    "wasmtime/winch",
    "wasmtime/pulley",
    "wasmer/cranelift",
    "wasmer/singlepass",
    "wasmer/llvm",
    "pywasm",
)
COLUMNS: Final = ("equal", "NaN bits", "value", "end")
"""What a case can be: equal, other bits of a NaN, another value, or another kind of outcome."""


@dataclass(slots=True)
class Matrix:
    """
    For each engine and operator, how many cases fell into which column.
    """

    engines: list[str]
    cases: Counter[str] = field(default_factory=Counter)
    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def note(self, engine: str, operator: str, found: Counter[str]) -> None:
        """
        Add the cases of one block.
        """
        self.counts.setdefault((engine, operator), Counter()).update(found)


def compare(shape: OutputShape, reference: BlockOutcome, other: BlockOutcome) -> Counter[str]:
    """
    Count the cases of one block by what differs between two nodes.
    """
    trapped = np.isin(reference.status, [int(status) for status in TRAPS])
    # A trap whose kind an engine does not tell is still the same end.
    vague = trapped & (other.status == Status.TRAP_UNKNOWN)
    same_end = (reference.status == other.status) | vague
    returned = same_end & (reference.status == Status.RETURNED)
    differs = returned & (reference.outputs != other.outputs).any(axis=1)
    nans = differs & nan_bits_only(reference.outputs, other.outputs, shape)
    found = Counter(
        {
            "end": int(np.count_nonzero(~same_end)),
            "NaN bits": int(np.count_nonzero(nans)),
            "value": int(np.count_nonzero(differs & ~nans)),
        }
    )
    found["equal"] = len(reference) - found.total()
    return found


def measure(participants: Sequence[Participant], size: CorpusSize, seed: int) -> Matrix:
    """
    Put the edge and sampled cases of every operator to all nodes, and compare.
    """
    subject = load_subject(SUBJECT, None, None)
    corpus = corpus_of(subject, size, seed)
    chosen = [p for p in corpus.blocks if p.stratum is not Stratum.BULK]
    nodes = [p.node for p in participants]
    labels = [str(node.engine) for node in nodes]
    done: dict[tuple[int, int], Done] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        EvidenceStore.open(Path(folder) / "evidence.sqlite") as store,
        Pool([(p.node, p.launch) for p in participants]) as pool,
    ):
        identities = pool.identities()
        pool.add_module(subject.sha256, subject.data, subject.manifest.run.compile_deadline_ms)
        tasks = [
            Task(seat, place, subject.sha256, part.block)
            for place, part in enumerate(chosen)
            for seat in range(len(nodes))
        ]
        executor = Executor(pool, store, nodes, identities)
        executor.execute(tasks, lambda one: done.__setitem__((one.task.place, one.task.seat), one))
    matrix = Matrix(labels[1:])
    for place, part in enumerate(chosen):
        reference = done[place, 0].outcome
        shape = subject.shapes[part.entry]
        matrix.cases[part.entry] += len(reference)
        for seat, label in enumerate(labels[1:], 1):
            matrix.note(label, part.entry, compare(shape, reference, done[place, seat].outcome))
    return matrix


def markdown(matrix: Matrix, command: str) -> str:
    """
    The matrix as a page: totals per engine, then every operator in which one differs.
    """
    lines = [
        "# Operators on engines",
        "",
        f"Written by `{command}`. Each engine is compared with the reference evaluator,",
        "which executes the specification in integers: *NaN bits* differ lawfully (the",
        "specification leaves them open), *value* and *end* (returned, trapped) do not.",
        "",
        f"{len(matrix.cases)} operators, {matrix.cases.total():,} cases on each engine.",
        "",
        "| engine | equal | NaN bits | value | end |",
        "|---|---|---|---|---|",
    ]
    for engine in matrix.engines:
        total: Counter[str] = Counter()
        for operator in matrix.cases:
            total.update(matrix.counts[engine, operator])
        cells = " | ".join(f"{total[column]:,}" for column in COLUMNS)
        lines.append(f"| `{engine}` | {cells} |")
    lines += ["", "## Operators in which an engine differs", ""]
    lines += ["| operator | engine | cases | NaN bits | value | end |", "|---|---|---|---|---|---|"]
    for operator in matrix.cases:
        for engine in matrix.engines:
            found = matrix.counts[engine, operator]
            if found["equal"] < matrix.cases[operator]:
                cells = " | ".join(f"{found[column]:,}" for column in COLUMNS[1:])
                lines.append(f"| {operator} | `{engine}` | {matrix.cases[operator]:,} | {cells} |")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the page here.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--engine", "engines", multiple=True, help="Default: the seven core compilers.")
def main(out: Path | None, seed: int, engines: tuple[str, ...]) -> None:
    """
    Compare every scalar operator on every engine with the reference evaluator.
    """
    catalog = Catalog.load()
    with plainly():
        asked = [REFERENCE, *(engines or ENGINES)]
        participants = choose(asked, "reuse(512)", catalog, Environments(catalog))
        text = markdown(measure(participants, RELEASE, seed), "python -m benchmarks.operators")
    if out is None:
        click.echo(text)
    else:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
