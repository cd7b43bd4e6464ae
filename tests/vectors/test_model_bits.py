"""
Every model's module gives the bits that the oracle expects, and a changed model does not.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import wasmtime
from numpy.typing import NDArray

from conformance.fidelity.oracle import Oracle, evaluate_rows
from conformance.fidelity.ulp import measure_declared, seeded_arguments
from conformance.manifest.read import read_manifest
from conformance.manifest.tables import BitsTable, read_tables, write_tables
from conformance.wasm.decode import decode
from vectors.build.rebuild import VECTORS, find_models

FOLDERS = find_models()
NAMES = [folder.name for folder in FOLDERS]
TRAINED = [folder for folder in FOLDERS if folder.parent.name == "models"]
SLOW = {"digits-cnn", "digits-transformer", "bench-mlp-784-128-10"}
"""Whose oracle takes milliseconds a row."""

MOST_BYTES = {"bench-mlp-784-128-10": 8 * (785 * 128 + 129 * 10) + 10_000}
"""Of a module larger than those meant for a chain: its weights are data, eight bytes each."""

ORDERS = {
    "bench-mlp-16-52-10": ("for i in range(columns):", "for i in range(columns - 1, -1, -1):"),
    "diabetes-gradient-boosting": ("range(60)", "range(59, -1, -1)"),
    "diabetes-ridge": ("range(10)", "range(9, -1, -1)"),
    "diabetes-svr-rbf": ("for j in range(VECTORS):", "for j in range(VECTORS - 1, -1, -1):"),
    "digits-cnn": ("for b in range(3):", "for b in range(2, -1, -1):"),
    "digits-forest": ("range(20)", "range(19, -1, -1)"),
    "digits-logistic": ("range(columns)", "range(columns - 1, -1, -1)"),
    "digits-mlp-tanh": ("range(columns)", "range(columns - 1, -1, -1)"),
    "digits-transformer": ("for u in range(TOKENS):\n            s =",
                           "for u in range(TOKENS - 1, -1, -1):\n            s ="),
}  # fmt: skip
"""Part of the semantics, and the same with one sum from right to left; a tree alone has no sum."""

MUTATED = {
    "cancer-tree": "shares",
    "diabetes-gradient-boosting": "value",
    "diabetes-ridge": "coefficients",
    "diabetes-svr-rbf": "dual",
    "digits-cnn": "filters",
    "digits-forest": "shares",
    "digits-logistic": "coefficients",
    "digits-mlp-tanh": "exp_taylor",
    "digits-transformer": "place",
}
"""A tensor of each trained model in which every number is moved by 2^-20 of itself."""


def run_module(module: bytes, rows: NDArray[np.uint8], output_bytes: int) -> list[bytes]:
    """
    Output rows of a plain module on wasmtime, one instance for all rows.
    """
    store = wasmtime.Store()
    exports = wasmtime.Instance(store, wasmtime.Module(store.engine, module), []).exports(store)
    memory = exports["memory"]
    call = {
        name: exports[name] for name in ("in_ptr", "out_ptr", "infer", "prepare") if name in exports
    }
    assert isinstance(memory, wasmtime.Memory)
    functions = {name: f for name, f in call.items() if isinstance(f, wasmtime.Func)}
    if "prepare" in functions:
        functions["prepare"](store)
    source, target = functions["in_ptr"](store), functions["out_ptr"](store)
    outputs = []
    for row in rows:
        memory.write(store, row.tobytes(), source)
        functions["infer"](store)
        outputs.append(bytes(memory.read(store, target, target + output_bytes)))
    return outputs


@cache
def table(folder: Path, file: str, name: str) -> BitsTable:
    """
    One table of a model.
    """
    return read_tables(folder / file)[name]


def expected_rows(folder: Path) -> list[bytes]:
    return [row.tobytes() for row in table(folder, "expected.json", "expected").rows]


def input_rows(folder: Path) -> NDArray[np.uint8]:
    return table(folder, "held_out.json", "inputs").rows


def copied(folder: Path, target: Path) -> Path:
    """
    The text files of a model that its oracle reads, in another folder.
    """
    for name in ("model.toml", "model.semantics", "weights.json"):
        (target / name).write_bytes((folder / name).read_bytes())
    return target


def oracle_rows(folder: Path, rows: NDArray[np.uint8]) -> list[bytes]:
    oracle = Oracle.load(read_manifest(folder / "model.toml"))
    return evaluate_rows(oracle, [row.tobytes() for row in rows])


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_the_module_gives_the_expected_bits(folder: Path) -> None:
    wanted = expected_rows(folder)
    module = (folder / "model.wasm").read_bytes()
    assert run_module(module, input_rows(folder), len(wanted[0])) == wanted
    least = 100 if folder in TRAINED else 16
    assert len(wanted) >= least
    assert len(set(wanted)) > 2


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_the_expected_bits_are_the_oracles(folder: Path) -> None:
    first = slice(0, 4 if folder.name in SLOW else 40)
    assert oracle_rows(folder, input_rows(folder)[first]) == expected_rows(folder)[first]


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_all_expected_bits_are_the_oracles(folder: Path) -> None:
    assert oracle_rows(folder, input_rows(folder)) == expected_rows(folder)


@pytest.mark.parametrize("name", sorted(ORDERS))
def test_another_order_of_a_sum_is_noticed(name: str, tmp_path: Path) -> None:
    folder = find_models([name])[0]
    copied(folder, tmp_path)
    text = (tmp_path / "model.semantics").read_text()
    before, after = ORDERS[name]
    assert before in text
    (tmp_path / "model.semantics").write_text(text.replace(before, after))
    first = slice(0, 40)
    assert oracle_rows(tmp_path, input_rows(folder)[first]) != expected_rows(folder)[first]


@pytest.mark.parametrize("name", sorted(MUTATED))
def test_a_changed_weight_is_noticed(name: str, tmp_path: Path) -> None:
    folder = find_models([name])[0]
    copied(folder, tmp_path)
    tables = read_tables(folder / "weights.json")
    changed = tables[MUTATED[name]]
    numbers = np.ascontiguousarray(changed.rows).view("<f8") * (1 + 2.0**-20)
    rows = np.ascontiguousarray(numbers).view(np.uint8)
    tables[MUTATED[name]] = BitsTable(changed.dtype, changed.shape, rows)
    write_tables(tmp_path / "weights.json", tables)
    first = slice(0, 20)
    assert oracle_rows(tmp_path, input_rows(folder)[first]) != expected_rows(folder)[first]


def test_a_changed_module_is_noticed() -> None:
    folder = find_models(["diabetes-ridge"])[0]
    module = (folder / "model.wasm").read_bytes()
    weight = read_tables(folder / "weights.json")["coefficients"].rows[0, :8].tobytes()
    assert module.count(weight) == 1
    other = struct.pack("<d", struct.unpack("<d", weight)[0] * (1 + 2.0**-40))
    wanted = expected_rows(folder)
    assert run_module(module, input_rows(folder), 8) == wanted
    assert run_module(module.replace(weight, other), input_rows(folder), 8) != wanted


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_manifest_and_module_belong_together(folder: Path) -> None:
    manifest = read_manifest(folder / "model.toml")
    module = (folder / "model.wasm").read_bytes()
    assert manifest.module_sha256 == hashlib.sha256(module).hexdigest()
    assert manifest.name == folder.name
    run = manifest.run
    assert run.input is not None
    assert run.output is not None
    assert table(folder, "held_out.json", "inputs").count == np.prod(run.input.shape)
    assert table(folder, "expected.json", "expected").count == np.prod(run.output.shape)
    assert len(module) < MOST_BYTES.get(folder.name, 200_000)


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_modules_need_nothing_beyond_the_first_version(folder: Path) -> None:
    module = decode((folder / "model.wasm").read_bytes())
    assert module.imports == ()
    assert module.proposals == ()
    assert not module.grows
    assert max(function.body.local_count for function in module.functions) <= 100
    wanted = {"memory", "in_ptr", "out_ptr", "infer"}
    assert {export.name for export in module.exports} - {"prepare"} == wanted


def test_a_module_that_needs_more_is_seen() -> None:
    text = "(module (memory 1) (func i32.const 0 i32.const 0 i32.const 0 memory.fill))"
    assert decode(bytes(wasmtime.wat2wasm(text))).proposals != ()


@pytest.mark.parametrize("folder", TRAINED, ids=[folder.name for folder in TRAINED])
def test_held_out_rows_lie_in_the_declared_domain(folder: Path) -> None:
    tensor = read_manifest(folder / "model.toml").run.input
    assert tensor is not None
    assert tensor.domain is not None
    low, high = (
        struct.unpack(">d", bytes.fromhex(bits.removeprefix("f64:")))[0]
        for bits in (tensor.domain.low, tensor.domain.high)
    )
    values = np.ascontiguousarray(input_rows(folder)).view("<f8")
    assert low <= values.min() < values.max() <= high


@pytest.mark.parametrize("folder", TRAINED, ids=[folder.name for folder in TRAINED])
def test_expected_rows_meet_the_declared_floor(folder: Path) -> None:
    judge = read_manifest(folder / "model.toml").judge
    outputs = np.frombuffer(b"".join(expected_rows(folder)), "<f8")
    outputs = outputs.reshape(len(expected_rows(folder)), -1)
    raw = table(folder, "held_out.json", "labels")
    labels = np.ascontiguousarray(raw.rows).view("<i8" if raw.dtype == "i64" else "<f8")[:, 0]
    assert judge.accuracy_floor is not None
    if judge.decision == "argmax":
        assert np.mean(outputs.argmax(axis=1) == labels) >= judge.accuracy_floor
        assert np.mean(outputs.argmax(axis=1) == np.roll(labels, 1)) < judge.accuracy_floor
    else:
        assert np.sqrt(np.mean((outputs[:, 0] - labels) ** 2)) <= judge.accuracy_floor
        assert np.std(labels) > judge.accuracy_floor


@pytest.mark.parametrize("name", ["diabetes-svr-rbf", "digits-mlp-tanh", "digits-transformer"])
def test_own_functions_are_close_to_the_true_ones(name: str) -> None:
    manifest = read_manifest(find_models([name])[0] / "model.toml")
    oracle = Oracle.load(manifest)
    reports = measure_declared(manifest, oracle, seeded_arguments(3, 400, -745.0, 709.0))
    assert [report.true_function for report in reports] in (["exp"], ["exp", "tanh"])
    for report in reports:
        assert report.worst_milliulp < 3000
        assert report.correctly_rounded < report.arguments


def test_a_wrong_coefficient_costs_ulps(tmp_path: Path) -> None:
    folder = copied(find_models(["digits-mlp-tanh"])[0], tmp_path)
    tables = read_tables(folder / "weights.json")
    numbers = np.ascontiguousarray(tables["exp_taylor"].rows).view("<f8").copy()
    numbers[0, 9] *= 1 + 2.0**-10
    rows = np.ascontiguousarray(numbers).view(np.uint8)
    tables["exp_taylor"] = BitsTable("f64", tables["exp_taylor"].shape, rows)
    write_tables(folder / "weights.json", tables)
    manifest = read_manifest(folder / "model.toml")
    reports = measure_declared(
        manifest, Oracle.load(manifest), seeded_arguments(3, 400, -745.0, 709.0)
    )
    assert max(report.worst_milliulp for report in reports) > 3000


def test_all_files_are_moderate() -> None:
    sizes = [path.stat().st_size for path in VECTORS.glob("*/*/*") if path.is_file()]
    assert sum(sizes) < 6_000_000
