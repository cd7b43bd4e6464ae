"""
One body as the checker sees it: where branches go, basic blocks, edges, operand types at loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from conformance.bounds.certificate import ENTRY, OUT
from conformance.bounds.check.refusals import NotModelledError
from conformance.wasm.check_body import advance
from conformance.wasm.checker import Checker, Context
from conformance.wasm.instructions import Instruction, Labels
from conformance.wasm.items import FunctionType
from conformance.wasm.module import Module
from conformance.wasm.structure import Structure, structure

WIDTH: Final = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}
"""Bits of each type that the checker models."""
Edge = tuple[int, int]
"""Last instruction of a block, first of the next one or OUT."""
_ENDING: Final = frozenset(
    {"br", "br_if", "br_table", "if", "else", "loop", "return", "unreachable"}
)
_MOST_NESTED: Final = 200
_FALLING: Final = frozenset({"br_if", "if", "loop"})


class Way(NamedTuple):
    """
    One way out of a branching instruction: where to, and what stays of the operands.
    """

    target: int
    height: int
    """Operands below the label."""
    arity: int
    """Operands on top that are taken along."""


@dataclass(frozen=True)
class Layout:
    """
    A function body, ready to be executed symbolically.
    """

    function: int
    name: str
    code: tuple[Instruction, ...]
    type: FunctionType
    locals: tuple[int, ...]
    """Widths of parameters, then of declared locals."""
    ways: dict[int, tuple[Way, ...]]
    """Branching instruction that control reaches -> labels; `if`: where a false condition leads."""
    loops: dict[int, tuple[int, ...]]
    """Loop that control reaches -> widths of all operands at its head, the bottom first."""
    joins: dict[int, tuple[int, ...]]
    """Place behind an `end` -> widths of all operands there."""
    selects: dict[int, int]
    """Place of a `select` -> width of what it chooses."""
    around: dict[int, tuple[int, ...]]
    """Cut -> loops around it, the outermost first, without itself."""
    deepest: int
    """Greatest number of operands on the stack."""

    @cached_property
    def cuts(self) -> tuple[int, ...]:
        """
        ENTRY, then the loops that control can reach.
        """
        return (ENTRY, *sorted(self.loops))

    def inside(self, cut: int, loop: int) -> bool:
        """
        Whether *cut* is *loop* or lies inside of it.
        """
        return cut == loop or loop in self.around[cut]

    @cached_property
    def leaders(self) -> tuple[int, ...]:
        """
        First instructions of basic blocks, ascending, dead ones included.
        """
        found = {0, *(way.target for ways in self.ways.values() for way in ways)}
        ending = (k for k, at in enumerate(self.code) if at.opcode.name in _ENDING)
        found.update(at + 1 for at in ending)
        return tuple(sorted(found - {OUT, len(self.code)}))

    @cached_property
    def blocks(self) -> dict[int, int]:
        """
        First instruction of each block that control can reach -> its last one.
        """
        ends = dict(zip(self.leaders, [at - 1 for at in (*self.leaders[1:], len(self.code))],
                        strict=True))  # fmt: skip
        live, todo = {0: ends[0]}, [0]
        while todo:
            for target in self.successors(ends[todo.pop()]):
                if target != OUT and target not in live:
                    live[target] = ends[target]
                    todo.append(target)
        return live

    def successors(self, last: int) -> tuple[int, ...]:
        """
        Where control can go from the last instruction of a block; `unreachable` leads OUT.
        """
        name = self.code[last].opcode.name
        found = dict.fromkeys(way.target for way in self.ways.get(last, ()))
        if name == "unreachable" or last == len(self.code) - 1:
            found[OUT] = None
        elif name not in _ENDING or name in _FALLING:
            found[last + 1] = None
        return tuple(found)

    @cached_property
    def edges(self) -> frozenset[Edge]:
        """
        Edges between blocks that control can reach, and OUT.
        """
        return frozenset(
            (last, target) for last in self.blocks.values() for target in self.successors(last)
        )


def lay_out(module: Module, place: int) -> Layout:  # noqa: C901 - one pass, one branch an operator
    """
    The layout of the module's own function number *place*; NotModelledError for v128 and the like.
    """
    function = module.functions[place]
    name = module.function_name(function.index)
    checker = Checker.entered(Context(module, frozenset()), function)
    types = (*checker.locals, *module.function_type(function.index).results)
    for strange in {*types} - WIDTH.keys():
        raise NotModelledError(f"the type {strange}", name)
    code = tuple(function.body)
    tree = structure(function.body)
    ways: dict[int, tuple[Way, ...]] = {}
    loops: dict[int, tuple[int, ...]] = {}
    joins: dict[int, tuple[int, ...]] = {}
    selects: dict[int, int] = {}
    opened, nest = [0], list[int]()
    around: dict[int, tuple[int, ...]] = {ENTRY: ()}
    deepest = 0
    for at, instruction in enumerate(code):
        _refuse(instruction, name)
        alive = not checker.frames[-1].unreachable
        operator = instruction.opcode.name
        if operator in ("br", "br_if", "br_table", "return", "else"):
            ways[at] = tuple(_ways(checker, instruction, tree, opened))
        if operator.startswith("select") and alive:
            selects[at] = WIDTH[str(checker.stack[-2])]
        if operator == "end":
            closed = tree.blocks[opened.pop()]
            if closed.kind == "loop":
                nest.pop()
        advance(checker, instruction)
        deepest = max(deepest, len(checker.stack))
        if operator == "end" and None not in checker.stack:
            joins[at + 1] = tuple(WIDTH[str(kind)] for kind in checker.stack)
        if operator in ("block", "loop", "if"):
            frame, block = checker.frames[-1], tree.blocks[tree.opened[at]]
            opened.append(tree.opened[at])
            if operator == "loop" and alive and None not in checker.stack:
                loops[at] = tuple(WIDTH[str(kind)] for kind in checker.stack)
                around[at] = tuple(nest)
                if len(nest) > _MOST_NESTED:
                    raise NotModelledError(f"more than {_MOST_NESTED} nested loops", name)
            if operator == "loop":
                nest.append(at)
            if operator == "if":
                false = block.end if block.otherwise is None else block.otherwise
                ways[at] = (Way(false + 1, frame.height, len(frame.starts)),)
    widths = tuple(WIDTH[kind] for kind in checker.locals)
    kind = module.function_type(function.index)
    return Layout(function.index, name, code, kind, widths, ways, loops, joins, selects, around,
                  deepest)  # fmt: skip


def _refuse(instruction: Instruction, name: str) -> None:
    """
    Raise NotModelledError for what changes tables or needs types that are not modelled.
    """
    opcode = instruction.opcode
    signature = opcode.signature
    strange = opcode.proposal in ("simd", "reference-types") or opcode.name in (
        "table.init", "table.copy", "elem.drop",
    )  # fmt: skip
    if strange or (signature and {*signature.parameters, *signature.results} - WIDTH.keys()):
        raise NotModelledError(opcode.name, f"{name}, byte {instruction.offset:#x}")


def _ways(
    checker: Checker, instruction: Instruction, tree: Structure, opened: list[int]
) -> Iterator[Way]:
    """
    The labels of a branch, `else` and `return` included, in order.
    """
    name = instruction.opcode.name
    first: Any = instruction.immediates[0] if instruction.immediates else None
    depths = [first]
    if isinstance(first, Labels):
        depths = [*first.labels, first.default]
    elif name in ("return", "else"):
        depths = [len(checker.frames) - 1 if name == "return" else 0]
    for depth in depths:
        frame, block = checker.frames[-1 - depth], tree.blocks[opened[-1 - depth]]
        target = OUT if block.kind == "body" else block.continuation
        yield Way(target, frame.height, len(frame.label))
