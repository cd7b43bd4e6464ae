import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_samples import BUFFERS, CALLS

from conformance.manifest.errors import BadManifestError
from conformance.manifest.read import parse_manifest, read_manifest
from conformance.manifest.records import (
    BoundsPart,
    Domain,
    Judge,
    Manifest,
    RunPart,
    ScalarCall,
    Semantics,
    Tensor,
)
from runners.records import (
    AtAddress,
    ByAllocator,
    ByExport,
    ByResult,
    Constant,
    InputPointer,
    OutputPointer,
)


def refusal(text: str | bytes) -> BadManifestError:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(BadManifestError) as caught:
        parse_manifest(data)
    return caught.value


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def test_a_manifest_with_buffers(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text(BUFFERS)
    assert read_manifest(path) == Manifest(
        name="mlp",
        path=str(tmp_path),
        module_file="model.wasm",
        description="a net",
        rows="held_out.json",
        expected="expected.json",
        run=RunPart(
            entry="infer",
            arguments=(InputPointer(), OutputPointer(), Constant("i32:0000000a")),
            entry_results=("i32",),
            input=Tensor(
                dtype="f64",
                shape=(2, 3),
                place=ByExport("in_ptr"),
                domain=Domain(low="f64:0000000000000000", high="f64:4030000000000000"),
            ),
            output=Tensor(dtype="f32", shape=(10,), place=ByAllocator("alloc")),
            initialize=("_initialize",),
            memory_pages=17,
            deadline_ms=2000,
            compile_deadline_ms=3000,
            fuel=1_000_000,
            imports=("env.abort",),
            reset="reset",
        ),
        judge=Judge(tolerance_ulp=2, accuracy_floor=0.9, decision="argmax"),
        semantics=Semantics(
            function_class="program",
            program="model.semantics",
            weights="weights.json",
            functions=(("exp", "exp"), ("tanh", "tanh")),
        ),
        bounds=BoundsPart(),
    )


def test_a_manifest_with_calls() -> None:
    manifest = parse_manifest(CALLS.encode())
    assert manifest.expected == "expected.json"
    assert manifest.edges == "edges.json"
    assert manifest.run.entry is None
    assert manifest.run.calls == (
        ScalarCall(entry="f64.min", parameters=("f64", "f64"), results=("f64",), carried=True),
        ScalarCall(
            entry="mix",
            parameters=("i64", "f32"),
            results=("f32", "i32"),
            carried=True,
            domains=(
                Domain(low="i64:fffffffffffffffb", high="i64:0000000000000007"),
                Domain(low="f32:bf800000", high="f32:41400000", special=True),
            ),
        ),
    )


def test_what_is_left_out_has_a_default() -> None:
    manifest = parse_manifest(
        b"""
schema = 1
module.name = "m"
abi = { entry = "infer" }
input = { dtype = "f32", shape = [1], pointer.address = 1024 }
output = { dtype = "i64", shape = [1], pointer.address = 2048 }
"""
    )
    assert manifest.module_file == "model.wasm"
    assert manifest.run.input == Tensor(
        dtype="f32",
        shape=(1,),
        place=AtAddress(1024),
        # The largest finite binary32 and its negative.
        domain=Domain(low="f32:ff7fffff", high="f32:7f7fffff"),
    )
    assert (manifest.run.memory_pages, manifest.run.deadline_ms, manifest.run.fuel) == (
        512,
        10_000,
        None,
    )
    assert manifest.judge == Judge()
    assert manifest.semantics is None


def test_an_output_may_lie_where_the_result_says() -> None:
    text = changed(BUFFERS, 'pointer = { allocator = "alloc" }', "pointer = { result = true }")
    manifest = parse_manifest(text.encode())
    assert manifest.run.output is not None
    assert manifest.run.output.place == ByResult()
    error = refusal(changed(text, 'results = ["i32"]', 'results = ["i64"]'))
    assert 'needs `results = ["i32"]`' in error.sentence


BAD_LINES = [
    ("shape = [2, 3]", "shap = [2, 3]", "shap = [2, 3]",
     "input.shap", "unknown key `shap` in [input]; did you mean `shape`?"),
    ("special = false", "zzz = 1", "zzz = 1",
     "input.zzz", "known keys: dtype, shape, pointer, low, high, special, rows"),
    ('dtype = "f64"', 'dtype = "f65"', 'dtype = "f65"',
     "input.dtype", 'not "f65"; did you mean "f64"?'),
    ("shape = [2, 3]", "shape = []", "shape = []",
     "input.shape", "from 1 to 8 dimensions"),
    ("shape = [2, 3]", "shape = [2,\n 0]", " 0]",
     "input.shape.1", "`shape[1]` must be from 1"),
    ("shape = [2, 3]", "shape = [5000, 5000]", "shape = [5000, 5000]",
     "input.shape", "at most 16777216 elements"),
    ("shape = [2, 3]", "shape = [true]", "shape = [true]",
     "input.shape.0", "must be an integer, not true"),
    ("shape = [2, 3]", 'shape = "6"', 'shape = "6"',
     "input.shape", '`shape` must be a list, not "6"'),
    ('{ export = "in_ptr" }', '{ exports = "in_ptr" }', 'pointer = { exports = "in_ptr" }',
     "input.pointer.exports", "did you mean `export`?"),
    ('{ export = "in_ptr" }', "{ }", "pointer = { }",
     "input.pointer", "`pointer` must say one thing"),
    ('{ export = "in_ptr" }', '{ export = "a", address = 1 }',
     'pointer = { export = "a", address = 1 }', "input.pointer", "one thing"),
    ('{ export = "in_ptr" }', "{ result = true }", "pointer = { result = true }",
     "input.pointer", "only an [output]"),
    ('{ export = "in_ptr" }', "{ address = 4294967295 }", "pointer = { address = 4294967295 }",
     "input.pointer.address", "from 0 to 4294967248"),
    ('{ export = "in_ptr" }', '"in_ptr"', 'pointer = "in_ptr"',
     "input.pointer", "must be a table"),
    ("low = 0.0", "low = 17.0", "high = 16.0",
     "input.high", "`high` must not be less than `low`"),
    ("low = 0.0", "", "[input]",
     "input.low", "[input] needs `low`"),
    ("low = 0.0", "low = nan", "low = nan",
     "input.low", "must be finite"),
    ("low = 0.0", 'low = "f32:00000000"', 'low = "f32:00000000"',
     "input.low", "bits of f64 such as"),
    ("low = 0.0", 'low = "f64:FFF0000000000000"', 'low = "f64:FFF0000000000000"',
     "input.low", "bits of f64 such as"),
    ("low = 0.0", "low = 9007199254740993", "low = 9007199254740993",
     "input.low", "a value of f64 exactly"),
    ('pointer = { allocator = "alloc" }', "", "[output]",
     "output.pointer", "[output] needs `pointer`"),
    ('results = ["i32"]', 'results = ["f32"]', 'results = ["f32"]',
     "abi.results.0", "signalling NaNs"),
    ('results = ["i32"]', 'results = ["v128"]', 'results = ["v128"]',
     "abi.results.0", "one of i32, i64, f64"),
    ('"i32:0000000a"', '"f32:0000000a"', "arguments",
     "abi.arguments.2", "signalling NaNs"),
    ('"i32:0000000a"', '"in"', "arguments",
     "abi.arguments.2", '"input", "output", bits'),
    ('kind = "plain"', 'kind = "component"', 'kind = "component"',
     "abi.kind", "must be one of plain"),
    ('entry = "infer"', "", "[abi]",
     "abi", "name the export to call"),
    ('name = "mlp"', "", "[module]",
     "module.name", "[module] needs `name`"),
    ('name = "mlp"', 'name = " "', 'name = " "',
     "module.name", "must not be empty"),
    ('file = "model.wasm"', 'file = "../model.wasm"', 'file = "../model.wasm"',
     "module.file", "inside the manifest's"),
    ('file = "model.wasm"', 'file = "/model.wasm"', 'file = "/model.wasm"',
     "module.file", "inside the manifest's"),
    ('description = "a net"', 'sha256 = "ABC"', 'sha256 = "ABC"',
     "module.sha256", "64 lower-case"),
    ('description = "a net"', 'description = "a\\u0000b"', 'description = "a\\u0000b"',
     "module.description", "without control characters"),
    ("pages = 17", "pages = 65537", "pages = 65537",
     "limits.pages", "from 1 to 65536, not 65537"),
    ("pages = 17", "pages = 17.0", "pages = 17.0",
     "limits.pages", "must be an integer, not 17.0"),
    ("fuel = 1000000", "fuel = 0", "fuel = 0",
     "limits.fuel", "must be from 1"),
    ('["env.abort"]', '["abort"]', "imports",
     "host.imports.0", "must be MODULE.NAME"),
    ('["env.abort"]', '["a.b", "a.b"]', "imports",
     "host.imports.1", 'has "a.b" twice'),
    ("[state]", "[state]\nx = 1", "[state]",
     "state", "[state] is reserved"),
    ("[chain]", "[chian]", "[chian]",
     "chian", "did you mean `chain`?"),
    ('nan = "exact"', 'nan = "loose"', 'nan = "loose"',
     "judge.nan", "one of exact, canonical, cosmwasm"),
    ("accuracy_floor = 0.9", "accuracy_floor = 1.5", "accuracy_floor = 1.5",
     "judge.accuracy_floor", "from 0 to 1"),
    ("tolerance_ulp = 2", "tolerance_ulp = -1", "tolerance_ulp = -1",
     "judge.tolerance_ulp", "must be from 0"),
    ('decision = "argmax"', "", "accuracy_floor",
     "judge.accuracy_floor", "needs `decision`"),
    ('program = "model.semantics"', "", "class",
     "semantics.class", "needs `program`"),
    ('tanh = "tanh"', "tanh = 1", "functions",
     "semantics.functions.tanh", "must be a text in quotes"),
    ("schema = 1", "schema = 2", "schema = 2",
     "schema", "`schema` must be 1"),
    ("schema = 1", "", None,
     "schema", "the manifest needs `schema`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "blamed", "key", "words"), BAD_LINES)
def test_each_mistake_has_its_line_key_and_sentence(
    old: str, new: str, blamed: str | None, key: str, words: str
) -> None:
    text = changed(BUFFERS, old, new)
    error = refusal(text)
    assert error.key == key
    assert words in error.sentence
    place = "model.toml"
    if blamed is None:
        assert error.line is None
    else:
        lines = text.split("\n")
        (number,) = (n for n, line in enumerate(lines, 1) if line.startswith(blamed))
        assert error.line == number
        place = f"model.toml:{number}"
    assert str(error) == f"{place}: {error.sentence}"


BAD_CALLS = [
    ('parameters = ["i64", "f32"]', 'parameters = ["i64", "x"]', 18, "call.1.parameters.1",
     "must be one of i32, i64, f32, f64"),
    ('results = ["f32", "i32"]', "results = []", 19, "call.1.results", "nothing to compare"),
    ('entry = "mix"', 'entry = "f64.min"', 16, "call.1", 'the entry "f64.min" has two'),
    ('entry = "mix"', 'entyr = "mix"', 17, "call.1.entyr", "in [[call]] number 2; did you mean"),
    ("  { low = -5, high = 7 },\n", "", 21, "call.1.domains", "one table per parameter: 2, not 1"),
    ("low = -5, high", "low = -5.0, high", 22, "call.1.domains.0.low", "must be an integer"),
    ("special = true", "speciel = true", 23, "call.1.domains.1.speciel", "did you mean `special`"),
    ("[calls]", "[input]\n[calls]", 6, "input", "cannot stand beside [[call]]"),
    ('edges = "edges.json"', 'edge = "edges.json"', 8, "calls.edge", "did you mean `edges`?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "key", "words"), BAD_CALLS)
def test_each_mistake_in_a_call_has_its_line_key_and_sentence(
    old: str, new: str, line: int, key: str, words: str
) -> None:
    error = refusal(changed(CALLS, old, new))
    assert (error.line, error.key) == (line, key)
    assert words in error.sentence


def test_an_f32_is_refused_unless_it_is_carried() -> None:
    text = 'schema = 1\nmodule.name = "m"\n[[call]]\nentry = "f"\n'
    for types in ('parameters = ["f32"]\nresults = ["i32"]\n', 'parameters=[]\nresults=["f32"]\n'):
        assert "quieten its signalling NaNs" in refusal(text + types).sentence
        parse_manifest((text + types + "carried = true\n").encode())


def test_tables_that_do_not_go_together_are_refused() -> None:
    assert "[calls] goes with [[call]]" in refusal(BUFFERS + "[calls]\n").sentence
    assert "from 1 to 4096" in refusal("call = []\n" + CALLS.split("[[call]]")[0]).sentence
    head, _, tail = BUFFERS.partition("[output]")
    without_output = head + tail[tail.index("[limits]") :]
    assert '"output" as an argument' in refusal(without_output).sentence
    bare = changed(without_output, '"output", ', "")
    assert parse_manifest(bare.encode()).run.output is None
    assert "nothing to compare" in refusal(changed(bare, '["i32"]', "[]")).sentence


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"schema = 1\nname = \n", 2, "is not TOML: Invalid value"),
        (b"schema = 1\nschema = 1\n", 2, "is not TOML: Cannot overwrite a value"),
        (b"a = 'x", 1, "is not TOML"),
        (b"schema = 1\n\xff\n", 2, "is not UTF-8 text"),
        (b"\0asm\1\0\0\0", None, "is a WebAssembly module"),
        (b"#" * 300_000, None, "is larger than"),
        (b"a = " + b"[" * 200_000, None, "is nested too deeply"),
        (b"a = " + b"[" * 40 + b"]" * 40, 1, "is nested deeper than"),
        (b"a = " + b"9" * 5000, None, "is not TOML"),
        (b"", None, "needs `schema`"),
    ],
)
def test_files_that_are_no_manifest(data: bytes, line: int | None, words: str) -> None:
    error = refusal(data)
    assert error.line == line
    assert words in error.sentence


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadManifestError, match="there is no such file"):
        read_manifest(tmp_path / "model.toml")
    with pytest.raises(BadManifestError, match="is a folder: name the model"):
        read_manifest(tmp_path)
    with pytest.raises(BadManifestError, match="cannot be read"):
        read_manifest(tmp_path / ("x" * 5000))
    with pytest.raises(BadManifestError, match="cannot be read"):
        read_manifest(Path("a\0b"))


def test_line_ends_of_windows_count_alike() -> None:
    text = changed(BUFFERS, "pages = 17", "pages = 0").replace("\n", "\r\n")
    assert refusal(text).line == 1 + BUFFERS[: BUFFERS.index("pages")].count("\n")
    assert parse_manifest(BUFFERS.replace("\n", "\r\n").encode()) == parse_manifest(
        BUFFERS.encode()
    )


LEAVES = st.sampled_from(
    ["0", "-1", "1.5", "inf", "nan", "true", '""', '"x"', '"f64:7ff0000000000000"', "[]", "{}",
     "[[]]", "[{}]", "[1, 2]", '["f32"]', "9" * 30, "1979-05-27", '{ export = "e" }', "1e400",
     '"0x1.8p+3"', '"0x1p99999"', '"../x"', "[-1]", "18446744073709551616"]
)  # fmt: skip


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.sampled_from([BUFFERS, CALLS]), st.integers(0, 100), LEAVES)
def test_any_value_in_any_place_is_read_or_refused(text: str, place: int, value: str) -> None:
    lines = text.splitlines()
    pairs = [number for number, line in enumerate(lines) if re.match(r"\w+ = [^\[{]", line)]
    number = pairs[place % len(pairs)]
    lines[number] = lines[number].partition(" = ")[0] + " = " + value
    read_or_refused("\n".join(lines).encode())


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.data())
def test_any_mutation_of_the_text_is_read_or_refused(data: st.DataObject) -> None:
    mutable = bytearray(data.draw(st.sampled_from([BUFFERS, CALLS])).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(mutable)))
        size = data.draw(st.integers(0, 12))
        mutable[start : start + size] = data.draw(
            st.one_of(
                st.binary(max_size=4),
                st.text(alphabet="\"=[]{}.\n' #ax1", max_size=4).map(str.encode),
            )
        )
    read_or_refused(bytes(mutable))


def read_or_refused(data: bytes) -> None:
    try:
        manifest = parse_manifest(data)
    except BadManifestError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        line = error.line
        assert line is None or 1 <= line <= data.count(b"\n") + 1
    else:
        assert isinstance(manifest, Manifest)
        assert tomllib.loads(data.decode())["schema"] == 1
