from __future__ import annotations

import re

import msgspec
import pytest
from sample_reports import SAMPLES, finding_report, hostile, nan_finding, nan_red, seen, value_red

from reports.console import console_text
from runners.records import Returned

ESCAPE = "\x1b"


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_nothing_is_wider_than_the_terminal_but_commands_and_the_last_line(
    name: str, width: int
) -> None:
    report = SAMPLES[name]()
    lines = console_text(report, width=width).splitlines()
    commands = {f"  {report.run.command}"} | {f"  replay: {f.replay}" for f in report.findings}
    wide = [line for line in lines[:-1] if len(line) > width and line not in commands]
    assert wide == []


def test_a_pipe_gets_no_escape_sequences_and_a_terminal_does() -> None:
    assert ESCAPE not in console_text(value_red())
    coloured = console_text(value_red(), colour=True)
    assert ESCAPE in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == console_text(value_red()).splitlines()


def test_hostile_names_cannot_steer_the_terminal() -> None:
    text = console_text(hostile())
    assert not {c for c in text if not c.isprintable()} - {"\n"}


def test_commands_stand_on_one_line() -> None:
    report = value_red()
    long = "weavegate replay " + "x" * 300
    item = msgspec.structs.replace(report.findings[0], replay=long)
    text = console_text(msgspec.structs.replace(report, findings=(item,)))
    assert f"  replay: {long}\n" in text


def test_carets_stand_under_the_digits_that_differ() -> None:
    lines = console_text(value_red()).splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("  output[2]"))
    digits, carets = lines[place], lines[place + 1]
    marked = [digits[i] for i, c in enumerate(carets) if c == "^"]
    assert marked == ["6", "7", "6"]


def test_more_groups_than_fit_go_below_each_other() -> None:
    finding = msgspec.structs.replace(
        nan_finding(),
        observed=tuple(seen(p, Returned((f"f64:7ff800000000000{p}",), "")) for p in range(4)),
    )
    report = msgspec.structs.replace(nan_red(), findings=(finding_report(finding),))
    narrow = [line.split() for line in console_text(report, width=80).splitlines()]
    wide = [line.split() for line in console_text(report, width=120).splitlines()]
    assert ["A", "B", "C"] in narrow
    assert ["D"] in narrow
    assert ["A", "B", "C", "D"] in wide


def test_the_last_line_is_the_verdict_with_its_exit_code() -> None:
    for build in SAMPLES.values():
        report = build()
        last = console_text(report).splitlines()[-1]
        assert re.match(rf"(PASS|FINDINGS|UNDECIDED) \(exit {report.exit_code}\)  ", last)


def test_allowances_that_nothing_met_are_one_line_unless_all_is_asked_for() -> None:
    report = SAMPLES["allowed"]()
    used = report.allowances[0]
    unmet = tuple(
        msgspec.structs.replace(
            used,
            state="not met",
            allowance=msgspec.structs.replace(used.allowance, reason=f"reason {n}"),
        )
        for n in range(7)
    )
    report = msgspec.structs.replace(report, allowances=(*unmet, used))
    brief, full = console_text(report), console_text(report, verbose=True)
    assert "7 allowances about these nodes not met" in brief
    assert "reason 3" not in brief
    assert " ".join(used.allowance.reason.split()[:4]) in brief
    assert [f"reason {n}" in full for n in range(7)] == [True] * 7
    assert "not met: no finding" not in full


@pytest.mark.parametrize("width", [20, 40, 80])
def test_the_id_of_a_finding_is_never_broken(width: int) -> None:
    report = value_red()
    shown = console_text(report, width=width).splitlines()
    assert f"  {report.findings[0].id}" in shown
