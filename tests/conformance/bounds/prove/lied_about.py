"""
Modules about which a prover that reasons wrongly says something false, and what is true of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from fueled_calls import FueledCalls
from provable_modules import CALLS, GROWS, NEST, RECURSIVE, REUSED, UP_TO, module_of, tree

from conformance.bounds.certificate import Bytes, Certificate, HostBytes, Input, Precondition, Range
from conformance.bounds.precondition import grows
from conformance.wasm.module import Module

_BYTES = 8
HELD = "(i32.load offset=12 (local.get $fp))"
LIMIT = 64
"""Pages that hosts grant."""


@dataclass(frozen=True)
class Victim:
    """
    A module with all inputs of its precondition: each argument's range, and byte 0 if it is read.
    """

    text: str
    ranges: tuple[tuple[int, int], ...] = ((0, 15),)
    reads: bool = False
    depth: int = 1
    """Activations at once in the deepest call, counted by hand."""
    lowest: int | None = None
    """Least value of the stack pointer, counted by hand."""
    provable: bool = True
    """Whether the honest prover's certificate is confirmed."""

    def module(self) -> Module:
        return module_of(self.text)

    def precondition(self, module: Module) -> Precondition:
        ranges = tuple(Range(low, high) for low, high in self.ranges)
        return Precondition(
            "infer", ranges, unknown=(Bytes(0, _BYTES),),
            most_pages=LIMIT if grows(module) else 65536,
        )  # fmt: skip

    def least_input(self) -> Input:
        written = (HostBytes(0, bytes(_BYTES).hex()),) if self.reads else ()
        return Input(tuple(low for low, _ in self.ranges), written)

    def inputs(self) -> Iterator[tuple[tuple[int, ...], bytes]]:
        """
        (Arguments, bytes at address 0) of every input.
        """
        values = product(*(range(low, high + 1) for low, high in self.ranges))
        contents = [bytes([k]) + bytes(_BYTES - 1) for k in range(256)] if self.reads else [b""]
        yield from product(values, contents)


@dataclass
class Truth:
    """
    What all calls of a victim show.
    """

    victim: Victim
    lo: int = field(init=False)
    hi: int = field(init=False)
    any_hi: int = field(init=False)
    pages: int = field(init=False)

    def __post_init__(self) -> None:
        module = self.victim.module()
        calls = FueledCalls(module, self.victim.precondition(module))
        spent = [calls(arguments, written) for arguments, written in self.victim.inputs()]
        returned = [one.fuel for one in spent if one.returned]
        self.lo, self.hi = min(returned), max(returned)
        self.any_hi = max(one.fuel for one in spent)
        self.pages = max(one.pages for one in spent)

    def false(self, certificate: Certificate) -> str:
        """
        The claim about the whole call that some call shows to be false; empty: none.
        """
        (bound,) = certificate.bounds
        if bound.lo > self.lo:
            return f"at least {bound.lo} is claimed, {self.lo} was seen"
        if bound.hi < self.hi or bound.any_hi < self.any_hi:
            return f"at most {min(bound.hi, bound.any_hi)} is claimed, {self.any_hi} was seen"
        if certificate.pages < self.pages:
            return f"{certificate.pages} pages are claimed, {self.pages} were seen"
        if certificate.stack.depth < self.victim.depth:
            return f"depth {certificate.stack.depth} is claimed, it is {self.victim.depth}"
        lowest = self.victim.lowest
        if lowest is not None and certificate.stack.shadow_lowest > lowest:
            return f"stack pointer {certificate.stack.shadow_lowest} is claimed, it gets {lowest}"
        return ""


def counted(value: str, before: str = "", more: str = "", step: str = "") -> str:
    """
    A module that goes round a loop as often as *value* says; *before* are statements.
    """
    step = step or "(i32.add (local.get $i) (i32.const -1))"
    return f"""(module (memory (export "memory") 1) {more}
      (func (export "infer") (param $n i32) (local $i i32) (local $k i32)
        {before} (local.set $i {value})
        (loop $again (br_if $again (local.tee $i {step})))))"""


