"""
Points of a module at which a checkpoint can be taken, chosen by what they are.

A point is (place of a function among the module's own, number of an instruction in its body).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.wasm.module import Module
from conformance.wasm.rewrite.typed import steps

Point = tuple[int, int]

CALLS: Final = ("call", "call_indirect")


def entries(module: Module) -> tuple[Point, ...]:
    """
    The first instruction of every function.
    """
    return tuple((place, 0) for place in range(len(module.functions)))


def loop_heads(module: Module) -> tuple[Point, ...]:
    """
    The first instruction in every loop: reached on entry and at every repetition.
    """
    return tuple((place, number + 1) for place, number in _named(module, ("loop",)))


def call_sites(module: Module) -> tuple[Point, ...]:
    """
    Every call, with its arguments still on the operand stack.
    """
    return tuple(_named(module, CALLS))


def every(module: Module, k: int = 1) -> tuple[Point, ...]:
    """
    Every *k*-th instruction of every function, the first included.
    """
    return tuple(
        (place, number)
        for place, function in enumerate(module.functions)
        for number in range(0, len(function.body), k)
    )


def computing(module: Module) -> tuple[Point, ...]:
    """
    Every instruction that leaves a value which it did not find: the points for tracing results.
    """
    return tuple(
        (place, step.place)
        for place in range(len(module.functions))
        for step in steps(module, place)
        if produced(step.instruction.opcode.name) and step.before is not None and step.after
    )


def produced(name: str) -> bool:
    """
    Whether the instruction *name* is one that computes, loads, or calls.
    """
    shape, _, operation = name.partition(".")
    if name in CALLS or name in ("memory.size", "memory.grow", "table.size", "table.grow"):
        return True
    if not operation or operation == "const" or "store" in operation:
        return False
    return shape not in ("local", "global", "memory", "table", "ref", "data", "elem")


def _named(module: Module, names: tuple[str, ...]) -> Iterator[Point]:
    for place, function in enumerate(module.functions):
        for number, instruction in enumerate(function.body):
            if instruction.opcode.name in names:
                yield place, number
