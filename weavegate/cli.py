"""
The command line: parse, call one job, print, exit.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

from reports.console import print_report
from reports.escapes import shortened, visible
from reports.html import html_page
from reports.json_report import json_text
from reports.junit import junit_xml
from reports.model import Report
from weavegate.attack_job import explain, list_scenarios, run_controls
from weavegate.bound_command import bound_command
from weavegate.bounds_asked import REQUIRABLE
from weavegate.certify import EFFORTS, Options, certify
from weavegate.check_bound_command import check_bound_command
from weavegate.dry_run_output import plan_only
from weavegate.engines_job import install_engines, print_engines
from weavegate.exits import EXIT_HELP, Exit, WeavegateError, plainly
from weavegate.fetch_command import fetch_command
from weavegate.findings_files import write_atomically
from weavegate.fuzz_command import fuzz_command
from weavegate.gas_command import gas_command, gas_models_command
from weavegate.init_job import draft
from weavegate.inspect_command import inspect_command
from weavegate.progress import ticking
from weavegate.replay_job import replay
from weavegate.run_job import run_once
from weavegate.simulate_job import Options as SimulateOptions
from weavegate.simulate_job import run_simulation
from weavegate.terminal import Output
from weavegate.validate_command import validate_command

_SENTENCE = 2000
"""Most characters of an error; a sentence that quotes a name of megabytes helps nobody."""


_KEPT = {
    "certify": ": what was gathered so far is kept, run it again to go on",
    "simulate": ": the log is kept as far as it came",
}
"""What an interrupted command leaves behind; of others nothing is kept."""


class _Group(click.Group):
    """
    A group whose commands print one sentence for every error that is not ours to debug.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        """
        Run the program; wrong usage becomes a sentence too.
        """
        extra["standalone_mode"] = False
        with contextlib.suppress(ValueError):
            # Job runners send TERM where a person presses Ctrl-C; only the main thread may say so.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            status = super().main(*args, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = Exit.USAGE
        except click.ClickException as error:
            _complain(_usage(error))
            status = Exit.USAGE
        except click.Abort:
            _complain("interrupted: run it again")
            status = Exit.INTERRUPTED
        sys.exit(int(status or Exit.PASS))

    def invoke(self, ctx: click.Context) -> Any:
        """
        Run a command; errors become a sentence and a status.
        """
        try:
            with plainly():
                return super().invoke(ctx)
        except WeavegateError as error:
            _complain(str(error))
            ctx.exit(int(error.status))
        except (KeyboardInterrupt, click.Abort):
            _complain("interrupted" + _KEPT.get(ctx.invoked_subcommand or "", ""))
            ctx.exit(int(Exit.INTERRUPTED))


def _complain(sentence: str) -> None:
    """
    One line on standard error, whatever characters names and paths bring into it.
    """
    click.echo(f"weavegate: {shortened(sentence, _SENTENCE)}", err=True)


def _usage(error: click.ClickException) -> str:
    """
    Click's complaint as one sentence that says where to read on.
    """
    message = error.format_message().rstrip(".")
    sentence = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    return sentence if context is None else f"{sentence}: see `{context.command_path} --help`"


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_HELP)
@click.version_option(package_name="weavegate")
def main() -> None:
    """
    Conformance and security gate for WebAssembly inference modules on Cosmos chains.

    \b
    Start here:
      weavegate engines install --core     the three core engines, each in its own environment
      weavegate certify MODULE             one module, many engines, one verdict
      weavegate init their.wasm            drafts the manifest that certify needs
    """  # noqa: D301 - click looks for the backspace itself


def _date(_: click.Context, __: click.Parameter, value: str | None) -> date | None:
    """
    An ISO date.
    """
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        message = f"{value!r} is not a date such as 2026-12-31"
        raise click.BadParameter(message) from error


_PATH = click.Path(path_type=Path)
_ENGINE = click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="ENGINE",
    help="name[@version][/compiler][+key=value]; repeat it. Default: the core engines.",
)


@main.command("certify", epilog=EXIT_HELP)
@click.argument("module", type=_PATH)
@click.option("--manifest", type=_PATH, help="The manifest, if it is not model.toml beside MODULE.")
@_ENGINE
@click.option("--expect", type=_PATH, metavar="ROWS.npz", help="Arrays inputs, expected, labels.")
@click.option(
    "--nan",
    type=click.Choice(["exact", "canonical", "cosmwasm", "deterministic", "free"]),
    help="Which NaN bits count as equal [default: the manifest's, else exact].",
)
@click.option("--effort", type=click.Choice(sorted(EFFORTS)), default="quick", show_default=True,
              help="How many cases: quick in seconds, release before a release.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
              help="Inputs are drawn from it: one seed, the same cases.")  # fmt: skip
@click.option("--out", type=_PATH, help="Folder of reports [default: weavegate-out/NAME].")
@click.option("--evidence", type=_PATH, help="Evidence file [default: OUT/evidence.sqlite].")
@click.option("--allowances", type=_PATH, help="Allowances instead of the shipped ones.")
@click.option(
    "--as-of",
    callback=_date,
    metavar="DATE",
    help="Judge expiries on this day, such as 2026-12-31 [default: today].",
)
@click.option("--chain", metavar="NAME|FILE",
              help="Prove bounds, and hold them against a chain's limits.")  # fmt: skip
