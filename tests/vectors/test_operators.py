"""
The operator module: rebuilt byte for byte, run in an engine, held against integer arithmetic.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from wasmtime import Engine, Instance, Module, Store, Trap, TrapCode, wat2wasm

from conformance.fidelity.expectations import Expectations, Mismatch
from conformance.manifest.read import read_manifest
from conformance.manifest.tables import read_edges
from conformance.wasm.numerics.scalar import OPERATORS, WIDTH_BITS, Operator
from runners.status import Status
from vectors.build import operators_module
from vectors.build.operators_edges import EDGES
from vectors.build.operators_module import FOLDER, operand_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

STATUS_OF_TRAP: dict[TrapCode | None, Status] = {
    TrapCode.INTEGER_DIVISION_BY_ZERO: Status.TRAP_INTEGER_DIVIDE_BY_ZERO,
    TrapCode.INTEGER_OVERFLOW: Status.TRAP_INTEGER_OVERFLOW,
    TrapCode.BAD_CONVERSION_TO_INTEGER: Status.TRAP_INVALID_CONVERSION_TO_INTEGER,
}


@dataclass(frozen=True, slots=True)
class Answers:
    """
    What an engine gave for all cases of one entry.
    """

    status: NDArray[np.uint8]
    outputs: NDArray[np.uint8]


@cache
def expectations() -> Expectations:
    return Expectations.load(FOLDER / "expected.json")


def exported(module: bytes) -> Callable[[str], Callable[..., Any]]:
    """
    Instantiate a module and return a way to call its exports.
    """
    store = Store(Engine())
    exports = Instance(store, Module(store.engine, module), []).exports(store)

    def function(name: str) -> Callable[..., Any]:
        call: Any = exports[name]
        return lambda *operands: call(store, *operands)

    return function


def answers(function: Callable[..., Any], operator: Operator) -> Answers:
    """
    Put every case of one operator to an exported function.
    """
    rows = list(operand_rows(operator))
    status = np.full(len(rows), Status.RETURNED, dtype=np.uint8)
    bits = np.zeros(len(rows), dtype="<u8")
    mask = (1 << WIDTH_BITS[operator.result]) - 1
    for index, row in enumerate(rows):
        try:
            bits[index] = function(*row) & mask
        except Trap as trap:
            status[index] = STATUS_OF_TRAP[trap.trap_code]
    return Answers(status, bits.view(np.uint8).reshape(-1, 8))


def sweep(module: bytes, names: list[str], judge: Expectations) -> Iterator[Mismatch]:
    """
    Run the cases of the named operators, and yield what is not within expectation.
    """
    function = exported(module)
    for name in names:
        given = answers(function(name), OPERATORS[name])
        indices = np.arange(len(given.status))
        yield from judge.mismatches(name, indices, given.status, given.outputs)


def test_the_folder_is_what_the_builder_makes() -> None:
    assert operators_module.differing_files(FOLDER) == []


def test_a_changed_missing_or_foreign_file_is_noticed(tmp_path: Path) -> None:
    files = operators_module.folder_files()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert operators_module.differing_files(tmp_path) == []
    module = bytearray(files["operators.wasm"])
    module[-1] ^= 1
    (tmp_path / "operators.wasm").write_bytes(module)
    (tmp_path / "edges.json").unlink()
    (tmp_path / "stray.json").write_bytes(b"{}")
    differing = ["edges.json", "operators.wasm", "stray.json"]
    assert operators_module.differing_files(tmp_path) == differing


def test_another_assembler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators_module, "version", lambda _: "49.0.0")
    with pytest.raises(operators_module.WrongToolchainError, match="install the pinned version"):
        operators_module.assembled("(module)")


def test_edges_are_as_many_as_designed_and_distinct() -> None:
    assert {kind: len(values) for kind, values in EDGES.items()} == {
        "i32": 14,
        "i64": 19,
        "f32": 25,
        "f64": 35,
    }
    for kind, values in EDGES.items():
        assert len(set(values)) == len(values)
        assert all(4 * len(bits) == WIDTH_BITS[kind] for bits in values)
        assert all(f"{int(bits, 16):0{len(bits)}x}" == bits for bits in values)


def test_manifest_expectations_and_exports_name_the_same_operators() -> None:
    manifest = read_manifest(FOLDER / "model.toml")
    module = Module(Engine(), (FOLDER / manifest.module_file).read_bytes())
    assert module.imports == []
    names = [entry.name for entry in module.exports]
    assert sorted(names) == sorted(OPERATORS)
    assert [call.entry for call in manifest.run.calls] == names
    assert list(expectations().entries) == names
    for call in manifest.run.calls:
        operator = OPERATORS[call.entry]
        assert call.parameters == operator.parameters
        assert call.results == (operator.result,)
        assert call.carried
        assert expectations().result(operator.name) == operator.result
        assert expectations().count(operator.name) == len(list(operand_rows(operator)))


def test_manifest_names_files_of_the_folder() -> None:
    manifest = read_manifest(FOLDER / "model.toml")
    digest = hashlib.sha256((FOLDER / manifest.module_file).read_bytes()).hexdigest()
    assert manifest.module_sha256 == digest
    assert manifest.judge.nan == "free"
    assert (FOLDER / manifest.expected).read_bytes() == (FOLDER / "expected.json").read_bytes()
    edges = read_edges(FOLDER / manifest.edges)
    assert edges == {
        kind: tuple(int(bits, 16) for bits in values) for kind, values in EDGES.items()
    }


def test_no_float_crosses_the_host() -> None:
    module = Module(Engine(), (FOLDER / "operators.wasm").read_bytes())
    for entry in module.exports:
        kind: Any = entry.type
        carriers = {str(value) for value in [*kind.params, *kind.results]}
        assert carriers <= {"i32", "i64"}, entry.name


def test_the_sweep_is_as_large_as_designed() -> None:
    assert sum(expectations().count(name) for name in OPERATORS) == 39_424


@pytest.mark.slow
def test_an_engine_stays_within_expectation_in_every_case() -> None:
    module = (FOLDER / "operators.wasm").read_bytes()
    found = list(sweep(module, list(OPERATORS), expectations()))
    assert [mismatch.sentence("i64") for mismatch in found] == []


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_swapped_min_and_max_are_noticed(kind: str) -> None:
    source = (FOLDER / "operators.wat").read_text()
    honest, swapped = f"({kind}.min (", f"({kind}.max ("
    assert source.count(honest) == 1
    module = bytes(wat2wasm(source.replace(honest, swapped)))
    found = list(sweep(module, [f"{kind}.min", f"{kind}.max"], expectations()))
    assert {mismatch.entry for mismatch in found} == {f"{kind}.min"}
    assert {"value", "sign-of-zero"} == {mismatch.difference for mismatch in found}


@pytest.mark.parametrize(("operator", "index", "outcome", "difference"), [
    ("f64.add", 1, "8000000000000000", "sign-of-zero"),
    ("f64.add", 2, "0000000000000000", "value"),
    ("i32.div_s", 0, "00000000", "trap"),
    ("i32.div_s", 1, "trap:integer divide by zero", "trap"),
    ("i32.div_s", 0, "trap:integer overflow", "trap"),
    ("f32.neg", 23, "nan:canonical", "nan-bits"),
    ("f64.neg", 0, "nan:arithmetic", "value"),
])  # fmt: skip
def test_one_false_expectation_is_noticed(
    operator: str, index: int, outcome: str, difference: str
) -> None:
    file = json.loads((FOLDER / "expected.json").read_bytes())
    assert file["calls"][operator][index] != outcome
    file["calls"][operator][index] = outcome
    judge = Expectations.decode(json.dumps(file).encode())
    module = (FOLDER / "operators.wasm").read_bytes()
    found = list(sweep(module, [operator], judge))
    assert [(one.index, one.difference) for one in found] == [(index, difference)]
