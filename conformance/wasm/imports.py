"""
The static import policy: a module may ask its host for what its manifest allows, by exact name.
"""

from __future__ import annotations

import difflib
from typing import Final, Literal

from msgspec import Struct

from conformance.wasm.items import Import
from conformance.wasm.module import Module

ImportRule = Literal[
    "import-not-allowed",
    "import-wasi",
    "import-native-inference",
    "import-environment",
    "import-allowance-unused",
]


class ImportProblem(Struct, frozen=True):
    """
    One import that is not allowed, or one allowance that allows nothing.
    """

    key: str
    """`module.name`."""
    rule: ImportRule
    offset: int | None
    """Byte offset of the import; None for an allowance without its import."""
    sentence: str


_WASI: Final = ("wasi_snapshot_preview1", "wasi_unstable")
_WASI_PREFIXES: Final = ("wasi_", "wasi:")
_NATIVE_INFERENCE: Final = ("wasi_nn", "wasi_ephemeral_nn", "wasi:nn")
_WASI_REASONS: Final = {
    "random_get": "it gives other bytes on every node",
    "clock_time_get": "it reads the node's clock",
    "clock_res_get": "it reads the node's clock",
    "poll_oneoff": "it waits for the node's clock or files",
    "environ_get": "it reads the node's environment",
    "environ_sizes_get": "it reads the node's environment",
    "args_get": "it reads the node's command line",
    "args_sizes_get": "it reads the node's command line",
    "sched_yield": "it hands control to the node's scheduler",
    "proc_exit": "it ends the call from outside the module",
}
_ENVIRONMENT_REASONS: Final = {
    "emscripten_resize_heap": "the host decides whether memory grows, and how far",
    "emscripten_memcpy_big": "the host copies inside the module's memory",
    "emscripten_get_now": "it reads the node's clock",
    "emscripten_date_now": "it reads the node's clock",
    "query_chain": "it answers from the state of the chain",
    "db_read": "it answers from the state of the contract",
}


def check_imports(module: Module, allowed: tuple[str, ...]) -> tuple[ImportProblem, ...]:
    """
    Compare the module's imports with *allowed*, a manifest's list of exact `module.name`.

    Imports come first, in file order, each name once; then allowances whose import the module
    lacks, in the manifest's order. Native inference stays a problem even when it is allowed,
    because no host script can fix its results.
    """
    problems = []
    seen: set[str] = set()
    for item in module.imports:
        if item.key in seen:
            continue
        seen.add(item.key)
        if item.key not in allowed or _is_native_inference(item):
            problems.append(_refusal(item, allowed))
    problems += [_unused(key, seen) for key in dict.fromkeys(allowed) if key not in seen]
    return tuple(problems)


def _is_native_inference(item: Import) -> bool:
    return item.module.startswith(_NATIVE_INFERENCE)


def _refusal(item: Import, allowed: tuple[str, ...]) -> ImportProblem:
    rule: ImportRule
    if _is_native_inference(item):
        rule = "import-native-inference"
        reason = "native inference outside wasm semantics: results depend on the host"
    elif item.module in _WASI or item.module.startswith(_WASI_PREFIXES):
        rule = "import-wasi"
        reason = _WASI_REASONS.get(item.name, "a system interface: it answers differently per node")
    elif item.module == "env":
        rule = "import-environment"
        reason = _environment_reason(item)
    else:
        rule = "import-not-allowed"
        reason = "nothing in the module fixes what the host answers"
        near = difflib.get_close_matches(item.key, allowed, n=1)
        if near:
            reason += f"; the manifest allows {near[0]!r}"
    sentence = f"the module imports the {item.kind} {item.key!r}: {reason}"
    return ImportProblem(item.key, rule, item.span.start, sentence)


def _environment_reason(item: Import) -> str:
    if item.kind == "memory":
        return "its first content and its growth are the host's"
    if item.kind in ("table", "global"):
        return "its value is the host's"
    return _ENVIRONMENT_REASONS.get(
        item.name, "nothing in the module fixes what the embedding answers"
    )


def _unused(key: str, imports: set[str]) -> ImportProblem:
    sentence = f"the manifest allows the import {key!r}, which the module does not have"
    near = difflib.get_close_matches(key, sorted(imports), n=1)
    if near:
        sentence += f"; did you mean {near[0]!r}?"
    return ImportProblem(key, "import-allowance-unused", None, sentence)
