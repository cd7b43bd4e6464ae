"""
`weavegate init`: a first manifest for a module.
"""

from __future__ import annotations

from pathlib import Path

from conformance.manifest.draft import draft_manifest
from conformance.manifest.errors import BadSubjectError
from conformance.manifest.locate import locate
from weavegate.exits import Exit, WeavegateError
from weavegate.findings_files import write_atomically
from weavegate.subject import read_module


def draft(path: Path, *, write: bool) -> str:
    """
    The draft as text; written beside the module when asked, never over a manifest.
    """
    located = locate(path, need_manifest=False)
    _, _, module = read_module(located.wasm_path)
    try:
        text = draft_manifest(module, located.wasm_path.name)
    except BadSubjectError as error:
        sentence = f"{located.wasm_path}: {error}"
        raise WeavegateError(sentence, Exit.USAGE) from error
    if not write:
        return text
    target = located.wasm_path.parent / "model.toml"
    if target.exists():
        sentence = f"{target}: is there already: move it away first"
        raise WeavegateError(sentence, Exit.USAGE)
    write_atomically(target, text.encode())
    return f"{target}: written; read its comments, then run: weavegate certify {path}\n"