def chosen(condition: str) -> str:
    """
    30 times round where *condition* holds, once where not.
    """
    return counted(f"(select (i32.const 30) (i32.const 1) {condition})")


def rising(limit: str, raised: str, before: str = "", more: str = "", most: int = 10) -> str:
    """
    Up to a limit that rises with each of the first repetitions.
    """
    rise = f"(i32.lt_u (local.get $i) (i32.const {most}))"
    return f"""(module (memory (export "memory") 1) {more}
      (func (export "infer") (param $n i32) (local $i i32) (local $k i32) {before}
        (loop $again
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          {raised.replace("RISE", rise)}
          (br_if $again (i32.lt_u (local.get $i) {limit})))))"""


def framed(value: str, before: str = "", inside: str = "", more: str = "", test: str = HELD) -> str:
    """
    A counter that a compiler keeps in the frame, at 1,020: down from *value*, round while *test*.
    """
    return f"""(module (memory (export "memory") 1) (global $sp (mut i32) (i32.const 1024)) {more}
      (func (export "infer") (param $n i32) (local $fp i32)
        (local.set $fp (i32.sub (global.get $sp) (i32.const 16)))
        (global.set $sp (local.get $fp))
        (i32.store offset=12 (local.get $fp) {value}) {before}
        (loop $again {inside}
          (i32.store offset=12 (local.get $fp) (i32.add {HELD} (i32.const -1)))
          (br_if $again {test}))
        (global.set $sp (i32.add (local.get $fp) (i32.const 16)))))"""


N = "(local.get $n)"
M = "(i32.add (local.get $n) (i32.const -8))"
"""From -8 to 7."""
_GLOBAL = "(global $g (mut i32) (i32.const 1))"
_RAISE = "(global.set $g (i32.add (global.get $g) RISE))"
_GROW_ONE = "(drop (memory.grow (i32.const 1)))"
_LIMIT = "(i32.load offset=12 (local.get $k))"
_SET_30 = "(local.set $k (i32.const 30))"

