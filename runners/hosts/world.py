"""
A world: all that one validator's host may answer otherwise than another's, drawn from a seed.

Draws are SHA-256 over the seed and the name of what is drawn, so that they depend on neither the
order of questions nor the machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final, TypeVar

_Option = TypeVar("_Option")

PLAIN_SEED: Final = 0
"""The seed of the world whose host maths is correctly rounded."""
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

_EPOCH_S: Final = 1_577_836_800
"""2020-01-01T00:00:00Z."""
_YEARS_S: Final = 10 * 365 * 86_400
_LONGEST_STEP_NS: Final = 3 * NS_PER_S
_LONGEST_UPTIME_S: Final = 400 * 86_400
_RESOLUTIONS_NS: Final = (1, 100, 1_000, 1_000_000)
_LANGUAGES: Final = (b"C", b"C.UTF-8", b"de_DE.UTF-8", b"en_US.UTF-8", b"tr_TR.UTF-8")
_ZONES: Final = (b"UTC", b"America/New_York", b"Asia/Kolkata", b"Australia/Lord_Howe")
_CORES: Final = (1, 2, 4, 8, 16, 64)
_BLOCK: Final = 32


@dataclass(frozen=True, slots=True)
class World:
    """
    What one validator's host answers.
    """

    seed: int

    def draw(self, *name: object) -> int:
        """
        An integer of 64 bits that belongs to *name* in this world.
        """
        return int.from_bytes(self._digest(*name)[:8], "little")

    def realtime_ns(self, reading: int) -> int:
        """
        Nanoseconds since 1970 at the reading of that number: from 2020 to 2030, never backwards.
        """
        start = _EPOCH_S + self.draw("realtime") % _YEARS_S
        return start * NS_PER_S + self.draw("nanoseconds") % NS_PER_S + self._passed(reading)

    def monotonic_ns(self, reading: int) -> int:
        """
        Nanoseconds since the machine was started.
        """
        start = 1 + self.draw("uptime") % _LONGEST_UPTIME_S
        return start * NS_PER_S + self._passed(reading)

    def cpu_ns(self, reading: int) -> int:
        """
        Nanoseconds of computing time.
        """
        return 1 + self.draw("cpu") % NS_PER_S + self._passed(reading)

    def resolution_ns(self) -> int:
        """
        Least difference of two readings.
        """
        return self._one_of("resolution", _RESOLUTIONS_NS)

    def random(self, position: int, size: int) -> bytes:
        """
        Random bytes from a position of the world's stream on.
        """
        first, last = position // _BLOCK, (position + size + _BLOCK - 1) // _BLOCK
        stream = b"".join(self._digest("random", block) for block in range(first, last))
        start = position - first * _BLOCK
        return stream[start : start + size]

    def environment(self) -> tuple[bytes, ...]:
        """
        Environment variables, `NAME=VALUE`.
        """
        name = f"validator-{self.draw('name') % 0x10000:04x}".encode()
        return (
            b"HOME=/home/" + name,
            b"HOSTNAME=" + name,
            b"LANG=" + self._one_of("language", _LANGUAGES),
            b"TZ=" + self._one_of("zone", _ZONES),
        )

    def arguments(self) -> tuple[bytes, ...]:
        """
        Command line, the program's name first.
        """
        return (b"wasmd", f"--node={self.draw('argument') % 0x10000:04x}".encode())

    def cores(self) -> int:
        """
        Number of processor cores.
        """
        return self._one_of("cores", _CORES)

    def ulps(self, function: str, arguments: tuple[int, ...]) -> int:
        """
        How far a function of host maths is from the correctly rounded result: -1, 0 or 1 ulp.

        Always the same for the same arguments, as in any library of mathematics.
        """
        if self.seed == PLAIN_SEED:
            return 0
        return self.draw("ulps", function, *arguments) % 3 - 1

    def _passed(self, reading: int) -> int:
        """
        Time since the first reading of a case.
        """
        step = 1 + self.draw("step") % _LONGEST_STEP_NS
        return reading * step + self.draw("jitter", reading) % step

    def _one_of(self, name: str, options: tuple[_Option, ...]) -> _Option:
        return options[self.draw(name) % len(options)]

    def _digest(self, *name: object) -> bytes:
        return hashlib.sha256(repr((self.seed, *name)).encode()).digest()


@dataclass(frozen=True, slots=True)
class Worlds:
    """
    Which world answers which import: the *varied* one all of them, or *only* one of them.
    """

    usual: World
    varied: World | None = None
    only: str | None = None
    """`module.name`, as the module says it; None: all imports."""

    def world(self, key: str) -> World:
        """
        The world that answers an import.
        """
        if self.varied is None or (self.only is not None and key != self.only):
            return self.usual
        return self.varied


@dataclass(slots=True)
class Readings:
    """
    What a case has read so far: two readings of a clock differ, and random bytes do not repeat.
    """

    worlds: Worlds
    clock: int = 0
    random: int = 0
    high_word: int = 0
    """Upper half of the last 64-bit result that went through 32 bits (`setTempRet0`)."""
    written: dict[int, int] = field(default_factory=dict)
    """Bytes written to each file descriptor."""

    def next_reading(self) -> int:
        """
        Number of this reading of a clock.
        """
        self.clock += 1
        return self.clock - 1

    def next_random(self, world: World, size: int) -> bytes:
        """
        The next random bytes.
        """
        data = world.random(self.random, size)
        self.random += size
        return data
