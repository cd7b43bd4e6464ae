"""
The oracle: evaluates a manifest's declared semantics in strict order, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from conformance.fidelity import elements
from conformance.fidelity.errors import BadSemanticsError
from conformance.fidelity.language import BUILTINS, Kind
from conformance.fidelity.program import DEFAULT_WORK, Matrix, Program, Value
from conformance.fidelity.true_functions import TRUE_FUNCTIONS, correctly_rounded
from conformance.manifest.records import Manifest
from conformance.manifest.tables import BitsTable, read_tables
from runners.records import Slot

_SLOT_BYTES = 8
_ROUNDED = {
    name: partial(correctly_rounded, name) for name in TRUE_FUNCTIONS if name not in BUILTINS
}
"""Functions that a program of class `correctly-rounded` may call."""


@dataclass(frozen=True, slots=True)
class RowShape:
    """
    How one entry's input row is cut into arguments, and its result written as an output row.
    """

    slots: tuple[str, ...]
    """Dtype of each scalar, 8 bytes each, zero-extended."""
    buffer: tuple[str, int] | None
    """Dtype and number of elements of the input buffer."""
    results: tuple[str, ...]
    """Dtype of each result, 8 bytes each, zero-extended."""
    output: tuple[str, int] | None
    """Dtype and number of elements of the output buffer."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """
        Kinds of the entry's parameters: its scalars, then the input buffer as one vector.
        """
        scalars: list[Kind] = ["float" if slot[0] == "f" else "int" for slot in self.slots]
        if self.buffer is not None:
            scalars.append("floats" if self.buffer[0][0] == "f" else "ints")
        return tuple(scalars)

    @property
    def input_bytes(self) -> int:
        """
        Size of an input row.
        """
        dtype, count = self.buffer or ("f64", 0)
        return _SLOT_BYTES * len(self.slots) + elements.WIDTH[dtype] * count

    def arguments(self, row: bytes) -> list[Value]:
        """
        Cut an input row into the entry's arguments.
        """
        values: list[Value] = []
        for index, dtype in enumerate(self.slots):
            start = _SLOT_BYTES * index
            cut = row[start : start + elements.WIDTH[dtype]]
            values.append(elements.decode(dtype, cut)[0])
        if self.buffer is not None:
            values.append(elements.decode(self.buffer[0], row[_SLOT_BYTES * len(self.slots) :]))
        return values

    def output_row(self, result: Value) -> bytes:
        """
        Write the entry's result as an output row; raises UnwritableError.
        """
        numbers: list[float] = []
        for item in result if isinstance(result, list | tuple) else [result]:
            if not isinstance(item, float | int):
                message = "the entry returns a matrix: an output row is a vector"
                raise elements.UnwritableError(message)
            numbers.append(item)
        dtype, count = self.output or ("", 0)
        due = len(self.results) + count
        if len(numbers) != due:
            message = f"the entry returns {len(numbers)} numbers, the manifest declares {due}"
            raise elements.UnwritableError(message)
        row = b"".join(
            elements.encode(kind, [value]).ljust(_SLOT_BYTES, b"\0")
            for kind, value in zip(self.results, numbers, strict=False)
        )
        return row + (elements.encode(dtype, numbers[len(self.results) :]) if count else b"")


class Oracle:
    """
    Declared semantics of one module, ready to say which bits an input row must give.

    It shares no code with any engine, nor with what wrote the module's source. Where semantics
    give a NaN, the row holds the canonical one.
    """

    def __init__(self, program: Program, shapes: Mapping[str, RowShape]) -> None:
        """
        Use `Oracle.load`.
        """
        self._program = program
        self._shapes = dict(shapes)
        self._only = next(iter(shapes)) if len(shapes) == 1 else None

    @classmethod
    def load(cls, manifest: Manifest, work: int = DEFAULT_WORK) -> Oracle:
        """
        Read the semantics that *manifest* names, and check them.

        *work* bounds one evaluation, in expressions. Raises BadSemanticsError
        when a file cannot be read, the program is outside of the language, or the manifest
        declares no semantics that bits can be judged by.
        """
        path = Path(manifest.path) / "model.toml"
        semantics = manifest.semantics
        if semantics is None or not semantics.program:
            sentence = "[semantics] names no program, so there are no bits to judge by"
            raise BadSemanticsError(str(path), 0, sentence)
        if semantics.function_class == "libm":
            sentence = "class libm leaves the last bits of functions to a library, so there are no "
            raise BadSemanticsError(str(path), 0, sentence + "bits to judge by")
        source = Path(manifest.path) / semantics.program
        try:
            text = source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            sentence = f"the program of [semantics] cannot be read: {error}"
            raise BadSemanticsError(str(source), 0, sentence) from None
        tensors: dict[str, tuple[Kind, Value]] = {}
        if semantics.weights:
            tensors = _tensors(Path(manifest.path) / semantics.weights)
        shapes = row_shapes(manifest)
        entries = {name: shape.kinds for name, shape in shapes.items()}
        rounded = _ROUNDED if semantics.function_class == "correctly-rounded" else {}
        program = Program(text, str(source), tensors, entries, work=work, functions=rounded)
        for name, _ in semantics.functions:
            if program.signatures.get(name) != (("float",), "float"):
                sentence = f"[semantics] functions names `{name}`, which the program does not "
                sentence += "define as a function from one float to a float"
                raise BadSemanticsError(str(source), 0, sentence)
        return cls(program, shapes)

    def evaluate(self, row: bytes, entry: str | None = None) -> bytes:
        """
        Output row for one input row, packed as `runners.records.Call` says.

        *entry* is needed when the manifest has several. Raises BadSemanticsError when the
        semantics give this row no value, BentFpuError in a process that does not compute IEEE
        754, ValueError for a row of the wrong size.
        """
        name = entry if entry is not None else self._only
        if name is None or name not in self._shapes:
            message = f"the oracle knows the entries {', '.join(self._shapes)}, not {name}"
            raise ValueError(message)
        shape = self._shapes[name]
        if len(row) != shape.input_bytes:
            message = f"an input row of `{name}` has {shape.input_bytes} bytes, not {len(row)}"
            raise ValueError(message)
        result = self._program.call(name, shape.arguments(row))
        try:
            return shape.output_row(result)
        except elements.UnwritableError as error:
            raise BadSemanticsError(self._program.path, 0, f"`{name}`: {error}") from None

    def function(self, name: str) -> Callable[[float], float]:
        """
        One of the program's own functions of a float, for measuring it.
        """
        if self._program.signatures.get(name) != (("float",), "float"):
            message = f"the program has no function `{name}` from a float to a float"
            raise ValueError(message)

        def evaluate_one(argument: float) -> float:
            result = self._program.call(name, [argument])
            return result if isinstance(result, float) else math.nan

        return evaluate_one


def row_shapes(manifest: Manifest) -> dict[str, RowShape]:
    """
    Row shape of each entry that a manifest declares, by name.

    Raises BadSemanticsError for an entry whose core results no program can state (addresses).
    """
    run = manifest.run
    shapes = {
        call.entry: RowShape(tuple(call.parameters), None, tuple(call.results), None)
        for call in run.calls
    }
    if run.entry is None:
        return shapes
    if run.entry_results:
        sentence = f"the oracle cannot say which core values `{run.entry}` returns beside its "
        sentence += "output buffer"
        raise BadSemanticsError(str(Path(manifest.path) / "model.toml"), 0, sentence)
    slots = sorted((a.index, a.value_type) for a in run.arguments if isinstance(a, Slot))
    buffers = [
        (tensor.dtype, math.prod(tensor.shape)) if tensor is not None else None
        for tensor in (run.input, run.output)
    ]
    shapes[run.entry] = RowShape(tuple(kind for _, kind in slots), buffers[0], (), buffers[1])
    return shapes


def _tensors(path: Path) -> dict[str, tuple[Kind, Value]]:
    """
    Named tensors of a bits table, immutable.
    """
    try:
        tables = read_tables(path)
    except (OSError, ValueError) as error:
        sentence = f"the weights of [semantics] cannot be read: {error}"
        raise BadSemanticsError(str(path), 0, sentence) from None
    return {name: _tensor(name, table, path) for name, table in tables.items()}


def _tensor(name: str, table: BitsTable, path: Path) -> tuple[Kind, Value]:
    """
    A table of one row is a vector, any other a matrix of its rows.
    """
    if not name.isidentifier() or name.startswith("_"):
        raise BadSemanticsError(str(path), 0, f"a tensor cannot be called {name!r}")
    rows: Matrix = [elements.decode(table.dtype, row.tobytes()) for row in table.rows]
    real = table.dtype in {"f32", "f64"}
    if len(rows) == 1:
        return ("floats" if real else "ints"), rows[0]
    return ("matrix" if real else "int matrix"), tuple(rows)


def evaluate_rows(oracle: Oracle, rows: Sequence[bytes]) -> list[bytes]:
    """
    Output rows for many input rows, each on its own, in order.
    """
    return [oracle.evaluate(row) for row in rows]
