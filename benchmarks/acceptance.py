"""
`python -m benchmarks.acceptance`: which engines take modules that are invalid.

The 21 forms of `vectors.invalid_forms` are put to every installed engine, and each answer stands
beside the rule of the specification that the form breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from conformance.wasm.verdict import judge
from reports.acceptance import JudgedFile
from runners.catalog import Catalog
from runners.environments import Environments
from vectors.invalid_forms import FORMS
from weavegate.acceptance_job import Acceptance, choose_engines
from weavegate.exits import plainly

TARGET: Final = Path(__file__).parent.parent / "docs" / "acceptance.md"
_MARKS: Final = {
    "accepted": "**accepted**",
    "refused": "refused",
    "refused late": "*late*",
    "broke": "**died**",
}


def measure(engines: Sequence[str] = ()) -> list[JudgedFile]:
    """
    Put every form to *engines*, or to the newest version of each that is installed.
    """
    catalog = Catalog.load()
    chosen = choose_engines(engines, Environments(catalog), catalog)
    if not engines:
        newest = {name: entry.versions[:1] for name, entry in catalog.entries.items()}
        chosen = [
            (line, launch)
            for line, launch in chosen
            if not newest[line.engine.name] or line.engine.version in newest[line.engine.name]
        ]
    judged = []
    with Acceptance(chosen) as asked:
        for name, (data, _) in FORMS.items():
            verdict = judge(data)
            answers = asked.ask(data, verdict)
            judged.append(JudgedFile(path=name, verdict=verdict, engines=answers))
    return judged


def table(judged: Sequence[JudgedFile]) -> str:
    """
    Forms by engines, as Markdown.
    """
    engines = [engine.engine for engine in judged[0].engines]
    head = ["form", "rule", *(f"`{engine}`" for engine in engines)]
    rows = [
        [file.path, file.verdict.rule, *(_MARKS[engine.answer] for engine in file.engines)]
        for file in judged
    ]
    for answer, mark in _MARKS.items():
        counts = [
            sum(file.engines[column].answer == answer for file in judged)
            for column in range(len(engines))
        ]
        rows.append([f"number: {mark.strip('*')}", "", *map(str, counts)])
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_TEXT: Final = """# Invalid modules on engines

Written by `python -m benchmarks.acceptance`. Each of 21 invalid modules, made by
`vectors/invalid_forms.py`, is given to each engine: *accepted* means that it is compiled and an
instance opens (wasm3 looks at a function only at its first call), *late* that it is compiled and
no instance opens. The rule is that of weavegate's own validator. Both are findings: `weavegate
validate FILE --engines` shows them with digest, rule and byte offset, and ends with status 1.
`reference` is weavegate's own evaluator, which uses that validator.

"""


@click.command()
def main() -> None:
    """
    Write docs/acceptance.md from what the installed engines do now.
    """
    with plainly():
        judged = measure()
    TARGET.write_text(_TEXT + table(judged) + "\n", encoding="utf-8")
    click.echo(f"{TARGET.name}: {len(judged)} forms on {len(judged[0].engines)} engines")


if __name__ == "__main__":
    main()
