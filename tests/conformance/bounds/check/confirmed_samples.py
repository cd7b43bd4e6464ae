"""
True certificates of small modules, one for each kind of claim; each has all its inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from certificates_by_hand import ENTRY, FUEL, Function, Loop, assembled, certify
from framed_modules import Framed
from msgspec.structs import replace

from conformance.bounds.certificate import (
    Amount,
    Bytes,
    Certificate,
    FlowFact,
    HostBytes,
    Input,
    Measure,
    Reading,
    Recursion,
    Stack,
    Table,
    Values,
    Weight,
)
from conformance.bounds.check.semantics.layout import lay_out
from conformance.bounds.host_records import Written
from conformance.wasm.module import Module


@dataclass(frozen=True)
class Sample:
    """
    A module and its certificate, whose inputs are all that meet its precondition.
    """

    module: Module
    certificate: Certificate
    depth: int = 1
    """Activations at once in the deepest of all calls, counted by hand."""


def _module(body: str) -> Module:
    return assembled(f'(module (memory (export "memory") 1) {body})')


def _loops(module: Module, place: int = 0) -> list[int]:
    body = module.functions[place].body
    return [at for at, i in enumerate(body) if i.opcode.name == "loop"]


def _inputs(low: int, high: int) -> tuple[Input, ...]:
    return tuple(Input((n,)) for n in range(low, high + 1))


def countdown() -> Sample:
    module = _module("""(func (export "infer") (param i32) (local i32)
      (local.set 1 (i32.add (local.get 0) (i32.const 1)))
      (local.set 0 (i32.const 77))
      (loop (local.set 1 (i32.sub (local.get 1) (i32.const 1))) (br_if 0 (local.get 1))))""")
    (at,) = _loops(module)
    holds = {ENTRY: ["(ule (param 0) (i32 10))", "(uge (param 0) (i32 4))"],
             at: ["(uge (local 1) (i32 1))", "(ule (local 1) (i32 11))"]}  # fmt: skip
    own = Function(0, [Loop(at, {at: "(sub (local 1) (i32 1))"}, 10, least=4)], holds)
    return Sample(module, certify(module, [own], arguments=[(4, 10)], inputs=_inputs(4, 10)))


def triangle() -> Sample:
    module = _module("""(func (export "infer") (param i32) (local i32 i32)
      (block (loop
        (br_if 1 (i32.ge_u (local.get 1) (local.get 0)))
        (local.set 2 (local.get 1))
        (block (loop
          (br_if 1 (i32.eqz (local.get 2)))
          (local.set 2 (i32.sub (local.get 2) (i32.const 1)))
          (br 0)))
        (local.set 1 (i32.add (local.get 1) (i32.const 1)))
        (br 0))))""")
    outer, inner = _loops(module)
    same = "(eq (local 0) (param 0))"
    holds = {ENTRY: ["(ule (param 0) (i32 6))"],
             outer: [same, "(ule (local 1) (local 0))", "(ule (local 0) (i32 6))"],
             inner: [same, "(ult (local 1) (local 0))", "(ule (local 0) (i32 6))",
                     "(ule (local 2) (local 1))"]}  # fmt: skip
    left = "(sub (local 0) (local 1))"
    own = Function(
        0,
        [Loop(outer, {outer: left, inner: left}, 6), Loop(inner, {inner: "(local 2)"}, 5)],
        holds,
    )
    return Sample(module, certify(module, [own], arguments=[(0, 6)], inputs=_inputs(0, 6)))


def shared() -> Sample:
    """
    One budget for an outer and an inner loop: a joint rank.
    """
    module = _module("""(func (export "infer") (param i32) (local i32)
      (block (loop
        (br_if 1 (i32.eqz (local.get 0)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (block (loop
          (br_if 1 (i32.or (i32.eqz (local.get 0)) (i32.and (local.get 0) (i32.const 2))))
          (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
          (br 0)))
        (br 0))))""")
    outer, inner = _loops(module)
    layout = lay_out(module, 0)
    backs = [e for e in sorted(layout.edges) if e[1] in (outer + 1, inner + 1)
             and e[0] not in (outer, inner)]  # fmt: skip
    weights = tuple(Weight(source, target, 1) for source, target in backs)
    cuts = {ENTRY: "(param 0)", outer: "(local 0)", inner: "(add (local 0) (i32 1))"}
    fact = FlowFact("shared", "most", "call", weights, 9,
                    tuple(Measure(at, term) for at, term in sorted(cuts.items())))  # fmt: skip
    holds = {ENTRY: ["(ule (param 0) (i32 9))"], outer: ["(ule (local 0) (i32 9))"],
             inner: ["(ult (local 0) (i32 9))"]}  # fmt: skip
    own = Function(0, (), holds, [fact], {"shared": Fraction(20)})
    certificate = certify(module, [own], arguments=[(0, 9)], inputs=_inputs(0, 9), models=(FUEL,))
    return Sample(module, certificate)


def promised() -> Sample:
    """
    A callee's promise bounds a loop, its requirement is met at the call.
    """
    module = _module("""(func $f (param i32) (result i32)
        (i32.store (i32.const 64) (local.get 0)) (i32.and (local.get 0) (i32.const 3)))
      (func (export "infer") (param i32) (local i32)
        (local.set 1 (i32.add (i32.const 1) (call $f (i32.shl (local.get 0) (i32.const 1)))))
        (loop (local.set 1 (i32.sub (local.get 1) (i32.const 1))) (br_if 0 (local.get 1))))""")
    (at,) = _loops(module, 1)
    even = "(eq (extract 0 0 (param 0)) (const 1 0))"
    callee = Function(
        0,
        (),
        {ENTRY: [even]},
        extra={
            "ensures": ("(ule (result 0) (i32 2))",),
            "writes": (Written("(i32 64)", "(i32 68)"),),
        },
    )
    holds = {at: ["(uge (local 1) (i32 1))", "(ule (local 1) (i32 3))"]}
    own = Function(1, [Loop(at, {at: "(sub (local 1) (i32 1))"}, 2)], holds)
    return Sample(module, certify(module, [callee, own], arguments=[(0, 9)],
                                  inputs=_inputs(0, 9), stack=Stack(2, 9)), 2)  # fmt: skip


def recursive() -> Sample:
    module = _module("""(func $f (export "infer") (param i32)
        (if (local.get 0) (then
          (call $f (i32.sub (local.get 0) (i32.const 1))))))""")
    holds = {ENTRY: ["(ule (param 0) (i32 7))"]}
    recursion = Recursion("(add (param 0) (i32 1))", (), 8)
    made = certify(module, [Function(0, (), holds, extra={"recursion": recursion})],
                   arguments=[(0, 7)], inputs=_inputs(0, 7), stack=Stack(8, 40))  # fmt: skip
    return Sample(module, made, 8)


def indirect() -> Sample:
    module = _module("""(type $t (func (result i32)))
      (table 4 funcref) (elem (i32.const 1) $a $b)
      (func $a (type $t) (i32.const 1)) (func $b (type $t) (i32.const 4))
      (func (export "infer") (param i32) (local i32)
        (local.set 1 (call_indirect (type $t) (i32.add (i32.const 1) (local.get 0))))
        (loop (local.set 1 (i32.sub (local.get 1) (i32.const 1))) (br_if 0 (local.get 1))))""")
    (at,) = _loops(module, 2)
    one = Function(0, extra={"ensures": ("(eq (result 0) (i32 1))",)})
    four = Function(1, extra={"ensures": ("(eq (result 0) (i32 4))",)})
    holds = {at: ["(uge (local 1) (i32 1))", "(ule (local 1) (i32 4))"]}
    own = Function(2, [Loop(at, {at: "(sub (local 1) (i32 1))"}, 3)], holds)
    return Sample(module, certify(module, [one, four, own], arguments=[(0, 3)],
                                  inputs=_inputs(0, 3), stack=Stack(2, 8)), 2)  # fmt: skip


def tree() -> Sample:
    """
    A walk down a table of constants; its height is a table of the certificate.
    """
    heights = [0, 1, 2, 3, 0, 1, 2, 3]
    # A node's child must be lower, and 0 ends the walk.
    following = [0, 0, 1, 2, 0, 0, 1, 2]
    data = "".join(f"\\{value:02x}" for value in following)
    module = _module(f"""(data (i32.const 256) "{data}") (func (export "infer") (param i32)
      (loop
        (local.set 0 (i32.load8_u offset=256 (i32.and (local.get 0) (i32.const 7))))
        (i32.store8 (i32.const 8) (local.get 0))
        (br_if 0 (local.get 0))))""")
    (at,) = _loops(module)
    load = next(k for k, i in enumerate(module.functions[0].body) if "load8" in i.opcode.name)
    rank = "(lookup height (and (local 0) (i32 7)))"
    own = Function(0, [Loop(at, {at: rank}, 3)], {}, extra={"reads": (Reading(load, 0),)})
    extra = {"regions": (Bytes(256, 264),), "tables": (Table("height", 32, tuple(heights)),)}
    return Sample(module, certify(module, [own], arguments=[(0, 7)], inputs=_inputs(0, 7),
                                  extra=extra))  # fmt: skip


def strided() -> Sample:
    """
    A table of whole words, of which only every fourth address can be read.
    """
    words = [7, 0, 1, 2, 0, 3, 1, 2]
    data = "".join(f"\\{byte:02x}" for word in words for byte in word.to_bytes(4, "little"))
    module = _module(f"""(data (i32.const 258) "{data}") (func (export "infer") (param i32)
      (local i32)
      (local.set 1 (i32.add (i32.const 1)
        (i32.load offset=258 align=1 (i32.shl (i32.and (local.get 0) (i32.const 7))
                                              (i32.const 2)))))
      (loop (local.set 1 (i32.sub (local.get 1) (i32.const 1))) (br_if 0 (local.get 1))))""")
    (at,) = _loops(module)
    load = next(k for k, i in enumerate(module.functions[0].body) if i.opcode.name == "i32.load")
    holds = {ENTRY: ["(uge (param 0) (i32 1))"],
             at: ["(uge (local 1) (i32 1))", "(ule (local 1) (i32 8))"]}  # fmt: skip
    own = Function(0, [Loop(at, {at: "(sub (local 1) (i32 1))"}, 7)], holds,
                   extra={"reads": (Reading(load, 0),)})  # fmt: skip
    return Sample(module, certify(module, [own], arguments=[(1, 9)], inputs=_inputs(1, 9),
                                  extra={"regions": (Bytes(258, 290),)}))  # fmt: skip


def shadow() -> Sample:
    module = _module("""(global $sp (mut i32) (i32.const 1024))
      (func $f (global.set $sp (i32.sub (global.get $sp) (i32.const 16)))
        (i32.store (global.get $sp) (i32.const 5))
        (global.set $sp (i32.add (global.get $sp) (i32.const 16))))
      (func (export "infer") (param i32)
        (global.set $sp (i32.sub (global.get $sp) (i32.const 32)))
        (call $f)
        (global.set $sp (i32.add (global.get $sp) (i32.const 32))))""")
    callee = Function(0, (), {ENTRY: ["(uge (global 0) (i32 992))", "(ule (global 0) (i32 1024))"]},
                      extra={"ensures": ("(eq (global 0) (entry-global 0))",)})  # fmt: skip
    stack = Stack(2, 6, 0, 976)
    return Sample(module, certify(module, [callee, Function(1)], arguments=[(0, 2)],
                                  inputs=_inputs(0, 2), stack=stack), 2)  # fmt: skip


def spilled() -> Sample:
    """
    A counter that lives in memory, beside other stores.
    """
    module = _module("""(func (export "infer") (param i32)
      (i32.store (i32.const 1024) (i32.add (local.get 0) (i32.const 1)))
      (loop
        (i32.store8 (i32.and (local.get 0) (i32.const 255)) (i32.const 9))
        (i32.store (i32.const 1024) (i32.sub (i32.load (i32.const 1024)) (i32.const 1)))
        (br_if 0 (i32.load (i32.const 1024)))))""")
    (at,) = _loops(module)
    cell = "(load 4 (i32 1024))"
    holds = {ENTRY: ["(ule (param 0) (i32 5))"],
             at: [f"(uge {cell} (i32 1))", f"(ule {cell} (i32 6))"]}  # fmt: skip
    own = Function(0, [Loop(at, {at: f"(sub {cell} (i32 1))"}, 5)], holds, extra={"memory": True})
    return Sample(module, certify(module, [own], arguments=[(0, 5)], inputs=_inputs(0, 5)))


def framed() -> Sample:
    """
    A counter in a frame, beside pointers and a callee.
    """
    claimed = Framed(inputs=(0, 1, 2, 3))
    module = claimed.module()
    certificate = claimed.certificate(module)
    return Sample(module, replace(certificate, inputs=_inputs(0, 60)), 2)


def growing() -> Sample:
    module = _module("""(func (export "infer") (param i32)
      (block (loop
        (br_if 1 (i32.eqz (local.get 0)))
        (drop (memory.grow (i32.const 1)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br 0))))""")
    (at,) = _loops(module)
    holds = {ENTRY: ["(ule (param 0) (i32 4))"],
             at: ["(ule (add (pages) (local 0)) (i32 5))", "(ule (local 0) (i32 4))"]}  # fmt: skip
    own = Function(0, [Loop(at, {at: "(local 0)"}, 4)], holds)
    return Sample(module, certify(module, [own], arguments=[(0, 4)], inputs=_inputs(0, 4),
                                  pages=5))  # fmt: skip


def wide() -> Sample:
    """
    A counter of 64 bits in steps of four.
    """
    module = _module("""(func (export "infer") (param i32) (local i64)
      (local.set 1 (i64.mul (i64.extend_i32_u (local.get 0)) (i64.const 4)))
      (block (loop
        (br_if 1 (i64.eqz (local.get 1)))
        (local.set 1 (i64.sub (local.get 1) (i64.const 4)))
        (br 0))))""")
    (at,) = _loops(module)
    holds = {ENTRY: ["(ule (param 0) (i32 6))"],
             at: ["(ule (local 1) (i64 24))",
                 "(eq (extract 1 0 (local 1)) (const 2 0))"]}  # fmt: skip
    own = Function(0, [Loop(at, {at: "(local 1)"}, 24, step=4)], holds)
    return Sample(module, certify(module, [own], arguments=[(0, 6)], inputs=_inputs(0, 6)))


def filled() -> Sample:
    module = _module("""(func (export "infer") (param i32)
      (memory.fill (i32.const 16) (i32.const 1) (local.get 0)))""")
    fill = next(k for k, i in enumerate(module.functions[0].body) if "fill" in i.opcode.name)
    holds = {ENTRY: ["(ule (param 0) (i32 10))"]}
    own = Function(0, (), holds, extra={"amounts": (Amount(fill, 0, 10),)})
    made = certify(module, [own], arguments=[(0, 10)], inputs=_inputs(0, 10), models=(FUEL,),
                   amounts={0: (0, 10)},
                   extra={"regions": (Bytes(0, 16), Bytes(26, 64))})  # fmt: skip
    return Sample(module, made)


def impossible() -> Sample:
    """
    A branch that no input takes is a fact of its own.
    """
    module = _module("""(func (export "infer") (param i32) (local i32)
      (if (i32.gt_u (i32.and (local.get 0) (i32.const 7)) (i32.const 9))
        (then (local.set 1 (i32.const 1)) (local.set 1 (i32.const 2))
              (local.set 1 (i32.const 3)))))""")
    layout = lay_out(module, 0)
    branch = next(k for k, i in enumerate(layout.code) if i.opcode.name == "if")
    fact = FlowFact("never", "most", "call", (Weight(branch, branch + 1, 1),), 0,
                    (Measure(ENTRY, "(i32 0)"),))  # fmt: skip
    own = Function(0, (), {}, [fact], {"never": Fraction(100_000)})
    return Sample(module, certify(module, [own], arguments=[(0, 12)], inputs=_inputs(0, 12)))


def valued() -> Sample:
    """
    Values of the input bound a loop.
    """
    module = _module("""(func (export "infer") (local i32)
      (local.set 0 (i32.add (i32.load8_u (i32.const 64)) (i32.const 1)))
      (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0))))""")
    (at,) = _loops(module)
    load = next(k for k, i in enumerate(module.functions[0].body) if "load8" in i.opcode.name)
    holds = {at: ["(uge (local 0) (i32 1))", "(ule (local 0) (i32 6))"]}
    own = Function(0, [Loop(at, {at: "(sub (local 0) (i32 1))"}, 5)], holds,
                   extra={"reads": (Reading(load, 0),)})  # fmt: skip
    precondition = {"unknown": (Bytes(64, 66),), "values": (Values(64, 66, 1, 0, 5),)}
    inputs = tuple(Input((), (HostBytes(64, f"{n:02x}00"),)) for n in range(6))
    return Sample(module, certify(module, [own], inputs=inputs, precondition=precondition,
                                  extra={"regions": (Bytes(64, 66),)}))  # fmt: skip


SAMPLES: dict[str, Callable[[], Sample]] = {
    made.__name__: made
    for made in (
        countdown, triangle, shared, promised, recursive, indirect, tree, strided, shadow,
        spilled, framed, growing, wide, filled, impossible, valued,
    )
}  # fmt: skip
