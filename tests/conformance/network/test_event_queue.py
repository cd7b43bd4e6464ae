from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.network.queue import EventQueue


@given(st.lists(st.integers(0, 5), max_size=30))
@settings(derandomize=True, max_examples=100)
def test_events_come_by_tick_and_then_by_the_order_of_scheduling(delays: list[int]) -> None:
    queue: EventQueue[tuple[int, int]] = EventQueue()
    for number, delay in enumerate(delays):
        queue.schedule(delay, (delay, number))
    taken = []
    while (event := queue.take()) is not None:
        assert queue.now == event[0]
        taken.append(event)
    assert taken == sorted((delay, number) for number, delay in enumerate(delays))


def test_delays_count_from_the_event_that_was_taken_last() -> None:
    queue: EventQueue[str] = EventQueue()
    queue.schedule(5, "first")
    queue.take()
    queue.schedule(2, "second")
    assert (queue.take(), queue.now) == ("second", 7)
    assert queue.take() is None


def test_events_themselves_are_never_compared() -> None:
    queue: EventQueue[object] = EventQueue()
    first, second = object(), object()
    queue.schedule(1, first)
    queue.schedule(1, second)
    assert (queue.take(), queue.take()) == (first, second)


def test_nothing_happens_in_the_past() -> None:
    queue: EventQueue[str] = EventQueue()
    with pytest.raises(ValueError, match="in the past"):
        queue.schedule(-1, "never")
