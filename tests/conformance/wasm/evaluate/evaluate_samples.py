"""
Evaluating small modules that are written as text.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import wasmtime

from conformance.wasm.evaluate.instance import UNLIMITED, Instance
from conformance.wasm.evaluate.operations import OPERATIONS, Operation
from conformance.wasm.evaluate.program import Program
from conformance.wasm.evaluate.stops import ExhaustedError, TrappedError
from conformance.wasm.evaluate.store import Extern, Limits


@functools.cache
def assembled(text: str) -> bytes:
    """
    The binary form of a module.
    """
    return bytes(wasmtime.wat2wasm(text))


def program(text: str, operations: Mapping[str, Operation] = OPERATIONS) -> Program:
    """
    A loaded module.
    """
    return Program.load(assembled(text), operations)


def instance(
    text: str,
    imports: Mapping[tuple[str, str], Extern] | None = None,
    *,
    limits: Limits | None = None,
    fuel: int = UNLIMITED,
) -> Instance:
    """
    An instance of a module.
    """
    return Instance(program(text), imports or {}, limits=limits, fuel=fuel)


def end_of(evaluation: Instance, name: str, *arguments: int) -> tuple[Any, ...] | str:
    """
    Results of a call, or in words how it ended: `trap: KIND`, `exhausted: RESOURCE`.
    """
    try:
        return evaluation.call(name, *arguments)
    except TrappedError as trap:
        return f"trap: {trap.kind}"
    except ExhaustedError as limit:
        return f"exhausted: {limit.resource}"
