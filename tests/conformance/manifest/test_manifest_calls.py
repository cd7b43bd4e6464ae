import pytest
from manifest_samples import BUFFERS, CALLS

from conformance.manifest.calls import (
    UnknownEntryError,
    build_call,
    build_calls,
    input_columns,
    output_columns,
)
from conformance.manifest.read import parse_manifest
from runners.records import (
    Buffer,
    ByAllocator,
    ByExport,
    Call,
    Constant,
    InputPointer,
    OutputPointer,
    Slot,
)


def test_an_entry_with_buffers() -> None:
    manifest = parse_manifest(BUFFERS.encode())
    call = build_call(manifest, ("counter",), "memory", grows=False)
    assert call == Call(
        entry="infer",
        arguments=(InputPointer(), OutputPointer(), Constant("i32:0000000a")),
        results=("i32",),
        input=Buffer(ByExport("in_ptr"), 48),
        output=Buffer(ByAllocator("alloc"), 40),
        initialize=("_initialize",),
        memory="memory",
        globals=("counter",),
        grows=False,
    )
    assert build_calls(manifest, ("counter",), "memory", grows=False) == (call,)
    assert input_columns(manifest, "infer") == ((0, "f64", 6),)
    assert output_columns(manifest, "infer") == ((0, "i32", 1), (8, "f32", 10))
    assert (call.input_bytes, call.output_bytes) == (48, 48)


def test_scalar_calls_carry_floats_as_integers_but_keep_their_meaning() -> None:
    manifest = parse_manifest(CALLS.encode())
    low, mix = build_calls(manifest)
    assert low == Call(
        entry="f64.min", arguments=(Slot(0, "i64"), Slot(1, "i64")), results=("i64",)
    )
    assert mix.arguments == (Slot(0, "i64"), Slot(1, "i32"))
    assert mix.results == ("i32", "i32")
    assert build_call(manifest, entry="mix") == mix
    assert input_columns(manifest, "mix") == ((0, "i64", 1), (8, "f32", 1))
    assert output_columns(manifest, "mix") == ((0, "f32", 1), (8, "i32", 1))


def test_scalars_that_are_not_carried_keep_their_core_types() -> None:
    text = CALLS.replace("carried = true", "", 1)
    assert build_calls(parse_manifest(text.encode()))[0] == Call(
        entry="f64.min", arguments=(Slot(0, "f64"), Slot(1, "f64")), results=("f64",)
    )


def test_unknown_entries_are_refused() -> None:
    buffers, calls = parse_manifest(BUFFERS.encode()), parse_manifest(CALLS.encode())
    with pytest.raises(UnknownEntryError, match=r"has no call of 'x'; it has infer"):
        build_call(buffers, entry="x")
    with pytest.raises(UnknownEntryError, match="more than one call, so say which"):
        build_call(calls)
    with pytest.raises(UnknownEntryError, match=r"it has f64\.min, mix"):
        output_columns(calls, "x")
    with pytest.raises(UnknownEntryError):
        input_columns(buffers, "x")
