"""
The oracle: from a manifest and an input row to an output row.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from conformance.fidelity.errors import BadSemanticsError
from conformance.fidelity.oracle import Oracle, evaluate_rows
from conformance.manifest.records import (
    DType,
    Judge,
    Manifest,
    RunPart,
    ScalarCall,
    Semantics,
    Tensor,
)
from conformance.manifest.tables import BitsTable, write_tables
from runners.records import ByExport, Slot

FunctionClass = Literal["program", "correctly-rounded", "libm", "tree", "integer"]

WEIGHTS = {
    "w": BitsTable("f64", (2, 2), np.array([[1, 2], [3, 4]], "<f8").view(np.uint8)),
    "b": BitsTable("f64", (1, 2), np.array([[0.5, -0.5]], "<f8").view(np.uint8)),
    "k": BitsTable("i32", (1, 3), np.array([[1, -2, 3]], "<i4").view(np.uint8)),
}
ADDS = "def infer(x):\n    return [w[0][0] * x[0] + b[0], w[1][1] * x[1] + b[1]]\n"


def tensor(dtype: DType, *shape: int) -> Tensor:
    return Tensor(dtype=dtype, shape=shape, place=ByExport("p"))


def manifest(
    folder: Path,
    text: str = ADDS,
    run: RunPart | None = None,
    functions: tuple[tuple[str, str], ...] = (),
    function_class: FunctionClass = "program",
) -> Manifest:
    (folder / "model.semantics").write_text(text)
    write_tables(folder / "weights.json", WEIGHTS)
    if run is None:
        run = RunPart(entry="infer", input=tensor("f64", 2), output=tensor("f64", 2))
    semantics = Semantics(
        function_class=function_class,
        program="model.semantics",
        weights="weights.json",
        functions=functions,
    )
    return Manifest(name="m", path=str(folder), run=run, judge=Judge(), semantics=semantics)


def test_a_row_goes_through(tmp_path: Path) -> None:
    oracle = Oracle.load(manifest(tmp_path))
    row = struct.pack("<2d", 2.0, 3.0)
    assert struct.unpack("<2d", oracle.evaluate(row)) == (2.5, 11.5)
    assert evaluate_rows(oracle, [row, row]) == [oracle.evaluate(row)] * 2


def test_another_weight_gives_other_bits(tmp_path: Path) -> None:
    row = struct.pack("<2d", 2.0, 3.0)
    before = Oracle.load(manifest(tmp_path)).evaluate(row)
    text = (tmp_path / "weights.json").read_text()
    changed = text.replace("3fe0000000000000", "3fe8000000000000")
    assert changed != text
    (tmp_path / "weights.json").write_text(changed)
    loaded = manifest(tmp_path)
    (tmp_path / "weights.json").write_text(changed)
    assert Oracle.load(loaded).evaluate(row)[:8] != before[:8]


def test_f32_in_and_class_out(tmp_path: Path) -> None:
    text = "def infer(x):\n    return [k[1] if x[0] < x[1] else k[2]]\n"
    run = RunPart(entry="infer", input=tensor("f32", 2), output=tensor("i32", 1))
    oracle = Oracle.load(manifest(tmp_path, text, run))
    assert oracle.evaluate(struct.pack("<2f", 0.5, 1.5)) == struct.pack("<i", -2)
    assert oracle.evaluate(struct.pack("<2f", 1.5, 0.5)) == struct.pack("<i", 3)


def test_f32_arithmetic_says_where_it_rounds(tmp_path: Path) -> None:
    run = RunPart(entry="infer", input=tensor("f32", 2), output=tensor("f32", 1))
    row = struct.pack("<2f", 1.0, 2.0**-24)
    rounded = Oracle.load(manifest(tmp_path, "def infer(x):\n    return [f32(x[0] + x[1])]\n", run))
    assert rounded.evaluate(row) == struct.pack("<f", 1.0)
    wide = Oracle.load(manifest(tmp_path, "def infer(x):\n    return [x[0] + x[1]]\n", run))
    with pytest.raises(BadSemanticsError, match="round it with f32"):
        wide.evaluate(row)


def test_integers_in_and_scalars_before_the_buffer(tmp_path: Path) -> None:
    text = "def infer(n, s, x):\n    return [x[0] + n, x[1] + int(s)]\n"
    run = RunPart(
        entry="infer",
        arguments=(Slot(index=0, value_type="i32"), Slot(index=1, value_type="f64")),
        input=tensor("i32", 2),
        output=tensor("i64", 2),
    )
    oracle = Oracle.load(manifest(tmp_path, text, run))
    row = struct.pack("<iid", -5, 0, 2.0) + struct.pack("<2i", 100, -7)
    assert struct.unpack("<2q", oracle.evaluate(row)) == (95, -5)


def test_scalar_calls(tmp_path: Path) -> None:
    text = "def half(a):\n    return a / 2.0\ndef sum(a, b):\n    return [a + b, a]\n"
    text = text.replace("a, b", "a, c").replace("a + b", "a + c")
    run = RunPart(
        calls=(
            ScalarCall(entry="half", parameters=("f64",), results=("f64",)),
            ScalarCall(entry="sum", parameters=("i32", "i32"), results=("i32", "i64")),
        )
    )
    oracle = Oracle.load(manifest(tmp_path, text, run))
    assert oracle.evaluate(struct.pack("<d", 3.0), "half") == struct.pack("<d", 1.5)
    row = struct.pack("<iiii", -1, 0, 3, 0)
    assert oracle.evaluate(row, "sum") == struct.pack("<iiq", 2, 0, -1)
    with pytest.raises(ValueError, match="knows the entries half, sum"):
        oracle.evaluate(row)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_row_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(ValueError, match="has 16 bytes"):
        Oracle.load(manifest(tmp_path)).evaluate(b"\0" * size)


def test_the_number_of_outputs_must_be_the_declared_one(tmp_path: Path) -> None:
    oracle = Oracle.load(manifest(tmp_path, "def infer(x):\n    return [x[0] + b[0] + w[0][0]]\n"))
    with pytest.raises(BadSemanticsError, match="returns 1 numbers, the manifest declares 2"):
        oracle.evaluate(b"\0" * 16)
    oracle = Oracle.load(manifest(tmp_path, "def infer(x):\n    return w\n"))
    with pytest.raises(BadSemanticsError, match="a matrix"):
        oracle.evaluate(b"\0" * 16)


def test_files_that_are_missing_or_bad(tmp_path: Path) -> None:
    good = manifest(tmp_path)
    (tmp_path / "weights.json").write_text("{}")
    with pytest.raises(BadSemanticsError, match="weights of"):
        Oracle.load(good)
    (tmp_path / "weights.json").unlink()
    with pytest.raises(BadSemanticsError, match="weights of"):
        Oracle.load(good)
    (tmp_path / "model.semantics").write_bytes(b"\xff\xfe")
    with pytest.raises(BadSemanticsError, match="cannot be read"):
        Oracle.load(good)
    (tmp_path / "model.semantics").unlink()
    with pytest.raises(BadSemanticsError, match="cannot be read"):
        Oracle.load(good)
    bare = Manifest(name="m", path=str(tmp_path), run=good.run, judge=Judge())
    with pytest.raises(BadSemanticsError, match="names no program"):
        Oracle.load(bare)


def test_a_tensor_with_a_name_that_is_none(tmp_path: Path) -> None:
    good = manifest(tmp_path)
    write_tables(tmp_path / "weights.json", WEIGHTS | {"not a name": WEIGHTS["b"]})
    with pytest.raises(BadSemanticsError, match="cannot be called 'not a name'"):
        Oracle.load(good)


def test_core_results_cannot_be_judged(tmp_path: Path) -> None:
    run = RunPart(
        entry="infer",
        entry_results=("i32",),
        input=tensor("f64", 2),
        output=tensor("f64", 2),
    )
    with pytest.raises(BadSemanticsError, match="core values"):
        Oracle.load(manifest(tmp_path, run=run))


def test_declared_functions_must_exist_in_the_program(tmp_path: Path) -> None:
    text = "def twice(a):\n    return a + a\n" + ADDS.replace("x[0]", "twice(x[0])")
    oracle = Oracle.load(manifest(tmp_path, text, functions=(("twice", "exp"),)))
    assert oracle.function("twice")(1.5) == 3.0
    with pytest.raises(ValueError, match="no function `infer`"):
        oracle.function("infer")
    with pytest.raises(BadSemanticsError, match="names `thrice`"):
        Oracle.load(manifest(tmp_path, text, functions=(("thrice", "exp"),)))


def test_correctly_rounded_functions_belong_to_their_class(tmp_path: Path) -> None:
    text = "def infer(x):\n    return [exp(x[0]), sqrt(tanh(x[1]))]\n"
    rounded = manifest(tmp_path, text, function_class="correctly-rounded")
    row = Oracle.load(rounded).evaluate(struct.pack("<2d", 1.0, 40.0))
    # e = 2.71828182845904523536..., and tanh 40 is 1 to beyond 2^-100.
    assert struct.unpack("<2d", row) == (float.fromhex("0x1.5bf0a8b145769p+1"), 1.0)
    with pytest.raises(BadSemanticsError, match="no function `exp`"):
        Oracle.load(manifest(tmp_path, text))
    own = "def exp(a):\n    return a\n" + text.replace("tanh", "exp")
    Oracle.load(manifest(tmp_path, own))
    with pytest.raises(BadSemanticsError, match="`exp` is defined already"):
        Oracle.load(manifest(tmp_path, own, function_class="correctly-rounded"))


def test_a_library_s_functions_give_no_bits_to_judge_by(tmp_path: Path) -> None:
    with pytest.raises(BadSemanticsError, match="class libm"):
        Oracle.load(manifest(tmp_path, function_class="libm"))


def loaded_rooms(module: str) -> set[str]:
    """
    Top-level packages, and engines' worker code, that importing a module brings in.
    """
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_oracle_shares_no_code_with_engines_or_builders() -> None:
    foreign = {"vectors", "wasmtime", "wasmer", "weavegate", "attacks", "reports"}
    assert not loaded_rooms("conformance.fidelity.oracle") & foreign
    assert loaded_rooms("vectors.build.rebuild") & foreign == {"vectors"}
