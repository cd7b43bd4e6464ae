"""
Random valid modules as text: every scalar operator, memory, tables, calls and all control.

A module exports `run`, which takes and gives floats as integers, a memory and four globals. Loops
count down from small numbers and calls lead to earlier functions only, so that every call ends.
"""

from __future__ import annotations

import random
from typing import Final

from conformance.wasm.numerics.scalar import OPERATORS

TYPES: Final = ("i32", "i64", "f32", "f64")
CARRIERS: Final = {"i32": "i32", "i64": "i64", "f32": "i32", "f64": "i64"}
EDGES: Final = {
    "i32": (0, 1, 7, 31, 0xC8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF38, 0x01000001),
    "i64": (0, 5, 63, 0xC8, 1 << 53, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
            (1 << 64) - 1000),
    "f32": (0, 0x80000000, 1, 0x3F800000, 0xBF800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000,
            0x7FC00000, 0xFFA00001, 0x4F000000, 0x3F000000, 0xCF000001, 0x40200000, 0xC039999A,
            0x42F6E979, 0xC7C35000),
    "f64": (0, 1 << 63, 1, 0x3FF0000000000000, 0xBFF8000000000000, 0x7FEFFFFFFFFFFFFF,
            0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000000,
            0x7FF4000000000001, 0x41E0000000000000, 0x43E0000000000000, 0x36A0000000000000,
            0x4004000000000000, 0xC007333333333333, 0x405EDD2F1A9FBE77, 0xC0F86A0000000000),
}  # fmt: skip
_RESULTS: Final = {
    kind: [one for one in OPERATORS.values() if one.result == kind] for kind in TYPES
}
# Kept rare: a module that always traps shows little.
_TRAPPING: Final = frozenset(
    name
    for name in OPERATORS
    if ".trunc_f" in name or (name[0] == "i" and (".div" in name or ".rem" in name))
)
_LOADS: Final = {
    "i32": ("load", "load8_s", "load8_u", "load16_s", "load16_u"),
    "i64": ("load", "load8_s", "load8_u", "load16_s", "load16_u", "load32_s", "load32_u"),
    "f32": ("load",),
    "f64": ("load",),
}
_STORES: Final = {
    "i32": ("store", "store8", "store16"),
    "i64": ("store", "store8", "store16", "store32"),
    "f32": ("store",),
    "f64": ("store",),
}
_FUNCTIONS: Final = 4
_SIGNATURE: Final = "(param i32 i64 f32 f64) (result {kind})"


def constant(kind: str, bits: int) -> str:
    """
    A constant of any type with these bits.
    """
    carrier = CARRIERS[kind]
    plain = f"({carrier}.const {bits:#x})"
    return plain if carrier == kind else f"({kind}.reinterpret_{carrier} {plain})"


