"""
What is noted at checkpoints is what the module has there, and nothing else changes.
"""

from __future__ import annotations

import struct

import pytest
from wasmtime_calls import Ended, call, wat

from conformance.generate.modules import generate
from conformance.wasm.decode import validated
from conformance.wasm.module import Module
from conformance.wasm.rewrite.checkpoints import Instrumented, Row, checkpointed
from conformance.wasm.rewrite.errors import CannotRewriteError
from conformance.wasm.rewrite.points import call_sites, computing, entries, every, loop_heads
from conformance.wasm.rewrite.recorder import HASH, HITS, MULTIPLIER, Observes
from runners.records import AtAddress, Buffer, ByExport, Call, InputPointer, OutputPointer, Slot

SUM = """(module
  (memory (export "memory") 1 3) (global $g (mut f64) (f64.const 0.5))
  (func (export "run") (param $n i32) (result i32) (local $total i32)
    (loop $again
      (global.set $g (f64.add (global.get $g) (f64.const 1)))
      (local.set $total (i32.add (local.get $total) (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $total)))"""

MEMORY = """(module
  (memory 1 3) (data (i32.const 65532) "\\01\\02\\03\\04")
  (func (export "run") (param $what i32) (param $at i32) (result i64) (local $r i64)
    (block $out (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
      (br_table $0 $1 $2 $3 $4 $5 $6 (local.get $what)))
      (local.set $r (i64.extend_i32_u (i32.load offset=2 (local.get $at)))) (br $out))
      (local.set $r (i64.extend_i32_s (memory.grow (local.get $at))))
      (local.set $r (i64.or (i64.shl (local.get $r) (i64.const 32))
        (i64.extend_i32_u (memory.size)))) (br $out))
      (i64.store offset=8 (local.get $at) (i64.const -1))
      (local.set $r (i64.load offset=8 (local.get $at))) (br $out))
      (memory.fill (local.get $at) (i32.const 7) (i32.const 16))
      (local.set $r (i64.load8_u (local.get $at))) (br $out))
      (memory.copy (local.get $at) (i32.const 65530) (i32.const 6)) (br $out))
      (memory.copy (i32.const 0) (local.get $at) (i32.const 6)) (br $out))
      (local.set $r (i64.extend_i32_s (memory.grow (i32.const 1))))
      (local.set $r (i64.load8_s (local.get $at))) (br $out))
    (local.get $r)))"""


def collected(made: Instrumented, ended: Ended) -> list[Row]:
    return list(made.rows(ended.memory(made.memory, made.address, made.size_bytes)))


def mixed(words: list[int]) -> int:
    """
    The hash, from its formula.
    """
    value = 0
    for word in words:
        turned = (value << 5 | value >> 59) & ((1 << 64) - 1)
        value = (turned ^ word) * MULTIPLIER & ((1 << 64) - 1)
    return value


def test_a_loop_writes_its_state_each_time_round() -> None:
    module = validated(wat(SUM))
    made = checkpointed(module, loop_heads(module))
    ended = call(made.binary, "run", 4)
    assert ended.results == (10,)
    totals = [0, 4, 7, 9]
    halves = [struct.unpack("<Q", struct.pack("<d", at + 0.5))[0] for at in range(4)]
    wanted = [(4 - at, totals[at], halves[at], 1) for at in range(4)]
    rows = collected(made, ended)
    assert [row.values for row in rows] == wanted
    assert [word.role for word in made.checkpoints[0].words] == [
        "local", "local", "global", "pages"
    ]  # fmt: skip
    hashes = [mixed([w for v in wanted[:n] for w in (1, *v)]) for n in range(5)]
    assert [row.hash for row in rows] == hashes[:4]
    assert ended.exported_global(HITS) == 4
    assert ended.exported_global(HASH) == hashes[4]


