"""
Which engines `weavegate fuzz` asks and in which form, and where it stops: real engines.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from fuzz_samples import engines

from conformance.generate.modules import generate
from conformance.wasm.decode import decode
from weavegate import fuzz_command as command_line
from weavegate.cli import main
from weavegate.exits import Exit, WeavegateError
from weavegate.fuzz_asked import asked_under, from_catalog
from weavegate.fuzz_job import FuzzOptions, FuzzReport, fuzz

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("fuzz")]

CONVERSIONS = {"f32.demote_f64", "f64.promote_f32"}
PAIR = ("--engine", "wasmtime", "--engine", "wasmer/singlepass")


def ran(*given: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["fuzz", *given])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


class Clock:
    """
    Stands still until the test moves it.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# ---------------------------------------------------------------------------- NaN profiles


def test_cosmwasm_has_no_false_findings(tmp_path: Path) -> None:
    given = ["--modules", "64", "--seed", "3", "--nan", "cosmwasm", "--out", str(tmp_path)]
    status, output = ran(*given, *PAIR)
    assert status == Exit.PASS, output
    assert "nothing differs" in output
    converting = [
        bool(CONVERSIONS & set(decode(generate(3, index).binary).operators)) for index in range(64)
    ]
    assert True in converting
    assert False in converting


def test_engines_that_are_not_rewritten_do_differ(tmp_path: Path) -> None:
    """
    The control: without mode and rewrite the same modules give other NaNs.
    """
    report = differing(tmp_path, most_tries=1, clock=Clock(), say=lambda _: None)
    assert report.exit_code == Exit.FINDINGS


def test_mode_and_rewrite_are_one_answer() -> None:
    nodes = engines("wasmtime", "wasmer/singlepass", "reference")
    forms = {
        profile: [
            (dict(node.node.engine.settings).get("nan"), node.rewrite)
            for node in asked_under(nodes, profile).nodes
        ]
        for profile in ("canonical", "cosmwasm", "exact")
    }
    assert forms["canonical"][:2] == [("canonical", None), (None, "canonical")]
    assert forms["cosmwasm"] == [(None, "cosmwasm"), (None, "cosmwasm")]
    assert forms["exact"] == [(None, None)] * 3


# ------------------------------------------------------------------------- who is not asked


def test_an_engine_that_is_not_asked_is_told(tmp_path: Path) -> None:
    given = ["--modules", "2", "--nan", "cosmwasm", "--out", str(tmp_path), *PAIR]
    status, output = ran(*given, "--engine", "reference")
    assert status == Exit.PASS, output
    assert re.search(r"NOT ASKED, although named: reference@\S+ makes NaNs canonical", output)
    told = json.loads((tmp_path / "fuzz.json").read_text())["not_asked"]
    assert [(item["label"].split("@")[0], item["named"]) for item in told] == [("reference", True)]
    assert "cosmwasm" in told[0]["reason"]


def test_nobody_is_called_left_out_who_is_asked(tmp_path: Path) -> None:
    status, output = ran("--modules", "2", "--out", str(tmp_path), *PAIR, "--engine", "reference")
    assert status == Exit.PASS, output
    assert "NOT ASKED" not in output
    assert json.loads((tmp_path / "fuzz.json").read_text())["not_asked"] == []


def test_a_core_engine_that_is_left_out_was_not_named() -> None:
    nodes = engines("wasmtime", "wasmer/singlepass", "reference")
    assert [item.named for item in asked_under(nodes, "cosmwasm").left_out] == [False]


def test_two_names_for_one_form_are_asked_once() -> None:
    nodes = engines("wasmtime", "wasmtime+nan=canonical", "wasmer/singlepass")
    asked = asked_under(nodes, "canonical", named=True)
    assert len(asked.nodes) == 2
    assert "which is asked already" in asked.left_out[0].reason
    assert len(asked_under(nodes, "exact").nodes) == 3


def test_fewer_than_two_left_is_undecided_with_the_reason(tmp_path: Path) -> None:
    given = ["--nan", "cosmwasm", "--out", str(tmp_path), "--engine", "wasmtime"]
    status, output = ran(*given, "--engine", "reference")
    assert status == Exit.UNDECIDED
    assert "only 1 of 2 engines" in output
    assert "makes NaNs canonical" in output


@pytest.mark.parametrize("names", [("wasmtime",), ("wasmtime", "wasmtime@50.0.1/cranelift")])
def test_one_engine_or_one_twice_is_wrong_usage(tmp_path: Path, names: tuple[str, ...]) -> None:
    given = [word for name in names for word in ("--engine", name)]
    status, output = ran("--modules", "1", "--out", str(tmp_path), *given)
    assert status == Exit.USAGE
    assert ("name every engine once" if len(names) > 1 else "name two or more") in output
    assert not (tmp_path / "fuzz.json").exists()


def test_an_engine_twice_beside_another_is_wrong_usage() -> None:
    with pytest.raises(WeavegateError, match="name every engine once") as caught:
        from_catalog(("wasmtime", "wasmer/singlepass", "wasmtime"))
    assert caught.value.status == Exit.USAGE
    assert len(from_catalog(("wasmtime", "wasmer/singlepass"))) == 2


# ------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_no_time_is_wrong_usage(tmp_path: Path, minutes: str) -> None:
    status, output = ran("--minutes", minutes, "--out", str(tmp_path), *PAIR)
    assert status == Exit.USAGE
    assert "minutes" in output


