import hashlib
from pathlib import Path

import pytest
import wasmtime

from conformance.manifest.calls import build_calls
from conformance.manifest.draft import GUESS, draft_manifest
from conformance.manifest.errors import BadSubjectError
from conformance.manifest.read import parse_manifest
from conformance.manifest.records import Manifest
from conformance.wasm.decode import decode
from conformance.wasm.shape import check_call
from runners.records import (
    AtAddress,
    ByAllocator,
    ByExport,
    ByResult,
    Constant,
    InputPointer,
    OutputPointer,
)


def drafted(wat: str, name: str = "net.wasm") -> tuple[str, Manifest]:
    """
    The draft of a module and what is read from it; its calls must fit the module's own types.
    """
    module = decode(bytes(wasmtime.wat2wasm(wat)))
    text = draft_manifest(module, name)
    manifest = parse_manifest(text.encode())
    for call in build_calls(manifest, memory="memory" if module.exported("memory") else None):
        assert check_call(module, call) == ()
    return text, manifest


def module(*functions: str, memory: str = '(memory (export "memory") 2)') -> str:
    return f"(module {memory} {' '.join(functions)})"


def function(name: str, parameters: str = "", result: str = "") -> str:
    head = f"(param {parameters})" if parameters else ""
    if result:
        return f'(func (export "{name}") {head} (result {result}) ({result}.const 0))'
    return f'(func (export "{name}") {head})'


POINTERS = (function("in_ptr", "", "i32"), function("out_ptr", "", "i32"))


def test_pointer_exports_and_an_entry() -> None:
    wat = module(
        *POINTERS,
        function("infer"),
        function("_initialize"),
        "(func (param f64) (result f64) (f64.add (local.get 0) (local.get 0)))",
    )
    text, manifest = drafted(wat)
    run = manifest.run
    assert (run.entry, run.arguments, run.entry_results) == ("infer", (), ())
    assert run.input is not None
    assert run.output is not None
    assert (run.input.place, run.output.place) == (ByExport("in_ptr"), ByExport("out_ptr"))
    assert run.input.dtype == "f64"
    assert run.initialize == ("_initialize",)
    assert run.memory_pages == 512
    assert manifest.name == "net"
    assert manifest.module_file == "net.wasm"
    digest = hashlib.sha256(bytes(wasmtime.wat2wasm(wat))).hexdigest()
    assert manifest.module_sha256 == digest
    assert text.count(GUESS) == 3, "two shapes and the domain"


def test_a_module_that_computes_in_f32_gets_f32_buffers() -> None:
    wat = module(
        *POINTERS,
        function("infer"),
        "(func (param f32) (result f32) (f32.add (local.get 0) (local.get 0)))",
    )
    manifest = drafted(wat)[1]
    assert manifest.run.input is not None
    assert manifest.run.input.dtype == "f32"
    assert manifest.run.input.domain is not None
    assert manifest.run.input.domain.high == "f32:3f800000"


def test_an_allocator_and_addresses_as_arguments() -> None:
    wat = module(function("alloc", "i32", "i32"), function("free", "i32"),
                 function("predict", "i32 i32"))  # fmt: skip
    run = drafted(wat)[1].run
    assert run.entry == "predict"
    assert run.arguments == (InputPointer(), OutputPointer())
    assert run.input is not None
    assert run.output is not None
    assert (run.input.place, run.output.place) == (ByAllocator("alloc"), ByAllocator("alloc"))


def test_a_length_and_an_output_at_the_result() -> None:
    text, manifest = drafted(module(function("infer", "i32 i32", "i32")))
    run = manifest.run
    assert run.arguments == (InputPointer(), Constant("i32:00000001"))
    assert run.input is not None
    assert run.output is not None
    assert run.input.place == AtAddress(1024)
    assert run.output.place == ByResult()
    assert "no export says where the buffer lies" in text