def test_windows_keep_each_kth_hit_and_the_same_hash() -> None:
    module = validated(wat(SUM))
    whole = call(checkpointed(module, loop_heads(module)).binary, "run", 100)
    made = checkpointed(module, loop_heads(module), first=10, every=7)
    ended = call(made.binary, "run", 100)
    rows = collected(made, ended)
    assert [row.values[0] for row in rows] == [100 - hit for hit in range(10, 100, 7)]
    assert ended.exported_global(HASH) == whole.exported_global(HASH)
    assert ended.exported_global(HITS) == 100


def test_without_a_hash_the_same_rows_are_written() -> None:
    module = validated(wat(SUM))
    for first, step in ((0, 1), (10, 7)):
        made = [
            checkpointed(module, loop_heads(module), first=first, every=step, hashed=hashed)
            for hashed in (True, False)
        ]
        ended = [call(one.binary, "run", 100) for one in made]
        rows = [collected(*pair) for pair in zip(made, ended, strict=True)]
        assert [row.values for row in rows[0]] == [row.values for row in rows[1]]
        assert {row.hash for row in rows[1]} == {0}
        assert [one.exported_global(HITS) for one in ended] == [100, 100]
        assert ended[0].results == ended[1].results
        assert made[0].rewrite != made[1].rewrite


def test_what_does_not_fit_is_counted_all_the_same() -> None:
    module = validated(wat(SUM))
    made = checkpointed(module, loop_heads(module), buffer_pages=1)
    ended = call(made.binary, "run", 5000)
    assert len(collected(made, ended)) == 65_536 // (8 * 6)
    assert ended.exported_global(HITS) == 5000


def test_stopped_after_a_hit_the_call_returns_zeros() -> None:
    module = validated(wat(SUM))
    made = checkpointed(module, loop_heads(module), stop=3)
    ended = call(made.binary, "run", 100)
    assert ended.results == (0,)
    assert [row.values[0] for row in collected(made, ended)] == [100, 99, 98]


def test_a_stop_leaves_all_open_calls() -> None:
    module = validated(
        wat("""(module (func $f (param i32) (result f64)
          (if (result f64) (local.get 0)
            (then (f64.add (f64.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
            (else (unreachable))))
          (func (export "run") (param i32) (result i64)
            (i64.reinterpret_f64 (call $f (local.get 0)))))""")
    )
    assert call(module.binary, "run", 5).results is None
    made = checkpointed(module, entries(module), stop=7)
    ended = call(made.binary, "run", 5)
    assert ended.results == (0,)
    assert [row.values[:1] for row in collected(made, ended)] == [
        (5,), (5,), (4,), (3,), (2,), (1,), (0,)
    ]  # fmt: skip


@pytest.mark.parametrize("what", range(7))
@pytest.mark.parametrize(
    "at",
    [0, 1, 2, 3, 6, 65_518, 65_519, 65_520, 65_521, 65_529, 65_530, 65_531, 65_535, 65_536,
     131_071, 131_072, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF],
)  # fmt: skip
def test_memory_ends_where_it_did(what: int, at: int) -> None:
    module = validated(wat(MEMORY))
    plain = call(module.binary, "run", what, at)
    made = checkpointed(module, every(module))
    validated(made.binary)
    ended = call(made.binary, "run", what, at)
    assert (ended.results, ended.trap) == (plain.results, plain.trap)


def test_all_types_are_noted_as_bits() -> None:
    module = validated(
        wat("""(module (func $f (param f32 f64 i64 externref v128) (result i32) (i32.const 7))
          (func (export "run") (result i32)
            (call $f (f32.const nan:0x200001) (f64.const -nan:0x4) (i64.const -2)
              (ref.null extern) (v128.const i64x2 5 6))))""")
    )
    made = checkpointed(module, call_sites(module))
    rows = collected(made, call(made.binary, "run"))
    bits = (0x7FA00001, 0xFFF0000000000004, (1 << 64) - 2, 1, 5, 6)
    assert [row.values for row in rows] == [(0, *bits)]


def test_results_are_what_each_operator_gave() -> None:
    module = validated(
        wat("""(module (func (export "run") (param i32) (result i32)
            (i32.mul (i32.add (local.get 0) (i32.const 1)) (i32.const 3))))""")
    )
    made = checkpointed(module, computing(module), observes="results")
    ended = call(made.binary, "run", 9)
    assert ended.results == (30,)
    found = [(made.checkpoints[row.point].operator, row.values) for row in collected(made, ended)]
    assert found == [("i32.add", (10,)), ("i32.mul", (30,))]


