"""
Modules that show what wasmtime's fuel is made of: each operator, growth, bulk lengths, and traps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import wasmtime

from benchmarks.fuel_meters import Asked
from conformance.wasm.decode import validated
from conformance.wasm.module import Module
from conformance.wasm.opcodes import OPCODES, Opcode

ENTRY: Final = "f"
PRELUDE: Final = "(memory 1 2) (table 4 8 funcref) (global $g (mut i64) (i64.const 0)) (func $e)"
_VALUES: Final = {
    "i32": "(i32.const 1)", "i64": "(i64.const 1)", "f32": "(f32.const 1)",
    "f64": "(f64.const 1)", "v128": "(v128.const i64x2 1 1)", "funcref": "(ref.null func)",
    "externref": "(ref.null extern)",
}  # fmt: skip
_IMMEDIATES: Final = {
    "i32": "1", "i64": "1", "f32": "1", "f64": "1", "v128": "i64x2 1 1", "memarg": "",
    "memory": "", "lane": "0", "lanes": " ".join(map(str, range(16))), "local": "0",
    "data": "0", "element": "0", "table": "0", "function": "0", "heap": "func", "global": "$g",
}  # fmt: skip
_CONTEXT: Final = {
    "drop": "(drop (i32.const 1))",
    "nop": "nop",
    "select": "(drop (select (i32.const 1) (i32.const 2) (i32.const 3)))",
    "select_t": "(drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 3)))",
    "local.get": "(drop (local.get 0))",
    "local.set": "(local.set 0 (i32.const 1))",
    "local.tee": "(drop (local.tee 0 (i32.const 1)))",
    "global.get": "(drop (global.get $g))",
    "global.set": "(global.set $g (i64.const 1))",
    "table.get": "(drop (table.get 0 (i32.const 0)))",
    "table.set": "(table.set 0 (i32.const 0) (ref.null func))",
    "table.grow": "(drop (table.grow 0 (ref.null func) (i32.const 3)))",
    "table.fill": "(table.fill 0 (i32.const 0) (ref.null func) (i32.const 2))",
    "ref.null": "(drop (ref.null func))",
    "ref.is_null": "(drop (ref.is_null (ref.null func)))",
    "block": "(block nop)",
    "loop": "(loop nop)",
    "if": "(if (i32.const 0) (then nop (drop (i32.const 1))))",
    "else": "(if (i32.const 1) (then nop) (else (drop (i32.const 1))))",
    "end": "(block (block))",
    "br": "(block (br 0) (drop (i32.const 1)))",
    "br_if": "(block (br_if 0 (i32.const 0)) (br_if 0 (i32.const 1)) (drop (i32.const 1)))",
    "br_table": "(block (br_table 0 0 0 (i32.const 1)))",
    "return": "(return)",
    "unreachable": "(drop (i32.const 1)) unreachable",
    "call": "(call $e)",
    "call_indirect": "(call_indirect (i32.const 3))",
    "memory.grow": "(drop (memory.grow (i32.const 1)))",
}
_BULK: Final = {"memory.init": "0", "table.init": "0 0", "table.copy": "0 0"}


def use(operator: Opcode) -> str:
    """
    Text that executes the operator once.
    """
    if operator.name in _CONTEXT:
        return _CONTEXT[operator.name]
    if operator.signature is None:
        message = f"{operator.name} has no signature and no place in _CONTEXT"
        raise LookupError(message)
    operands = " ".join(_VALUES[kind] for kind in operator.signature.parameters)
    immediates = " ".join(_IMMEDIATES[kind] for kind in operator.immediates)
    if operator.name in ("memory.copy", "memory.fill", "memory.init", "table.copy", "table.init"):
        immediates = _BULK.get(operator.name, "")
    code = f"({operator.name} {immediates} {operands})"
    return f"(drop {code})" if operator.signature.results else code


@dataclass(frozen=True, slots=True)
class Probe:
    """
    A module whose entry `f` shows one thing.
    """

    group: str
    """`operator`, `growth`, `bulk` or `trap`."""
    name: str
    module: Module
    argument: int | None = None
    """What the entry is called with, an i32, if it takes one."""

    @property
    def call(self) -> Asked:
        """
        The call that shows it.
        """
        return Asked(ENTRY, () if self.argument is None else (("i32", self.argument),))


def assembled(text: str) -> Module:
    """
    The module of a text without its outermost parentheses.
    """
    return validated(bytes(wasmtime.wat2wasm(f"(module {text})")))


def of_operator(operator: Opcode) -> Module:
    """
    A module whose entry executes the operator once.
    """
    return assembled(f"""{PRELUDE} (elem $p func $e $e) (data "abc") (elem (i32.const 3) func $e)
        (func (export "f") (local i32) {use(operator)})""")


def probes() -> Iterator[Probe]:
    """
    All probes, in a fixed order.
    """
    for operator in OPCODES.values():
        yield Probe("operator", operator.name, of_operator(operator))
    yield from _growth()
    yield from _bulk()
    yield from _traps()


def _growth() -> Iterator[Probe]:
    for pages in (0, 1, 2, 127, 128, 129, 130, 1000, 70_000):
        grow = f"(result i32) (memory.grow (i32.const {pages}))"
        for limits in ("1 1", "1 3", "1 200", "0"):
            text = f'(memory {limits}) (func (export "f") {grow})'
            yield Probe("growth", f"memory {limits} by {pages}", assembled(text))
        grow = "(param i32) (result i32) (memory.grow (local.get 0))"
        text = f'(memory 1 200) (func (export "f") {grow})'
        yield Probe("growth", f"memory 1 200 by a variable {pages}", assembled(text), pages)
        text = f"""(table 1 200 funcref) (func (export "f") (result i32)
            (table.grow (ref.null func) (i32.const {pages})))"""
        yield Probe("growth", f"table 1 200 by {pages}", assembled(text))


def _bulk() -> Iterator[Probe]:
    memory = {
        "memory.fill": "(memory.fill (i32.const 0) (i32.const 1) (local.get 0))",
        "memory.copy": "(memory.copy (i32.const 0) (i32.const 64) (local.get 0))",
        "memory.init": "(memory.init 0 (i32.const 0) (i32.const 0) (local.get 0))",
        "table.fill": "(table.fill 0 (i32.const 0) (ref.null func) (local.get 0))",
        "table.copy": "(table.copy 0 0 (i32.const 0) (i32.const 1) (local.get 0))",
        "table.init": "(table.init 0 0 (i32.const 0) (i32.const 0) (local.get 0))",
    }
    for name, code in memory.items():
        for length in (0, 1, 100, 70_000):
            text = f"""(memory 1) (table 200 funcref) (func $e)
                (data "{"x" * 128}") (elem $p func {"$e " * 128})
                (func (export "f") (param i32) {code})"""
            yield Probe("bulk", f"{name} of {length}", assembled(text), length)


def _traps() -> Iterator[Probe]:
    trap = "(drop (i32.div_s (i32.const 1) (i32.const 0)))"
    some = "(drop (i32.const 1)) (drop (i32.const 2))"
    bodies = {
        "at once": trap,
        "in mid-run": f"{some} {trap} {some}",
        "behind a branch": f"{some} (block (br_if 0 (i32.const 0))) {some} {trap}",
        "behind a loop": f"{some} (loop {some}) {trap}",
        "behind a call": f"{some} (call $e) {some} {trap}",
        "behind an indirect call": f"{some} (call_indirect (i32.const 0)) {some} {trap}",
        "in a callee": f"{some} (call $t) {some}",
        "unreachable": f"{some} unreachable",
        "of an indirect call": f"{some} (call_indirect (i32.const 9))",
        "of a load": f"{some} (drop (i32.load (i32.const 70000))) {some}",
        "behind granted growth": f"{some} (drop (memory.grow (i32.const 1))) {some} {trap}",
        "behind a fill": f"{some} (memory.fill (i32.const 0) (i32.const 1) (i32.const 9)) {trap}",
    }
    for name, body in bodies.items():
        text = f"""(memory 1 2) (table 4 funcref) (func $e) (func $t {some} {trap} {some})
            (elem (i32.const 0) func $e) (func (export "f") {body})"""
        yield Probe("trap", name, assembled(text))
