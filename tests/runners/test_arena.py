from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.arena import (
    PROBE_BYTES,
    SLOTS,
    Arena,
    BatchTooLargeError,
    batch_bytes,
    row_widths,
    rows_that_fit,
)
from runners.records import AtAddress, Buffer, Call, InputPointer, Level, Slot

SIZE = 1 << 20


def call_of(bytes_in: int, bytes_out: int, slots: int = 0, watched: int = 0) -> Call:
    return Call(
        entry="infer",
        arguments=(InputPointer(), *(Slot(index, "i64") for index in range(slots))),
        input=Buffer(AtAddress(0), bytes_in) if bytes_in else None,
        output=Buffer(AtAddress(0), bytes_out) if bytes_out else None,
        globals=tuple(f"g{index}" for index in range(watched)),
    )


CALLS = st.builds(
    call_of, st.integers(0, 500), st.integers(0, 500), st.integers(0, 3), st.integers(0, 3)
)


@settings(derandomize=True, deadline=None)
@given(CALLS, st.sampled_from(list(Level)), st.integers(0, 200), st.integers(0, SLOTS - 1))
def test_arrays_are_aligned_apart_and_within_their_half(
    call: Call, level: Level, count: int, slot: int
) -> None:
    arena = Arena(SIZE)
    at = arena.place(slot, call, level, count)
    probe = [arena.place_probe(slot, which, call_of(16, 8), 2) for which in (0, 1)]
    widths = {"progress": 8, **{name: count * w for name, w in row_widths(call, level).items()}}
    areas = [(offset, offset + widths[name]) for name, offset in at.items()]
    for places in probe:
        sizes = {"progress": 8, "input": 32, "status": 2, "output": 16}
        areas += [(offset, offset + sizes[name]) for name, offset in places.items()]
    areas = sorted(area for area in areas if area[0] < area[1])
    arena.close()
    assert all(start % 64 == 0 for start, _ in areas)
    assert all(a[1] <= b[0] for a, b in pairwise(areas))
    assert areas[0][0] >= slot * SIZE // SLOTS
    assert areas[-1][1] <= (slot + 1) * SIZE // SLOTS


@settings(derandomize=True, deadline=None)
@given(CALLS, st.sampled_from(list(Level)), st.integers(1 << 14, 1 << 20))
def test_as_many_rows_fit_as_are_said_to_and_not_one_more(
    call: Call, level: Level, size: int
) -> None:
    room = size // SLOTS - 2 * PROBE_BYTES
    rows = rows_that_fit(call, level, size)
    assert batch_bytes(call, level, rows) <= room or rows == 0
    if sum(row_widths(call, level).values()) >= 64:
        assert batch_bytes(call, level, rows + len(row_widths(call, level))) > room


def test_a_batch_that_does_not_fit_is_refused() -> None:
    arena = Arena(SIZE)
    call = call_of(128, 80)
    rows = rows_that_fit(call, Level.RESULT, SIZE)
    arena.place(0, call, Level.RESULT, rows)
    with pytest.raises(BatchTooLargeError, match="do not fit"):
        arena.place(0, call, Level.RESULT, 2 * rows)
    arena.close()


def test_rows_are_views_of_the_shared_file() -> None:
    arena = Arena(SIZE)
    arena.rows(128, 3, 5)[:] = np.arange(15, dtype=np.uint8).reshape(3, 5)
    assert os.pread(arena.descriptor, 15, 128) == bytes(range(15))
    os.pwrite(arena.descriptor, b"\x07" + bytes(7), 0)
    assert arena.progress(0) == 7
    arena.close()


@pytest.mark.parametrize("change", [-4096, 4096])
def test_the_size_is_sealed(change: int) -> None:
    arena = Arena(SIZE)
    with pytest.raises(PermissionError):
        os.ftruncate(arena.descriptor, SIZE + change)
    assert not arena.resized()
    arena.close()


def test_another_size_is_noticed_where_there_are_no_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.arena.SEALS", 0)
    arena = Arena(SIZE)
    os.ftruncate(arena.descriptor, SIZE - 4096)
    assert arena.resized()
    arena.close()


def test_a_closed_arena_gives_no_rows_and_may_be_closed_again() -> None:
    arena = Arena(SIZE)
    arena.close()
    arena.close()
    with pytest.raises(ValueError, match="closed"):
        arena.rows(0, 1, 1)


REFUSED = """
import errno, os, resource
from runners.arena import Arena

resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
before = os.listdir("/proc/self/fd")
Arena(1 << 16).close()
try:
    Arena((1 << 16) + 1)
except OSError as error:
    assert os.listdir("/proc/self/fd") == before
    print(errno.errorcode[error.errno])
"""


def test_a_size_that_the_process_may_not_make_is_refused_and_leaves_nothing_open() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", REFUSED], capture_output=True, check=True, text=True, cwd=root
    )
    assert done.stdout == "EFBIG\n"