def test_hits_and_hash_survive_a_trap() -> None:
    module = validated(wat(MEMORY))
    made = checkpointed(module, computing(module), observes="results")
    ended = call(made.binary, "run", 2, 65_530)
    assert ended.trap == "out of bounds memory access"
    assert ended.exported_global(HITS) == 0
    other = call(made.binary, "run", 6, 200_000)
    assert other.trap == "out of bounds memory access"
    assert other.exported_global(HITS) == 2


def test_points_that_control_cannot_reach_have_no_rows() -> None:
    module = validated(
        wat('(module (func (export "run") (result i32) (return (i32.const 1)) (drop (i32.const 2))'
            " (block (nop)) (i32.const 3)))")
    )  # fmt: skip
    made = checkpointed(module, every(module))
    assert call(made.binary, "run").results == (1,)
    assert [c.number for c in made.checkpoints if c.number < 2] == [0, 1]


def _with_output() -> Module:
    return validated(
        wat("""(module (memory (export "memory") 1)
          (func (export "where") (result i32) (i32.const 256))
          (func (export "run") (param $in i32) (param $k i32) (param $out i32)
            (i32.store (local.get $out) (i32.add (local.get $k) (i32.load (local.get $in))))))
        """)
    )


def test_an_output_buffer_is_placed_from_inside() -> None:
    module = _with_output()
    described = Call(
        "run",
        (InputPointer(), Slot(0, "i32"), OutputPointer()),
        input=Buffer(AtAddress(64), 4),
        output=Buffer(ByExport("where"), 4),
        memory="memory",
    )
    made = checkpointed(module, entries(module), call=described)
    changed = made.call(described)
    assert changed.arguments == (InputPointer(), Slot(0, "i32"))
    ended = call(made.binary, changed.entry, 64, 5)
    assert ended.memory("memory", 256, 4) == b"\5\0\0\0"
    assert [row.values for row in collected(made, ended)] == [(1,), (64, 5, 256, 1)]


def test_what_cannot_be_instrumented_is_refused() -> None:
    module = validated(wat('(module (import "a" "m" (memory 1)) (func))'))
    with pytest.raises(CannotRewriteError, match="imports its memory"):
        checkpointed(module, [(0, 0)])
    with pytest.raises(CannotRewriteError, match="no instruction 9999"):
        checkpointed(validated(wat(SUM)), [(0, 9_999)])


def test_the_id_names_points_and_window() -> None:
    module = validated(wat(SUM))
    ids = {
        checkpointed(module, [(0, 0)]).rewrite,
        checkpointed(module, [(0, 1)]).rewrite,
        checkpointed(module, [(0, 0)], first=1).rewrite,
        checkpointed(module, [(0, 0)], observes="results").rewrite,
    }
    assert len(ids) == 4


@pytest.mark.parametrize("observes", ["state", "results"])
def test_generated_modules_end_as_they_did(observes: Observes) -> None:
    rows = 0
    for index in range(60):
        built = generate(31, index)
        module = validated(built.binary)
        points = every(module) if observes == "state" else computing(module)
        made = checkpointed(module, points, observes=observes, buffer_pages=4)
        validated(made.binary)
        arguments = [int(bits) for bits in built.rows[0].view("<u8")]
        arguments = [bits & 0xFFFFFFFF if at < 2 else bits for at, bits in enumerate(arguments)]
        plain = call(built.binary, "run", *arguments)
        ended = call(made.binary, "run", *arguments)
        assert (ended.results, ended.trap) == (plain.results, plain.trap), index
        size = 65_536
        assert ended.memory("memory", 0, size) == plain.memory("memory", 0, size), index
        for name in ("i32", "i64"):
            assert ended.exported_global(name) == plain.exported_global(name), index
        rows += len(collected(made, ended))
    assert rows > 1000
