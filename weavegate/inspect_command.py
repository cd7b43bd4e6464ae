"""
The command `weavegate inspect`.
"""

from __future__ import annotations

from pathlib import Path

import click

from weavegate.exits import EXIT_HELP
from weavegate.inspect_job import inspect_module
from weavegate.terminal import Output


@click.command("inspect", epilog=EXIT_HELP)
@click.argument("module", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True,
              help="Everything as one JSON document (schema: Survey.json).")  # fmt: skip
@click.option("--wat", "as_wat", is_flag=True,
              help="The text format instead, floats as exact hexadecimal.")  # fmt: skip
@click.option("--cfg", "drawing", type=click.Path(path_type=Path), metavar="FILE.svg",
              help="Draw the control-flow graph of one function.")  # fmt: skip
@click.option("--function", metavar="NAME|INDEX",
              help="Of which function --cfg or --wat is [default: the largest; all].")  # fmt: skip
def inspect_command(
    module: Path, drawing: Path | None, function: str | None, *, as_json: bool, as_wat: bool
) -> None:
    """
    Show what MODULE is made of, without running it and without any engine.

    Bytes that are no valid module are refused with the rule they break and where: exit status 2.

    Sections with sizes, imports, exports, memory, tables, globals, the call graph, loops, float
    operators with counts, proposals used, the largest functions, names, and where two correct
    engines may give different answers: NaN bits, growth, the host, depth of calls.

    In a drawing each loop has a colour, with a stripe along its basic blocks; code runs from top to
    bottom, branches forward on the right, branches back on the left.

    \b
    Examples:
      weavegate inspect model.wasm
      weavegate inspect model.wasm --json | jq .open_choices
      weavegate inspect model.wasm --wat > model.wat
      weavegate inspect model.wasm --cfg infer.svg --function infer
    """  # noqa: D301 - click looks for the backspace itself
    if as_json and as_wat:
        message = "--json and --wat are two forms: give one"
        raise click.UsageError(message)
    if function is not None and drawing is None and not as_wat:
        message = "--function goes with --cfg or --wat"
        raise click.UsageError(message)
    inspect_module(
        Output(),
        Output(stderr=True),
        module,
        as_json=as_json,
        as_wat=as_wat,
        drawing=drawing,
        function=function,
    )
