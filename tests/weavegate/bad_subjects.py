"""
Subjects that a user may bring by mistake or in malice, made from one good module and manifest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click.testing
import wasmtime

from weavegate.cli import main

MANIFEST: Final = """\
schema = 1

[module]
name = "sum"
file = "m.wasm"

[abi]
kind = "plain"
entry = "f"

[input]
dtype = "f64"
shape = [2]
pointer = { export = "in_ptr" }
low = 0.0
high = 1.0

[output]
dtype = "f64"
shape = [1]
pointer = { export = "out_ptr" }

[limits]
pages = 16
deadline_ms = 200
"""
SCALARS: Final = """\
schema = 1

[module]
name = "thrice"
file = "m.wasm"

[[call]]
entry = "f"
parameters = ["i32"]
results = ["i32"]
"""
BODY: Final = (
    "(f64.store (i32.const 128) (f64.add (f64.load (i32.const 64)) (f64.load (i32.const 72))))"
)
HOSTILE: Final = "[bold]x\x1b[31m\n\x00[/bold]"


def text_of(
    body: str = BODY,
    *,
    entry: str = "f",
    address: str = "i32.const 64",
    memory: str = '(memory (export "memory") 1)',
    more: str = "",
    imports: str = "",
) -> str:
    """
    The text of a module that adds two numbers, or of one that is wrong in the ways given.
    """
    return f"""(module {imports} {memory}
      (func (export "in_ptr") (result i32) {address})
      (func (export "out_ptr") (result i32) i32.const 128)
      (func (export "{entry}") {body}) {more})"""


def wat(text: str) -> bytes:
    """
    Assemble *text*.
    """
    return bytes(wasmtime.wat2wasm(text))


def module_of(body: str = BODY, **parts: str) -> bytes:
    """
    `text_of`, assembled.
    """
    return wat(text_of(body, **parts))


def subject_in(
    folder: Path, wasm: bytes | None = None, manifest: str | None = MANIFEST, name: str = "m.wasm"
) -> Path:
    """
    Write a subject and return its folder; by default a good one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(module_of() if wasm is None else wasm)
    if manifest is not None:
        (folder / "model.toml").write_text(manifest, encoding="utf-8")
    return folder


def leb(value: int) -> bytes:
    """
    Shortest unsigned LEB128.
    """
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def wide_signatures(parameters: int, functions: int) -> bytes:
    """
    A small module that is huge once compiled: many empty functions of one wide type.

    CWA-2023-004: code for entering each function is as long as its signature.
    """

    def section(number: int, payload: bytes) -> bytes:
        return bytes([number]) + leb(len(payload)) + payload

    def vector(items: list[bytes]) -> bytes:
        return leb(len(items)) + b"".join(items)

    def export(name: str, kind: int, index: int) -> bytes:
        return leb(len(name)) + name.encode() + bytes([kind, index])

    def body(code: bytes) -> bytes:
        return leb(len(code) + 1) + b"\0" + code

    wide = b"\x60" + leb(parameters) + b"\x7c" * parameters + b"\0"
    types = [b"\x60\0\1\x7f", wide, b"\x60\0\0"]
    bodies = [body(b"\x41\x10\x0b"), body(b"\x41\x20\x0b"), body(b"\x0b")]
    exports = [
        export("memory", 2, 0), export("in_ptr", 0, 0), export("out_ptr", 0, 1), export("f", 0, 2)
    ]  # fmt: skip
    return b"\0asm\1\0\0\0" + b"".join(
        [
            section(1, vector(types)),
            section(3, vector([b"\0", b"\0", b"\2", *[b"\1"] * functions])),
            section(5, b"\1\0\1"),
            section(7, vector(exports)),
            section(10, vector([*bodies, *[body(b"\0\x0b")] * functions])),
        ]
    )


def weavegate(*words: str | Path) -> click.testing.Result:
    """
    Run the command line in this process.
    """
    return click.testing.CliRunner().invoke(main, [str(word) for word in words])


def complaint(status: int, *words: str | Path) -> str:
    """
    The one sentence that a command prints on standard error, having ended with *status*.
    """
    result = weavegate(*words)
    assert result.exit_code == status, (result.output, result.exception)
    return sentence_of(result.stderr)


def sentence_of(stderr: str) -> str:
    """
    The last line, which must be the only complaint and have nothing in it that steers a terminal.
    """
    *progress, last = stderr.splitlines()
    assert last.startswith("weavegate: "), stderr
    assert "Traceback" not in stderr
    assert not any(line.startswith("weavegate:") for line in progress)
    assert last.isprintable()
    assert not last.endswith((".", ":"))
    return last.removeprefix("weavegate: ")