@click.option("--require", multiple=True, type=click.Choice(REQUIRABLE), metavar="PROPERTY",
              help="A property that must be decided, such as gas-bounded; repeat it.")  # fmt: skip
@click.option("--again", is_flag=True, help="Run what is stored as well, to find flaky engines.")
@click.option("--dry-run", is_flag=True, help="Say what would be run and what it costs, no more.")
@click.option("--json", "as_json", is_flag=True, help="The report, or the plan, as JSON.")
@click.option("--verbose", is_flag=True, help="List the allowances too that nothing met.")
def certify_command(
    module: Path, out: Path | None, *, dry_run: bool, as_json: bool, verbose: bool, **given: Any
) -> None:
    """
    Certify MODULE: the same bits on every engine, and the right ones.

    MODULE is a .wasm with a model.toml beside it (or --manifest), or a folder that holds both.
    Writes report.json, report.html, junit.xml and findings/ into OUT; evidence is kept there too,
    so a second run of the same thing is instant and an interrupted one continues.

    With [bounds] or [chain] in the manifest, --chain, or a property of bounds in --require, gas,
    memory and stack are bounded for every input (gas-bounded, gas-independent, memory-bounded,
    stack-bounded), each bound is held against all that was measured, and the certificate is written
    to OUT/bound.json. What is asked for and cannot be decided is exit status 3.

    \b
    Examples:
      weavegate certify vectors/models/digits-mlp-tanh
      weavegate certify model.wasm --manifest model.toml --expect rows.npz --out certified
      weavegate certify MODEL --engine wasmtime --engine wasmer/llvm --engine pywasm
      weavegate certify MODEL --effort release --seed 7 --as-of 2026-12-31
      weavegate certify MODEL --effort release --dry-run
      weavegate certify MODEL --chain juno --require gas-bounded --require stack-bounded
    """  # noqa: D301 - click looks for the backspace itself
    target = out or Path("weavegate-out") / (
        module.resolve().stem if module.suffix else module.resolve().name
    )
    command = shlex.join(["weavegate", *sys.argv[1:]])
    options = Options(argument=module, out=target, command=command, **given)
    if dry_run:
        click.get_current_context().exit(plan_only(options, Output(), as_json=as_json))
    with ticking(Output(stderr=True)) as ticker:
        report = certify(options, ticker)
    write_reports(target, report)
    console = Output()
    if as_json:
        console.say(json_text(report).rstrip("\n"))
    else:
        print_report(report, console, verbose=verbose)
        console.say(f"reports: {visible(str(target))}/report.html, report.json, junit.xml")
    click.get_current_context().exit(report.exit_code)


def write_reports(folder: Path, report: Report) -> None:
    """
    All files of a report.
    """
    for name, text in (
        ("report.json", json_text(report)),
        ("report.html", html_page(report)),
        ("junit.xml", junit_xml(report)),
    ):
        write_atomically(folder / name, text.encode())


@main.command("run", epilog=EXIT_HELP)
@click.argument("module", type=_PATH)
@click.option("--input", "input_file", type=_PATH, required=True, metavar="BITS.json",
              help='{"entry": NAME, "input": ["f64:3ff8000000000000", ...]}')  # fmt: skip
@click.option("--manifest", type=_PATH, help="The manifest, if it is not model.toml beside MODULE.")
@_ENGINE
@click.option("--json", "as_json", is_flag=True, help="Outcomes as JSON.")
@click.option("--record", type=_PATH, metavar="HOST.txt",
              help="Write what the first node's host answered, as a host script.")  # fmt: skip
def run_command(**given: Any) -> None:
    """
    Run one case of MODULE on chosen engines and show the outcomes side by side.

    Values are bits, not decimals: f64:3ff8000000000000 is 1.5. Exit status 1: the nodes differ.

    \b
    Examples:
      weavegate run MODEL --input case.json
      weavegate run MODEL --input case.json --engine wasmtime --engine wasmer/llvm --json
      weavegate run MODEL --input case.json --record host.txt
    """  # noqa: D301 - click looks for the backspace itself
    click.get_current_context().exit(run_once(Output(), **given))


@main.command("replay", epilog=EXIT_HELP)
@click.argument("finding", type=_PATH)
@click.option("--module", type=_PATH, help="The module, if it is not beside the finding.")
@_ENGINE
def replay_command(**given: Any) -> None:
    """
    Reproduce one FINDING from its file, on the nodes that it names.

    Exit status 1: it shows again. 0: it does not.

    \b
    Examples:
      weavegate replay weavegate-out/NAME/findings/finding-0123456789abcdef.json
      weavegate replay finding.json --module model.wasm --engine wasmtime@50.0.1 --engine wasmer
    """  # noqa: D301 - click looks for the backspace itself
    click.get_current_context().exit(replay(Output(), **given))


