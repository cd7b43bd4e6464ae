"""
A counter in a frame, beside stores through pointers and a callee with a frame of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from certificates_by_hand import COSMWASM, ENTRY, FUEL, Function, Loop, assembled, certify

from conformance.bounds.certificate import Amount, Certificate, Input, Stack
from conformance.bounds.host_records import Written
from conformance.wasm.module import Module

OWN = Written("(i32 1020)", "(i32 1024)")
CALLEE = (
    Written("(sub (entry-global 0) (i32 16))", "(entry-global 0)"),
    Written("(param 0)", "(add (param 0) (i32 4))"),
)


@dataclass(frozen=True)
class Framed:
    """
    The module's text, and what is claimed of it. The frame begins at 1008, the counter at 1020.
    """

    before: str = ""
    """Statements between the first value of the counter and the loop."""
    pointer: int = 2048
    """That the callee is given; it stores 9 there."""
    enter: str = "(global.set $sp (local.get 1))"
    address: str = "(local.get 1)"
    offset: int = 12
    most: int = 4
    """Claimed of the counter."""
    cells: Sequence[Written] = (OWN,)
    cell: str = "(load 4 (i32 1020))"
    writes: Sequence[Written] | None = CALLEE
    sp: int = 1008
    """That the callee finds, as claimed."""
    loop: Sequence[str] = ("(eq (local 1) (i32 1008))", "(eq (global 0) (i32 1008))")
    requires: Mapping[int, Sequence[str]] | None = None
    inputs: Sequence[int] = (0, 1, 2, 3)

    def module(self) -> Module:
        held = f"(i32.load offset={self.offset} {self.address})"
        put = f"i32.store offset={self.offset} {self.address}"
        return assembled(f"""(module (memory (export "memory") 1)
          (global $sp (mut i32) (i32.const 1024))
          (func $f (param i32) (local i32)
            (local.set 1 (i32.sub (global.get $sp) (i32.const 16)))
            (i32.store offset=12 (local.get 1) (i32.const 7))
            (i32.store (local.get 0) (i32.const 9)))
          (func (export "infer") (param i32) (local i32)
            (local.set 1 (i32.sub (global.get $sp) (i32.const 16))) {self.enter}
            ({put} (i32.add (i32.and (local.get 0) (i32.const 3)) (i32.const 1)))
            (call $f (i32.const {self.pointer})) {self.before}
            (loop
              (i32.store (i32.add (i32.const 2048) (local.get 0)) (i32.const 77))
              ({put} (i32.sub {held} (i32.const 1)))
              (br_if 0 {held}))
            (global.set $sp (i32.const 1024))))""")

    def certificate(self, module: Module) -> Certificate:
        (at,) = (k for k, i in enumerate(module.functions[1].body) if i.opcode.name == "loop")
        requires = self.requires or {
            ENTRY: [f"(eq (global 0) (i32 {self.sp}))", "(ule (param 0) (i32 4096))"]
        }
        callee = Function(0, (), requires, extra={
            "writes": None if self.writes is None else tuple(self.writes)})  # fmt: skip
        holds = {
            ENTRY: ["(ule (param 0) (i32 60))"],
            at: [*self.loop, "(ule (local 0) (i32 60))", "(eq (local 0) (param 0))",
                 f"(uge {self.cell} (i32 1))", f"(ule {self.cell} (i32 {self.most}))"],
        }  # fmt: skip
        rank = Loop(at, {at: f"(sub {self.cell} (i32 1))"}, self.most - 1)
        fills = [k for k, i in enumerate(module.functions[1].body) if "fill" in i.opcode.name]
        amounts = tuple(Amount(fill, 4, 4) for fill in fills)
        extra = {"cells": tuple(self.cells), "amounts": amounts}
        own = Function(1, [rank], holds, extra=extra)
        return certify(
            module, [callee, own], arguments=[(0, 60)], stack=Stack(2, 100),
            inputs=tuple(Input((n,)) for n in self.inputs),
            models=(FUEL,) if fills else (FUEL, COSMWASM), amounts={1: (4, 4)},
        )  # fmt: skip
