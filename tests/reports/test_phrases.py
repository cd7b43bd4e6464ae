from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_reports import SAMPLES, all_green, stale, value_red

from reports.model import Strength
from reports.phrases import (
    blame_words,
    count,
    drawn_cases,
    duration_words,
    headline,
    missed_words,
    rate_words,
    strength_words,
)

WORDS = {
    "all_green": "PASS", "allowed": "PASS", "value_red": "FINDINGS", "nan_red": "FINDINGS",
    "broken_worker": "FINDINGS", "stale": "FINDINGS", "undecided": "UNDECIDED",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_headline_follows_the_exit_code(name: str) -> None:
    assert headline(SAMPLES[name]()).word == WORDS[name]


@pytest.mark.parametrize("name", ["value_red", "nan_red", "stale", "undecided"])
def test_a_pass_beside_something_red_is_called_a_contradiction(name: str) -> None:
    lying = msgspec.structs.replace(SAMPLES[name](), exit_code=0)
    assert headline(lying).word == "CONTRADICTION"
    assert headline(lying).tone == "bad"


def test_an_expired_allowance_alone_is_no_contradiction() -> None:
    expired = stale().allowances[1:]
    passing = msgspec.structs.replace(all_green(), allowances=expired)
    assert headline(passing).word == "PASS"


def test_an_unknown_exit_code_is_never_a_pass() -> None:
    assert headline(msgspec.structs.replace(all_green(), exit_code=7)).tone == "bad"
    assert headline(msgspec.structs.replace(all_green(), exit_code=130)).word == "INTERRUPTED"


def _read_back(text: str) -> Fraction:
    number = text.removesuffix(" %")
    return Fraction(number) / (100 if text.endswith("%") else 1)


@given(st.floats(min_value=1e-300, max_value=1.0))
@settings(derandomize=True)
def test_an_upper_bound_is_never_rounded_down_and_hardly_up(rate: float) -> None:
    shown = _read_back(rate_words(rate))
    exact = Fraction(repr(rate))
    assert exact <= shown <= exact * Fraction(111, 100)


def test_rates_in_words() -> None:
    assert rate_words(0.00025) == "0.025 %"
    assert rate_words(0.0002501) == "0.026 %"
    assert rate_words(1.0) == "100 %"
    assert rate_words(0.0) == "0"
    assert rate_words(3e-7).startswith("3")


def test_strength_without_cases_claims_nothing() -> None:
    none = Strength(generator="winch", cases=0, differing=0, rate_below=1.0)
    assert strength_words(none) == "winch: no cases, so nothing is known"
    some = Strength(generator="winch", cases=3000, differing=0, rate_below=0.001)
    assert strength_words(some) == "winch: 0 of 3,000 differ, rate < 0.1 % at 95 %"


def test_chance_of_missing_falls_with_draws() -> None:
    assert missed_words(0, 100) == "100 %"
    assert missed_words(1, 100) == "99 %"
    assert missed_words(100, 100) == "37 %"
    assert missed_words(100_000, 100) == "< 0.001 %"


def test_edge_cases_are_not_counted_as_drawn() -> None:
    report = all_green()
    assert [drawn_cases(report, item) for item in report.nodes] == [12_500, 12_500, 12_500, 500]
    few = msgspec.structs.replace(report.nodes[0], cases_result=3, cases_state=0, cases_full=0)
    assert drawn_cases(report, few) == 0


def test_nobody_is_named_when_undecided() -> None:
    item = value_red().findings[0]
    assert blame_words(item).startswith("engine pywasm@2.2.3: ")
    blame = msgspec.structs.replace(item.finding.blame, party="undecided", nodes=())
    finding = msgspec.structs.replace(item.finding, blame=blame)
    assert blame_words(msgspec.structs.replace(item, finding=finding)).startswith("nobody is named")


def test_counts_and_durations() -> None:
    assert [count(n, "case") for n in (0, 1, 12_000)] == ["0 cases", "1 case", "12,000 cases"]
    assert count(2, "family", "families") == "2 families"
    assert [duration_words(us) for us in (0.7, 66.2, 1_940, 2_610_000)] == [
        "0.7 us", "66 us", "1.9 ms", "2.6 s",
    ]  # fmt: skip
