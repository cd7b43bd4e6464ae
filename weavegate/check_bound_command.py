"""
The command `weavegate check-bound`.
"""

from __future__ import annotations

from pathlib import Path

import click

from conformance.bounds.check.solving import RESOURCES
from weavegate.check_bound_job import check_bound
from weavegate.terminal import Output

_EPILOG = """
\b
Exit status: 0 every claim is confirmed; 1 a claim is refused; 2 wrong usage, or
a file that is no certificate or no valid module; 3 a solver or an engine could
not answer; 130 interrupted.
"""


@click.command("check-bound", epilog=_EPILOG)
@click.argument("certificate", type=click.Path(path_type=Path), metavar="BOUND.json")
@click.argument("module", type=click.Path(path_type=Path), metavar="MODULE.wasm")
@click.option("--engine", default="wasmtime", show_default=True, metavar="ENGINE",
              help="Runs the certificate's inputs.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
              help="Chooses rows in runs that reach more than a million.")  # fmt: skip
@click.option("--resources", type=click.IntRange(1), default=RESOURCES, show_default=True,
              help="Limit of each query, in the solver's own units, not in seconds.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON.")
def check_bound_command(
    certificate: Path, module: Path, engine: str, seed: int, resources: int, *, as_json: bool
) -> None:
    """
    Check the certificate BOUND.json of gas, memory and stack against MODULE.wasm.

    Nothing in the certificate is believed, and nothing of what found it is used. Every obligation
    is written anew from the module's own instructions and put to the solver cvc5; prices of blocks
    are checked in exact fractions; then the certificate's inputs are run, and the state at every
    loop is held against what is claimed of it. A verdict is about the calls that the certificate's
    precondition describes; it is printed with the verdict.

    \b
    Examples:
      weavegate check-bound bound.json model.wasm
      weavegate check-bound bound.json model.wasm --json
      weavegate check-bound bound.json model.wasm --engine wasmer --resources 100000000
    """  # noqa: D301 - click looks for the backspace itself
    status = check_bound(
        Output(), Output(stderr=True), certificate, module, engine,
        seed=seed, resources=resources, as_json=as_json,
    )  # fmt: skip
    click.get_current_context().exit(status)
