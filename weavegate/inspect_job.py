"""
`weavegate inspect`: what a module is made of, as text, JSON, WAT or a drawing.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import msgspec

from conformance.wasm.body import Function
from conformance.wasm.decode import validated
from conformance.wasm.errors import BadModuleError
from conformance.wasm.module import Module
from conformance.wasm.survey import survey
from conformance.wasm.text import function_lines, lines
from reports.escapes import shortened, visible
from reports.flow_svg import flow_svg
from weavegate.exits import Exit, WeavegateError
from weavegate.findings_files import write_atomically
from weavegate.inspect_output import survey_lines
from weavegate.module_files import read_module_file
from weavegate.terminal import Output

_LARGE_BYTES = 4 << 20
_STEP = 20_000
"""Functions between two signs of progress."""
_LINES = 1_000
"""Lines of text written at once."""


def inspect_module(
    output: Output,
    notes: Output,
    argument: Path,
    *,
    as_json: bool,
    as_wat: bool,
    drawing: Path | None,
    function: str | None,
) -> None:
    """
    Print or draw; raises WeavegateError for bytes that are no valid module: status 2.
    """
    if drawing is not None and not drawing.parent.is_dir():
        sentence = f"{visible(str(drawing))}: there is no folder {visible(str(drawing.parent))}"
        raise WeavegateError(f"{sentence}: create it, or choose another", Exit.USAGE)
    path, data = read_module_file(argument)
    if len(data) > _LARGE_BYTES:
        notes.say(f"{visible(str(path))}: reading {len(data):,} bytes ...")
    try:
        module = validated(data)
    except BadModuleError as error:
        sentence = f"{visible(str(path))}: {error}"
        raise WeavegateError(sentence, Exit.USAGE) from error
    if drawing is not None:
        _draw(notes, module, drawing, function)
    if as_wat:
        _print_wat(output, module, function)
    elif as_json or drawing is None:
        _print_survey(output, notes, path, module, as_json=as_json)


def _print_survey(
    output: Output, notes: Output, path: Path, module: Module, *, as_json: bool
) -> None:
    def step(done: int) -> None:
        if done % _STEP == 0:
            notes.say(f"{done:,} of {len(module.functions):,} functions ...")

    found = survey(module, step)
    if as_json:
        output.say(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    output.say("\n".join(survey_lines(str(path), found)))


def _print_wat(output: Output, module: Module, function: str | None) -> None:
    """
    The text, some lines at a time: a reader that stops early is not waited for.
    """
    chosen = lines(module) if function is None else function_lines(module, _named(module, function))
    while not output.quiet:
        some = list(islice(chosen, _LINES))
        if not some:
            return
        output.say("\n".join(some))


def _draw(notes: Output, module: Module, target: Path, function: str | None) -> None:
    """
    Write the drawing of one function: the named one, else the largest.
    """
    if not module.functions:
        sentence = "the module has no function of its own, there is nothing to draw"
        raise WeavegateError(sentence, Exit.USAGE)
    if function is None:
        chosen = max(module.functions, key=lambda f: (f.body.span.size, -f.index))
    else:
        chosen = _named(module, function)
    try:
        drawn = flow_svg(module, chosen)
    except ValueError as error:
        sentence = f"{error}: choose another one with --function"
        raise WeavegateError(sentence, Exit.USAGE) from error
    write_atomically(target, drawn.encode())
    name = shortened(module.function_name(chosen.index))
    which = "" if function is not None else ", the largest; --function NAME chooses another"
    notes.say(f"{visible(str(target))}: control-flow graph of {name}{which}")


def _named(module: Module, function: str) -> Function:
    """
    A function by its index, export or name.
    """
    first = module.imported_functions
    export = module.exported(function)
    index = -1
    if function.isascii() and function.isdigit():
        index = int(function)
    elif export is not None and export.kind == "function":
        index = export.index
    else:
        names = {f.index: f"function {f.index} ({function})" for f in module.functions}
        found = [i for i, name in names.items() if module.function_name(i) == name]
        index = found[0] if found else -1
    if not first <= index < first + len(module.functions):
        last = first + len(module.functions) - 1
        sentence = (
            f"the module has no function {shortened(function)!r} of its own: give an index from "
            f"{first} to {last}, an export, or a name of the name section"
        )
        raise WeavegateError(sentence, Exit.USAGE)
    return module.functions[index - first]
