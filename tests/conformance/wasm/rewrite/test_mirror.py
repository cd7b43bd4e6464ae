"""
What is mirrored at loop heads is what memory holds there, and the module does what it did.
"""

from __future__ import annotations

from wasmtime_calls import call, wat

from conformance.wasm.decode import validated
from conformance.wasm.rewrite.checkpoints import checkpointed
from conformance.wasm.rewrite.mirror import Mirror, Part, mirrored
from conformance.wasm.rewrite.points import loop_heads

# Counts down in memory at 16 below the global; the parameter and the global change on the way.
COUNTS = """(module (memory (export "memory") 1) (global $sp (mut i32) (i32.const 1024))
  (func (export "run") (param $n i32) (result i32) (local $fp i32)
    (local.set $fp (i32.sub (global.get $sp) (i32.const 16)))
    (i32.store (local.get $fp) (local.get $n))
    (i64.store offset=64 (local.get $n) (i64.const 0x1122334455667788))
    (global.set $sp (i32.const 7)) (local.set $n (i32.const 7))
    (block $out (loop $again
      (br_if $out (i32.eqz (i32.load (local.get $fp))))
      (i32.store (local.get $fp) (i32.sub (i32.load (local.get $fp)) (i32.const 1)))
      (loop $once (i32.store8 (i32.const 3) (i32.load8_u (local.get $fp))))
      (br $again)))
    (i32.load8_u (i32.const 3))))"""
PARTS = (
    Part("global", 0, -16 % (1 << 32), 4),
    Part("param", 0, 64, 8),
    Part("nothing", 0, 3, 1),
    Part("nothing", 0, (1 << 32) - 2, 4),
    Part("nothing", 0, 65534, 2),
    Part("nothing", 0, 65535, 2),
)


def shown(mirror: Mirror, argument: int) -> list[tuple[int, dict[int, int]]]:
    """
    (Original point, contents by part) of each row.
    """
    made = checkpointed(mirror.module, [*mirror.heads.values()], buffer_pages=1)
    ended = call(made.binary, "run", argument)
    found = []
    for row in made.rows(ended.memory(made.memory, made.address, made.size_bytes)):
        point = made.checkpoints[row.point]
        parts = {
            part: value
            for word, value in zip(point.words, row.values, strict=True)
            if word.role == "local"
            and (part := mirror.part(point.place, word.index)) is not None
        }  # fmt: skip
        found.append((mirror.original((point.place, point.number))[1], parts))
    return found


def test_parts_of_memory_are_shown_at_every_loop_head() -> None:
    module = validated(wat(COUNTS))
    outer, inner = (number for _, number in loop_heads(module))
    rows = shown(mirrored(module, {0: PARTS}), 3)
    assert [at for at, _ in rows] == [outer, inner, outer, inner, outer, inner, outer]
    assert [parts[0] for _, parts in rows] == [3, 2, 2, 1, 1, 0, 0]
    assert {parts[1] for _, parts in rows} == {0x1122334455667788}
    assert [parts[2] for _, parts in rows] == [0, 0, 2, 2, 1, 1, 0]
    # Across the end of memory nothing is read, and nothing traps; the last two bytes are 0.
    assert {parts[k] for _, parts in rows for k in (3, 4, 5)} == {0}


def test_a_mirrored_module_gives_what_it_gave() -> None:
    module = validated(wat(COUNTS))
    mirror = mirrored(module, {0: PARTS})
    for argument in (0, 1, 9):
        plain, other = (call(m.binary, "run", argument) for m in (module, mirror.module))
        assert plain.results == other.results
    assert mirrored(module, {0: ()}).module is module
    assert mirrored(module, {}).head((0, 5)) == (0, 5)
