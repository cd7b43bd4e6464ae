"""
Lines of compiled code against what another reader of DWARF says of the same modules.
"""

from __future__ import annotations

import base64

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.wasm.decode import validated
from conformance.wasm.source_lines import Row, source_lines

# Compiled from C by zig 0.17 (clang) with -Os -g -gdwarf-4 and -gdwarf-5; other debug sections cut.
FOUR = base64.b64decode(
    "AGFzbQEAAAABBgFgAX8BfQMDAgAABAUBcAEBAQUDAQACBggBfwFBgIAECwcSAgZtZW1vcnkCAAVpbmZlcgAACksC"
    "CgAgABCBgICAAAs+AgF9AX9DAAAAACEBAkAgAEEBSA0AQYCAhIAAIQIDQCABIAIqAgCSIQEgAkEEaiECIABBf2oi"
    "AA0ACwsgAQsAbQsuZGVidWdfbGluZV0AAAAEABsAAAABAQH7Dg0AAQEBAQAAAAEAAAEAYi5jAAAAAAAFCgoABQID"
    "AAAAGgUDggIBAAEBAAUCDQAAAAEFFQoIIgUDIAYrBQoGhgUHBpA4BRUGTQUDgkowAgMAAQEAMgRuYW1lAAgHYjQu"
    "d2FzbQENAgAFaW5mZXIBA3N1bQcSAQAPX19zdGFja19wb2ludGVy"
)
FIVE = base64.b64decode(
    "AGFzbQEAAAABBgFgAX8BfQMDAgAABAUBcAEBAQUDAQACBggBfwFBgIAECwcSAgZtZW1vcnkCAAVpbmZlcgAACksC"
    "CgAgABCBgICAAAs+AgF9AX9DAAAAACEBAkAgAEEBSA0AQYCAhIAAIQIDQCABIAIqAgCSIQEgAkEEaiECIABBf2oi"
    "AA0ACwsgAQsAjwELLmRlYnVnX2xpbmV/AAAABQAEADcAAAABAQH7Dg0AAQEBAQAAAAEAAAEBAR8BAAAAAAMBHwIP"
    "BR4BBAAAAACE84I8iRMaqaqflGfkgZLMBAAFCgoABQIDAAAAGgUDggIBAAEBBAAABQINAAAAAQUVCggiBQMgBisF"
    "CgaGBQcGkDgFFQZNBQOCSjACAwABAQAYDy5kZWJ1Z19saW5lX3N0cnNyYwBiLmMAADIEbmFtZQAIB2I1Lndhc20B"
    "DQIABWluZmVyAQNzdW0HEgEAD19fc3RhY2tfcG9pbnRlcg=="
)
# `llvm-dwarfdump --debug-line`, the same for both; an end of a sequence belongs to no line.
SAID = """3:9 b:9 c: d:1 1f:3 20:3 22:0 2a:4 33:4 36:0 3a:3 42:3 46:3 48:5 4b:"""


def said() -> list[Row]:
    pairs = [item.split(":") for item in SAID.split()]
    return [Row(int(at, 16), "b.c" if line else "", int(line or 0)) for at, line in pairs]


@pytest.mark.parametrize("binary", [FOUR, FIVE], ids=["version 4", "version 5"])
def test_rows_are_those_of_another_reader(binary: bytes) -> None:
    # At c the end of one sequence lies before the beginning of the next.
    assert list(source_lines(validated(binary)).rows) == said()


@pytest.mark.parametrize("binary", [FOUR, FIVE], ids=["version 4", "version 5"])
def test_places_in_the_file(binary: bytes) -> None:
    module = validated(binary)
    lines = source_lines(module)
    assert lines
    entry, summing = (function.body.offsets.tolist() for function in module.functions)
    assert {lines.at(offset) for offset in entry} == {"b.c:9"}
    # The `loop` itself has line 0: what follows it counts.
    loop = next(at.offset for at in module.functions[1].body if at.opcode.name == "loop")
    assert lines.at(loop) == "b.c:4"
    assert lines.at(summing[-1]) == "b.c:5"
    assert lines.at(0) == ""
    assert lines.at(len(binary) - 1) == ""


def test_a_module_without_the_section_has_no_lines() -> None:
    lines = source_lines(validated(bytes(wasmtime.wat2wasm("(module (func))"))))
    assert not lines
    assert lines.at(30) == ""


def test_code_that_the_linker_dropped_has_no_rows() -> None:
    # `set_address 3` of the only program becomes `set_address 0`: the linker's mark of the dead.
    place = FIVE.index(bytes([0, 5, 2, 3, 0, 0, 0]))
    dropped = FIVE[: place + 3] + b"\0" + FIVE[place + 4 :]
    assert next(row.address for row in source_lines(validated(dropped)).rows) == 0xD


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.sampled_from([FOUR, FIVE]), st.data())
def test_damaged_sections_never_raise(binary: bytes, data: st.DataObject) -> None:
    (span,) = (c.content for c in validated(binary).customs if c.name == ".debug_line")
    damaged = bytearray(binary)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(span.start, span.end - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    module = validated(bytes(damaged))
    lines = source_lines(module)
    for function in module.functions:
        for offset in function.body.offsets.tolist():
            assert isinstance(lines.at(offset), str)
