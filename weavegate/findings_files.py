"""
Findings as files, so that each can be replayed, with the module beside them.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

import msgspec

from conformance.differential.records import Finding
from weavegate.exits import Exit, WeavegateError


def finding_name(finding: Finding) -> str:
    """
    File name of a finding.
    """
    return finding.id.replace(":", "-") + ".json"


def replay_line(path: Path) -> str:
    """
    The one command that replays a finding.
    """
    return f"weavegate replay {shlex.quote(str(path))}"


def write_atomically(path: Path, data: bytes) -> None:
    """
    Write a file so that whoever reads it sees the old or the new one, never a half.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        sentence = f"{path}: cannot be written: {error.strerror}: choose another folder with --out"
        raise WeavegateError(sentence, Exit.USAGE) from error


def save_finding(folder: Path, finding: Finding, module: bytes) -> Path:
    """
    Write a finding and its module; returns the finding's path.
    """
    target = folder / "findings" / finding_name(finding)
    write_atomically(folder / "findings" / f"{finding.module_sha256}.wasm", module)
    text = msgspec.json.format(msgspec.json.encode(finding, order="deterministic"), indent=1)
    write_atomically(target, text + b"\n")
    return target


def read_finding(path: Path) -> Finding:
    """
    Read a finding's file; raises WeavegateError.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Finding)
    except OSError as error:
        sentence = f"{path}: cannot be read: {error.strerror}"
        raise WeavegateError(sentence, Exit.USAGE) from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        sentence = f"{path}: is not a finding of weavegate: {error}"
        raise WeavegateError(sentence, Exit.USAGE) from error


def find_module(sha256: str, folders: list[Path]) -> bytes:
    """
    The module of a finding, by its digest: `DIGEST.wasm`, or any `.wasm` in the folders.
    """
    for folder in folders:
        for path in [folder / f"{sha256}.wasm", *sorted(folder.rglob("*.wasm"))]:
            if path.is_file():
                data = path.read_bytes()
                if hashlib.sha256(data).hexdigest() == sha256:
                    return data
    sentence = (
        f"the module {sha256} is not in {', '.join(map(str, folders))}: put its .wasm beside the"
        " finding, or name it with --module"
    )
    raise WeavegateError(sentence, Exit.USAGE)
