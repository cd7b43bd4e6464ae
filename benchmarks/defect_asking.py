"""
Asks engines whether a defect shows: values beside the reference evaluator's, fuel beside fuel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from benchmarks.at_hand import at_hand
from benchmarks.defect_list import ENTRY, PLAIN, Defect, module_of
from benchmarks.fuel_meters import Asked, wheel
from conformance.wasm.module import Module
from runners.blocks import BlockOutcome, CaseBlock
from runners.catalog import Catalog
from runners.pool import Pool
from runners.records import Budget, Call, Constant, EngineId, Level, Node
from runners.status import TRAPS, Status

Answer = Literal["shows", "does not", "not asked"]
_REFERENCE: Final = "reference"
_TRAPS: Final = frozenset(int(status) for status in TRAPS)


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What a call gave that two engines can be compared by.
    """

    ended: str
    """`returned`, `trapped`, or the status."""
    outputs: bytes
    globals: bytes


def call_of(defect: Defect, module: Module, entry: str = ENTRY) -> Call:
    """
    How the defect's module is called.
    """
    export = module.exported(entry)
    if export is None:
        message = f"{defect.name}: there is no export {entry!r}"
        raise LookupError(message)
    results = tuple(
        kind
        for kind in module.function_type(export.index).results
        if kind in ("i32", "i64", "f32", "f64")
    )
    return Call(
        entry=entry,
        arguments=tuple(Constant(bits) for bits in defect.arguments),
        results=results,
        memory=next((one.name for one in module.exports if one.kind == "memory"), None),
        globals=tuple(one.name for one in module.exports if one.kind == "global"),
        grows=module.grows,
    )


def _outcome(pool: Pool, module: Module, call: Call, level: Level) -> BlockOutcome:
    sha256 = module.sha256
    pool.add_module(sha256, module.binary)
    ids, row = np.zeros(1, np.uint64), np.zeros((1, call.input_bytes), np.uint8)
    return pool.run(0, sha256, CaseBlock(call, Budget(), level, ids, row))


def seen(pool: Pool, defect: Defect, module: Module) -> Seen | None:
    """
    What the pool's only engine does with a defect's module; None if it does not take it.
    """
    found = _outcome(pool, module, call_of(defect, module), Level.STATE)
    status = int(found.status[0])
    if status in (Status.REJECTED_COMPILE, Status.REJECTED_INSTANTIATE):
        return None
    ended = "trapped" if status in _TRAPS else Status(status).name.lower()
    after = b"" if found.globals is None else found.globals.tobytes()
    return Seen(ended, found.outputs.tobytes(), after)


def values(asked: Sequence[Defect], engine: EngineId, catalog: Catalog) -> dict[str, Answer]:
    """
    For each defect that shows in values, whether it shows on *engine*.
    """
    modules = {defect.name: module_of(defect) for defect in asked}
    judge = catalog.resolve(_REFERENCE)
    found: dict[str, Answer] = {}
    with (
        at_hand(judge, catalog) as right,
        at_hand(engine, catalog) as launch,
        Pool([(Node(judge), right)]) as by,
        Pool([(Node(engine), launch)]) as pool,
    ):
        for defect in asked:
            module = modules[defect.name]
            theirs = seen(pool, defect, module)
            if theirs is None:
                found[defect.name] = "not asked"
            else:
                same = theirs == seen(by, defect, module)
                found[defect.name] = "does not" if same else "shows"
    return found


def fuel(asked: Sequence[Defect], version: str) -> dict[str, Answer]:
    """
    For each defect that shows in the fuel of two exports, whether it shows on a wasmtime wheel.
    """
    found: dict[str, Answer] = {}
    with wheel(version) as meter:
        for defect in asked:
            own = meter.fuel(module_of(defect), [Asked(ENTRY), Asked(PLAIN)])
            if own is None:
                found[defect.name] = "not asked"
                continue
            run, plain = (one.fuel for one in own)
            shown = run > plain if defect.shows == "fuel-more" else run == plain
            found[defect.name] = "shows" if shown else "does not"
    return found


def apart(defect: Defect, engine: EngineId, catalog: Catalog) -> Answer:
    """
    Whether an engine tells other fuel than the defect's control of the same version.
    """
    name, _, compiler = defect.control.partition("/")
    other = EngineId(name, engine.version, compiler)
    module = module_of(defect)
    readings = []
    for one in (engine, other):
        with at_hand(one, catalog) as launch, Pool([(Node(one), launch)]) as pool:
            gas = _outcome(pool, module, call_of(defect, module), Level.FULL).gas
            if gas is None:
                return "not asked"
            readings.append(int(gas[0]))
    return "shows" if readings[0] != readings[1] else "does not"
