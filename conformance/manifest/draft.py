"""
Writes the first manifest of a module: what can be seen is filled in, what cannot is a guess.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import Final

from conformance.manifest.errors import BadManifestError, BadSubjectError
from conformance.manifest.guess import AbiGuess, CallGuess, guess_abi, guess_kind, is_minified
from conformance.manifest.read import parse_manifest
from conformance.wasm.imports import check_imports
from conformance.wasm.module import Module
from runners.bits import WIDTH_BYTES

GUESS: Final = "# GUESS:"
"""Marks each line that its author has to check."""

_MAX_LISTED: Final = 40
_MAX_COMMENT: Final = 160


def draft_manifest(module: Module, file_name: str) -> str:
    """
    A commented `model.toml` for *module*, which lies in the file *file_name* beside it.

    The draft can be read by `read_manifest`; lines with GUESS hold what no module tells about
    itself. Raises BadSubjectError for a module that no manifest can describe.
    """
    guess = guess_abi(module)
    parts = [_head(module, file_name)]
    if guess.calls:
        parts += [_abi_of_calls(guess, module), *(_call(call) for call in guess.calls)]
    else:
        parts += [_abi_of_entry(guess, module), _buffers(guess)]
    parts += [_limits(guess), _host(module), _judge(guess)]
    text = "\n".join(parts)
    try:
        parse_manifest(text.encode(), file_name)
    except BadManifestError as error:
        message = f"{error.sentence}; no manifest can say that, so none is drafted"
        raise BadSubjectError(message) from error
    return text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(items: tuple[str, ...]) -> str:
    return "[" + ", ".join(_quoted(item) for item in items) + "]"


def _comment(text: str) -> str:
    """
    One line of comment; names out of a module may hold anything.
    """
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return "# " + (clean if len(clean) <= _MAX_COMMENT else clean[:_MAX_COMMENT] + "...")


def _head(module: Module, file_name: str) -> str:
    return f"""\
# How weavegate calls this module and what it may expect. Lines marked GUESS need your eye;
# the others were read from the module.
schema = 1

