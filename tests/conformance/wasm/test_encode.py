"""
What is not changed keeps every byte; what is changed is written as the specification says.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from wasm_mutants import body_mutants, file_mutants
from wasm_samples import HEADER, body_module, samples, section, wasmtime_accepts, wat

from conformance.wasm.decode import decode, validated
from conformance.wasm.encode import Rewrite, encode, encode_shortest
from conformance.wasm.encode_items import (
    EncodingError,
    data,
    export,
    function_type,
    global_,
    instruction,
    signed,
    unsigned,
)
from conformance.wasm.errors import BadModuleError
from conformance.wasm.evaluate.instance import Instance
from conformance.wasm.evaluate.program import Program
from conformance.wasm.instructions import Labels, MemArg
from conformance.wasm.items import Data, Export, FunctionType, Global, GlobalType, Span
from conformance.wasm.module import Module
from conformance.wasm.reader import Reader

VECTORS = Path(__file__).parents[3] / "vectors"
FILES = {str(path.relative_to(VECTORS)): path for path in sorted(VECTORS.rglob("*.wasm"))}
NOWHERE = Span(0, 0)


def shape(module: Module) -> object:
    """
    All that a module says, without where it says it.
    """
    return (
        [item.type for item in module.types],
        [(item.key, item.type) for item in module.imports],
        [function.type_index for function in module.functions],
        [item.type for item in module.tables], [item.type for item in module.memories],
        [(item.type, constants(item.initialiser)) for item in module.globals],
        [(item.name, item.kind, item.index) for item in module.exports],
        module.start and module.start.function, module.data_count,
        [(item.mode, item.table, item.type, item.functions, constants(item.offset),
          [constants(one) for one in item.expressions]) for item in module.elements],
        [(item.mode, item.memory, constants(item.offset),
          module.binary[item.content.start : item.content.end]) for item in module.data],
        [[(run.count, run.type) for run in function.body.locals] for function in module.functions],
        [[(one.opcode.name, one.immediates) for one in function.body]
         for function in module.functions],
        [(item.name, module.binary[item.content.start : item.content.end])
         for item in module.customs],
    )  # fmt: skip


def constants(expression: object) -> object:
    """
    Instructions of an initialiser, without their offsets.
    """
    found = getattr(expression, "instructions", ())
    return [(one.opcode.name, one.immediates) for one in found]


# ------------------------------------------------------------------------- nothing is changed


@pytest.mark.parametrize("name", FILES)
def test_every_vector_comes_back_byte_for_byte(name: str) -> None:
    binary = FILES[name].read_bytes()
    assert encode(decode(binary)) == binary


@pytest.mark.parametrize("name", samples())
def test_every_sample_comes_back_from_spans_and_from_values(name: str) -> None:
    binary = samples()[name]
    assert encode(decode(binary)) == binary
    # The assembler writes shortest forms, so the encoder of items must give the same bytes.
    assert encode_shortest(decode(binary)) == binary


@pytest.mark.parametrize("name", FILES)
def test_shortest_forms_say_the_same(name: str) -> None:
    module = decode(FILES[name].read_bytes())
    short = encode_shortest(module)
    assert len(short) <= len(module.binary)
    assert shape(decode(short)) == shape(module)
    assert encode_shortest(decode(short)) == short


def test_mutants_that_decode_come_back_byte_for_byte() -> None:
    decoded = 0
    for binary in [*file_mutants(11, 1500), *body_mutants(12, 300)]:
        try:
            module = decode(binary)
        except BadModuleError:
            continue
        decoded += 1
        assert encode(module) == binary
        assert shape(decode(encode_shortest(module))) == shape(module)
    assert decoded > 600


def test_overlong_numbers_and_custom_sections_stay_where_they_are() -> None:
    custom = section(0, b"\x04name\xff\xff")
    code = b"\x0a\x8b\x80\x00" + b"\x81\x00" + b"\x87\x80\x00" + b"\x00\x41\x85\x80\x00\x1a\x0b"
    binary = (
        HEADER + custom + section(1, b"\x81\x80\x00\x60\0\0") + section(3, b"\1\0") + custom
        + code.replace(b"\x8b", bytes([0x80 | len(code) - 4])) + custom
    )  # fmt: skip
    module = decode(binary)
    assert encode(module) == binary
    short = encode_shortest(module)
    assert len(short) == len(binary) - 9
    assert short.count(custom) == 3
    assert shape(decode(short)) == shape(module)


# -------------------------------------------------------------------------------- rewriting


def test_a_replaced_body_changes_nothing_else() -> None:
    for name, path in FILES.items():
        module = decode(path.read_bytes())
        draw = random.Random(name)  # noqa: S311 - a reproducible choice, no secret
        place = draw.randrange(len(module.functions))
        body = module.functions[place].body
        rewrite = Rewrite(module)
        rewrite.replace_body(place, [instruction("nop"), *(body.raw(n) for n in range(len(body)))])
        changed = decode(rewrite.binary())
        assert len(changed.functions[place].body) == len(body) + 1
        for other, function in enumerate(module.functions):
            if other != place:
                span, again = function.body.span, changed.functions[other].body.span
                assert (
                    changed.binary[again.start : again.end] == module.binary[span.start : span.end]
                )
        for before, after in zip(module.sections, changed.sections, strict=True):
            if before.name != "code":
                assert (
                    changed.binary[after.span.start : after.span.end]
                    == module.binary[before.span.start : before.span.end]
                )


COUNTED = wat("""(module (func $f (export "f") (param i32) (result i32) (local i64)
  (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 0)))""")


def counting(binary: bytes) -> bytes:
    """
    The module with a counter of loop turns that it exports, and a function that doubles it.
    """
    module = decode(binary)
    rewrite = Rewrite(module)
    zero = decode(wat("(module (global (mut i64) (i64.const 0)))")).globals[0].initialiser
    counter = rewrite.append("global", global_(Global(GlobalType("i64", True), zero, NOWHERE)))
    kind = rewrite.append("type", function_type(FunctionType((), ("i64",))))
    twice = rewrite.append_function(kind, [
        instruction("global.get", counter), instruction("local.tee", 0),
        instruction("local.get", 0), instruction("i64.add"), instruction("end"),
    ], [(1, "i64")])  # fmt: skip
    rewrite.append("export", export(Export("turns", "global", counter, NOWHERE)))
    rewrite.append("export", export(Export("twice", "function", twice, NOWHERE)))
    body = []
    for place, one in enumerate(module.functions[0].body):
        body.append(module.functions[0].body.raw(place))
        if one.opcode.name == "loop":
            body += [instruction("global.get", counter), instruction("i64.const", 1),
                     instruction("i64.add"), instruction("global.set", counter)]  # fmt: skip
    rewrite.replace_body(0, body)
    return rewrite.binary()


def test_a_rewritten_module_is_valid_and_does_what_it_should() -> None:
    binary = counting(COUNTED)
    assert wasmtime_accepts(binary)
    evaluation = Instance(Program.load(binary))
    assert evaluation.call("f", 7) == (0,)
    assert evaluation.cell("turns").value == 7
    assert evaluation.call("twice") == (14,)


def test_sections_are_made_in_their_places_and_customs_can_go() -> None:
    custom = section(0, b"\x04noteX")
    binary = HEADER + custom + section(1, b"\1\x60\0\0") + custom
    rewrite = Rewrite(decode(binary))
    rewrite.append_function(0, [instruction("end")])
    rewrite.append("table", b"\x70\0\1")
    rewrite.replace_section("memory", b"\1\0\2")
    rewrite.append("data", data(Data("passive", 0, None, NOWHERE, NOWHERE, 1), b"xyz"))
    rewritten = validated(rewrite.binary())
    names = [found.name for found in rewritten.sections]
    assert names == ["custom", "type", "custom", "function", "table", "memory", "code", "data"]
    rewrite.drop_customs("note")
    names = [found.name for found in validated(rewrite.binary()).sections]
    assert names == ["type", "function", "table", "memory", "code", "data"]


def test_added_data_keeps_the_data_count_right() -> None:
    rewrite = Rewrite(decode(samples()["bulk-memory"]))
    place = rewrite.append("data", data(Data("passive", 0, None, NOWHERE, NOWHERE, 1), b"xyz"))
    rewritten = validated(rewrite.binary())
    assert (place, rewritten.data_count, len(rewritten.data)) == (1, 2, 2)
    assert rewritten.binary[slice(*_bounds(rewritten.data[1].content))] == b"xyz"


def _bounds(span: Span) -> tuple[int, int]:
    return span.start, span.end


def test_what_cannot_be_written_is_refused() -> None:
    rewrite = Rewrite(decode(body_module(b"\x0b")))
    rewrite.replace_body(0, [b"\x01\x0b"])
    for attempt, said in (
        (lambda: rewrite.replace_body(1, []), "no body 1, the module has 1"),
        (lambda: rewrite.append("import", b""), "cannot be added to the import section"),
        (lambda: rewrite.append("function", b"\0"), "cannot be added to the function"),
        (lambda: rewrite.replace_section("tag", b""), "no section 'tag'"),
        (lambda: rewrite.replace_section("code", b"\0"), "single changes already"),
        (lambda: instruction("i32.frob"), "no instruction is called"),
        (lambda: instruction("i32.const"), "has 1 immediates, not 0"),
        (lambda: instruction("i32.const", 1 << 31), "does not fit in 32 bits"),
        (lambda: instruction("f32.const", 1 << 32), "no pattern of 32 bits"),
        (lambda: instruction("local.get", -1), "without a sign"),
        (lambda: instruction("block", -3), "no index"),
        (lambda: instruction("i8x16.shuffle", (1, 2)), "names 16 lanes"),
    ):  # fmt: skip
        with pytest.raises(EncodingError, match=said):
            attempt()


def test_instructions_have_the_bytes_of_the_specification() -> None:
    # Worked out by hand from chapter 5.4.
    assert instruction("block", "empty") == b"\x02\x40"
    assert instruction("if", "f64") == b"\x04\x7c"
    assert instruction("loop", 64) == b"\x03\xc0\x00"
    assert instruction("br_table", Labels((1, 0), 300)) == b"\x0e\x02\x01\x00\xac\x02"
    assert instruction("i64.load", MemArg(3, 128)) == b"\x29\x03\x80\x01"
    assert instruction("i32.const", -1) == b"\x41\x7f"
    assert instruction("i32.const", 64) == b"\x41\xc0\x00"
    assert instruction("f32.const", 0x7FA00001) == b"\x43\x01\x00\xa0\x7f"
    assert instruction("ref.null", "externref") == b"\xd0\x6f"
    assert instruction("select_t", ("i64",)) == b"\x1c\x01\x7e"
    assert instruction("memory.init", 5, 0) == b"\xfc\x08\x05\x00"
    assert instruction("i16x8.abs") == b"\xfd\x80\x01"


@examples(derandomize=True, deadline=None, database=None, max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_read_back_and_have_no_shorter_form(plain: int, number: int) -> None:
    for raw, value in ((unsigned(plain), plain), (signed(number, 64), number)):
        reader = Reader(raw, 0, len(raw), "a number")
        read = reader.u32("n") if value is plain else reader.signed("n", 64)
        assert read == value
        assert reader.left == 0
    assert len(unsigned(plain)) == max(1, -(-plain.bit_length() // 7))
    magnitude = number if number >= 0 else ~number
    assert len(signed(number, 64)) == magnitude.bit_length() // 7 + 1
