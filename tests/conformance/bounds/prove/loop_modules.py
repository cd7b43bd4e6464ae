"""
Small modules with loops of many kinds, made from a seed; every call of them ends.

Some have no bound that the proof finds: what counts is that none gets a wrong one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from provable_modules import module_of

from conformance.bounds.certificate import Bytes, Precondition, Range
from conformance.wasm.module import Module

BYTES = 16
"""That the host writes, at address 0."""


@dataclass(frozen=True)
class LoopModule:
    """
    A module that exports `infer`, of two i32.
    """

    text: str
    ranges: tuple[tuple[int, int], tuple[int, int]]

    def module(self) -> Module:
        return module_of(self.text)

    def precondition(self) -> Precondition:
        ranges = tuple(Range(low, high) for low, high in self.ranges)
        return Precondition("infer", ranges, unknown=(Bytes(0, BYTES),))


@dataclass
class _Maker:
    draw: random.Random
    locals: int = 2
    depth: int = 0
    statements: list[Callable[[], str]] = field(init=False)

    def __post_init__(self) -> None:
        self.statements = [
            self.upwards, self.upwards, self.downwards, self.halving, self.scanning, self.branch,
            self.switch, self.call, self.global_, self.two_ways_back, self.joint, self.store,
        ]  # fmt: skip

    def fresh(self) -> str:
        self.locals += 1
        return f"$v{self.locals - 1}"

    def number(self, low: int, high: int) -> str:
        return f"(i32.const {self.draw.randint(low, high)})"

    def limit(self) -> str:
        """
        A number below 64: known, an argument, part of one, a byte of the input, a global.
        """
        argument = self.draw.choice(("(local.get $a)", "(local.get $b)"))
        at = self.number(0, BYTES - 1)
        return self.draw.choice(
            (
                self.number(0, 40),
                f"(i32.and {argument} (i32.const 31))",
                f"(i32.rem_u {argument} {self.number(1, 30)})",
                f"(i32.shr_u {argument} {self.number(27, 30)})",
                f"(i32.and (i32.load8_u {at}) (i32.const 15))",
                f"(i32.and (global.get $g) {self.number(1, 31)})",
                self.either(argument),
            )
        )

    def either(self, argument: str) -> str:
        numbers = f"{self.number(0, 30)} {self.number(0, 30)}"
        return f"(select {numbers} (i32.lt_s {argument} {self.number(-4, 20)}))"

    def inner(self) -> str:
        if self.depth >= 2 or self.draw.random() < 0.5:
            return ""
        self.depth += 1
        made = self.draw.choice(self.statements)()
        self.depth -= 1
        return made

    def upwards(self) -> str:
        i, end = self.fresh(), self.fresh()
        step = self.draw.choice((1, 1, 1, 2, 3, 4, 8))
        test = self.draw.choice(("i32.lt_u", "i32.lt_s", "i32.le_u"))
        return f"""(local.set {end} {self.limit()}) (local.set {i} {self.number(0, 3)})
          (block $out{i} (loop $l{i}
            (br_if $out{i} (i32.eqz ({test} (local.get {i}) (local.get {end}))))
            {self.inner()}
            (local.set {i} (i32.add (local.get {i}) (i32.const {step}))) (br $l{i})))"""

    def downwards(self) -> str:
        i = self.fresh()
        return f"""(local.set {i} (i32.add (i32.const 1) {self.limit()}))
          (loop $l{i} {self.inner()}
            (br_if $l{i} (local.tee {i} (i32.sub (local.get {i}) (i32.const 1)))))"""

    def halving(self) -> str:
        i = self.fresh()
        return f"""(local.set {i} {self.limit()})
          (block $out{i} (loop $l{i} (br_if $out{i} (i32.eqz (local.get {i})))
            (local.set {i} (i32.shr_u (local.get {i}) {self.number(1, 2)})) (br $l{i})))"""

    def scanning(self) -> str:
        i = self.fresh()
        return f"""(local.set {i} (i32.const 0))
          (block $out{i} (loop $l{i}
            (br_if $out{i} (i32.ge_u (local.get {i}) {self.number(1, BYTES)}))
            (br_if $out{i} (i32.eqz (i32.load8_u (local.get {i}))))
            {self.inner()}
            (local.set {i} (i32.add (local.get {i}) (i32.const 1))) (br $l{i})))"""

    def branch(self) -> str:
        other = f"(else {self.inner()})" if self.draw.random() < 0.5 else ""
        return f"(if (i32.gt_u {self.limit()} {self.number(0, 20)}) (then {self.inner()}) {other})"

    def switch(self) -> str:
        name = f"$s{self.locals}"
        return f"""(block {name} (block {name}a (block {name}b
          (br_table {name} {name}a {name}b {self.limit()})) {self.inner()}) {self.inner()})"""

    def call(self) -> str:
        return f"(call $leaf {self.limit()})"

    def global_(self) -> str:
        return f"(global.set $g (i32.add (global.get $g) {self.limit()}))"

    def store(self) -> str:
        return f"(i32.store8 {self.number(0, BYTES - 1)} {self.limit()})"

    def two_ways_back(self) -> str:
        i = self.fresh()
        return f"""(local.set {i} (i32.add (i32.const 2) {self.limit()}))
          (loop $l{i} (local.set {i} (i32.sub (local.get {i}) (i32.const 1)))
            (br_if $l{i} (i32.gt_u (local.get {i}) {self.number(1, 20)}))
            {self.inner()} (br_if $l{i} (local.get {i})))"""

    def joint(self) -> str:
        i, end = self.fresh(), self.fresh()
        return f"""(local.set {i} (i32.const 0)) (local.set {end} {self.limit()})
          (block $out{i} (loop $words{i}
            (br_if $out{i} (i32.ge_u (local.get {i}) (local.get {end})))
            (loop $letters{i}
              (local.set {i} (i32.add (local.get {i}) (i32.const 1)))
              (br_if $letters{i} (i32.and (i32.load8_u (i32.and (local.get {i}) (i32.const 15)))
                                          (i32.lt_u (local.get {i}) (local.get {end})))))
            (br $words{i})))"""


def loop_module(seed: int, index: int) -> LoopModule:
    """
    The module number *index* of a seed: always the same.
    """
    draw = random.Random(f"loops {seed} {index}")  # noqa: S311 - a campaign, not a secret
    maker = _Maker(draw)
    ranges = [draw.choice(((0, 48), (3, 9), (0, 1), (0, 0xFFFFFFFF), (1, 255))) for _ in range(2)]
    first = draw.choice((maker.upwards, maker.downwards, maker.scanning, maker.joint))()
    rest = [draw.choice(maker.statements)() for _ in range(draw.randint(0, 2))]
    declared = " ".join(f"(local $v{k} i32)" for k in range(2, maker.locals))
    text = f"""(module (memory (export "memory") 1) (global $g (mut i32) {maker.number(0, 9)})
      (func $leaf (param $n i32) (local $i i32)
        (block $out (loop $again
          (br_if $out (i32.ge_u (local.get $i) (i32.and (local.get $n) (i32.const 63))))
          (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $again))))
      (func (export "infer") (param $a i32) (param $b i32) {declared} {first} {" ".join(rest)}))"""
    return LoopModule(text, (ranges[0], ranges[1]))
