"""
How a scripted answer differs on another validator.

A script tells what was answered, not what else might have been. Where an ABI knows the import,
only what validators may answer differently is changed; of an import that no ABI knows, everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runners.bits import ValueType
from runners.hosts.host import HostCall
from runners.hosts.maths import meant_function, moved
from runners.hosts.world import World

_LOW_BITS: Final = 0xFF
_FRACTION_BITS: Final = {"f32": 23, "f64": 52}


@dataclass(frozen=True, slots=True)
class Variation:
    """
    Changes answers as another world would give them.
    """

    world: World
    varies: Callable[[str], tuple[bool, bool]]
    """Of an import, as the module says it: whether its results and its written bytes may differ."""
    meant: Callable[[str], str] = str
    """The name of an import in the ABI."""
    only: str | None = None
    """The one import that is answered differently; None: all that may be."""

    def results(self, call: HostCall, number: int, results: tuple[int, ...]) -> tuple[int, ...]:
        """
        Results of mathematics one ulp off, other floats with another fraction, integers with
        another low byte.
        """
        key = f"{call.module}.{call.name}"
        if not self._applies(key) or not self.varies(key)[0]:
            return results
        return tuple(
            self._other(self.meant(key), kind, bits, number, place)
            for place, (kind, bits) in enumerate(zip(call.results, results, strict=True))
        )

    def poked(self, key: str, number: int, data: bytes) -> bytes:
        """
        Other bytes.
        """
        if not self._applies(key) or not self.varies(key)[1]:
            return data
        mask = self.world.random(self.world.draw("poke", number) % (1 << 32), len(data))
        return bytes(left ^ right for left, right in zip(data, mask, strict=True))

    def _applies(self, key: str) -> bool:
        return self.only is None or key == self.only

    def _other(self, name: str, kind: ValueType, bits: int, number: int, place: int) -> int:
        drawn = self.world.draw("result", number, place)
        if kind not in _FRACTION_BITS:
            return bits ^ (1 + drawn % _LOW_BITS)
        if meant_function(name) is not None:
            return moved(bits, kind, 1 if drawn & 1 else -1)
        return bits ^ (drawn % (1 << _FRACTION_BITS[kind]) or 1)
