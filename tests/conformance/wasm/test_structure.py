"""
The block tree of bodies.
"""

from __future__ import annotations

import pytest
from wasm_samples import body_module, wat

from conformance.wasm.decode import decode
from conformance.wasm.structure import Block, structure


def test_blocks_have_their_places_and_parents() -> None:
    module = decode(
        wat("""(module (func (block (if (i32.const 1)
            (then (loop nop)) (else nop))) (block)))""")
    )
    tree = structure(module.functions[0].body)
    # 0 block, 1 i32.const, 2 if, 3 loop, 4 nop, 5 end, 6 else, 7 nop, 8 end, 9 end, 10 block
    assert tree.blocks == (
        Block("body", -1, None, 12, -1, 0),
        Block("block", 0, None, 9, 0, 1),
        Block("if", 2, 6, 8, 1, 2),
        Block("loop", 3, None, 5, 2, 3),
        Block("block", 10, None, 11, 0, 1),
    )
    assert tree.opened == {0: 1, 2: 2, 3: 3, 10: 4}
    assert (tree.depth, tree.loops) == (3, (3,))
    assert [block.continuation for block in tree.blocks] == [13, 10, 9, 4, 12]


def test_labels_count_outwards_to_the_body() -> None:
    module = decode(wat("(module (func (block (loop (if (i32.const 0) (then nop))))))"))
    tree = structure(module.functions[0].body)
    assert [tree.label(3, depth) for depth in range(4)] == [3, 2, 1, 0]
    with pytest.raises(IndexError, match="no label 4"):
        tree.label(3, 4)


def test_deep_nesting_is_no_recursion() -> None:
    depth = 100_000
    body = decode(body_module(b"\2\x40" * depth + b"\x0b" * (depth + 1))).functions[0].body
    tree = structure(body)
    assert len(tree.blocks) == depth + 1
    assert tree.depth == depth
    assert tree.blocks[1] == Block("block", 0, None, 2 * depth - 1, 0, 1)