def test_no_judged_module_is_undecided(tmp_path: Path) -> None:
    status, output = ran("--minutes", "1e-9", "--out", str(tmp_path), *PAIR)
    assert status == Exit.UNDECIDED
    assert "no module was judged" in output
    assert "nothing differs" not in output


def test_fewer_modules_than_asked_are_told(tmp_path: Path) -> None:
    clock = Clock()

    def step(*_: int) -> None:
        clock.now = 1e9

    report = fuzz(options(tmp_path, modules=100), lambda _: None, step, clock=clock)
    assert (report.modules, report.wanted, report.exit_code) == (64, 100, Exit.PASS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_line, "fuzz", lambda *_: report)
        assert "the time was up after 64 of 100 modules" in ran("--out", str(tmp_path), *PAIR)[1]


def options(out: Path, *, modules: int | None = None, first: int = 0) -> FuzzOptions:
    names = ("wasmtime", "wasmer/singlepass")
    return FuzzOptions(out=out, minutes=5, modules=modules, first=first, engines=names)


# -------------------------------------------------------------------------------- shrinking


def differing(
    out: Path, *, most_tries: int = 1_200, clock: Clock, say: Callable[[str], None]
) -> FuzzReport:
    """
    A run that soon meets a NaN which each engine makes in its own way.
    """
    given = FuzzOptions(
        out=out, minutes=5, modules=64, seed=3, nan="exact", stop_at_first=True,
        most_tries=most_tries,
    )  # fmt: skip
    return fuzz(given, say, nodes=engines("wasmtime", "wasmer/singlepass"), clock=clock)


def size(report: FuzzReport) -> int:
    return report.findings[0].operators


def test_shrinking_ends_with_the_time(tmp_path: Path) -> None:
    clock = Clock()

    def say(text: str) -> None:
        if "shrinking" in text:
            clock.now = 1e9

    report = differing(tmp_path, clock=clock, say=say)
    found = report.findings[0]
    assert (found.cut_short, found.tries) == ("time", 0)
    assert found.operators == generate(3, found.index).operators
    assert "not fully shrunk, the time was up" in found.shrinking
    assert Path(found.file).is_file()


def test_shrinking_ends_with_the_tries(tmp_path: Path) -> None:
    report = differing(tmp_path, most_tries=5, clock=Clock(), say=lambda _: None)
    found = report.findings[0]
    assert (found.cut_short, found.tries) == ("tries", 5)
    assert "not fully shrunk" in found.shrinking
    assert found.shrinking in shown(report, tmp_path)


def test_shrinking_that_came_to_its_end_says_so(tmp_path: Path) -> None:
    report = differing(tmp_path, clock=Clock(), say=lambda _: None)
    found = report.findings[0]
    assert found.cut_short == ""
    assert 5 < found.tries < 1_200
    assert "not fully shrunk" not in shown(report, tmp_path)
    assert found.shrinking == f"shrunk in {found.tries} tries"
    assert size(report) < generate(3, found.index).operators


def shown(report: FuzzReport, out: Path) -> str:
    """
    What the command prints about a report.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_line, "fuzz", lambda *_: report)
        return ran("--out", str(out), *PAIR)[1]


# ----------------------------------------------------------------------------- interruption


def test_after_an_interruption_the_sentence_is_true(tmp_path: Path) -> None:
    def step(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(WeavegateError) as caught:
        fuzz(options(tmp_path, modules=66), lambda _: None, step)
    assert caught.value.status == Exit.INTERRUPTED
    sentence = str(caught.value)
    assert "interrupted after 64 modules" in sentence
    assert str(tmp_path / "fuzz.json") in sentence
    kept = json.loads((tmp_path / "fuzz.json").read_text())
    assert kept["modules"] == 64

    line = re.search(r"`weavegate fuzz (.*)` goes on", sentence)
    assert line is not None
    assert "--first 64 --modules 2" in line[1]
    status, output = ran(*shlex.split(line[1]))
    assert status == Exit.PASS, output
    on = json.loads((tmp_path / "fuzz.json").read_text())
    assert (on["first"], on["modules"], on["seed"]) == (64, 2, kept["seed"])
    assert on["cases"] == sum(len(generate(0, index).rows) for index in (64, 65))


def test_a_finding_interrupted_in_shrinking_comes_again(tmp_path: Path) -> None:
    def say(text: str) -> None:
        if "shrinking" in text:
            raise KeyboardInterrupt

    with pytest.raises(WeavegateError) as caught:
        differing(tmp_path, clock=Clock(), say=say)
    first = re.search(r"--first (\d+)", str(caught.value))
    assert first is not None
    said: list[str] = []
    again = differing(tmp_path, most_tries=1, clock=Clock(), say=said.append)
    assert int(first[1]) == again.findings[0].index


def test_an_interruption_before_any_module_keeps_nothing(tmp_path: Path) -> None:
    def say(text: str) -> None:
        if text == "starting workers":
            raise KeyboardInterrupt

    with pytest.raises(WeavegateError, match="nothing is kept") as caught:
        fuzz(options(tmp_path), say)
    assert caught.value.status == Exit.INTERRUPTED
    assert not (tmp_path / "fuzz.json").exists()


def test_the_command_ends_interrupted_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupting(given: FuzzOptions, say: Callable[[str], None], *_: object) -> FuzzReport:
        def step(*_: int) -> None:
            raise KeyboardInterrupt

        return fuzz(given, say, step)

    monkeypatch.setattr(command_line, "fuzz", interrupting)
    status, output = ran("--seed", "2", "--out", str(tmp_path), *PAIR)
    assert status == Exit.INTERRUPTED
    assert "--seed 2 --first 64" in output
    assert "run it again to go on" not in output