VICTIMS: dict[str, Victim] = {
    "nest": Victim(NEST, ()),
    "up to n": Victim(UP_TO),
    "up to n, n least": Victim(UP_TO, ((5, 15),)),
    "n reused": Victim(REUSED, ((0, 9),)),
    "n counts down from 500": Victim("""(module (memory (export "memory") 1)
      (func (export "infer") (param $n i32) (local $i i32)
        (local.set $n (i32.const 500))
        (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))""",
        ((0, 9),)),
    "n counts": Victim(counted("(i32.add (local.get $n) (i32.const 1))"), ((5, 15),)),
    "n times in a loop": Victim("""(module (memory (export "memory") 1)
      (func (export "infer") (param $n i32) (local $i i32) (local $j i32)
        (loop $outer
          (local.set $j (i32.and (local.get $n) (i32.const 15)))
          (block $out (loop $inner
            (br_if $out (i32.eqz (local.get $j)))
            (local.set $j (i32.sub (local.get $j) (i32.const 1))) (br $inner)))
          (br_if $outer (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                                (i32.const 10))))))"""),
    "callee": Victim(CALLS, (), depth=2, lowest=1008),
    "grows": Victim(GROWS, ()),
    "recursion": Victim(RECURSIVE, ((0, 9),), depth=10),
    "walk": Victim(
        tree(r"\01\03\00\04\00\00\00\00\02\05\00\00\00\00\00\00"), (), reads=True,
    ),
    "limit in a local": Victim(rising(
        "(local.get $k)", "(local.set $k (i32.add (local.get $k) RISE))",
        "(local.set $k (i32.const 5))"), provable=False),
    "limit in a global": Victim(
        rising("(global.get $g)", _RAISE, more=_GLOBAL), provable=False),
    "limit in a callee's global": Victim(rising(
        "(global.get $g)", "(call $raise RISE)", more=_GLOBAL + """(func $raise (param i32)
        (global.set $g (i32.add (global.get $g) (local.get 0))))"""), depth=2, provable=False),
    "limit below a loop": Victim("""(module (memory (export "memory") 1)
      (func (export "infer") (param $n i32) (local $i i32) (local $k i32)
        (i32.const 5)
        (loop $again (param i32)
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (local.tee $k (i32.add (i32.lt_u (local.get $i) (i32.const 10))))
          (br_if $again (i32.lt_u (local.get $i) (local.get $k)))
          (drop))))""", provable=False),
    "pages of its own": Victim(rising("(memory.size)", _GROW_ONE), provable=False),
    "pages of a callee": Victim(rising(
        "(memory.size)", "(call $more)", more=f"(func $more {_GROW_ONE})"),
        depth=2, provable=False),
    "branching": Victim("""(module (memory (export "memory") 1)
      (func (export "infer") (param $n i32) (local $i i32)
        (if (i32.eq (local.get $n) (i32.const 3)) (then (local.set $i (i32.const 1))))))"""),
    "then": Victim(counted("(local.get $k)", f"""(local.set $k (i32.const 1))
      (if (i32.eq {N} (i32.const 3)) (then {_SET_30}))""")),
    "then never": Victim(counted("(local.get $k)", f"""
      (if (i32.gt_u {N} (i32.const 20)) (then {_SET_30}) (else (local.set $k (i32.const 1))))""")),
    "else": Victim(counted("(local.get $k)", f"""{_SET_30}
      (if (i32.ne {N} (i32.const 3)) (then (local.set $k (i32.const 1))))""")),
    "out early": Victim(counted("(local.get $k)", f"""(local.set $k (i32.const 1))
      (block (br_if 0 (i32.gt_u {N} (i32.const 20))) {_SET_30})""")),
    "global on one path": Victim(counted("(global.get $g)", f"""
      (if (i32.eq {N} (i32.const 3)) (then (global.set $g (i32.const 30))))""", _GLOBAL)),
    "global on the other path": Victim(counted("(global.get $g)", f"""(global.set $g (i32.const 30))
      (if (i32.ne {N} (i32.const 3)) (then (global.set $g (i32.const 1))))""", _GLOBAL)),
    "first of a table": Victim(counted("(local.get $k)", f"""(local.set $k (i32.const 1))
      (block (block (br_table 0 1 1 {N})) {_SET_30})""")),
    "default of a table": Victim(counted("(local.get $k)", f"""(local.set $k (i32.const 1))
      (block (block (br_table 1 1 0 {N})) {_SET_30})""")),
    "two ways back": Victim(f"""(module (memory (export "memory") 1)
      (func (export "infer") (param $n i32) (local $i i32) (local.set $i (i32.const 21))
        (loop $again
          (local.set $i (i32.add (local.get $i) (i32.const -1)))
          (br_if $again (i32.gt_u (local.get $i) {N}))
          (br_if $again (local.get $i)))))"""),
    "asks for 5": Victim(counted(
        f"(i32.add {N} (i32.const 1))", more="(global $z (mut i32) (i32.const 0))",
        step="(i32.sub (local.get $i) (i32.const 1))").replace("(loop $again", """(loop $again
        (if (i32.eq (local.get $i) (i32.const 5)) (then (global.set $z (i32.const 1))))""")),
    "two calls": Victim("""(module (memory (export "memory") 1)
      (func $leaf (param $n i32)
        (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
      (func (export "infer") (call $leaf (i32.const 3)) (call $leaf (i32.const 30))))""",
      (), depth=2),
    "global for a callee": Victim(f"""(module (memory (export "memory") 1) {_GLOBAL}
      (func $leaf (local $i i32) (local.set $i (global.get $g))
        (loop $again (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1))))))
      (func (export "infer") (param $n i32)
        (global.set $g (i32.add (i32.const 1) (i32.and {N} (i32.const 15)))) (call $leaf)))""",
      depth=2, provable=False),
    "result": Victim(counted(
        f"(i32.add (i32.const 1) (i32.and (call $f {N}) (i32.const 15)))",
        more="(func $f (param i32) (result i32) (local.get 0))"), depth=2),
    "indirect": Victim(counted("(i32.const 1)", f"(call_indirect (type $t) (i32.and {N} "
        "(i32.const 1)))", """(type $t (func)) (table 2 2 funcref) (elem (i32.const 0) $a $b)
        (func $a) (func $b (drop (i32.add (i32.const 1) (i32.const 2))))"""), depth=2),
    "grow refused": Victim(chosen("(i32.eq (memory.grow (i32.const 3000)) (i32.const -1))")),
    "grow granted": Victim(chosen("(i32.ne (memory.grow (i32.const 1)) (i32.const -1))")),
    "stored": Victim(counted(
        "(i32.add (i32.const 1) (i32.and (i32.const 31) (i32.xor (local.get $k) "
        "(i32.load8_u (i32.const 0)))))", """(local.set $k (i32.load8_u (i32.const 0)))
        (i32.store8 (i32.const 0) (i32.xor (local.get $k) (i32.const 30)))"""), reads=True),
    "constants stored to": Victim(counted(
        "(i32.load8_u (i32.const 1024))", f"""(i32.store8 (i32.const 1024)
        (i32.add {N} (i32.const 1)))""", r'(data (i32.const 1024) "\05")'), provable=False),
    "constants": Victim(counted(
        f"(i32.load8_u offset=1024 (i32.and {N} (i32.const 3)))",
        more=r'(data (i32.const 1024) "\1e\01\01\01")')),
    "in a frame": Victim(framed(f"(i32.add {N} (i32.const 1))"), lowest=1008),
    "in a frame, stored to": Victim(framed(
        f"(i32.add {N} (i32.const 1))",
        f"(i32.store (i32.add (i32.const 960) (i32.shl {N} (i32.const 2))) (i32.const 40))"),
        provable=False),
    "in a frame, touched": Victim(framed(
        f"(i32.add {N} (i32.const 1))", "(i32.store8 offset=13 (local.get $fp) (i32.const 1))"),
        provable=False),
    "limit in a frame": Victim(rising(
        _LIMIT, f"(i32.store offset=12 (local.get $k) (i32.add {_LIMIT} RISE))",
        """(local.set $k (i32.sub (global.get $sp) (i32.const 16)))
        (i32.store offset=12 (local.get $k) (i32.const 5))""",
        "(global $sp (mut i32) (i32.const 1024))"), provable=False),
    "in a frame, for a callee": Victim(framed(
        f"(i32.add {N} (i32.const 1))", "(call $f (i32.add (local.get $fp) (i32.const 12)))",
        more="(func $f (param i32) (i32.store (local.get 0) (i32.const 40)))"),
        depth=2, provable=False),
    "in a frame, below a callee's": Victim(framed(
        f"(i32.add {N} (i32.const 1))", """(global.set $sp (i32.const 1024)) (call $f)""",
        more="""(func $f (local i32) (local.set 0 (i32.sub (global.get $sp) (i32.const 16)))
        (i32.store offset=12 (local.get 0) (i32.const 40)))"""), depth=2, provable=False),
    "in a frame, by then": Victim(framed("(i32.const 1)", f"""
        (if (i32.eq {N} (i32.const 3)) (then (i32.store offset=12 (local.get $fp)
        (i32.const 30))))"""), lowest=1008),
    "in a frame, n reused": Victim(framed(
        "(i32.const 40)", "(local.set $n (i32.const 1))",
        test=f"(i32.ge_u {HELD} {N})"), ((20, 30),)),
    "trap in a callee": Victim(counted(
        "(i32.const 5)", f"(call $f {N})", """(global $g (mut i32) (i32.const 1))
        (func $f (param i32) (global.set $g (i32.div_u (i32.const 7) (local.get 0))))"""), depth=2),
}  # fmt: skip
