"""
One taint run on a pool's node, and what it proves about the gas of every input.
"""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np
from msgspec import Struct

from conformance.bounds.shadow_layout import Site
from conformance.bounds.taint import NoTaintRunError, Tainted, tainted
from conformance.gas.metering import Metered, metered
from conformance.gas.records import GasModel
from conformance.wasm.module import Module
from runners.blocks import BlockOutcome, CaseBlock
from runners.pool import Pool
from runners.records import Budget, Call, Level
from runners.status import Status


class Decision(Struct, frozen=True):
    """
    A place where a value that depends on the input mattered.
    """

    function: int
    """Index, imported functions counted first."""
    offset: int
    """Of the instruction, in bytes of the module's file."""
    operator: str
    role: str
    """See `taint`; `trap`: it may end another input early, and steers nothing."""


class TaintResult(Struct, frozen=True):
    """
    What one run says about all inputs of its shape.
    """

    independent: bool
    """
    Every input executes the same instructions, unless it traps on the way: then `gas` is the gas
    of each that returns, and the most that any pays. Growth must be granted as in this run.
    """
    gas: int
    """Of this input, by the model."""
    model: str
    decisions: tuple[Decision, ...]
    """Where a tainted value steered; empty if `independent`."""
    traps: tuple[Decision, ...]
    """Where a tainted value may make another input trap; empty: none traps."""
    incomplete: tuple[str, ...]
    """Charges that no source prices: then `gas` is not all."""

    @property
    def exact(self) -> bool:
        """
        Whether `gas` is the gas of every input, without exception.
        """
        return self.independent and not self.traps and not self.incomplete


def taint_run(
    pool: Pool,
    seat: int,
    module: Module,
    call: Call,
    model: GasModel,
    row: bytes,
    *,
    budget: Budget | None = None,
) -> TaintResult:
    """
    Run *call* with the input *row* on node *seat* of *pool*, any engine that shows globals.

    Twice: with taint bits, and with counters of *model*. Raises NoTaintRunError when the call does
    not return or the module cannot be rewritten, and RefusedOperatorError of the model.
    """
    limit = budget or Budget()
    marked = tainted(module, call, limit.memory_pages)
    counting = metered(module, model, [call.entry])
    counted_call = msgspec.structs.replace(
        call,
        entry=counting.entries[call.entry],
        globals=counting.counters,
        global_types=msgspec.UNSET,
        memory=counting.memory,
    )
    counted = _run(pool, seat, counting.binary, counted_call, row, limit)
    shown = (*marked.flags, *((marked.pages,) if marked.pages else ()))
    marked_call = msgspec.structs.replace(
        call, entry=marked.entry, globals=shown, global_types=msgspec.UNSET
    )
    more = max(limit.memory_pages, marked.most_pages)
    wider = msgspec.structs.replace(limit, memory_pages=more)
    beside = _run(pool, seat, marked.binary, marked_call, row, wider)
    found = _globals(beside, len(shown))
    same = (counted.outputs == beside.outputs).all()
    if marked.pages and counted.pages is not None:
        same &= int(counted.pages[0]) == found[-1]
    if not same:
        raise NoTaintRunError("the run with taint bits did not do what the module does")
    gas = sum(_globals(counted, len(counting.counters)))
    return _result(marked, counting, found[: len(marked.flags)], gas)


def _result(marked: Tainted, counting: Metered, flags: tuple[int, ...], gas: int) -> TaintResult:
    met = marked.met(flags)
    steering = tuple(_decision(site) for site in met if site.role != "trap")
    traps = tuple(_decision(site) for site in met if site.role == "trap")
    missing = tuple(
        f"{item.operator} in function {item.function} (byte {item.offset}, {item.offset:#x})"
        for item in counting.unpriced
    )
    return TaintResult(not steering, gas, counting.model.id, steering, traps, missing)


def _decision(site: Site) -> Decision:
    return Decision(site.function, site.offset, site.operator, site.role)


def _run(
    pool: Pool, seat: int, binary: bytes, call: Call, row: bytes, budget: Budget
) -> BlockOutcome:
    """
    One case; raises NoTaintRunError unless it returns.
    """
    digest = hashlib.sha256(binary).hexdigest()
    pool.add_module(digest, binary)
    inputs = np.frombuffer(row, np.uint8).reshape(1, call.input_bytes)
    block = CaseBlock(call, budget, Level.STATE, np.zeros(1, np.uint64), inputs)
    ticket = pool.submit(seat, digest, block)
    outcome = next(done.outcome for done in pool.drain() if done.ticket == ticket)
    status = Status(int(outcome.status[0]))
    if status is not Status.RETURNED:
        words = status.name.lower().replace("_", " ")
        detail = f": {outcome.details[0]}" if 0 in outcome.details else ""
        raise NoTaintRunError(f"the call did not return on this input ({words}{detail})")
    return outcome


def _globals(outcome: BlockOutcome, count: int) -> tuple[int, ...]:
    """
    Values of the observed globals.
    """
    if not count:
        return ()
    if outcome.globals is None:
        reason = dict(outcome.not_observed).get("globals", "no reason given")
        raise NoTaintRunError(f"the node does not show globals: {reason}")
    return tuple(int(value) for value in outcome.globals[0].view("<u8"))
