"""
A real defect, found down to the operator and its byte: pywasm loses the sign of zero.
"""

from __future__ import annotations

import struct

import pytest
from fuzz_samples import engines
from wasmtime import wat2wasm

from conformance.differential.bisection import FirstDifference, first_difference
from conformance.wasm.decode import validated
from conformance.wasm.module import Module
from runners.pool import Pool
from runners.records import Budget, Call, Slot
from weavegate.bisecting import Question

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("fuzz")]

CALL = Call("run", (Slot(0, "i64"),), ("i64",), memory="memory", grows=False)
LAYER = """(module (memory (export "memory") 1)
  (func $act (param $x f64) (result f64)
    (f64.div (f64.const 1) ({operator} (local.get $x))))
  (func (export "run") (param $bits i64) (result i64) (local $i i32) (local $sum f64)
    (loop $again
      (local.set $sum (f64.add (local.get $sum)
        (call $act (f64.mul (f64.reinterpret_i64 (local.get $bits))
          (f64.sub (f64.convert_i32_u (local.get $i)) (f64.const 20))))))
      (br_if $again (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 40))))
    (i64.reinterpret_f64 (local.get $sum))))"""


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def bisected(names: tuple[str, str], text: str, row: bytes) -> FirstDifference | None:
    module: Module = validated(bytes(wat2wasm(text)))
    nodes = engines(*names)
    with Pool([(node.node, node.launch) for node in nodes]) as pool:
        pool.identities()
        question = Question(pool, (0, 1), CALL, Budget(), row)
        return first_difference(module, CALL, question.ask)


@pytest.mark.parametrize("operator", ["f64.ceil", "f64.trunc", "f64.nearest"])
def test_the_defect_is_found_to_the_byte(operator: str) -> None:
    text = LAYER.format(operator=operator)
    found = bisected(("wasmtime", "pywasm"), text, bits(0.03125))
    assert found is not None
    assert (found.operator, found.how) == (operator, "values")
    assert found.values == (("f64:8000000000000000",), ("f64:0000000000000000",))
    binary = bytes(wat2wasm(text))
    code = {"f64.ceil": 0x9B, "f64.trunc": 0x9D, "f64.nearest": 0x9E}[operator]
    assert binary[found.offset] == code
    assert binary.count(bytes([0x20, 0x00, code])) == 1
    # -0.625 is the first of x = (i - 20) / 32; nearest gives -1 for it, and -0 from -0.5 on.
    rounds = {"f64.ceil": 0, "f64.trunc": 0, "f64.nearest": 4}[operator]
    # Ten values in each round, four of them before the operator.
    assert found.hit == 10 * rounds + 4


def test_an_engine_without_the_defect_shows_none() -> None:
    text = LAYER.format(operator="f64.ceil")
    assert bisected(("wasmtime", "wasmer/singlepass"), text, bits(1.0)) is None


def test_a_trap_of_one_engine_is_found_to_the_byte() -> None:
    text = """(module (memory (export "memory") 1)
      (func (export "run") (param i64) (result i64)
        (i64.div_u (i64.sub (i64.const 0) (local.get 0)) (i64.const 1))))"""
    found = bisected(("wasmtime", "pywasm"), text, (1).to_bytes(8, "little"))
    assert found is not None
    assert (found.operator, found.how) == ("i64.div_u", "end")
    assert bytes(wat2wasm(text))[found.offset] == 0x80
