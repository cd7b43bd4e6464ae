"""
Random valid modules, as text, that visit whatever a meter treats specially.

Branches of all kinds with dead code behind them, loops, traps in mid-run, calls of all kinds,
returns from everywhere, growth that is granted or refused, bulk and table operators. Every call
ends: loops count down and calls go to earlier functions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from conformance.wasm.opcodes import OPCODES

KINDS: Final = ("i32", "i64", "f32", "f64")
_SCALAR: Final = {
    kind: [
        op
        for op in OPCODES.values()
        if op.signature is not None
        and op.signature.results == (kind,)
        and op.signature.parameters
        and not op.immediates
        and not {*op.signature.parameters} - set(KINDS)
    ]
    for kind in KINDS
}
_TRAPPING: Final = ("div_", "rem_", "trunc_f")
_SIGNATURE: Final = "(param i32 i64 f32 f64)"
_FUNCTIONS: Final = 4
_VECTORS: Final = "(i8x16.all_true (i8x16.add (v128.const i64x2 1 2) (i64x2.splat (local.get 1))))"


class Maker:
    """
    Writes one module; the same seed gives the same text.

    Without *simd* its vectors are replaced by a scalar, and all else stays the same.
    """

    def __init__(self, seed: int, *, simd: bool = True) -> None:
        self.simd: Final = simd
        self.draw: Final = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
        self.made: list[tuple[str, ...]] = []
        self.labels = 0
        self.counters = 0
        self.results: tuple[str, ...] = ()

    def module(self) -> str:
        functions = "\n".join(self.function(place) for place in range(_FUNCTIONS))
        names = " ".join(f"$f{place}" for place in range(_FUNCTIONS))
        last = len(self.made) - 1
        drops = "(drop) " * len(self.made[last])
        return f"""(module
          (type $none (func {_SIGNATURE}))
          (memory (export "memory") 1 3) (table $t 7 9 funcref)
          (elem $e (i32.const 0) func {names}) (elem $p func $f0 $f1)
          (data $d "some bytes of a passive segment")
          (global $g (mut i32) (i32.const 5)) (global $n (mut i64) (i64.const -1))
          {functions}
          (func (export "run") {_SIGNATURE} (local i32 i64 f32 f64)
            (call $f{last} {self.arguments(1)}) {drops}))"""

    def function(self, place: int) -> str:
        draw = self.draw
        self.labels = self.counters = 0
        self.results = tuple(draw.choice(KINDS) for _ in range(draw.choice((0, 1, 1, 2))))
        body = [self.statement(3, ()) for _ in range(draw.randrange(2, 7))]
        if draw.random() < 0.4:
            body.insert(draw.randrange(len(body)), self.done())
        body += [self.value(kind, 2, ()) for kind in self.results]
        counters = " ".join(["i32"] * self.counters)
        self.made.append(self.results)
        wanted = f"(result {' '.join(self.results)})" if self.results else ""
        many = draw.choice((0, 0, 0, 28, 33))
        return (
            f"(func $f{place} {_SIGNATURE} {wanted} (local i32 i64 f32 f64 {counters})"
            f" (local {'i64 ' * many})\n" + "\n".join(body) + ")"
        )

    def done(self) -> str:
        """
        A branch to the function's own label, from outside of all blocks.
        """
        values = " ".join(self.value(kind, 1, ()) for kind in self.results)
        condition = self.value("i32", 1, ())
        if self.draw.random() < 0.2:
            return f"(br_table 0 0 {values} {condition})"
        return f"(br_if 0 {values} {condition})" + " (drop)" * len(self.results)

    def arguments(self, depth: int) -> str:
        return " ".join(self.value(kind, depth, ()) for kind in KINDS)

    def local(self, kind: str) -> int:
        return KINDS.index(kind) + self.draw.choice((0, 4))

    # -------------------------------------------------------------------------- values

    def constant(self, kind: str) -> str:
        draw = self.draw
        if kind[0] == "i":
            return f"({kind}.const {draw.choice((0, 1, 2, 7, -1, 65535, 1 << 30))})"
        return f"({kind}.const {draw.choice(('0', '1.5', '-2', 'nan', 'inf', '1e9', '3e38'))})"

    def value(  # noqa: PLR0911 - one return for each kind of value
        self, kind: str, depth: int, labels: tuple[str, ...]
    ) -> str:
        draw = self.draw
        if depth <= 0 or draw.random() < 0.2:
            return self.constant(kind) if draw.random() < 0.4 else f"(local.get {self.local(kind)})"
        depth -= 1
        choice = draw.randrange(12)
        if choice == 0:
            sides = f"(then {self.value(kind, depth, labels)}) (else {self.dying(kind, depth)})"
            return f"(if (result {kind}) {self.value('i32', depth, labels)} {sides})"
        if choice == 1:
            return self.block(kind, depth)
        if choice == 2:
            pair = f"{self.value(kind, depth, labels)} {self.value(kind, depth, labels)}"
            return f"(select {pair} {self.value('i32', depth, labels)})"
        if choice == 3:
            return f"(local.tee {self.local(kind)} {self.value(kind, depth, labels)})"
        if choice == 4 and (kind,) in self.made:
            place = draw.choice([n for n, found in enumerate(self.made) if found == (kind,)])
            return f"(call $f{place} {self.arguments(depth)})"
        if choice == 5:
            return f"({kind}.load offset={draw.choice((0, 9))} {self.address()})"
        if choice == 6 and kind == "i32":
            return draw.choice((
                f"(memory.grow (i32.const {draw.choice((0, 1, 2, 9, 128, 129, -1))}))",
                "(memory.size)", "(table.size $t)", "(ref.is_null (table.get $t (i32.const 5)))",
                f"(table.grow $t (ref.null func) (i32.const {draw.choice((0, 1, 4, 129))}))",
                _VECTORS if self.simd else "(i32.eqz (i32.wrap_i64 (local.get 1)))",
                "(global.get $g)",
            ))  # fmt: skip
        operator = draw.choice(_SCALAR[kind])
        while any(word in operator.name for word in _TRAPPING) and draw.random() < 0.7:
            operator = draw.choice(_SCALAR[kind])
        assert operator.signature is not None
        operands = " ".join(self.value(k, depth, labels) for k in operator.signature.parameters)
        return f"({operator.name} {operands})"

    def address(self) -> str:
        limit = self.draw.choice((*[0xFFF] * 9, 0x1FFFF))
        return f"(i32.and {self.value('i32', 1, ())} (i32.const {limit}))"

    def dying(self, kind: str, depth: int) -> str:
        """
        A value that is perhaps never there: the function returns or traps instead.
        """
        choice = self.draw.randrange(8)
        if choice == 0:
            return f"(return {' '.join(self.value(k, depth, ()) for k in self.results)})"
        if choice == 1 and self.draw.random() < 0.3:
            return f"(unreachable) (drop (i32.const 3)) {self.value(kind, depth, ())}"
        return self.value(kind, depth, ())

    def block(self, kind: str, depth: int) -> str:
        name = f"$b{self.labels}"
        self.labels += 1
        value, other = self.value(kind, depth, ()), self.value(kind, depth, ())
        condition = self.value("i32", depth, ())
        inside = self.draw.choice((
            f"(drop (br_if {name} {value} {condition})) {other}",
            f"(i64.const 9) (br {name} {value}) (i32.const 4) drop {other} drop",
            f"(block $i (result {kind}) (br_table {name} $i {name} {value} {condition}) nop)",
            f"nop (block (result {kind}) {value}) nop",
        ))  # fmt: skip
        return f"(block {name} (result {kind}) {inside})"

    # ---------------------------------------------------------------------- statements

    def statement(self, depth: int, labels: tuple[str, ...]) -> str:
        draw = self.draw
        kind = draw.choice(KINDS)
        simple: list[Callable[[], str]] = [
            lambda: f"(local.set {self.local(kind)} {self.value(kind, depth, labels)})",
            lambda: f"(drop {self.value(kind, depth, labels)})",
            lambda: f"({kind}.store {self.address()} {self.value(kind, depth, labels)})",
            lambda: f"(global.set $n {self.value('i64', depth, labels)}) nop",
            self.bulk,
            lambda: self.call(depth),
        ]
        if depth <= 0 or draw.random() < 0.4:
            return draw.choice(simple)()
        made = draw.choice((self.loop, self.choose, self.leave, self.cases))
        return made(depth - 1, labels)

    def loop(self, depth: int, labels: tuple[str, ...]) -> str:
        counter, name = 8 + self.counters, f"$l{self.labels}"
        self.counters += 1
        self.labels += 1
        inner = self.statement(depth, labels)
        down = f"(local.tee {counter} (i32.sub (local.get {counter}) (i32.const 1)))"
        ending = self.draw.choice((
            f"(br_if {name} {down})", f"(if {down} (then (br {name}) nop) (else nop))",
            f"(br_if {name} {down}) (i32.const 1) drop",
        ))  # fmt: skip
        start = f"(local.set {counter} (i32.const {self.draw.randrange(1, 5)}))"
        return f"{start} (loop {name} {inner} {ending})"

    def choose(self, depth: int, labels: tuple[str, ...]) -> str:
        other = f"(else {self.statement(depth, labels)})" if self.draw.random() < 0.5 else ""
        first = self.statement(depth, labels)
        return f"(if {self.value('i32', depth, labels)} (then {first}) {other})"

    def leave(self, depth: int, labels: tuple[str, ...]) -> str:
        name = f"$o{self.labels}"
        self.labels += 1
        inner = self.statement(depth, (*labels, name))
        target = self.draw.choice((*labels, name))
        way = self.draw.choice((
            f"(br_if {target} {self.value('i32', depth, labels)}) {inner}",
            f"{inner} (br {target}) (drop (i32.const 1)) (loop nop) {inner}",
            f"(block (br_table {target} 0 {name} {self.value('i32', depth, labels)})) {inner}",
            f"(if {self.value('i32', depth, ())} (then {self.gone(depth)} {inner}))",
        ))  # fmt: skip
        return f"(block {name} {way})"

    def gone(self, depth: int) -> str:
        """
        Leave the function, by `return` or by a branch to its own label, or trap.
        """
        if self.draw.random() < 0.25:
            return "(unreachable)"
        values = " ".join(self.value(kind, depth, ()) for kind in self.results)
        return f"(return {values})"

    def cases(self, depth: int, labels: tuple[str, ...]) -> str:
        selector = self.value("i32", depth, labels)
        first, second = self.statement(depth, labels), self.statement(depth, labels)
        table = f"(block (br_table 0 1 2 1 {selector}))"
        return f"(block (block {table} {first} (br 1)) {second})"

    def call(self, depth: int) -> str:
        if not self.made:
            return "nop"
        place = self.draw.randrange(len(self.made))
        drops = " (drop)" * len(self.made[place])
        if self.draw.random() < 0.4:
            wanted = f"(result {' '.join(self.made[place])})" if self.made[place] else ""
            index = self.draw.choice((*[place] * 12, 6, 8, 0))
            kind = f"{_SIGNATURE} {wanted}"
            return f"(call_indirect {kind} {self.arguments(depth)} (i32.const {index})){drops}"
        return f"(call $f{place} {self.arguments(depth)}){drops}"

    def bulk(self) -> str:
        size = f"(i32.const {self.draw.choice((0, 1, 2, 3, 31, 32))})"
        few = f"(i32.const {self.draw.choice((0, 1, 2, 2, 3))})"
        return self.draw.choice((
            f"(memory.fill {self.address()} (i32.const 1) {size})",
            f"(memory.copy {self.address()} {self.address()} {size})",
            f"(memory.init $d {self.address()} (i32.const 0) {size})",
            f"(table.copy $t $t (i32.const 4) (i32.const 5) {few})",
            f"(table.fill $t (i32.const 5) (ref.null func) {few})",
            f"(table.init $t $p (i32.const 4) (i32.const 0) {few})",
            "(table.set $t (i32.const 5) (ref.func $f0))", "nop",
        ))  # fmt: skip