class Writer:
    """
    Writes one module; the same seed gives the same text.
    """

    def __init__(self, seed: int) -> None:
        """
        Begin.
        """
        self.draw: Final = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
        self.earlier: list[str] = []
        self.counters = 0
        self.places = 0x8000

    def module(self) -> str:
        """
        The whole module.
        """
        functions = "\n".join(self.function(place) for place in range(_FUNCTIONS))
        names = " ".join(f"$f{place}" for place in range(_FUNCTIONS))
        globals_ = "\n".join(
            f'(global ${kind} (export "{kind}") (mut {kind}) ({kind}.const 3))' for kind in TYPES
        )
        answers = "\n".join(self.answer(kind) for kind in TYPES)
        return f"""(module
          (memory (export "memory") 1 3) (table 6 funcref) (elem (i32.const 0) func {names})
          (data $d "some bytes of a passive segment") (data (i32.const 30) "and an active one")
          (type $t (func (param i32 i64 f32 f64) (result i32)))
          {globals_}
          {functions}
          (func (export "run") (param i32 i64 i32 i64) (result i32 i64 i32 i64)
            {answers}))"""

    def answer(self, kind: str) -> str:
        """
        One result of `run`: of the last function that gives the type, carried as an integer.
        """
        place = max(index for index, found in enumerate(self.earlier) if found == kind)
        given = "(local.get 0) (local.get 1) "
        given += "(f32.reinterpret_i32 (local.get 2)) (f64.reinterpret_i64 (local.get 3))"
        call = f"(call $f{place} {given})"
        carrier = CARRIERS[kind]
        return call if carrier == kind else f"({carrier}.reinterpret_{kind} {call})"

    def function(self, place: int) -> str:
        """
        A function that gives one of the four types.
        """
        kind = TYPES[place % len(TYPES)]
        self.counters = 0
        statements = [self.statement(3) for _ in range(self.draw.randrange(5, 10))]
        last = self.expression(kind, 4)
        counters = " ".join(["i32"] * self.counters)
        self.earlier.append(kind)
        # Locals 0 to 3 are parameters, 4 to 7 more of the same types, then counters of loops.
        return (
            f"(func $f{place} {_SIGNATURE.format(kind=kind)} (local i32 i64 f32 f64 {counters})\n"
            + "\n".join([*statements, last])
            + ")"
        )

    def local(self, kind: str) -> int:
        """
        One of the two locals of a type.
        """
        return TYPES.index(kind) + self.draw.choice((0, 4))

    def address(self) -> str:
        """
        An address that is mostly inside the first page.
        """
        mask = self.draw.choice((0x3F, *[0xFFF] * 20, *[0x7FFF] * 20, 0xFFFF, 0x1FFFF))
        return f"(i32.and {self.expression('i32', 1)} (i32.const {mask}))"

    # ------------------------------------------------------------------------- expressions

    def expression(self, kind: str, depth: int) -> str:
        """
        Something that leaves one value of the type *kind*.
        """
        draw = self.draw
        if depth <= 0 or draw.random() < 0.15:
            if draw.random() < 0.5:
                return f"(local.get {self.local(kind)})"
            return constant(kind, draw.choice(EDGES[kind]))
        made = draw.choice((
            self.operator, self.operator, self.operator, self.operator, self.load, self.select,
            self.tee, self.global_, self.if_, self.block, self.call, self.table, self.size,
        ))  # fmt: skip
        return made(kind, depth - 1)

    def operator(self, kind: str, depth: int) -> str:
        """
        Any scalar operator.
        """
        operator = self.draw.choice(_RESULTS[kind])
        while operator.name in _TRAPPING and self.draw.random() < 0.85:
            operator = self.draw.choice(_RESULTS[kind])
        operands = " ".join(self.expression(one, depth) for one in operator.parameters)
        return f"({operator.name} {operands})"

    def load(self, kind: str, _: int) -> str:
        """
        A load.
        """
        name = self.draw.choice(_LOADS[kind])
        return f"({kind}.{name} offset={self.draw.choice((0, 1, 8))} {self.address()})"

    def select(self, kind: str, depth: int) -> str:
        """
        A selection, typed or not.
        """
        typed = self.draw.choice(("", f"(result {kind})"))
        values = f"{self.expression(kind, depth)} {self.expression(kind, depth)}"
        return f"(select {typed} {values} {self.expression('i32', depth)})"

    def tee(self, kind: str, depth: int) -> str:
        """
        A value that is kept too.
        """
        return f"(local.tee {self.local(kind)} {self.expression(kind, depth)})"

    def global_(self, kind: str, _: int) -> str:
        """
        A global.
        """
        return f"(global.get ${kind})"

    def if_(self, kind: str, depth: int) -> str:
        """
        A choice of two values.
        """
        sides = f"(then {self.expression(kind, depth)}) (else {self.expression(kind, depth)})"
        return f"(if (result {kind}) {self.expression('i32', depth)} {sides})"

    def block(self, kind: str, depth: int) -> str:
        """
        A block that a branch may leave with other operands on the stack.
        """
        value, other = self.expression(kind, depth), self.expression(kind, depth - 1)
        condition = self.expression("i32", depth - 1)
        leaving = self.draw.choice((
            f"(drop (br_if 0 {value} {condition})) {other}",
            f"(i64.const 9) (br_table 0 0 {value} {condition})",
            f"(i32.const 1) (f64.const 2) (br 0 {value})",
            f"(block (result {kind}) (br_table 0 1 0 {value} {condition}))",
        ))  # fmt: skip
        return f"(block (result {kind}) {leaving})"

    def call(self, kind: str, depth: int) -> str:
        """
        A call of an earlier function, directly or through the table.
        """
        fitting = [place for place, found in enumerate(self.earlier) if found == kind]
        if not fitting:
            return self.operator(kind, depth)
        place = self.draw.choice(fitting)
        given = " ".join(self.expression(one, depth - 1) for one in TYPES)
        if self.draw.random() < 0.3:
            index = f"(i32.const {self.draw.choice((*[place] * 30, 3 - place, 5, 6))})"
            return f"(call_indirect {_SIGNATURE.format(kind=kind)} {given} {index})"
        return f"(call $f{place} {given})"

    def table(self, kind: str, depth: int) -> str:
        """
        What can be asked of a table, for an i32.
        """
        if kind != "i32":
            return self.operator(kind, depth)
        return self.draw.choice((
            "(ref.is_null (ref.null extern))", "(table.size 0)",
            f"(ref.is_null (table.get 0 (i32.const {self.draw.choice((*range(6), 0, 1, 6))})))",
        ))  # fmt: skip

    def size(self, kind: str, depth: int) -> str:
        """
        Size or growth of the memory, for an i32.
        """
        if kind != "i32":
            return self.operator(kind, depth)
        return self.draw.choice(("(memory.size)", "(memory.grow (i32.const 1))"))

    # -------------------------------------------------------------------------- statements

    def statement(self, depth: int) -> str:
        """
        Something that leaves nothing.
        """
        kind = self.draw.choice(TYPES)
        choice = self.draw.randrange(9)
        if choice == 0:
            return f"(global.set ${kind} {self.expression(kind, depth)})"
        if choice in (1, 6):
            return self.kept(kind, depth)
        if choice == 2 and depth > 1:
            return self.loop(depth - 1)
        if choice == 3 and depth > 1:
            inner = self.statement(depth - 1)
            return f"(if {self.expression('i32', depth - 1)} (then {inner}) (else nop {inner}))"
        if choice == 4:
            return self.bulk()
        return self.written(kind, depth, stored=choice == 5)

    def written(self, kind: str, depth: int, *, stored: bool) -> str:
        """
        A value that goes to memory or into a local.
        """
        if stored:
            value = self.expression(kind, depth)
            return f"({kind}.{self.draw.choice(_STORES[kind])} {self.address()} {value})"
        return f"(local.set {self.local(kind)} {self.expression(kind, depth)})"

    def kept(self, kind: str, depth: int) -> str:
        """
        The result of an operator, stored where nothing else is, so that it stays to be seen.
        """
        self.places += 8
        value = self.operator(kind, depth)
        return f"({kind}.store (i32.const {self.places}) {value})"

    def loop(self, depth: int) -> str:
        """
        A loop that counts down from a small number.
        """
        counter = 8 + self.counters
        self.counters += 1
        turns = self.draw.randrange(1, 4)
        inner = self.statement(depth)
        down = f"(local.tee {counter} (i32.sub (local.get {counter}) (i32.const 1)))"
        return f"(local.set {counter} (i32.const {turns})) (loop {inner} (br_if 0 {down}))"

    def bulk(self) -> str:
        """
        A bulk operation on memory.
        """
        size = f"(i32.const {self.draw.choice((0, 1, 7, 20, 23, 23, 24))})"
        return self.draw.choice((
            f"(memory.fill {self.address()} {self.expression('i32', 1)} {size})",
            f"(memory.copy {self.address()} {self.address()} {size})",
            f"(memory.init $d {self.address()} (i32.const {self.draw.randrange(9)}) {size})",
        ))  # fmt: skip