[module]
name = {_quoted(PurePath(file_name).stem or "model")}
file = {_quoted(file_name)}
description = ""
# The manifest is about exactly these bytes. Leave it out while you still rebuild the module.
sha256 = "{hashlib.sha256(module.binary).hexdigest()}"
"""


def _abi_of_entry(guess: AbiGuess, module: Module) -> str:
    lines = [
        "[abi]",
        *_kind(module),
        "# The export that computes.",
        f"entry = {_quoted(guess.entry)}",
        '# Its arguments: "input" and "output" are the addresses of the buffers below, typed bits',
        '# such as "i32:0000000a" are the same in every call.',
    ]
    width = WIDTH_BYTES[guess.dtype]
    arguments = tuple("i32:00000001" if a == "length" else a for a in guess.arguments)
    if "length" in guess.arguments:
        lines.append(f"{GUESS} i32:00000001 is the number of elements; it may be bytes ({width}).")
    elif arguments:
        lines.append(f"{GUESS} the order of the arguments.")
    lines += [
        f"arguments = {_list(arguments)}",
        "# The types of its results.",
        f"results = {_list(guess.results)}",
        *_initialize(guess),
    ]
    return "\n".join(lines) + "\n"


def _kind(module: Module) -> list[str]:
    """
    The ABI whose host answers the module's imports, and the map that minified ones need.
    """
    kind = guess_kind(module)
    lines = [f'kind = "{kind}"']
    if kind != "plain":
        lines.insert(0, f"{GUESS} its imports look like those of {kind}.")
    minified = [item.key for item in module.imports if kind != "plain" and is_minified(item)]
    if minified:
        lines += [
            "# What its minified imports are, as the JavaScript beside it says; they must be in",
            "# `imports` of [host] as well:",
            *(
                _comment(f"names = {{ {_quoted(key)} = {_quoted('env.abort')} }}")
                for key in minified[:1]
            ),
        ]
    return lines


def _initialize(guess: AbiGuess) -> list[str]:
    return [
        "# Exports without arguments that are called once after instantiation.",
        f"initialize = {_list(guess.initialize)}",
    ]


def _pointer(pointer: tuple[str, str]) -> list[str]:
    kind, name = pointer
    if kind == "address":
        return [
            f"{GUESS} no export says where the buffer lies; this is any address.",
            "pointer = { address = 1024 }",
        ]
    if kind == "result":
        return [
            f"{GUESS} the entry's result is taken for the address of the output.",
            "pointer = { result = true }",
        ]
    return [f"pointer = {{ {kind} = {_quoted(name)} }}"]


def _buffers(guess: AbiGuess) -> str:
    lines = [
        "[input]",
        f"{GUESS} type and number of the elements: f64, f32, i64 or i32, row-major.",
        f'dtype = "{guess.dtype}"',
        "shape = [1]",
        *_pointer(guess.input_pointer),
        f"{GUESS} the range of legal values. Inputs are drawn from it, so the wider, the harder.",
        f"low = {_bound(guess.dtype, -1)}",
        f"high = {_bound(guess.dtype, 1)}",
    ]
    if guess.dtype in ("f32", "f64"):
        lines += ["# Whether NaNs and infinities are legal inputs as well.", "special = false"]
    lines += ["# A table of held-out rows, if you have one.", '# rows = "held_out.json"', ""]
    if guess.output_pointer is not None:
        lines += [
            "[output]",
            f"{GUESS} type and number of the elements.",
            f'dtype = "{guess.dtype}"',
            "shape = [1]",
            *_pointer(guess.output_pointer),
            "# The bits that you expect for the held-out rows.",
            '# expected = "expected.json"',
            "",
        ]
    return "\n".join(lines)


def _bound(dtype: str, value: int) -> str:
    return f"{value}.0" if dtype in ("f32", "f64") else str(value)


def _abi_of_calls(guess: AbiGuess, module: Module) -> str:
    lines = [
        "[abi]",
        *_kind(module),
        *_initialize(guess),
        "",
        "# Each [[call]] is an export that takes numbers and gives numbers.",
        f"{GUESS} that an i32 or i64 is an integer. If it carries the bits of a float, write the",
        "# float's type and `carried = true`.",
        "# Without `domains` every bit pattern is a legal argument; to narrow them, give one table",
        "# for each parameter: domains = [{ low = -1.0, high = 1.0, special = false }]",
    ]
    lines += [_comment(f"Left out: {sentence}") for sentence in guess.left_out[:_MAX_LISTED]]
    return "\n".join(lines) + "\n"


def _call(call: CallGuess) -> str:
    return f"""\
[[call]]
entry = {_quoted(call.entry)}
parameters = {_list(call.parameters)}
results = {_list(call.results)}
"""


def _limits(guess: AbiGuess) -> str:
    return f"""\
[limits]
# Pages of 64 KiB to which its memory may grow; CosmWasm chains give 512.
pages = {guess.pages}
# A case that takes longer is reported as timed out, not as different.
deadline_ms = 10000
"""


def _host(module: Module) -> str:
    lines = ["[host]"]
    problems = check_imports(module, ())
    if problems:
        lines += [
            "# The module imports the names below. Add one to the list only if the result does not",
            "# depend on what a node answers, or if every node answers alike; what is not in the",
            '# list is refused. A host script, script = "host.txt", answers what the ABI cannot.',
        ]
        for problem in problems[:_MAX_LISTED]:
            lines += [_comment(problem.sentence), _comment(f"  {_quoted(problem.key)},")]
        if len(problems) > _MAX_LISTED:
            lines.append(f"# and {len(problems) - _MAX_LISTED} more")
    else:
        lines.append("# It imports nothing, so that no host can steer its result.")
    return "\n".join([*lines, "imports = []", ""])


def _judge(guess: AbiGuess) -> str:
    lines = [
        "# What it claims to compute, if it claims it bit by bit: see the documentation.",
        "# [semantics]",
        '# class = "program"',
        '# program = "model.semantics"',
        "",
        "[judge]",
        "# exact: NaN bits must agree too. canonical: engines must canonicalise. free: may differ.",
        'nan = "exact"',
    ]
    if not guess.calls:
        lines += [
            "# How the output becomes a label, and the least share of held-out rows to get right:",
            '# decision = "argmax"',
            "# accuracy_floor = 0.9",
        ]
    return "\n".join(lines) + "\n"
