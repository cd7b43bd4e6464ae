"""
The command `weavegate bound`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from weavegate.bound_job import Asked, run_bound
from weavegate.bound_output import bound_json, print_bound
from weavegate.bound_page import write_page
from weavegate.exits import plainly
from weavegate.terminal import Output

_PATH = click.Path(path_type=Path)
_EPILOG = """
\b
Exit status: 0 bounds are proved and confirmed; 1 a limit asked for is exceeded,
a measured call lies outside a bound, or the manifest's host breaks the contract;
2 wrong usage or unreadable input; 3 something asked for is unknown, an engine
is not to be had here; 130 interrupted, after what was proved so far is printed.
"""


@click.command("bound", epilog=_EPILOG)
@click.argument("module", type=_PATH)
@click.option("--manifest", type=_PATH, help="The manifest, if it is not model.toml beside MODULE.")
@click.option("--entry", default="", help="The export to bound, where there are several.")
@click.option(
    "--argument",
    "arguments",
    multiple=True,
    metavar="LO..HI",
    help="Range of an argument's bits, instead of a manifest; repeat it in order.",
)
@click.option(
    "--assume",
    multiple=True,
    metavar="CONDITION",
    help="Only calls with arg0<=48, or (ule (param 0) (i32 48)); unsigned; repeat it.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="name@version of a gas model; repeat it [default: the newest cosmwasm-vm].",
)
@click.option("--html", type=_PATH, metavar="FILE", help="Write pictures of the bound.")
@click.option("--emit", type=_PATH, metavar="BOUND.json", help="Write the certificate.")
@click.option("--smt", type=_PATH, metavar="DIR", help="Write the obligations as SMT-LIB.")
@click.option("--against", type=_PATH, metavar="OLD.json", help="Say what moved since.")
@click.option("--chain", metavar="NAME|FILE", help="Hold the call against a chain's limits.")
@click.option("--loading", type=click.Choice(["unpinned", "pinned", "seen"]), default="unpinned",
              show_default=True, help="How the chain finds the code.")  # fmt: skip
@click.option("--message-bytes", type=click.IntRange(0), default=0, metavar="N",
              help="Most bytes of the message that the chain passes on.")  # fmt: skip
@click.option("--context-bytes", type=click.IntRange(0), metavar="N",
              help="Most bytes of each of env and info, as JSON.")  # fmt: skip
@click.option("--answer-bytes", type=click.IntRange(0), metavar="N",
              help="Most bytes of the answer that the chain reads.")  # fmt: skip
@click.option(
    "--contract",
    metavar="NAME|FILE",
    help="What is assumed of imported functions: a file, cosmwasm-env, emscripten-clock.",
)
@click.option("--max-sdk-gas", type=click.IntRange(0), help="A limit of your own, in SDK gas.")
@click.option(
    "--budget",
    type=click.IntRange(0),
    metavar="N",
    help="Most questions to the solver; then the answer is what is proved so far.",
)
@click.option("--repair/--no-repair", default=True, show_default=True,
              help="For an unknown, try which condition on arguments gives a bound.")  # fmt: skip
@click.option("--engine", default="wasmtime", show_default=True, metavar="ENGINE",
              help="Runs the certificate's inputs for the checker.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
              help="Draws inputs.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def bound_command(*, as_json: bool, **given: Any) -> None:
    """
    Prove what MODULE can cost at most and at least, for every input: gas, memory, stack.

    What is found is a certificate; a checker of its own confirms it before any number is printed,
    and `weavegate check-bound` does so again for anybody. What cannot be proved is `unknown`, with
    the place, the reason, and the measure that failed. Numbers are about the calls that the
    manifest describes, on a fresh instance.

    \b
    Examples:
      weavegate bound vectors/models/digits-cnn
      weavegate bound MODEL --model cosmwasm-vm@3.0.4 --model wasmtime-fuel@50.0.1
      weavegate bound MODEL --chain juno --max-sdk-gas 3000000
      weavegate bound CONTRACT.wasm --entry query --chain juno --contract cosmwasm-env
      weavegate bound MODEL --emit bound.json --smt obligations
      weavegate bound MODEL --against bound.json
      weavegate bound matmul.wasm --entry infer --argument 0..48
      weavegate bound MODEL --assume 'arg0<=48' --html bound.html
      weavegate bound CALLS_ITS_HOST --contract emscripten-clock --model wasmtime-fuel@50.0.1
    """  # noqa: D301 - click looks for the backspace itself
    errors = Output(stderr=True)
    with plainly():
        asked = Asked(**given)
        done = run_bound(asked, errors)
        if asked.html is not None:
            write_page(asked.html, done)
    console = Output()
    if as_json:
        console.say(json.dumps(bound_json(done), indent=1))
    else:
        print_bound(console, done)
    click.get_current_context().exit(int(done.exit_code))
