from __future__ import annotations

import msgspec
import pytest
from sample_reports import SAMPLES, all_green, undecided

from reports.model import Measured, Report
from reports.plots import level_bars, sampling_bar, stacked, time_plot


def with_times(*us_per_case: float, cases: int = 10) -> Report:
    report = all_green()
    engines = tuple(
        Measured(label=f"e{i}", cases=cases, served_from_evidence=0, busy_ms=1.0, us_per_case=us)
        for i, us in enumerate(us_per_case)
    )
    return msgspec.structs.replace(report, run=msgspec.structs.replace(report.run, engines=engines))


def test_segments_fill_the_bar_and_empty_ones_are_left_out() -> None:
    bar = stacked("x", (("a", 1), ("b", 0), ("c", 3)), 8)
    assert [(s.name, s.start, s.width) for s in bar.segments] == [("a", 0, 12.5), ("c", 12.5, 37.5)]
    assert bar.total == 4
    assert stacked("x", (("a", 0),), 0).segments == ()


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_no_bar_leaves_its_axis_and_the_busiest_node_fills_it(name: str) -> None:
    report = SAMPLES[name]()
    ends = [bar.segments[-1].start + bar.segments[-1].width for bar in level_bars(report)]
    assert max(ends) == pytest.approx(100, abs=0.01)
    last = sampling_bar(report).segments[-1]
    assert last.start + last.width == pytest.approx(100, abs=0.01)


def test_nodes_that_were_not_asked_have_no_bar() -> None:
    assert [bar.label for bar in level_bars(undecided())] == ["wasmtime@50.0.1/cranelift"]


def test_the_axis_is_logarithmic() -> None:
    plot = time_plot(with_times(10.0, 100.0, 1_000.0))
    assert [tick.label for tick in plot.ticks] == ["10 us", "100 us", "1 ms"]
    assert [point.place for point in plot.points] == [0, 50, 100]


def test_one_engine_still_has_a_decade_around_it() -> None:
    plot = time_plot(with_times(66.0))
    assert [tick.place for tick in plot.ticks] == [0, 100]
    assert plot.points[0].place == pytest.approx(81.95, abs=0.01)


def test_labels_thin_out_on_a_long_axis() -> None:
    labels = [tick.label for tick in time_plot(all_green()).ticks]
    assert labels == ["10 us", "", "1 ms", "", "100 ms", "", "10 s"]


def test_an_engine_that_ran_no_case_has_no_time() -> None:
    (point,) = time_plot(with_times(66.0, cases=0)).points
    assert point.place is None
    assert point.words == "no case ran"
    assert time_plot(with_times()).points == ()
