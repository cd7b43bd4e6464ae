"""
From the log of a host to what a gas model bills: which regions each call read and wrote.

A region is what CosmWasm hands over memory by: twelve bytes, little-endian, that hold offset,
capacity and length of a stretch of memory. The VM bills the stretch, not the twelve bytes (source:
CosmWasm/cosmwasm:packages/vm/src/memory.rs and imports.rs).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from conformance.gas.host import HostCall, host_gas
from conformance.gas.records import GasModel
from runners.hosts.host import Peek, Poke, Reenter
from runners.hosts.recording import RecordedCall, RecordedStep
from runners.hosts.setting import HostSetting
from runners.records import NotObserved

TEXTS: Final = frozenset({"env.addr_validate", "env.addr_canonicalize", "env.abort"})
"""Functions whose regions are decoded as text, which is billed as well (source: as above)."""
_REGION: Final = struct.Struct("<III")
_LENGTH_AT: Final = 8
"""Where in a region its length stands."""


def host_part(
    model: GasModel, host: HostSetting | None, log: Iterable[RecordedCall] | None
) -> int | NotObserved:
    """
    What *model* bills for the calls of *log*, or why that is not known. A module without host: 0.
    """
    if host is None:
        return 0
    if log is None:
        return NotObserved("the calls of the host were not recorded")
    calls = []
    for recorded in log:
        name = host.meant(f"{recorded.call.module}.{recorded.call.name}")
        if recorded.results is None:
            return NotObserved(f"the host did not answer a call of {name}")
        priced = host_gas(model, [HostCall(name)])
        if isinstance(priced, NotObserved):
            return priced
        found = billed(name, recorded)
        if found is None:
            return NotObserved(f"{name} reads or writes memory that is in no region it was given")
        calls.append(found)
    return host_gas(model, calls)


def billed(name: str, recorded: RecordedCall) -> HostCall | None:
    """
    A recorded call with the sizes of its regions; None if its steps do not go through regions.
    """
    regions = _Regions(set(recorded.call.arguments))
    if not all(regions.take(step) for step in recorded.steps):
        return None
    read = tuple(regions.read)
    return HostCall(name, read, tuple(regions.written), read if name in TEXTS else ())


@dataclass(slots=True)
class _Regions:
    """
    What is known of regions in the middle of a call.
    """

    pointers: set[int]
    """Where a region may stand: arguments, and what the guest has allocated."""
    found: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """By pointer: offset, capacity, length."""
    read: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)

    def take(self, recorded: RecordedStep) -> bool:
        """
        Note a step; whether it goes through a region.
        """
        step, reply = recorded.step, recorded.reply
        if recorded.failed:
            return False
        if isinstance(step, Reenter):
            self.pointers.update(reply if isinstance(reply, tuple) else ())
            return True
        if isinstance(step, Peek) and isinstance(reply, bytes):
            return self._peeked(step, reply)
        return isinstance(step, Poke) and self._poked(step)

    def _peeked(self, step: Peek, data: bytes) -> bool:
        if step.address in self.pointers and step.size == _REGION.size:
            offset, capacity, length = _REGION.unpack(data)
            self.found[step.address] = (offset, capacity, length)
            return True
        if any((at, size) == (step.address, step.size) for at, _, size in self.found.values()):
            self.read.append(step.size)
            return True
        return False

    def _poked(self, step: Poke) -> bool:
        size = len(step.data)
        if (size, True) == (_REGION.size, step.address in self.found):
            return True
        if size == _REGION.size - _LENGTH_AT and step.address - _LENGTH_AT in self.found:
            return True
        for offset, capacity, _ in self.found.values():
            if offset == step.address and size <= capacity:
                self.written.append(size)
                return True
        return False
