"""
The operator that is named is the one that was made to err, wherever it is.
"""

from __future__ import annotations

import wasmtime

from conformance.differential.bisection import FirstDifference, Run, first_difference
from conformance.wasm.decode import decode, validated
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import instruction
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.program import Program
from conformance.wasm.evaluate.stops import TrappedError
from conformance.wasm.module import Module
from conformance.wasm.rewrite.checkpoints import Instrumented
from conformance.wasm.rewrite.recorder import HASH, HITS
from runners.records import Call, Slot

LOOP = """(module
  (func $layer (param $x f64) (result f64)
    (f64.mul (f64.ceil (f64.sub (local.get $x) (f64.const 0.75))) (f64.const 2)))
  (func (export "run") (param $n i32) (param $from i32) (result i64) (local $sum f64)
    (loop $again
      (local.set $sum (f64.add (local.get $sum)
        (call $layer (f64.convert_i32_s (i32.sub (local.get $n) (local.get $from))))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i64.reinterpret_f64 (local.get $sum))))"""

CALL = Call("run", (Slot(0, "i32"), Slot(1, "i32")), ("i64",))


class Node:
    """
    The evaluator, which takes one operator for another.
    """

    def __init__(self, wrong: dict[str, str], arguments: tuple[int, ...]) -> None:
        self.wrong = wrong
        self.arguments = arguments
        self.runs = 0

    def run(self, made: Instrumented) -> Run:
        self.runs += 1
        instance = Instance(Program.load(self.misread(made.binary)))
        buffer: bytes | None = None
        end = "returned"
        try:
            instance.call(made.call(CALL).entry, *self.arguments)
            start = made.address
            buffer = bytes(instance.memory(made.memory).data[start : start + made.size_bytes])
        except TrappedError as error:
            end = error.kind
        ends = ["returned", "integer divide by zero", "integer overflow"]
        return Run(buffer, ends.index(end), instance.cell(HITS).value, instance.cell(HASH).value)

    def misread(self, binary: bytes) -> bytes:
        module = decode(binary)
        rewrite = Rewrite(module)
        for place, function in enumerate(module.functions):
            body = [
                instruction(self.wrong[one.opcode.name])
                if one.opcode.name in self.wrong
                else function.body.raw(number)
                for number, one in enumerate(function.body)
            ]
            rewrite.replace_body(place, body)
        return rewrite.binary()


def bisect(
    text: str, wrong: dict[str, str], *arguments: int
) -> tuple[Module, FirstDifference | None]:
    module = validated(bytes(wasmtime.wat2wasm(text)))
    nodes = (Node({}, arguments), Node(wrong, arguments))
    found = first_difference(
        module, CALL, lambda which, made: nodes[which].run(made), buffer_pages=1
    )
    assert nodes[1].runs <= 4
    return module, found


def named(module: Module, found: FirstDifference) -> str:
    """
    The operator at the offset that was found, read from the file.
    """
    (place,) = [p for p, f in enumerate(module.functions) if f.index == found.function]
    body = module.functions[place].body
    assert int(body.offsets[found.number]) == found.offset
    assert body[found.number].opcode.name == found.operator
    return found.operator


def test_the_operator_in_a_called_function_is_found() -> None:
    module, found = bisect(LOOP, {"f64.ceil": "f64.floor"}, 5, 0)
    assert found is not None
    assert named(module, found) == "f64.ceil"
    assert (found.how, found.hit) == ("values", 3)
    assert found.values == (("f64:4014000000000000",), ("f64:4010000000000000",))
    assert "f64.ceil at byte" in str(found)


def test_it_is_found_far_into_a_run() -> None:
    """
    trunc differs from ceil for positive fractions only, and the first of them comes late: rows of
    all that is before it would need three times the buffer.
    """
    late = LOOP.replace("(local.get $n) (local.get $from)", "(local.get $from) (local.get $n)")
    assert late != LOOP
    module, found = bisect(late, {"f64.ceil": "f64.trunc"}, 1500, 300)
    assert found is not None
    assert named(module, found) == "f64.ceil"
    # n = 299 gives 0.25 first; each round before it computed 8 values, this one 3.
    assert found.hit == 8 * (1500 - 299) + 3
    assert found.values == (("f64:3ff0000000000000",), ("f64:0000000000000000",))


def test_equal_nodes_have_no_difference() -> None:
    _, found = bisect(LOOP, {}, 30, 3)
    assert found is None


def test_a_trap_of_one_node_is_found() -> None:
    text = """(module (func (export "run") (param i32 i32) (result i64)
      (i64.div_u (i64.extend_i32_s (local.get 0)) (i64.extend_i32_s (local.get 1)))
      (drop (i32.mul (i32.const 3) (i32.const 5)))))"""
    module, found = bisect(text, {"i64.div_u": "i64.div_s"}, 6, 0)
    assert found is None, "both trap in the same place"
    overflow = text.replace("i64.extend_i32_s (local.get 0)", "i64.const -9223372036854775808")
    module, found = bisect(overflow, {"i64.div_u": "i64.div_s"}, 6, 0xFFFFFFFF)
    assert found is not None
    assert (named(module, found), found.how) == ("i64.div_u", "end")
