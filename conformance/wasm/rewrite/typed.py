"""
A body's instructions, each with the types that are on the operand stack before and after it.

Source of the types: the validation algorithm, run once more over a module that is valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conformance.wasm.check_body import advance
from conformance.wasm.checker import Checker, Context
from conformance.wasm.instructions import Instruction
from conformance.wasm.module import Module
from conformance.wasm.opcodes import ValType

Types = tuple[ValType, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """
    One instruction of a body.
    """

    place: int
    """Its number in the body."""
    instruction: Instruction
    before: Types | None
    """
    Operands that the innermost block can reach, the topmost last; None where no control comes.
    """
    after: Types | None
    """The same behind it."""


def locals_of(module: Module, place: int) -> Types:
    """
    Types of all locals of the module's own function number *place*, parameters first.
    """
    function = module.functions[place]
    types = list(module.function_type(function.index).parameters)
    for run in function.body.locals:
        types.extend([run.type] * run.count)
    return tuple(types)


def steps(module: Module, place: int) -> Iterator[Step]:
    """
    Every instruction of the module's own function number *place*; the module must be valid.
    """
    function = module.functions[place]
    context = Context(module, frozenset(range(len(module.function_types))))
    checker = Checker.entered(context, function)
    before = _reachable(checker)
    for number, instruction in enumerate(function.body):
        advance(checker, instruction)
        after = _reachable(checker)
        yield Step(number, instruction, before, after)
        before = after


def _reachable(checker: Checker) -> Types | None:
    """
    Operands of the innermost block, unless control cannot be there.
    """
    if not checker.frames:
        return ()
    frame = checker.frames[-1]
    if frame.unreachable:
        return None
    return tuple([kind for kind in checker.stack[frame.height :] if kind is not None])
