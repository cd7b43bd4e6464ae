"""
A function laid out for abstract execution: one entry an instruction, and entries of its own where
paths meet, where gas is paid, and at loop heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import Any, Final

from conformance.bounds.abstract.conditions import (
    Condition,
    Local,
    Number,
    Tree,
    apply,
    asked,
)
from conformance.bounds.abstract.liveness import live_locals
from conformance.bounds.abstract.operators import exact, transfer
from conformance.bounds.certificate import OUT
from conformance.bounds.check.semantics.layout import WIDTH, Layout
from conformance.gas.charges import Charges
from conformance.wasm.instructions import Instruction
from conformance.wasm.module import Module


class Kind(IntEnum):
    """
    What is done with an entry, and what `a` and `b` are then.
    """

    LOCAL_GET = auto()
    """a: index."""
    CONST = auto()
    """a: bits."""
    BINARY = auto()
    """a: on numbers, b: on values."""
    UNARY = auto()
    """a: on numbers, b: on values."""
    LOCAL_SET = auto()
    """a: index."""
    LOCAL_TEE = auto()
    """a: index."""
    LOAD = auto()
    """a: offset, b: bytes, the transfer that extends the sign or None, and the width."""
    STORE = auto()
    """a: offset, b: bytes."""
    PAY = auto()
    """a: gas of the basic block that begins here, by number of the model, b: instructions."""
    MEET = auto()
    """Paths may come together here. a: point."""
    BRANCH_IF = auto()
    """a: target, b: condition or None, and the point behind it."""
    IF = auto()
    """a: target where the test fails, b: condition or None, and the point behind it."""
    BRANCH = auto()
    """a: target."""
    TABLE = auto()
    """a: targets, the default last."""
    ENTER = auto()
    """A loop is entered from above. a: place of the `loop`."""
    HEAD = auto()
    """The head of a loop, in each iteration. a: place of the `loop`."""
    LEAVE = auto()
    """A loop is left at its end."""
    GLOBAL_GET = auto()
    """a: index."""
    GLOBAL_SET = auto()
    """a: index."""
    DROP = auto()
    SELECT = auto()
    CALL = auto()
    """a: function, b: place."""
    CALL_INDIRECT = auto()
    """a: table, type and place."""
    RETURN = auto()
    UNREACHABLE = auto()
    SIZE = auto()
    GROW = auto()
    """a: terms of the gas that is paid by the page, b: place."""
    REFUSE = auto()
    """a: what is not modelled."""


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where a branch goes on.
    """

    entry: int
    """-1: the function returns."""
    point: int
    """Twice the place, which leaves room for points behind a call or a test."""
    arity: int
    height: int
    loops: int
    """Loops around the target."""
    back: bool
    """To the head of a loop: one more iteration of the innermost."""