@main.command("attack", epilog=EXIT_HELP)
@click.option("--list", "as_list", is_flag=True, help="All scenarios, a line each.")
@click.option("--explain", "name", metavar="SCENARIO", help="Its page, and its controls.")
@click.option("--run", "controls", is_flag=True, help="Put every scenario to its controls.")
@_ENGINE
def attack_command(
    name: str | None, engines: tuple[str, ...], *, as_list: bool, controls: bool
) -> None:
    """
    Tell what attacks there are, and show that each catches what it must and nothing else.

    The attacks themselves are part of `weavegate certify`. Exit status 1 of --run: a control was
    not caught that must be, or was caught that must not be.

    \b
    Examples:
      weavegate attack --list
      weavegate attack --explain secret_of_an_earlier_call
      weavegate attack --run --engine wasmtime --engine wasmer
    """  # noqa: D301 - click looks for the backspace itself
    if sum((as_list, name is not None, controls)) != 1:
        message = "give one of --list, --explain SCENARIO and --run"
        raise click.UsageError(message)
    if engines and not controls:
        message = "--engine goes with --run"
        raise click.UsageError(message)
    if as_list:
        status = list_scenarios(Output())
    elif name is not None:
        status = explain(Output(), name)
    else:
        status = run_controls(Output(), engines)
    click.get_current_context().exit(status)


def _powers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...]:
    """
    Whole numbers between commas.
    """
    if value is None:
        return ()
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        message = f"{value!r} is no list of whole numbers such as 1,1,1,1"
        raise click.BadParameter(message) from error


@main.command("simulate", epilog=EXIT_HELP)
@click.option("--nodes", type=int, default=4, show_default=True, help="Validators, all different.")
@click.option("--blocks", type=int, default=50, show_default=True, help="Height of the last one.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Default: a fresh one, printed.")
@_ENGINE
@click.option("--module", "modules", type=_PATH, multiple=True, metavar="MODULE",
              help="Repeat it. Default: all shipped models.")  # fmt: skip
@click.option("--power", "powers", callback=_powers, metavar="1,1,...", help="One per validator.")
@click.option("--out", type=_PATH, default="weavegate-out/simulate", show_default=True)
def simulate_command(**given: Any) -> None:
    """
    Simulate a network of validators, each another engine, that executes blocks of inferences.

    Every block has an app hash and a results hash; more than 2/3 of power commits it. The first
    height, transaction, key and bits that differ are named. One seed, one event log, byte for byte:
    OUT/events.jsonl. Findings are written to OUT/findings/.

    \b
    Examples:
      weavegate simulate --nodes 4 --blocks 50 --seed 42
      weavegate simulate --nodes 3 --engine wasmtime --engine wasmer --power 2,1,1
    """  # noqa: D301 - click looks for the backspace itself
    click.get_current_context().exit(run_simulation(SimulateOptions(**given), Output()))


@main.command("init", epilog=EXIT_HELP)
@click.argument("module", type=_PATH)
@click.option(
    "--write", is_flag=True, help="Write model.toml beside MODULE instead of printing it."
)
def init_command(module: Path, *, write: bool) -> None:
    """
    Inspect the exports and imports of MODULE and draft a manifest with comments.

    Lines of the draft that are marked GUESS need your eye. A model.toml that is there is never
    overwritten.

    \b
    Examples:
      weavegate init model.wasm
      weavegate init model.wasm --write
    """  # noqa: D301 - click looks for the backspace itself
    Output().say(draft(module, write=write).rstrip("\n"))


@main.group("engines", invoke_without_command=True, epilog=EXIT_HELP)
@click.pass_context
def engines_group(context: click.Context) -> None:
    """
    What is installed, what is missing and how to get it.

    \b
    Examples:
      weavegate engines                   what there is
      weavegate engines install --core    the three core engines
    """  # noqa: D301 - click looks for the backspace itself
    if context.invoked_subcommand is None:
        print_engines(Output())


@engines_group.command("install", epilog=EXIT_HELP)
@click.argument("engines", nargs=-1, metavar="[ENGINE]...")
@click.option("--core", is_flag=True, help="The three core engines.")
@click.option("--again", is_flag=True, help="Make the environment anew: the old one is damaged.")
def install_command(engines: tuple[str, ...], *, core: bool, again: bool) -> None:
    """
    Install engines, each version in an environment of its own.

    \b
    Examples:
      weavegate engines install --core
      weavegate engines install wasmtime@17.0.0 wasm3
      weavegate engines install --again wasmer@1.1.0
    """  # noqa: D301 - click looks for the backspace itself
    if not engines and not core:
        message = "name an engine, such as wasmtime@17.0.0, or give --core"
        raise click.UsageError(message)
    install_engines(engines, core=core, again=again, say=lambda text: click.echo(text, err=True))


main.add_command(fuzz_command)
main.add_command(inspect_command)
main.add_command(validate_command)
main.add_command(check_bound_command)
main.add_command(gas_command)
main.add_command(gas_models_command)
main.add_command(bound_command)
main.add_command(fetch_command)
