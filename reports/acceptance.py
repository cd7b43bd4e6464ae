"""
What is said about validity: the specification's verdict, and beside it what each engine takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from conformance.wasm.verdict import ModuleVerdict

Answer = Literal["accepted", "refused", "refused late", "broke", "not asked"]
"""
`accepted`: compiled, and an instance opens where that can be tried; `refused late`: compiled, but
no instance opens; `broke`: the worker died or ran out of time; `not asked`: it lacks a proposal.
"""
Standing = Literal[
    "right",
    "accepts-invalid",  # finding: it compiles bytes that are no valid module
    "refuses-valid",  # finding: it refuses a valid module whose proposals it claims
    "broke",  # finding: bytes make it crash or hang
    "open",  # nothing to judge: a limit, a proposal that is not admitted, or not asked
]


class EngineAnswer(Struct, frozen=True, kw_only=True):
    """
    What one engine did when it was given a module.
    """

    engine: str
    core: str
    """The core inside and its version."""
    artifact_sha256: str
    """Of the package that was installed; empty where that is not known."""
    answer: Answer
    rule: str = ""
    """The worker's word for a refusal: `invalid`, `unsupported`, `limit` or `failed`."""
    text: str = ""
    """What the engine said."""
    standing: Standing


class JudgedFile(Struct, frozen=True, kw_only=True):
    """
    One file with all that was said about it.
    """

    path: str
    verdict: ModuleVerdict
    engines: tuple[EngineAnswer, ...] = ()


class Unreadable(Struct, frozen=True, kw_only=True):
    """
    A path that nothing could be judged of.
    """

    path: str
    sentence: str


class Validation(Struct, frozen=True, kw_only=True):
    """
    What `weavegate validate --json` writes.
    """

    files: tuple[JudgedFile, ...]
    unreadable: tuple[Unreadable, ...] = ()


def standing(verdict: ModuleVerdict, answer: Answer, rule: str) -> Standing:
    """
    How an engine's answer stands to the specification's verdict.
    """
    if answer == "broke":
        return "broke"
    if answer == "not asked" or verdict.kind in ("not-admitted", "beyond-limits"):
        return "open"
    if verdict.kind == "valid":
        if answer == "accepted":
            return "right"
        return "open" if rule in ("limit", "unsupported") else "refuses-valid"
    return "right" if answer == "refused" else "accepts-invalid"


def findings(files: Sequence[JudgedFile]) -> list[tuple[JudgedFile, EngineAnswer]]:
    """
    Answers that are wrong, in the order of files and engines.
    """
    return [
        (file, engine)
        for file in files
        for engine in file.engines
        if engine.standing not in ("right", "open")
    ]
