"""
Runs of the module itself, with a row of state at every cut: what guesses are made from.

A guess that a run suggests is only a candidate; nothing here is evidence of anything.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from conformance.bounds.certificate import ENTRY, Input, Precondition
from conformance.wasm.module import Module
from conformance.wasm.rewrite.checkpoints import Checkpoint, Instrumented, checkpointed
from conformance.wasm.rewrite.errors import CannotRewriteError
from conformance.wasm.rewrite.hidden_memory import PAGE_BYTES
from conformance.wasm.rewrite.points import entries, loop_heads
from runners.blocks import CaseBlock
from runners.launch import Launch
from runners.pack import pack
from runners.pool import Pool
from runners.records import (
    AtAddress,
    Budget,
    Buffer,
    Call,
    Constant,
    EngineId,
    Families,
    Level,
    Node,
)

_ROLES: Final = {"operand": "stack"}
_MOST_ROWS: Final = 4_000
"""Rows that are kept of one cut."""
_DEADLINE_MS: Final = 20_000
_BUFFER_PAGES: Final = 96
_THINNED: Final = (1, 61, 61 * 61)
"""Of how many rows one is noted, run by run until a run is seen to its end."""
_LEAST_ROW: Final = 16
"""Bytes of the shortest row."""

Values = dict[tuple[str, int], int]
"""(Kind of variable, index) -> bits; `param` as found at the latest entry of the function."""


@dataclass(frozen=True, slots=True)
class Observed:
    """
    Rows of state by (function, cut).
    """

    rows: dict[tuple[int, int], list[Values]] = field(default_factory=dict)

    def at(self, function: int, cut: int) -> list[Values]:
        """
        The rows of one cut; none if no run reached it.
        """
        return self.rows.get((function, cut), [])


def observe(module: Module, precondition: Precondition, inputs: Sequence[Input]) -> Observed:
    """
    Run *inputs* and note the state at entries and loop heads, thinned out evenly in long runs.
    """
    observed = Observed()
    points = (*entries(module), *loop_heads(module))
    if not inputs or not points or module.imports:
        return observed
    with tempfile.TemporaryDirectory(prefix="weavegate-bounds-") as folder:
        launch = wasmtime_launch(Path(folder))
        with Pool([(Node(launch.engine), launch)]) as pool:
            for given in inputs:
                for every in _THINNED:
                    # No more than this fits into the buffer: the run need not go on.
                    stop = every * _BUFFER_PAGES * PAGE_BYTES // _LEAST_ROW
                    try:
                        made = checkpointed(
                            module, points, every=every, stop=stop, hashed=False,
                            buffer_pages=_BUFFER_PAGES,
                        )  # fmt: skip
                    except CannotRewriteError:
                        return observed
                    rows = list(_run(pool, made, module, precondition, given))
                    whole = every == 1
                    _keep(observed, module, made, rows, whole)
                    if len(rows) * _row_bytes(made) < made.size_bytes // 2:
                        break
    return observed


def wasmtime_launch(folder: Path) -> Launch:
    """
    A worker of the wasmtime that runs in this interpreter, packed below *folder*.
    """
    packed = pack("wasmtime", folder)
    return Launch(
        engine=EngineId("wasmtime", version("wasmtime"), "cranelift"),
        families=Families(generator="cranelift", runtime="wasmtime"),
        argv=(sys.executable, "-I", "-B", str(packed.path)),
        worker_sha256=packed.sha256,
        artifact_sha256="",
    )


def _row_bytes(made: Instrumented) -> int:
    return 8 * (2 + max((len(point.words) for point in made.checkpoints), default=0))


def _run(
    pool: Pool, made: Instrumented, module: Module, precondition: Precondition, given: Input
) -> Iterator[tuple[Checkpoint, tuple[int, ...]]]:
    """
    The rows of one call.
    """
    entry = module.exported(precondition.entry)
    if entry is None:
        return
    kinds = module.function_type(entry.index)
    constants = tuple(
        Constant(f"{kind}:{bits:0{int(kind[1:]) // 4}x}")
        for kind, bits in zip(kinds.parameters, given.arguments, strict=True)
    )
    start, content = _span(given)
    call = Call(
        entry=precondition.entry,
        arguments=constants,
        results=tuple(kinds.results),  # type: ignore[arg-type]
        input=Buffer(AtAddress(start), len(content)) if content else None,
    )
    rewritten = made.call(call)
    sha256 = hashlib.sha256(made.binary).hexdigest()
    pool.add_module(sha256, made.binary)
    block = CaseBlock(
        rewritten,
        made.budget(Budget(deadline_ms=_DEADLINE_MS)),
        Level.RESULT,
        np.zeros(1, np.uint64),
        np.frombuffer(content, np.uint8).reshape(1, len(content)).copy(),
    )
    outcome = pool.run(0, sha256, block)
    output = outcome.outputs[0].tobytes()[8 * len(kinds.results) :]
    for row in made.rows(output):
        yield made.checkpoints[row.point], row.values


def _span(given: Input) -> tuple[int, bytes]:
    """
    One stretch of memory that holds all the host's bytes.
    """
    if not given.memory:
        return 0, b""
    parts = [(part.address, bytes.fromhex(part.data)) for part in given.memory]
    start = min(address for address, _ in parts)
    content = bytearray(max(address + len(data) for address, data in parts) - start)
    for address, data in parts:
        content[address - start : address - start + len(data)] = data
    return start, bytes(content)


def _keep(
    observed: Observed,
    module: Module,
    made: Instrumented,
    rows: Sequence[tuple[Checkpoint, tuple[int, ...]]],
    whole: bool,  # noqa: FBT001 - private
) -> None:
    """
    Add rows to their cuts; parameters are those of the latest entry, where all rows are there.
    """
    del made
    params: dict[int, Values] = {}
    found: dict[tuple[int, int], list[Values]] = {}
    for point, values in rows:
        function = module.functions[point.place].index
        cut = point.number - 1 if point.number else ENTRY
        row: Values = {
            (_ROLES.get(word.role, word.role), word.index): bits
            for word, bits in zip(point.words, values, strict=True)
        }
        if cut == ENTRY:
            count = len(module.function_type(function).parameters)
            params[function] = {("param", k): row["local", k] for k in range(count)}
            before = [(key, bits) for key, bits in row.items() if key[0] in ("global", "pages")]
            params[function].update(((f"entry-{kind}", k), bits) for (kind, k), bits in before)
        if whole or cut == ENTRY:
            row.update(params.get(function, {}))
        found.setdefault((function, cut), []).append(row)
    for key, seen in found.items():
        kept = observed.rows.setdefault(key, [])
        step = max(1, len(seen) // _MOST_ROWS)
        kept += seen[:64] + seen[64:-64:step] + seen[max(64, len(seen) - 64) :]