@pytest.mark.parametrize("parameters", ["i32", "i32 i32 i32", "i32 i32 i32 i32"])
@pytest.mark.parametrize("result", ["", "i32", "f64"])
def test_every_shape_of_an_entry_gives_a_readable_draft(parameters: str, result: str) -> None:
    for extra in ((), POINTERS, POINTERS[1:]):
        run = drafted(module(function("run", parameters, result), *extra))[1].run
        assert run.entry == "run"
        assert len(run.arguments) == len(parameters.split())


def test_scalar_functions_become_calls() -> None:
    text, manifest = drafted(
        module(
            function("f64.min", "f64 f64", "f64"),
            function('odd \\"name\\" = [x]', "i64", "i32"),
            function("narrow", "f32", "f32"),
            function("silent", "i32"),
            function("line\\nbreak", "i32", "i32"),
            memory="",
        )
    )
    assert [(c.entry, c.parameters, c.results) for c in manifest.run.calls] == [
        ("f64.min", ("f64", "f64"), ("f64",)),
        ('odd "name" = [x]', ("i64",), ("i32",)),
    ]
    assert "# Left out: 'narrow': (f32) -> (f32) passes an f32" in text
    assert "# Left out: 'silent': (i32) -> () gives no result" in text
    assert "line\nbreak" not in text


def test_integers_without_a_telling_name_are_numbers() -> None:
    manifest = drafted(module(function("gcd", "i32 i32", "i32")))[1]
    assert [call.entry for call in manifest.run.calls] == ["gcd"]


def test_buffers_need_an_exported_memory() -> None:
    wat = module(*POINTERS, function("infer", "i32", "i32"), memory="(memory 1)")
    assert [c.entry for c in drafted(wat)[1].run.calls] == ["in_ptr", "out_ptr", "infer"]


def test_imports_are_named_but_not_allowed() -> None:
    text, manifest = drafted(
        '(module (import "env" "emscripten_get_now" (func (result f64)))'
        ' (import "a\\nb" "c" (func))' + function("f", "f64", "f64") + ")"
    )
    assert manifest.run.imports == ()
    assert "reads the node's clock" in text
    assert '#   "env.emscripten_get_now",' in text
    assert "a\nb" not in text


def test_limits_come_from_the_memory() -> None:
    assert drafted(module(function("f", "f64", "f64")))[1].run.memory_pages == 512
    large = module(function("f", "f64", "f64"), memory="(memory 600)")
    assert drafted(large)[1].run.memory_pages == 600
    capped = module(function("f", "f64", "f64"), memory="(memory 1 7)")
    assert drafted(capped)[1].run.memory_pages == 7


@pytest.mark.parametrize(
    ("wat", "words"),
    [
        ("(module)", "exports no function"),
        (module(function("f", "f32", "f32")), "no exported function can be called"),
        (
            module(function("interface_version_8"), function("allocate", "i32", "i32")),
            "is a CosmWasm contract",
        ),
    ],
)
def test_modules_that_no_manifest_can_describe_are_refused(wat: str, words: str) -> None:
    with pytest.raises(BadSubjectError, match=words):
        drafted(wat)


def test_file_names_that_a_manifest_cannot_hold_are_refused() -> None:
    with pytest.raises(BadSubjectError, match="inside the manifest's folder"):
        drafted(module(function("f", "f64", "f64")), "../net.wasm")
    assert drafted(module(function("f", "f64", "f64")), 'a "b" #.wasm')[1].name == 'a "b" #'


def test_the_drafts_of_shipped_models_find_their_entries(request: pytest.FixtureRequest) -> None:
    folder: Path = request.config.rootpath / "vectors"
    paths = sorted(folder.glob("*/*/model.wasm"))
    assert paths
    for path in paths:
        module = decode(path.read_bytes())
        draft = parse_manifest(draft_manifest(module, path.name).encode())
        shipped = parse_manifest((path.parent / "model.toml").read_bytes())
        assert draft.run.entry == shipped.run.entry
        assert draft.run.input is not None
        assert shipped.run.input is not None
        assert draft.run.input.place == shipped.run.input.place
        assert draft.run.input.dtype == shipped.run.input.dtype
