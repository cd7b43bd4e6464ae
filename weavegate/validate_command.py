"""
The command `weavegate validate`.
"""

from __future__ import annotations

from pathlib import Path

import click

from weavegate.exits import EXIT_HELP
from weavegate.terminal import Output
from weavegate.validate_job import validate_files


@click.command("validate", epilog=EXIT_HELP)
@click.argument("modules", nargs=-1, required=True, type=click.Path(path_type=Path),
                metavar="MODULE...")  # fmt: skip
@click.option("--engines", "ask", is_flag=True,
              help="Also ask every installed engine whether it takes the module.")  # fmt: skip
@click.option("--engine", "engines", multiple=True, metavar="ENGINE",
              help="Ask this engine; repeat it.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="All verdicts as one JSON document.")
def validate_command(
    modules: tuple[Path, ...], engines: tuple[str, ...], *, ask: bool, as_json: bool
) -> None:
    """
    Say whether each MODULE is valid by the specification, and if not, which rule it breaks where.

    The verdict is weavegate's own: no engine takes part in it. Engines are asked only with
    --engines or --engine; they compile the module and run nothing. One that takes what is no valid
    module, or refuses a valid one, is a finding, printed with the bytes' digest and the rule.

    All files are judged, whatever there is to say of some. Exit status 2: one cannot be read; else
    1: a file is not valid, or an engine judges wrongly.

    \b
    Examples:
      weavegate validate model.wasm
      weavegate validate uploads/*.wasm --json
      weavegate validate model.wasm --engines
      weavegate validate odd.wasm --engine pywasm --engine wasmtime@17.0.0
    """  # noqa: D301 - click looks for the backspace itself
    status = validate_files(
        Output(), Output(stderr=True), modules, engines, ask=ask, as_json=as_json
    )
    click.get_current_context().exit(status)
