"""
One call on an engine, in a worker, with the instance left open to be looked into.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from conformance.bounds.certificate import Input
from conformance.bounds.check.refusals import RefusedError
from conformance.wasm.decode import decode
from runners.blocks import CaseBlock
from runners.held import HeldInstance, InstanceRefusedError
from runners.hosts.host import HostMaker
from runners.pool import Pool, WorkerLostError
from runners.records import Budget, Call, Level, Slot
from runners.status import Status

_DEADLINE_MS: Final = 120_000


@dataclass(frozen=True, slots=True)
class EngineRun:
    """
    A call that was made on an instance that is still open.
    """

    returned: bool
    globals: Mapping[str, int]
    held: HeldInstance

    def peek(self, address: int, size: int) -> bytes:
        """
        Bytes of memory after the call.
        """
        return self.held.peek(address, size)


@dataclass(frozen=True, slots=True)
class Engine:
    """
    Runs inputs on the first seat of a pool.
    """

    pool: Pool
    pages: int
    """Most pages of memory that an instrumented module may have."""

    @contextmanager
    def __call__(
        self, binary: bytes, entry: str, given: Input, watched: Sequence[str],
        host: HostMaker | None = None, initialize: Sequence[str] = (),
    ) -> Iterator[EngineRun]:  # fmt: skip
        """
        Call *entry* once on a fresh instance; RefusedError where the engine does not do it.

        *host* answers what the module imports; the exports *initialize* are called before.
        """
        digest = hashlib.sha256(binary).hexdigest()
        self.pool.add_module(digest, binary)
        module = decode(binary)
        export = module.exported(entry)
        assert export is not None  # noqa: S101 - the rewrites keep or make it
        kind = module.function_type(export.index)
        memories = [item.name for item in module.exports if item.kind == "memory"]
        call = Call(
            entry,
            tuple(Slot(k, parameter) for k, parameter in enumerate(kind.parameters)),  # type: ignore[arg-type]
            kind.results,  # type: ignore[arg-type]
            memory=memories[0] if memories else None,
            globals=tuple(watched),
            initialize=tuple(initialize),
        )
        if given.memory and not memories:
            raise RefusedError("replay", "an input writes memory that the module does not export")
        budget = Budget(_DEADLINE_MS, None, self.pages)
        try:
            with HeldInstance(self.pool, 0, digest, call, name="replay", budget=budget,
                              level=Level.STATE, host=host) as held:  # fmt: skip
                for written in given.memory:
                    held.poke(written.address, bytes.fromhex(written.data))
                row = np.array(given.arguments, np.uint64).view(np.uint8)
                inputs = row.reshape(1, call.input_bytes)
                done = held.run(
                    CaseBlock(call, budget, Level.STATE, np.zeros(1, np.uint64), inputs)
                )
                if done.globals is None:
                    raise RefusedError("replay", "the engine shows no exported globals")
                numbers = done.globals.reshape(-1).view(np.uint64).tolist()
                values = dict(zip(watched, numbers, strict=True))
                yield EngineRun(int(done.status[0]) == Status.RETURNED, values, held)
        except (InstanceRefusedError, WorkerLostError) as error:
            raise RefusedError("replay", f"an input could not be run: {error}") from error
