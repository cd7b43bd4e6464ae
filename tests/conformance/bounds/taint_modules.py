"""
Random modules in the shape of inference, whose gas may or may not depend on their input.

Loops with constant bounds run over an input buffer and write an output buffer; now and then
something is slipped in that makes control, an address, a length or a target depend on a value.
"""

from __future__ import annotations

import random
from typing import Final

from runners.records import AtAddress, Buffer, Call, InputPointer, OutputPointer

INPUT_BYTES: Final = 64
OUTPUT_BYTES: Final = 64
CALL: Final = Call(
    "infer",
    (InputPointer(), OutputPointer()),
    (),
    Buffer(AtAddress(256), INPUT_BYTES),
    Buffer(AtAddress(1024), OUTPUT_BYTES),
    memory="memory",
)
_INTEGER: Final = ("add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "rotl")
_FLOAT: Final = ("add", "sub", "mul", "div", "min", "max", "copysign")


class ShapeMaker:
    """
    Writes one module; the same seed gives the same text.
    """

    def __init__(self, seed: int) -> None:
        self.draw: Final = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
        self.slips = self.draw.choice((0.0, 0.1, 0.3, 0.6))

    def module(self) -> str:
        body = "\n".join(self.block() for _ in range(self.draw.randrange(1, 5)))
        helpers = "\n".join(self.helper(place) for place in range(2))
        return f"""(module (memory (export "memory") 1 3) (table 4 6 funcref)
          (elem (i32.const 0) func $h0 $h1 $h0 $h1) (data (i32.const 4096) "\\05\\00\\02 weights")
          (type $h (func (param i32) (result i32)))
          (global $g (mut i32) (i32.const 3)) (global $f (mut f64) (f64.const 0.5))
          {helpers}
          (func (export "infer") (param $in i32) (param $out i32)
            (local $i i32) (local $j i32) (local $x i32) (local $y i32) (local $k i32)
            (local $a f64) (local $b f64) (local $n i64)
            {body}
            (i32.store (local.get $out) (local.get $x))
            (f64.store offset=8 (local.get $out) (local.get $a))))"""

    def helper(self, place: int) -> str:
        turns = self.draw.randrange(1, 4)
        extra = "(if (local.get 0) (then nop nop nop))" if self.draw.random() < self.slips else ""
        return f"""(func $h{place} (param i32) (result i32) (local i32)
          (local.set 1 (i32.const {turns})) {extra}
          (loop (local.set 0 (i32.add (local.get 0) (i32.const {place + 1})))
            (br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
          (local.get 0))"""

    def block(self) -> str:
        """
        A loop with a constant bound around a few statements.
        """
        turns = self.draw.randrange(1, 8)
        inner = "\n".join(self.statement() for _ in range(self.draw.randrange(1, 5)))
        return f"""(local.set $i (i32.const 0))
          (loop $l {inner}
            (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
              (i32.const {turns}))))"""

    def statement(self) -> str:
        draw = self.draw
        if draw.random() < self.slips:
            return self.slip()
        return draw.choice((
            f"(local.set $x {self.integer(2)})", f"(local.set $a {self.float(2)})",
            f"(local.set $y {self.clean(2)})", f"(global.set $g {self.integer(1)})",
            f"(i32.store offset=2048 {self.place()} {self.integer(1)})",
            f"(i32.store8 offset=2048 {self.place()} {self.integer(1)})",
            f"(f64.store offset=3072 {self.place()} {self.float(1)})",
            f"(local.set $x (call $h{draw.randrange(2)} {self.integer(1)}))",
            f"(local.set $x (call_indirect (type $h) {self.integer(1)} (i32.const 1)))",
            f"(local.set $y (call $h0 {self.clean(1)}))",
            f"(memory.fill (i32.const 2300) {self.integer(1)} (i32.const {draw.randrange(9)}))",
            f"(memory.copy (i32.const 2400) {self.place()} (i32.const {draw.randrange(9)}))",
            "(if (i32.lt_u (local.get $i) (i32.const 3)) (then nop) (else nop nop))",
            f"(if {self.clean(1)} (then (local.set $x {self.integer(1)})) (else nop))",
            "(local.set $k (memory.grow (i32.const 1)))",
            f"(block (block (br_table 0 0 1 (local.get $i))) nop) (local.set $b {self.float(1)})",
            f"(local.set $n (i64.extend_i32_u {self.integer(1)}))",
        ))  # fmt: skip

    def slip(self) -> str:
        """
        Something that may let the input steer.
        """
        value = self.draw.choice((
            f"(i32.load8_u offset=1 (i32.add (local.get $in) {self.place()}))", "(local.get $x)",
            "(global.get $g)", f"(i32.load8_u offset=2048 {self.place()})", self.integer(2),
            f"(call $h1 {self.integer(1)})", f"(i32.trunc_sat_f64_s {self.float(2)})",
        ))  # fmt: skip
        return self.draw.choice((
            f"(if (i32.and {value} (i32.const 1)) (then nop nop) (else nop))",
            f"(block (br_if 0 (f64.lt {self.float(1)} (f64.const 0.25))) (drop (i32.const 1)))",
            f"(i32.store8 offset=2048 (i32.and {value} (i32.const 255)) {value})",
            f"(local.set $k (memory.grow (i32.and {value} (i32.const 1))))",
            f"(memory.fill (i32.const 2500) (i32.const 1) (i32.and {value} (i32.const 7)))",
            (f"(local.set $y (call_indirect (type $h) (i32.const 1) (i32.and {value}"
            " (i32.const 3))))"),
            f"(block (block (br_table 0 1 0 (i32.and {value} (i32.const 3)))) nop nop)",
            f"(local.set $y {value})",
            f"(local.set $x (i32.div_u (i32.const 9) (i32.and {value} (i32.const 3))))",
            f"(table.set (i32.and {value} (i32.const 1)) (ref.func $h1))",
        ))  # fmt: skip

    # ------------------------------------------------------------------------------ values

    def place(self) -> str:
        return "(i32.shl (local.get $i) (i32.const 3))"

    def clean(self, depth: int) -> str:
        """
        An integer that the input does not reach, unless something slipped.
        """
        if depth <= 0:
            return self.draw.choice((
                "(local.get $i)", "(local.get $y)", f"(i32.const {self.draw.randrange(9)})",
                "(i32.load offset=4096 (local.get $i))", "(memory.size)", "(local.get $k)",
            ))  # fmt: skip
        pair = f"{self.clean(depth - 1)} {self.clean(depth - 1)}"
        return f"(i32.{self.draw.choice(_INTEGER)} {pair})"

    def integer(self, depth: int) -> str:
        draw = self.draw
        if depth <= 0 or draw.random() < 0.2:
            return draw.choice((
                "(local.get $x)", self.clean(0), "(global.get $g)",
                f"(i32.load (i32.add (local.get $in) {self.place()}))",
                f"(i32.load8_u offset=2048 {self.place()})", "(i32.wrap_i64 (local.get $n))",
            ))  # fmt: skip
        one, two = self.integer(depth - 1), self.integer(depth - 1)
        return draw.choice((
            f"(i32.{draw.choice(_INTEGER)} {one} {two})",
            f"(select {one} {two} {self.integer(depth - 1)})",
            f"(i32.trunc_sat_f64_s {self.float(depth - 1)})", f"(local.tee $x {one})",
            f"(if (result i32) {self.clean(1)} (then {one}) (else {two}))",
            f"(block (result i32) {one} (br 0) (drop (i32.const 2)))",
        ))  # fmt: skip

    def float(self, depth: int) -> str:
        draw = self.draw
        if depth <= 0 or draw.random() < 0.2:
            return draw.choice((
                "(local.get $a)", "(local.get $b)", "(f64.const 1.5)", "(global.get $f)",
                f"(f64.load (i32.add (local.get $in) {self.place()}))",
                f"(f64.load offset=3072 {self.place()})",
            ))  # fmt: skip
        one, two = self.float(depth - 1), self.float(depth - 1)
        return draw.choice((
            f"(f64.{draw.choice(_FLOAT)} {one} {two})", f"(f64.sqrt {one})",
            f"(f64.convert_i32_s {self.integer(depth - 1)})", f"(local.tee $b {one})",
        ))  # fmt: skip
