"""
What must be right for a confirmed certificate to be true: files and lines of code, by part.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_PARTS: Final = (
    ("judgement", ("conformance/bounds/check/*.py",)),
    ("semantics of instructions", ("conformance/bounds/check/semantics/*.py",)),
    ("replay", ("conformance/bounds/check/replaying/*.py", "conformance/wasm/rewrite/*.py",
                "conformance/gas/metering.py")),
    ("form of certificates", ("conformance/bounds/certificate.py",
                              "conformance/bounds/expressions.py",
                              "conformance/bounds/host_records.py")),
    ("contract files", ("conformance/bounds/contract.py", "conformance/manifest/errors.py",
                        "conformance/manifest/positions.py", "conformance/manifest/section.py")),
    ("codec and opcode tables", ("conformance/wasm/*.py",)),
    ("reference evaluator", ("conformance/wasm/evaluate/*.py", "conformance/wasm/numerics/*.py")),
    ("charges of gas models", ("conformance/gas/charges.py", "conformance/gas/load.py",
                               "conformance/gas/records.py", "conformance/gas/errors.py")),
)  # fmt: skip
_SILENT: Final = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
     tokenize.ENCODING, tokenize.ENDMARKER}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """
    One part of the trusted base.
    """

    name: str
    files: int
    lines: int
    """Of code: without blank lines, comments, docstrings and imports."""


def trusted_base() -> Iterator[Part]:
    """
    The parts, the checker's own judgement first. The solver, the engine and Python come on top.
    """
    for name, patterns in _PARTS:
        files = sorted({path for pattern in patterns for path in _ROOT.glob(pattern)})
        yield Part(name, len(files), sum(code_lines(path.read_text("utf-8")) for path in files))


def code_lines(source: str) -> int:
    """
    Lines of a Python source that hold code of its own: no comments, docstrings or imports.
    """
    silent: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)) or (
                isinstance(child, ast.Expr)
                and isinstance(child.value, ast.Constant)
                and isinstance(child.value.value, str)
            ):
                silent.update(range(child.lineno, (child.end_lineno or child.lineno) + 1))
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _SILENT:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - silent)
