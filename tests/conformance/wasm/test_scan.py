"""
The fast scan finds what the careful reader finds.
"""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasm_samples import body_module

from conformance.wasm.decode import decode
from conformance.wasm.errors import BadModuleError
from conformance.wasm.instructions import Instruction, Labels, MemArg, read_instruction
from conformance.wasm.opcodes import OPCODES
from conformance.wasm.reader import Reader
from conformance.wasm.scan import scan


def _carefully(data: bytes) -> list[Instruction] | tuple[str, int]:
    reader = Reader(data, 0, len(data), "the test")
    found = []
    try:
        while reader.left:
            found.append(read_instruction(reader))
    except BadModuleError as error:
        return error.rule, error.offset
    return found


def _fast(data: bytes) -> list[int] | tuple[str, int]:
    offsets = array("I")
    try:
        scan(data, 0, len(data), "the test", offsets)
    except BadModuleError as error:
        return error.rule, error.offset
    return offsets.tolist()


_FIRST_BYTES = sorted({code >> 8 or code for code in OPCODES})
_CHUNK = st.one_of(
    st.tuples(st.sampled_from(_FIRST_BYTES).map(lambda b: bytes([b])), st.binary()).map(b"".join),
    st.sampled_from([opcode.encoding for opcode in OPCODES.values()]).flatmap(
        lambda head: st.binary(max_size=20).map(lambda rest: head + rest)
    ),
    st.sampled_from(
        [b"\x41\x80\x80\x80\x80\x08", b"\x41\xff\xff\xff\xff\x07", b"\x42" + b"\x80" * 9 + b"\x7f",
         b"\x42" + b"\x80" * 9 + b"\x01", b"\x20\xff\xff\xff\xff\x0f", b"\x20\x80\x80\x80\x80\x10",
         b"\xfc\x8a\x00\0\0", b"\xfd\xae\x81\0", b"\x0e\x82\0\1\2\3", b"\x1c\x81\0\x7f",
         b"\x02\x80\x80\x80\x80\x00", b"\x02\x80\x7f", b"\x28\x82\0\0", b"\x28\x42\0\0"]
    ),
)  # fmt: skip


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.lists(_CHUNK, max_size=12).map(b"".join))
def test_scan_and_reader_agree_on_any_bytes(data: bytes) -> None:
    carefully = _carefully(data)
    expected = [found.offset for found in carefully] if isinstance(carefully, list) else carefully
    assert _fast(data) == expected


def test_unusual_encodings_are_kept() -> None:
    odd = (
        b"\x41\x80\x80\x80\x80\x00"  # i32.const 0 in five bytes
        b"\xfc\x80\x80\x00"  # a number with leading zeros: i32.trunc_sat_f32_s
        b"\xfd\xae\x81\x80\x00"  # i32x4.add
        b"\x0e\x81\x00\x80\x00\x00"  # br_table of one label
        b"\x1c\x81\x00\x7d"  # select with one type
        b"\x28\x82\x00\x85\x00"  # i32.load
        b"\x0b"
    )
    module = decode(body_module(odd))
    body = module.functions[0].body
    assert [(found.opcode.name, found.immediates) for found in body] == [
        ("i32.const", (0,)),
        ("i32.trunc_sat_f32_s", ()),
        ("i32x4.add", ()),
        ("br_table", (Labels((0,), 0),)),
        ("select_t", (("f32",),)),
        ("i32.load", (MemArg(2, 5),)),
        ("end", ()),
    ]
    assert b"".join(body.raw(place) for place in range(len(body))) == odd
    assert [body[place] for place in range(len(body))] == list(body)
    with pytest.raises(IndexError):
        body[len(body)]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("06 40", "proposal-exceptions"), ("08 00", "proposal-exceptions"),
        ("1f 40 00", "proposal-exceptions"), ("12 00", "proposal-tail-calls"),
        ("13 00 00", "proposal-tail-calls"), ("14 00", "proposal-function-references"),
        ("d4", "proposal-function-references"), ("d3", "proposal-gc"), ("fb 00", "proposal-gc"),
        ("fe 00 02 00", "proposal-threads"), ("fd 80 02", "proposal-relaxed-simd"),
        ("fd 93 02", "proposal-relaxed-simd"), ("fc 13", "proposal-wide-arithmetic"),
        ("e0 00", "proposal-stack-switching"), ("3f 01", "proposal-multi-memory"),
        ("28 42 00 00", "proposal-multi-memory"), ("02 64 00", "proposal-function-references"),
        ("d0 6e", "proposal-gc"), ("d0 7f", "bad-type"), ("28 80 01 00", "bad-alignment"),
        ("fd 9a 01", "unknown-opcode"), ("fd b0 02", "unknown-opcode"), ("27", "unknown-opcode"),
        ("fc 40", "unknown-opcode"), ("fc 80 80 80 80 10", "leb-too-large"),
        ("02 80 7f", "bad-block-type"), ("02 41", "bad-type"),
        ("0e ff ff ff ff 0f 00", "count-too-large"), ("44 00", "unexpected-end"),
    ],
)  # fmt: skip
def test_what_is_not_admitted_is_named(code: str, rule: str) -> None:
    data = body_module(b"\1\1" + bytes.fromhex(code) + b"\x0b")
    with pytest.raises(BadModuleError) as caught:
        decode(data)
    assert caught.value.rule == rule
    first = data.index(b"\1\1" + bytes.fromhex(code)) + 2
    assert first <= caught.value.offset <= len(data)
    if rule.startswith("proposal-"):
        assert f"proposal {rule.removeprefix('proposal-')}" in caught.value.sentence