@dataclass(frozen=True, slots=True)
class PerPage:
    """
    What growing memory costs by the page, under model number `model`.
    """

    model: int
    price: int
    requested: bool
    """Paid for what is asked for, not for what is granted."""
    even_refused: int
    surely: bool


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """
    A function.
    """

    function: int
    entries: tuple[tuple[int, Any, Any], ...]
    live: tuple[int, ...]
    """For each instruction the locals that are read from there on: bit k is local k."""
    integers: int
    """Bits of the locals that are integers."""
    parameters: int
    widths: tuple[int, ...]
    """Of all locals."""
    results: int
    entry_gas: tuple[int, ...]
    _read: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def read_from(self, place: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """
        Locals that are live before instruction *place*, and those of them that are integers.
        """
        found = self._read.get(place)
        if found is None:
            live = [k for k in range(len(self.widths)) if self.live[place] >> k & 1]
            integers = tuple([k for k in live if self.integers >> k & 1])
            found = self._read[place] = (tuple(live), integers)
        return found


def lay_out_code(layout: Layout, module: Module, charges: Sequence[Charges]) -> Code:
    """
    The code of one function, whose gas each of *charges* tells under one model.
    """
    maker = _Maker(layout, module, charges)
    maker.run()
    own = module.functions[layout.function - module.imported_functions]
    kinds = [*layout.type.parameters, *(r.type for r in own.body.locals for _ in range(r.count))]
    return Code(
        layout.function,
        tuple(maker.resolved()),
        live_locals(own.body),
        sum(1 << k for k, kind in enumerate(kinds) if kind in ("i32", "i64")),
        len(layout.type.parameters),
        layout.locals,
        len(layout.type.results),
        tuple(item.entry for item in charges),
    )


_OPERATORS: Final = {
    "drop": Kind.DROP, "select": Kind.SELECT, "select_t": Kind.SELECT, "memory.size": Kind.SIZE,
    "unreachable": Kind.UNREACHABLE,
}  # fmt: skip


class _Maker:
    """
    Where the layout of one function stands.
    """

    def __init__(self, layout: Layout, module: Module, charges: Sequence[Charges]) -> None:
        self.layout, self.module, self.charges = layout, module, charges
        self.entries: list[tuple[int, Any, Any]] = []
        self.starts: dict[int, int] = {}
        """Place -> its first entry."""
        self.trees: list[Tree | None] = []
        """The operands, where they are a tree over locals as they are now."""
        self.met = {
            way.target for ways in layout.ways.values() for way in ways if way.target != OUT
        }
        self.heads = {loop + 1 for loop in layout.loops}
        self.around = self._loops_around()
        """For each place how many loops it is in."""

    def run(self) -> None:
        for first, last in sorted(self.layout.blocks.items()):
            self.trees = []
            self.starts[first] = len(self.entries)
            if first in self.heads:
                self._emit(Kind.HEAD, first - 1)
            elif first in self.met:
                self._emit(Kind.MEET, 2 * first)
            gas = [sum(item.before[first : last + 1]) for item in self.charges]
            paid = tuple((model, price) for model, price in enumerate(gas) if price)
            self._emit(Kind.PAY, paid, last + 1 - first)
            for place in range(first, last + 1):
                self._add(place, self.layout.code[place])

    def _loops_around(self) -> list[int]:
        found, opened = [], list[bool]()
        depth = 0
        for at in self.layout.code:
            found.append(depth)
            name = at.opcode.name
            if name in ("block", "loop", "if"):
                opened.append(name == "loop")
                depth += name == "loop"
            elif name == "end" and opened:
                depth -= opened.pop()
        return found

    def _emit(self, kind: Kind, a: Any = None, b: Any = None) -> None:
        self.entries.append((int(kind), a, b))

    def resolved(self) -> list[tuple[int, Any, Any]]:
        """
        Entries in which branches have targets.
        """
        found: list[tuple[int, Any, Any]] = []
        for kind, a, b in self.entries:
            if kind in (Kind.BRANCH, Kind.BRANCH_IF, Kind.IF):
                found.append((kind, self._target(a), b))
            elif kind == Kind.TABLE:
                found.append((kind, tuple([self._target(way) for way in a]), b))
            else:
                found.append((kind, a, b))
        return found

    def _target(self, way: Any) -> Target:
        if way.target == OUT:
            return Target(-1, 0, way.arity, way.height, 0, back=False)
        entry, back = self.starts[way.target], way.target in self.heads
        loops = self.around[way.target]
        return Target(entry, 2 * way.target, way.arity, way.height, loops, back)

    # -------------------------------------------------------------------------- instructions

    def _add(  # noqa: C901, PLR0912 - one branch for each kind of instruction
        self, place: int, at: Instruction
    ) -> None:
        name = at.opcode.name
        first: Any = at.immediates[0] if at.immediates else None
        if name in ("block", "nop"):
            return
        if name in ("local.get", "local.set", "local.tee"):
            self._local(name, first)
        elif name.endswith(".const"):
            bits = first & ((1 << WIDTH[name[:3]]) - 1)
            self._emit(Kind.CONST, bits)
            self.trees.append(Number(bits) if name.startswith("i") else None)
        elif name == "loop":
            self._emit(Kind.ENTER, place)
        elif name == "end":
            self._end(place)
        elif name in ("br", "else", "return"):
            self._emit(Kind.BRANCH, self.layout.ways[place][0])
        elif name in ("br_if", "if"):
            kind = Kind.IF if name == "if" else Kind.BRANCH_IF
            self._emit(kind, self.layout.ways[place][0], (self._condition(), 2 * place + 1))
        elif name == "br_table":
            self._pop(1)
            self._emit(Kind.TABLE, self.layout.ways[place])
        elif name in ("global.get", "global.set"):
            gets = name == "global.get"
            self._emit(Kind.GLOBAL_GET if gets else Kind.GLOBAL_SET, first)
            self._pop(0 if gets else 1, 1 if gets else 0)
        elif name in ("call", "call_indirect"):
            self._call(place, at)
        elif at.opcode.alignment is not None:
            self._access(at)
        elif name in _OPERATORS:
            self._emit(_OPERATORS[name])
            takes, gives = {"drop": (1, 0), "memory.size": (0, 1)}.get(name, (3, 1))
            self._pop(takes, gives)
        elif name == "memory.grow":
            self._emit(Kind.GROW, self._per_page(place), place)
            self._pop(1, 1)
        else:
            self._operator(name, at)

    def _end(self, place: int) -> None:
        if place == len(self.layout.code) - 1:
            self._emit(Kind.RETURN)
        elif self._closes_loop(place):
            self._emit(Kind.LEAVE)

    def _closes_loop(self, place: int) -> bool:
        around = self.around
        return place + 1 < len(around) and around[place + 1] < around[place]

    def _operator(self, name: str, at: Instruction) -> None:
        signature = at.opcode.signature
        if signature is None or name.partition(".")[0] in ("memory", "data", "table"):
            self._emit(Kind.REFUSE, name)
            return
        count = len(signature.parameters)
        parts = tuple(self.trees[-count:]) if len(self.trees) >= count else (None,) * count
        tree = apply(name, parts) if set(signature.parameters) <= {"i32", "i64"} else None
        self._emit(Kind.UNARY if count == 1 else Kind.BINARY, exact(name), transfer(name))
        self._pop(count)
        self.trees.append(tree)

    def _local(self, name: str, index: int) -> None:
        if name == "local.get":
            self._emit(Kind.LOCAL_GET, index)
            self.trees.append(Local(index))
            return
        self._emit(Kind.LOCAL_SET if name == "local.set" else Kind.LOCAL_TEE, index)
        self._pop(1)
        # What was computed from the old value is not the tree over the new one.
        self.trees = [None if index in asked(tree) else tree for tree in self.trees]
        if name == "local.tee":
            self.trees.append(Local(index))

    def _condition(self) -> Condition | None:
        tree = self.trees[-1] if self.trees else None
        self._pop(1)
        names = asked(tree)
        return None if tree is None or not names else Condition(tree, tuple(sorted(names)))

    def _pop(self, takes: int, gives: int = 0) -> None:
        del self.trees[max(0, len(self.trees) - takes) :]
        self.trees += [None] * gives

    def _call(self, place: int, at: Instruction) -> None:
        first: Any = at.immediates[0]
        if at.opcode.name == "call":
            kind = self.module.function_type(first)
            self._emit(Kind.CALL, first, place)
            self._pop(len(kind.parameters), len(kind.results))
        else:
            kind = self.module.types[first].type
            self._emit(Kind.CALL_INDIRECT, (at.immediates[1], first), place)
            self._pop(1 + len(kind.parameters), len(kind.results))
        self._emit(Kind.MEET, 2 * place + 1)

    def _access(self, at: Instruction) -> None:
        name = at.opcode.name
        kind, _, operator = name.partition(".")
        memory: Any = at.immediates[0]
        size = 1 << (at.opcode.alignment or 0)
        if operator.startswith("store"):
            self._emit(Kind.STORE, memory.offset, size)
            self._pop(2)
            return
        extends = operator.endswith("_s")
        extend = transfer(f"{kind}.extend{8 * size}_s") if extends else None
        self._emit(Kind.LOAD, memory.offset, (size, extend, WIDTH[kind]))
        self._pop(1, 1)

    def _per_page(self, place: int) -> tuple[PerPage, ...]:
        return tuple(
            PerPage(model, item.price, item.kind == "pages-requested", item.even_refused,
                    item.literal)
            for model, charges in enumerate(self.charges)
            for item in charges.dynamic
            if item.place == place and item.price is not None
        )  # fmt: skip
