"""
The reference evaluator as a worker: packed, started without packages, put beside wasmtime.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wasmtime
from numpy.typing import NDArray

from conformance.manifest.calls import build_calls
from conformance.manifest.read import read_manifest
from conformance.manifest.tables import read_tables
from conformance.wasm.evaluate import VERSION
from runners.blocks import BlockOutcome, CaseBlock
from runners.catalog import Catalog
from runners.environments import Environments
from runners.pack import worker_bytes
from runners.pool import Pool
from runners.records import Budget, Call, Constant, Level, Node, Slot
from runners.status import Status

ROOT = Path(__file__).parents[2]
CATALOG = Catalog.load()
ENTRY = CATALOG.entry("reference")
MODELS = ROOT / "vectors" / "models"
NODE = Node(CATALOG.resolve("reference"))
ROWS = 4


def imported(python: str = sys.executable) -> list[str]:
    """
    Files of the repository that an interpreter without packages imports for the evaluator.
    """
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import conformance.wasm.evaluate.instance\n"
        "print('\\n'.join(m.__file__ for n, m in sys.modules.items() if n.startswith('conf')))"
    )
    done = subprocess.run(
        [python, "-I", "-S", "-c", program], capture_output=True, check=True, encoding="utf-8"
    )
    return sorted(str(Path(line).relative_to(ROOT)) for line in done.stdout.split())


def test_what_is_packed_is_what_is_imported_and_no_more() -> None:
    assert sorted(ENTRY.pack) == imported()


def test_a_worker_that_lacks_a_file_does_not_start(tmp_path: Path) -> None:
    for pack, said in ((ENTRY.pack, "ValueError"), (ENTRY.pack[:-1], "conformance.wasm.validate")):
        data, ending = worker_bytes("reference", pack)
        archive = tmp_path / f"worker{ending}"
        archive.write_bytes(data)
        # Without descriptors the whole one gets as far as missing them.
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(archive)],
            capture_output=True, check=False, encoding="utf-8",
        )  # fmt: skip
        assert said in done.stderr


def test_the_evaluator_imports_the_standard_library_and_itself_alone() -> None:
    for name in ENTRY.pack:
        tree = ast.parse((ROOT / name).read_text("utf-8"))
        # What stands under TYPE_CHECKING is never executed.
        checked = [
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in node.body
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node not in checked:
                room = (node.module or "").split(".")[0]
                assert room in sys.stdlib_module_names or f"{node.module}".startswith(
                    "conformance.wasm"
                ), (name, node.module)


def test_no_host_float_in_the_evaluator() -> None:
    for name in ENTRY.pack:
        for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8"))):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), name
            assert not (isinstance(node, ast.Name) and node.id == "float"), name
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)), name


def test_the_catalogue_names_the_evaluators_version() -> None:
    assert ENTRY.versions == (VERSION,)
    assert str(NODE.engine) == f"reference@{VERSION}"
    assert str(CATALOG.resolve("reference+nan=canonical")) == f"reference@{VERSION}"
    assert CATALOG.families(NODE.engine).generator == "reference"
    assert ENTRY.sampled
    assert "proposal:simd" not in CATALOG.capabilities(NODE.engine)


def block(call: Call, inputs: NDArray[np.uint8], budget: Budget | None = None) -> CaseBlock:
    """
    Cases at the highest level.
    """
    ids = np.arange(len(inputs), dtype=np.uint64)
    rows = np.ascontiguousarray(inputs, dtype=np.uint8)
    return CaseBlock(call, budget or Budget(deadline_ms=60_000), Level.FULL, ids, rows)


@pytest.fixture(scope="module")
def pool() -> object:
    """
    The evaluator alone.
    """
    with Pool([(NODE, Environments().launch(NODE.engine))]) as started:
        yield started


def test_the_worker_says_who_it_is(pool: Pool) -> None:
    (identity,) = pool.identities()
    assert identity.core_version == f"reference@{VERSION}"
    assert identity.library_sha256 == identity.artifact_sha256
    assert pool.capabilities(0) == set(CATALOG.capabilities(NODE.engine))


CALLED = """(module (memory (export "memory") 1 2) (global (export "g") (mut i64) (i64.const 5))
  (func $deep (call $deep))
  (func (export "f") (param i32 f64) (result f64)
    (global.set 0 (i64.const 6)) (i64.store (i32.const 8) (i64.const 7))
    (block (block (block (block (block (br_table 0 1 2 3 4 (local.get 0)))
      (return (f64.mul (local.get 1) (f64.const 3)))) unreachable)
      (call $deep)) (loop (br 0))) (f64.convert_i32_s (memory.grow (i32.const 2)))))"""


def outcomes(pool: Pool, rows: list[tuple[int, int]], budget: Budget) -> BlockOutcome:
    """
    Calls of `f` with (what to do, bits of a float).
    """
    binary = bytes(wasmtime.wat2wasm(CALLED))
    call = Call(
        entry="f", arguments=(Slot(0, "i32"), Slot(1, "f64")), results=("f64",), memory="memory",
        globals=("g",),
    )  # fmt: skip
    pool.add_module("called", binary)
    raw = b"".join(a.to_bytes(8, "little") + b.to_bytes(8, "little") for a, b in rows)
    return pool.run(0, "called", block(call, np.frombuffer(raw, np.uint8).reshape(-1, 16), budget))


def test_outcomes_of_every_kind(pool: Pool) -> None:
    half, snan = 0x3FE0000000000000, 0xFFF0000000000001
    budget = Budget(deadline_ms=60_000, fuel=50_000)
    rows = [(0, half), (0, snan), (1, 0), (2, 0), (3, 0), (4, 0)]
    found = outcomes(pool, rows, budget)
    assert [Status(byte) for byte in found.status] == [
        Status.RETURNED, Status.RETURNED, Status.TRAP_UNREACHABLE, Status.EXHAUSTED_STACK,
        Status.EXHAUSTED_FUEL, Status.RETURNED,
    ]  # fmt: skip
    bits = [int.from_bytes(row.tobytes(), "little") for row in found.outputs]
    assert bits[:2] == [0x3FF8000000000000, 0x7FF8000000000000]
    assert bits[5] == 0xBFF0000000000000
    assert found.meter == f"fuel:reference@{VERSION}"
    assert found.gas is not None
    # Of `f`: two for the global, three for the store, five blocks, two for br_table, three and a
    # return for the product.
    assert found.gas[0] == 2 + 3 + 5 + 2 + 3 + 1
    assert found.globals is not None
    assert found.globals[0].tobytes() == (6).to_bytes(8, "little")


def test_a_module_with_vectors_is_refused_as_unsupported(pool: Pool) -> None:
    text = '(module (func (export "f") (drop (v128.const i64x2 0 0))))'
    pool.add_module("vectors", bytes(wasmtime.wat2wasm(text)))
    call = Call(entry="f", arguments=(Constant("i32:00000001"),))
    found = pool.run(0, "vectors", block(call, np.zeros((1, 0), np.uint8)))
    assert found.status.tolist() == [Status.REJECTED_COMPILE]
    assert found.details[0].startswith("unsupported")


@pytest.mark.engines
@pytest.mark.parametrize("name", ["cancer-tree", "digits-mlp-tanh"])
def test_models_come_out_as_from_wasmtime(name: str) -> None:
    folder = MODELS / name
    manifest = read_manifest(folder / "model.toml")
    (call,) = build_calls(manifest, (), "memory", grows=False)
    cases = block(call, read_tables(folder / "held_out.json")["inputs"].rows[:ROWS])
    environments = Environments()
    nodes = [NODE, Node(CATALOG.resolve("wasmtime"))]
    with Pool([(node, environments.launch(node.engine)) for node in nodes]) as both:
        both.add_module(name, (folder / "model.wasm").read_bytes())
        ours, theirs = (both.run(seat, name, cases) for seat in (0, 1))
    assert ours.status.tolist() == theirs.status.tolist() == [Status.RETURNED] * ROWS
    assert ours.outputs.tobytes() == theirs.outputs.tobytes()
    assert ours.memory is not None
    assert theirs.memory is not None
    assert ours.memory.tobytes() == theirs.memory.tobytes()
    expected = read_tables(folder / "expected.json")["expected"].rows[:ROWS]
    assert ours.outputs.tobytes() == expected.tobytes()
