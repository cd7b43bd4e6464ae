from __future__ import annotations

import numpy as np
import pytest

from runners.arena import Arena
from runners.watch import Watch


class Progress:
    """
    A batch whose progress word lies at the start of an arena.
    """

    progress_at = 0


def test_progress_moves_the_deadline_and_not_the_stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000_000]
    monkeypatch.setattr("runners.watch.time.monotonic_ns", lambda: now[0])
    arena = Arena(1 << 20)
    watched = Watch()
    for row in (1, 2, 3):
        now[0] += 400_000_000
        arena.rows(0, 1, 8)[:] = np.array([[row, 0, 0, 0, 0, 0, 0, 0]], np.uint8)
        assert not watched.beyond(500)
        watched.look(arena, Progress(), 5)  # type: ignore[arg-type]
    now[0] += 600_000_000
    assert watched.beyond(500)
    assert watched.restart() == 1_800_000_000
    now[0] += 7
    assert watched.restart() == 7
    arena.close()
