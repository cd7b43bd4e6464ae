"""
Findings as files, so that each can be replayed, with the module beside them.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path
from typing import Final

import msgspec

from conformance.differential.records import Finding
from runners.bits import parse_bytes
from runners.instances import BadPolicyError, cases_per_instance
from weavegate.exits import Exit, WeavegateError

SCHEMA: Final = 1
"""The form of findings that this weavegate writes and reads."""


class _Header(msgspec.Struct, frozen=True):
    """
    What every form of a finding has.
    """

    schema: int


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
        sentence = f"{path}: cannot be written ({error.strerror}): choose another folder"
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
        data = path.read_bytes()
    except OSError as error:
        sentence = f"{path}: cannot be read ({error.strerror}): name the .json file of a finding"
        raise WeavegateError(sentence, Exit.USAGE) from error
    try:
        schema = msgspec.json.decode(data, type=_Header).schema
        if schema > SCHEMA:
            sentence = (
                f"{path}: was written by a newer weavegate (schema {schema}, this one reads"
                f" {SCHEMA}): replay it with that one"
            )
            raise WeavegateError(sentence, Exit.USAGE)
        finding = msgspec.json.decode(data, type=Finding)
        _check(finding, schema)
    except (ValueError, BadPolicyError) as error:
        sentence = f"{path}: is not a finding of weavegate ({error}): name the .json file of one"
        raise WeavegateError(sentence, Exit.USAGE) from error
    return finding


def _check(finding: Finding, schema: int) -> None:
    """
    Refuse a finding that cannot be replayed; raises ValueError or BadPolicyError.
    """
    call = finding.call
    cases_per_instance(finding.policy)
    if schema != SCHEMA:
        message = f"there is no schema {schema}"
    elif not finding.history or not finding.observed:
        message = "it needs at least one case in `history` and one node in `observed`"
    elif any(len(parse_bytes(row)) != call.input_bytes for row in finding.history):
        message = f"a row of `history` must have {call.input_bytes} bytes"
    elif finding.expected and len(parse_bytes(finding.expected)) != call.output_bytes:
        message = f"`expected` must have {call.output_bytes} bytes"
    else:
        return
    raise ValueError(message)


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
