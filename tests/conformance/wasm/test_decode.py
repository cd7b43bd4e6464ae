"""
Whole files: what decodes, what is refused, by which rule and at which byte.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasm_mutants import file_mutants
from wasm_samples import (
    HEADER,
    INVALID_TEXTS,
    body_module,
    invalid_bytes,
    leb,
    samples,
    section,
    wasmtime_accepts,
    wat,
)

from conformance.wasm.decode import decode
from conformance.wasm.errors import BadModuleError
from conformance.wasm.items import FunctionType, MemoryType, Span
from conformance.wasm.module import Module

NAMES = sorted(samples())


def refusal(data: bytes) -> BadModuleError:
    """
    Why *data* is refused; fails if it is not.
    """
    with pytest.raises(BadModuleError) as caught:
        decode(data)
    error = caught.value
    assert 0 <= error.offset <= max(len(data), 1)
    assert error.rule == error.rule.lower().replace(" ", "-")
    return error


def verdict(data: bytes) -> Module | BadModuleError:
    """
    The module or the refusal; any other exception is a defect and escapes.
    """
    try:
        return decode(data)
    except BadModuleError as error:
        return error


def spans(module: Module) -> list[Span]:
    """
    The span of every item.
    """
    items: list[Any] = [
        *module.types, *module.imports, *module.tables, *module.memories, *module.globals,
        *module.exports, *module.elements, *module.data, *module.customs, *module.sections,
        *([module.start] if module.start else []),
    ]  # fmt: skip
    return [item.span for item in items] + [f.body.span for f in module.functions]


@pytest.mark.parametrize("name", NAMES)
def test_sections_tile_the_file(name: str) -> None:
    data = samples()[name]
    module = decode(data)
    assert HEADER + b"".join(data[s.span.start : s.span.end] for s in module.sections) == data
    assert all(8 <= span.start <= span.end <= len(data) for span in spans(module))


@pytest.mark.parametrize("name", NAMES)
def test_instructions_tile_each_body(name: str) -> None:
    data = samples()[name]
    for function in decode(data).functions:
        body = function.body
        start = int(body.offsets[0])
        raw = b"".join(body.raw(place) for place in range(len(body)))
        assert raw == data[start : body.span.end]
        assert body.locals == () or body.locals[-1].span.end == start
        assert body.entry.end == body.span.end
        assert [found.offset for found in body] == body.offsets.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_is_truncated_or_decodes(name: str) -> None:
    data = samples()[name]
    ends = {8} | {part.span.end for part in decode(data).sections}
    for size in range(len(data)):
        found = verdict(data[:size])
        if isinstance(found, Module):
            assert size in ends
            assert found.binary == data[:size]
        elif size in ends:
            assert found.rule in {"function-count", "data-count"}
        else:
            assert found.rule == ("truncated" if size else "empty-file")


@pytest.mark.parametrize("form", [*invalid_bytes()], ids=lambda form: str(form[0]))
def test_invalid_bytes_are_refused(form: tuple[str, bytes, str]) -> None:
    _, data, rule = form
    assert refusal(data).rule == rule
    assert not wasmtime_accepts(data)


def test_most_invalid_texts_are_well_formed() -> None:
    refused = []
    for name, text in INVALID_TEXTS.items():
        try:
            decode(wat(text))
        except BadModuleError as error:
            refused.append((name, error.rule))
    assert refused == [("non-constant-initialiser", "constant-expression")]


# ------------------------------------------------------------------------ what kind of file it is


@pytest.mark.parametrize(
    ("data", "rule", "word"),
    [
        (b"", "empty-file", "empty"),
        (b"\0as", "truncated", "3 of the 8"),
        (b"\0asm\1\0", "truncated", "6 of the 8"),
        (b"(module)", "text-file", "wat2wasm"),
        (b"\n  ;; a comment\n(module)", "text-file", "assemble"),
        (b"\xef\xbb\xbf(module $x)", "text-file", "assemble"),
        (b"\x1f\x8b\x08\0", "compressed", "decompress"),
        (b"\x7fELF", "not-wasm", "7f 45 4c 46"),
        (b"\0asm\x0d\0\1\0", "component", "component"),
        (b"\0asm\2\0\0\0", "wrong-version", "version 2"),
        (b"\0asm\1\0\2\0", "wrong-version", "layer 2"),
    ],
)
def test_other_files_are_recognised(data: bytes, rule: str, word: str) -> None:
    error = refusal(data)
    assert error.rule == rule
    assert word in error.sentence


def test_an_assembled_component_is_recognised() -> None:
    assert refusal(wat("(component)")).rule == "component"


# -------------------------------------------------------------------------------------- sections

_TYPE = section(1, b"\1\x60\0\0")


@pytest.mark.parametrize(
    ("data", "rule", "offset"),
    [
        (HEADER + _TYPE + _TYPE, "duplicate-section", 14),
        (HEADER + section(3, b"\0") + _TYPE, "section-order", 11),
        (HEADER + section(11, b"\0") + section(12, b"\0"), "section-order", 11),
        (HEADER + section(13, b"\0"), "proposal-exceptions", 8),
        (HEADER + section(14, b"\0"), "proposal-stringref", 8),
        (HEADER + section(15, b"\0"), "unknown-section", 8),
        (HEADER + section(1, b"\1\x60\0\0\0"), "section-size", 14),
        (HEADER + section(1, b"\1\x60\0"), "count-too-large", 10),
        (HEADER + section(1, b"\1\x60\1\x7f"), "unexpected-end", 14),
        (HEADER + section(1, b"\1\x60\0\1"), "count-too-large", 13),
        (HEADER + section(1, b""), "unexpected-end", 10),
        (HEADER + b"\1\7\1\x60\0\0", "truncated", 14),
        (HEADER + b"\1\xff\xff\xff\xff\x0f", "truncated", 14),
        (HEADER + section(8, b"\0\0"), "section-size", 11),
        (HEADER + section(0, b"\5abc"), "unexpected-end", 10),
        (HEADER + section(0, b"\1\xff"), "invalid-utf8", 11),
        (HEADER + section(1, b"\xff\xff\xff\xff\x0f"), "count-too-large", 10),
        (HEADER + section(1, b"\1\x5f\0\0"), "proposal-gc", 11),
        (HEADER + section(1, b"\1\x5e\0\0"), "proposal-gc", 11),
        (HEADER + section(1, b"\1\x61\0\0"), "bad-type-form", 11),
        (HEADER + section(1, b"\1\x60\1\x6e\0"), "proposal-gc", 13),
        (HEADER + section(1, b"\1\x60\1\x69\0"), "proposal-exceptions", 13),
        (HEADER + section(1, b"\1\x60\1\x40\0"), "bad-type", 13),
        (HEADER + section(2, b"\1\0\0\4\0"), "proposal-exceptions", 13),
        (HEADER + section(2, b"\1\0\0\7\0"), "bad-kind", 13),
        (HEADER + section(4, b"\1\x7f\0\1"), "bad-type", 11),
        (HEADER + section(4, b"\1\x40\0\x70\0\0"), "proposal-function-references", 11),
        (HEADER + section(5, b"\1\3\1\1"), "proposal-threads", 11),
        (HEADER + section(5, b"\1\4\1"), "proposal-memory64", 11),
        (HEADER + section(5, b"\1\x08\1\0"), "proposal-custom-page-sizes", 11),
        (HEADER + section(5, b"\1\x10\1"), "bad-limits", 11),
        (HEADER + section(6, b"\1\x7f\2\x41\0\x0b"), "proposal-threads", 12),
        (HEADER + section(6, b"\1\x7f\4\x41\0\x0b"), "bad-mutability", 12),
        (HEADER + section(6, b"\1\x7f\0\x41\0\x41\0\x6a\x0b"), "proposal-extended-const", 17),
        (HEADER + section(6, b"\1\x7f\0\x20\0\x0b"), "constant-expression", 13),
        (HEADER + section(6, b"\1\x7f\0\x41\0"), "unexpected-end", 15),
        (HEADER + section(7, b"\1\0\5\0"), "bad-kind", 12),
        (HEADER + section(9, b"\1\x08\0\0"), "bad-segment-flags", 11),
        (HEADER + section(9, b"\1\1\1\0"), "bad-kind", 12),
        (HEADER + section(11, b"\1\3\0"), "bad-segment-flags", 11),
        (HEADER + section(11, b"\1\1\5a"), "count-too-large", 12),
        (HEADER + section(12, b"\1"), "data-count", 10),
        (HEADER + section(12, b"\0") + section(11, b"\1\1\0"), "data-count", 10),
        (HEADER + _TYPE + section(3, b"\1\0"), "function-count", 18),
        (HEADER + _TYPE + section(10, b"\1\2\0\x0b"), "function-count", 16),
    ],
)
def test_bad_sections_are_refused_at_their_byte(data: bytes, rule: str, offset: int) -> None:
    error = refusal(data)
    assert (error.rule, error.offset) == (rule, offset), str(error)
    assert not wasmtime_accepts(data) or rule == "proposal-extended-const"


def test_a_misplaced_section_is_named_with_its_place() -> None:
    error = refusal(HEADER + section(3, b"\0") + _TYPE)
    assert error.sentence == (
        "the type section comes after the function section, its place is before"
    )


def test_custom_sections_may_stand_anywhere() -> None:
    data = HEADER + section(0, b"\1a!") + _TYPE + section(0, b"\0") + section(0, b"\1a??")
    module = decode(data)
    found = [(c.name, data[c.content.start : c.content.end], c.after) for c in module.customs]
    assert found == [("a", b"!", 0), ("", b"", 2), ("a", b"??", 3)]


# ------------------------------------------------------------------------------------------ code


@pytest.mark.parametrize(
    ("instructions", "declared", "rule"),
    [
        (b"\1", b"\0", "missing-end"),
        (b"", b"\0", "missing-end"),
        (b"\2\x40\x0b", b"\0", "missing-end"),
        (b"\x0b\x0b", b"\0", "trailing-code"),
        (b"\x0b\1", b"\0", "trailing-code"),
        (b"\5\x0b", b"\0", "else-without-if"),
        (b"\x41\0\4\x40\5\5\x0b\x0b", b"\0", "else-without-if"),
        (b"\2\x40\5\x0b\x0b", b"\0", "else-without-if"),
        (b"\xfc\x08\0\0\x0b", b"\0", "data-count-missing"),
        (b"\xfc\x09\0\x0b", b"\0", "data-count-missing"),
        (b"\x0b", b"\2\xff\xff\xff\xff\x0f\x7f\1\x7f", "too-many-locals"),
        (b"\x0b", b"\x7f", "count-too-large"),
        (b"\x0b", b"\1\1\x40", "bad-type"),
    ],
)
def test_bad_bodies_are_refused(instructions: bytes, declared: bytes, rule: str) -> None:
    data = body_module(instructions, declared)
    assert refusal(data).rule == rule
    assert not wasmtime_accepts(data)


def test_an_unclosed_block_is_named_with_its_byte() -> None:
    error = refusal(body_module(b"\1\3\x40"))
    assert error.sentence == "a function body ends inside the loop at 24"


@pytest.mark.slow
def test_200000_nested_blocks_decode() -> None:
    depth = 200_000
    module = decode(body_module(b"\2\x40" * depth + b"\x0b" * (depth + 1)))
    assert len(module.functions[0].body) == 2 * depth + 1
    assert refusal(body_module(b"\2\x40" * depth + b"\x0b" * depth)).rule == "missing-end"


@pytest.mark.slow
def test_a_million_instructions_decode() -> None:
    module = decode(body_module(b"\x41\0\x1a" * 500_000 + b"\x0b"))
    body = module.functions[0].body
    assert len(body) == 1_000_001
    assert module.operators["drop"].count == 500_000
    assert body.offsets.nbytes + body.codes.nbytes == 6 * len(body)


def test_hostile_counts_allocate_nothing() -> None:
    many = b"\xff\xff\xff\xff\x0f"
    for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11):
        assert refusal(HEADER + section(number, many + b"\0" * 8)).rule == "count-too-large"
    assert decode(body_module(b"\x0b", b"\1" + many + b"\x7e")).functions[0].body.local_count == (
        (1 << 32) - 1
    )


# ------------------------------------------------------------------------------------- mutations


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.data())
def test_mutants_give_a_module_or_a_refusal(data: st.DataObject) -> None:
    raw = bytearray(samples()[data.draw(st.sampled_from(NAMES))])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        if not raw:
            return
    found = verdict(bytes(raw))
    if isinstance(found, BadModuleError):
        assert 0 <= found.offset <= max(len(raw), 1)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=60).map(lambda tail: HEADER + tail))
def test_noise_gives_a_module_or_a_refusal(data: bytes) -> None:
    verdict(data)


@pytest.mark.slow
def test_what_wasmtime_accepts_decodes() -> None:
    accepted = refused = 0
    for data in file_mutants(11, 4000):
        found = verdict(data)
        if wasmtime_accepts(data):
            accepted += 1
            assert isinstance(found, Module) or found.rule == "proposal-extended-const", str(found)
        elif isinstance(found, BadModuleError):
            refused += 1
    assert accepted > 300
    assert refused > 1000


# --------------------------------------------------------------------------------- what it says


def test_items_are_read_as_written() -> None:
    module = decode(samples()["imports"])
    assert [(item.key, item.kind) for item in module.imports] == [
        ("a.t", "table"), ("a.m", "memory"), ("a.g", "global"), ("b.f", "function"),
    ]  # fmt: skip
    assert isinstance(module.imports[1].type, MemoryType)
    assert module.memory_limits == (1, 3)
    assert module.function_type(0) == FunctionType(("i64",), ("i64",))
    assert module.function_type(1) == FunctionType((), ())
    assert module.start is not None
    assert module.start.function == 1
    assert [export.name for export in module.exports] == ["t", "g", "\u00e9"]


def test_segments_are_read_as_written() -> None:
    module = decode(samples()["reference-types"])
    found = [(e.mode, e.table, e.type, e.functions, len(e.expressions)) for e in module.elements]
    assert found == [
        ("declarative", 0, "funcref", (0,), 0),
        ("active", 1, "funcref", (0,), 0),
        ("passive", 0, "funcref", (), 2),
    ]  # fmt: skip
    data = decode(samples()["bulk-memory"])
    (segment,) = data.data
    assert segment.mode == "passive"
    assert data.binary[segment.content.start : segment.content.end] == b"xyz"
    assert data.data_count == 1


def test_a_longer_file_is_measured_in_leb() -> None:
    name = b"n" * 300
    module = decode(HEADER + section(0, leb(300) + name))
    assert module.customs[0].name == name.decode()
