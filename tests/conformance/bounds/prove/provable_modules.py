"""
Small modules whose gas is known by counting, and what it is under wasmtime's fuel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import wasmtime

from conformance.bounds.bound import BoundReport, Budget, bound
from conformance.bounds.certificate import Bytes, Input, Precondition, Range
from conformance.bounds.check.replaying.engine import Engine
from conformance.bounds.precondition import grows
from conformance.bounds.prove.observe import wasmtime_launch
from conformance.gas.load import gas_model
from conformance.wasm.decode import validated
from conformance.wasm.module import Module
from runners.pool import Pool
from runners.records import Node

FUEL = "wasmtime-fuel@50.0.1"
MODELS = (gas_model(FUEL), gas_model("cosmwasm-vm@3.0.4"))

NEST = """(module (memory (export "memory") 1)
  (func (export "infer") (local $i i32) (local $j i32)
    (loop $outer
      (local.set $j (i32.const -12))
      (loop $inner
        (br_if $inner (local.tee $j (i32.add (local.get $j) (i32.const 4)))))
      (br_if $outer (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                            (i32.const 10))))))"""
UP_TO = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (local $i i32)
    (block $done
      (br_if $done (i32.eqz (local.get $n)))
      (loop $again
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                                (local.get $n)))))))"""
REUSED = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (local $i i32)
    (local.set $i (i32.add (local.get $n) (i32.const 1)))
    (local.set $n (i32.const 500))
    (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (loop $last (br_if $last (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))))"""
BYTES = """(module (memory (export "memory") 1)
  (func (export "infer") (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.load8_u (local.get $i))))))"""
CALLS = """(module (memory (export "memory") 1) (global $sp (mut i32) (i32.const 1024))
  (func $leaf (param $n i32)
    (global.set $sp (i32.sub (global.get $sp) (i32.const 16)))
    (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (global.set $sp (i32.add (global.get $sp) (i32.const 16))))
  (func (export "infer") (local $i i32)
    (loop $outer
      (call $leaf (i32.const 7))
      (br_if $outer (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                            (i32.const 5))))))"""
PARSER = """(module (memory (export "memory") 1)
  (func (export "infer") (param $n i32) (local $i i32)
    (block $done
      (loop $words
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (loop $letters
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $letters (i32.and (i32.load8_u (local.get $i))
                                   (i32.lt_u (local.get $i) (local.get $n)))))
        (br $words)))))"""
RECURSIVE = """(module (memory (export "memory") 1)
  (func $f (export "infer") (param $n i32)
    (if (local.get $n) (then (call $f (i32.sub (local.get $n) (i32.const 1)))))))"""
TWICE = RECURSIVE.replace("(call $f", "(call $f (local.get $n)) (call $f", 1)
HOST = """(module (import "env" "f" (func $f)) (memory (export "memory") 1)
  (func (export "infer") (call $f)))"""
GROWS = """(module (memory (export "memory") 1)
  (func (export "infer") (drop (memory.grow (i32.const 2)))))"""
NEVER = """(module (memory (export "memory") 1)
  (func $f (param $n i32) (local $i i32)
    (loop $again (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                                         (local.get $n)))))
  (func (export "infer") (param $n i32) (local $i i32)
    (if (i32.gt_u (local.get $n) (i32.const 100))
      (then
        (local.set $i (i32.const 3))
        (loop $again
          (call $f (i32.const 7))
          (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))))))"""
BRANCH = """(module (memory (export "memory") 1)
  (func (export "infer") (local $x i32)
    (if (f64.lt (f64.load (i32.const 0)) (f64.const 1))
      (then (local.set $x (i32.const 1)) (local.set $x (i32.const 2))))))"""


def tree(children: str) -> str:
    """
    A walk from node 0: the next node is byte `8 * choice + node` of *children*, 0 ends it.
    """
    return f"""(module (memory (export "memory") 1) (data (i32.const 1024) "{children}")
  (func (export "infer") (local $node i32)
    (loop $walk
      (br_if $walk (local.tee $node
        (i32.load8_u offset=1024 (i32.add (local.get $node)
          (select (i32.const 8) (i32.const 0) (i32.load (i32.const 0))))))))))"""


def module_of(text: str) -> Module:
    """
    An assembled module.
    """
    return validated(bytes(wasmtime.wat2wasm(text)))


@dataclass(frozen=True)
class Proving:
    """
    Proves on one engine that stays open.
    """

    engine: Engine

    def __call__(
        self, text: str, *ranges: tuple[int, int], guided: bool = False,
        unknown: tuple[Bytes, ...] = (Bytes(0, 8),), inputs: tuple[Input, ...] | None = None,
        budget: Budget | None = None, scripts: bool = False,
    ) -> BoundReport:  # fmt: skip
        module = module_of(text)
        precondition = Precondition(
            "infer", tuple(Range(low, high) for low, high in ranges), unknown=unknown,
            most_pages=64 if grows(module) else 65536,
        )  # fmt: skip
        if inputs is None:
            ends = (tuple(low for low, _ in ranges), tuple(high for _, high in ranges))
            inputs = tuple(Input(values) for values in dict.fromkeys(ends))
        return bound(
            module, precondition, inputs, MODELS, self.engine,
            budget=budget, guided=guided, scripts=scripts,
        )  # fmt: skip


@contextmanager
def proving() -> Iterator[Proving]:
    """
    A worker of wasmtime for the checker's runs.
    """
    with TemporaryDirectory() as folder:
        launch = wasmtime_launch(Path(folder))
        with Pool([(Node(launch.engine), launch)]) as pool:
            yield Proving(Engine(pool, 1024))


def fuel(report: BoundReport) -> tuple[int, int] | None:
    """
    The proved fuel, least and most.
    """
    found = report.gas[0].bound
    return None if found is None else (found.lo, found.hi)
