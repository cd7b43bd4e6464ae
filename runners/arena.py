"""
The arena: a file in memory that controller and worker share, and where a batch's rows lie in it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runners.records import Call, Level

SLOTS: Final = 2
"""Batches that one worker may hold: one that runs, and the next one, so that it never waits."""

PROBE_BYTES: Final = 4096
"""Room at the end of each half for a probe before and one after the batch, each."""

SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

_ALIGN: Final = 64
_WORD: Final = struct.Struct("<Q")


class BatchTooLargeError(ValueError):
    """
    A batch's rows do not fit in one half of the arena.
    """


def row_widths(call: Call, level: Level) -> dict[str, int]:
    """
    Bytes per case of every array of a batch, in the order in which they lie in the arena.
    """
    widths = {"input": call.input_bytes, "status": 1, "output": call.output_bytes}
    if level.rank >= Level.STATE.rank:
        widths |= {"pages": 4, "memory": 32, "globals": 8 * len(call.globals)}
    if level.rank >= Level.FULL.rank:
        widths |= {"gas": 8}
    return widths


def batch_bytes(call: Call, level: Level, count: int) -> int:
    """
    Bytes that a batch of `count` cases takes in the arena.
    """
    return _ALIGN + sum(_aligned(width * count) for width in row_widths(call, level).values())


def rows_that_fit(call: Call, level: Level, arena_bytes: int) -> int:
    """
    The most cases that one batch can hold in an arena of this size; 0 if not even one fits.
    """
    room = arena_bytes // SLOTS - 2 * PROBE_BYTES - _ALIGN
    widths = list(row_widths(call, level).values())
    rows = max(0, room) // sum(widths)
    while rows and sum([_aligned(width * rows) for width in widths]) > room:
        rows -= 1
    return rows


def _aligned(size: int) -> int:
    """
    Size rounded up to the alignment of arrays.
    """
    return -(-size // _ALIGN) * _ALIGN


def _lay_out(start: int, room: int, call: Call, level: Level, count: int) -> dict[str, int]:
    """
    Offsets of a batch's arrays in `room` bytes from `start`; raises BatchTooLargeError.
    """
    if batch_bytes(call, level, count) > room:
        message = (
            f"{count} cases of {call.input_bytes}+{call.output_bytes} bytes do not fit in"
            f" {room} bytes of the arena"
        )
        raise BatchTooLargeError(message)
    offsets = {"progress": start}
    position = start + _ALIGN
    for name, width in row_widths(call, level).items():
        offsets[name] = position
        position += _aligned(width * count)
    return offsets


class Arena:
    """
    Memory shared with one worker, in two halves.
    """

    def __init__(self, size_bytes: int) -> None:
        """
        Make a sparse file in memory; only touched pages cost anything.

        Its size is sealed: touching a page that a worker has cut off would kill the controller.
        Raises OSError; EFBIG when the process may not make a file of that size.
        """
        self.size_bytes = size_bytes
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self.descriptor = os.memfd_create("weavegate-arena", flags)
        try:
            os.ftruncate(self.descriptor, size_bytes)
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, SEALS)
            self._map = mmap.mmap(self.descriptor, size_bytes)
        except OSError:
            os.close(self.descriptor)
            raise
        self._bytes: NDArray[np.uint8] | None = np.frombuffer(self._map, dtype=np.uint8)

    def place(self, slot: int, call: Call, level: Level, count: int) -> dict[str, int]:
        """
        Offsets of a batch's arrays in half `slot`; raises BatchTooLargeError.
        """
        half = self.size_bytes // SLOTS
        return _lay_out(slot * half, half - 2 * PROBE_BYTES, call, level, count)

    def place_probe(self, slot: int, which: int, call: Call, count: int) -> dict[str, int]:
        """
        Offsets of the probe before (`which` 0) or after (1) the batch in half `slot`.
        """
        end = (slot + 1) * (self.size_bytes // SLOTS)
        start = end - (2 - which) * PROBE_BYTES
        return _lay_out(start, PROBE_BYTES, call, Level.RESULT, count)

    def rows(self, offset: int, count: int, width: int) -> NDArray[np.uint8]:
        """
        View of an array of `count` rows of `width` bytes.
        """
        if self._bytes is None:
            message = "the arena is closed"
            raise ValueError(message)
        return self._bytes[offset : offset + count * width].reshape(count, width)

    def progress(self, offset: int) -> int:
        """
        The progress word at `offset`.
        """
        (word,) = _WORD.unpack_from(self._map, offset)
        return int(word)

    def resized(self) -> bool:
        """
        Whether somebody changed the file's size (touching it could then kill the controller).
        """
        return os.fstat(self.descriptor).st_size != self.size_bytes

    def close(self) -> None:
        """
        Give the memory back.
        """
        if self._bytes is None:
            return
        self._bytes = None
        self._map.close()
        os.close(self.descriptor)
