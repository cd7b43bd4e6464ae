"""
How many operands lie on the stack before each instruction of a valid body, and where branches go.

Source: core specification 2.0, section 3.3 (typing of instructions), heights alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from conformance.wasm.body import Function
from conformance.wasm.instructions import BlockType, Instruction, Labels
from conformance.wasm.items import FunctionType
from conformance.wasm.module import Module


class Target(NamedTuple):
    """
    What a branch to a label leaves: *arity* operands on top of *height* others.
    """

    height: int
    arity: int


@dataclass(frozen=True, slots=True)
class Step:
    """
    One instruction in its place.
    """

    place: int
    instruction: Instruction
    live: bool
    """False behind an unconditional branch: it is never executed, and has no heights."""
    height: int
    """Operands on the stack before it; 0 if it is not live."""
    targets: tuple[Target, ...]
    """Of a branch, each label once; of `return`, the body."""


class _Frame(NamedTuple):
    base: int
    parameters: int
    results: int
    loop: bool
    live: bool

    @property
    def target(self) -> Target:
        return Target(self.base, self.parameters if self.loop else self.results)


_CHANGES: Final = {
    "drop": -1, "select": -2, "select_t": -2, "local.get": 1, "local.set": -1, "local.tee": 0,
    "global.get": 1, "global.set": -1, "table.get": 0, "table.set": -2, "ref.null": 1,
    "ref.is_null": 0, "table.grow": -1, "table.fill": -3,
}  # fmt: skip


def called_type(module: Module, instruction: Instruction) -> FunctionType:
    """
    The type that a `call` or `call_indirect` calls by.
    """
    index = cast("int", instruction.immediates[0])
    if instruction.opcode.name == "call":
        return module.function_type(index)
    return module.types[index].type


def _block_arity(module: Module, block: BlockType) -> tuple[int, int]:
    if block == "empty":
        return 0, 0
    if isinstance(block, int):
        found = module.types[block].type
        return len(found.parameters), len(found.results)
    return 0, 1


def _change(module: Module, instruction: Instruction) -> int:
    """
    By how much an instruction that is no control operator changes the height.
    """
    opcode = instruction.opcode
    if opcode.name in ("call", "call_indirect"):
        called = called_type(module, instruction)
        change = len(called.results) - len(called.parameters)
        return change - (opcode.name == "call_indirect")
    if opcode.signature is None:
        return _CHANGES[opcode.name]
    return len(opcode.signature.results) - len(opcode.signature.parameters)


def _targets(instruction: Instruction, frames: list[_Frame]) -> tuple[Target, ...]:
    opcode = instruction.opcode.name
    if opcode == "return":
        return (frames[0].target,)
    if opcode in ("br", "br_if"):
        return (frames[-1 - cast("int", instruction.immediates[0])].target,)
    if opcode == "br_table":
        labels = cast("Labels", instruction.immediates[0])
        depths = dict.fromkeys((*labels.labels, labels.default))
        return tuple(dict.fromkeys(frames[-1 - depth].target for depth in depths))
    return ()


def steps(module: Module, function: Function) -> Iterator[Step]:
    """
    The instructions of *function*, which must be valid, in order.
    """
    results = len(module.function_type(function.index).results)
    frames = [_Frame(0, 0, results, loop=False, live=True)]
    height, live = 0, True
    for place, instruction in enumerate(function.body):
        opcode = instruction.opcode.name
        if opcode in ("end", "else"):
            yield Step(place, instruction, live, height if live else 0, ())
            frame = frames[-1]
            live = frame.live
            height = frame.base + (frame.results if opcode == "end" else frame.parameters)
            if opcode == "end":
                frames.pop()
            continue
        targets = _targets(instruction, frames) if live else ()
        yield Step(place, instruction, live, height if live else 0, targets)
        if opcode in ("block", "loop", "if"):
            height -= opcode == "if"
            taken, given = _block_arity(module, cast("BlockType", instruction.immediates[0]))
            frames.append(_Frame(height - taken, taken, given, opcode == "loop", live))
        elif opcode in ("br", "br_table", "return", "unreachable"):
            live = False
        elif opcode == "br_if":
            height -= 1
        elif live:
            height += _change(module, instruction)
