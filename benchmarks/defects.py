"""
`python -m benchmarks.defects`: on which releases each real defect that checking found shows.

Every defect ships as the smallest module that shows it (`vectors/defects`). It is put to every
catalogued release of the engines that it names; those that are not installed are installed one at a
time and removed again. A release in which it does not show is the control beside the others.
"""

from __future__ import annotations

import base64
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import click

from benchmarks.at_hand import at_hand
from benchmarks.defect_asking import Answer, apart, fuel, values
from benchmarks.defect_list import Defect, defects
from benchmarks.fuel_probes import assembled
from benchmarks.loop_process import LOOPS, BenchmarkError
from conformance.wasm.verdict import judge
from runners.catalog import Catalog, order
from runners.environments import Environments, MissingEngineError
from runners.markers import InstallError
from runners.pool import WorkerLostError, WorkerStartError
from runners.records import EngineId
from vectors.invalid_forms import FORMS
from weavegate.acceptance_job import Acceptance
from weavegate.exits import plainly

TARGET: Final = Path(__file__).parent.parent / "docs" / "defects.md"
Answered = Literal["accepted", "refused", "refused late", "broke", "not asked"]
Say = Callable[[str], None]
_ZERO: Final = '(global (export "zero") i32 (i32.const 0))'
_ABSENT: Final = (MissingEngineError, InstallError, WorkerLostError, WorkerStartError)


@dataclass(slots=True)
class Measured:
    """
    Defect -> release -> what it answered; releases oldest first.
    """

    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)
    controls: dict[str, Answer] = field(default_factory=dict)
    """Defect -> what its control answered."""
    wrapped: dict[str, str] = field(default_factory=dict)
    """wasmtime wheel -> what stands for a global that is zero: `number`, or a type's name."""
    taken: dict[str, Counter[Answered]] = field(default_factory=dict)
    """Interpreter release -> answers to the invalid forms."""
    absent: dict[str, str] = field(default_factory=dict)
    """Release that cannot be had here -> why."""

    def note(self, defect: str, release: str, answer: Answer) -> None:
        """
        Keep one answer.
        """
        self.answers.setdefault(defect, {})[release] = answer


def releases(family: str, catalog: Catalog) -> list[EngineId]:
    """
    All catalogued releases of `name` or `name/compiler`, oldest first.
    """
    name, _, compiler = family.partition("/")
    entry = catalog.entry(name)
    since = entry.compilers[compiler or entry.default_compiler].since
    return [
        catalog.resolve(EngineId(name, version, compiler))
        for version in sorted(entry.versions, key=order)
        if order(version) >= order(since)
    ]


def _one_release(
    engine: EngineId, asked: Sequence[Defect], catalog: Catalog, measured: Measured
) -> None:
    """
    Put all *asked* defects to one release.
    """
    label = str(engine)
    by_value = [defect for defect in asked if defect.shows == "value"]
    by_fuel = [defect for defect in asked if defect.shows in ("fuel-more", "fuel-same")]
    found: dict[str, Answer] = {}
    if by_value:
        found |= values(by_value, engine, catalog)
    if by_fuel:
        found |= fuel(by_fuel, engine.version)
    for defect in asked:
        if defect.shows == "fuel-apart":
            found[defect.name] = apart(defect, engine, catalog)
    for name, answer in found.items():
        measured.note(name, label, answer)


def measure(catalog: Catalog, say: Say, families: Sequence[str] = ()) -> Measured:
    """
    Put every defect to every release of its engines, or of *families* alone.
    """
    measured = Measured()
    every = defects()
    for family in dict.fromkeys(name for defect in every for name in defect.engines):
        if families and family not in families:
            continue
        asked = [defect for defect in every if family in defect.engines]
        for engine in releases(family, catalog):
            try:
                _one_release(engine, asked, catalog, measured)
                if family == "wasmtime/cranelift":
                    measured.wrapped[engine.version] = zero_global(engine, catalog)
            except _ABSENT as error:
                measured.absent[str(engine)] = _reason(error)
            say(f"{engine}: {_told(measured, str(engine))}")
    for defect in every:
        if defect.name in measured.answers:
            measured.controls[defect.name] = _control(defect, catalog)
    for family in families or ("pywasm", "wasm3"):
        if family in ("pywasm", "wasm3"):
            _acceptance(releases(family, catalog), catalog, measured, say)
    return measured


def _reason(error: Exception) -> str:
    """
    Why a release cannot be had, in a few words.
    """
    if isinstance(error, InstallError):
        return "its source archive does not build"
    return " ".join(str(error).split())[:120]


def _control(defect: Defect, catalog: Catalog) -> Answer:
    """
    What a defect's control answers.
    """
    engine = catalog.resolve(defect.control)
    if defect.shows == "value":
        return values([defect], engine, catalog)[defect.name]
    if defect.shows == "fuel-apart":
        # Beside itself: what is compared is another compiler of the same wheel.
        return apart(defect, engine, catalog)
    return fuel([defect], engine.version)[defect.name]


def _told(measured: Measured, label: str) -> str:
    if label in measured.absent:
        return measured.absent[label]
    found = Counter(one[label] for one in measured.answers.values() if label in one)
    return ", ".join(f"{count} {answer}" for answer, count in sorted(found.items()))


def zero_global(engine: EngineId, catalog: Catalog) -> str:
    """
    What a wasmtime wheel's Python API gives for an exported global that is zero.
    """
    text = base64.b64encode(assembled(_ZERO).binary).decode("ascii")
    with at_hand(engine, catalog) as launch:
        done = subprocess.run(
            [*launch.argv[:-1], str(LOOPS / "zero_global.py")],
            input=text,
            capture_output=True,
            check=False,
            env=dict(launch.environment),
            encoding="utf-8",
        )
    if done.returncode:
        raise BenchmarkError(f"{engine}: the zero global could not be read")
    return done.stdout.strip()


def _acceptance(
    engines: Sequence[EngineId], catalog: Catalog, measured: Measured, say: Say
) -> None:
    """
    Put the invalid forms to interpreters.
    """
    for engine in engines:
        if str(engine) in measured.absent:
            continue
        try:
            with at_hand(engine, catalog) as launch:
                (status,) = Environments(catalog).status((engine,))
                with Acceptance([(status, launch)]) as asked:
                    found = Counter(
                        asked.ask(data, judge(data))[0].answer for data, _ in FORMS.values()
                    )
        except _ABSENT as error:
            measured.absent[str(engine)] = _reason(error)
            continue
        measured.taken[str(engine)] = found
        say(f"{engine}: takes {found['accepted']} of {len(FORMS)} invalid modules")


# ------------------------------------------------------------------------------- the page


def spans(chosen: Sequence[bool], versions: Sequence[str]) -> str:
    """
    The chosen ones among *versions*, as ranges.
    """
    parts: list[str] = []
    start: int | None = None
    for place, flag in enumerate([*chosen, False]):
        if flag and start is None:
            start = place
        elif not flag and start is not None:
            first, last = versions[start], versions[place - 1]
            parts.append(first if start == place - 1 else f"{first} to {last}")
            start = None
    return ", ".join(parts) or "none"


def row(defect: Defect, family: str, measured: Measured) -> str | None:
    """
    A defect's line for one family; None if none of its releases was asked.
    """
    compiler = family.partition("/")[2]
    answers = {
        label.partition("@")[2].partition("/")[0]: answer
        for label, answer in measured.answers.get(defect.name, {}).items()
        if label.partition("@")[0] == family.partition("/")[0]
        and label.partition("/")[2] in ("", compiler)
    }
    if not answers:
        return None
    versions = list(answers)
    shown = spans([answer == "shows" for answer in answers.values()], versions)
    not_shown = spans([answer == "does not" for answer in answers.values()], versions)
    if not_shown == "none":
        not_shown = "all tried show it"
    control = f"`{defect.control}`: {measured.controls.get(defect.name, 'not asked')}"
    cells = (defect.title, f"`{family}`", shown, not_shown, f"{len(versions)}", control)
    return f"| {' | '.join(cells)} |"


_TEXT: Final = """# Defects of engines, and the releases that have them

Written by `python -m benchmarks.defects`. Each line is one defect that checking found: its smallest
module ships in `vectors/defects`, with what found it, and was put to every catalogued release that
can be installed here; ranges are of those. *Shows* is judged against the reference evaluator, bit
by bit, or, where fuel is concerned, between two calls (`benchmarks/defect_list.py` says how). The
control is an engine, or a release, in which it must not show.

| defect | engine | shows | does not show | releases asked | control |
|---|---|---|---|---|---|
"""


_BY_HAND: Final = """- `wasmer@1.0.0`, which is not catalogued, panics when an engine is made on
  the CPU at hand (`assertion failed: res.eax == 0`); before it there was no choice of compilers."""


def page(measured: Measured) -> str:
    """
    The page, as Markdown.
    """
    every = defects()
    rows = [row(one, family, measured) for one in every for family in one.engines]
    parts = [_TEXT + "\n".join(filter(None, rows)) + "\n"]
    if measured.wrapped:
        versions = list(measured.wrapped)
        bad = spans([one != "number" for one in measured.wrapped.values()], versions)
        good = spans([one == "number" for one in measured.wrapped.values()], versions)
        parts.append(
            "\n## Globals that are zero\n\nThe Python API of some wasmtime wheels gives a wrapper"
            " in place of the number of a global\nthat is zero; the worker reads the bits itself."
            f"\n\n| wrapper | number |\n|---|---|\n| {bad} | {good} |\n"
        )
    if measured.taken:
        parts.append(_accepted(measured))
    if measured.absent:
        lines = [f"- `{label}`: {why}" for label, why in measured.absent.items()]
        parts.append("\n## Not asked\n\n" + "\n".join([*lines, _BY_HAND]) + "\n")
    return "".join(parts)


def _accepted(measured: Measured) -> str:
    """
    How many invalid modules each interpreter takes, releases that take as many in one line.
    """
    lines = [
        "\n## Invalid modules that interpreters take\n",
        f"Of the {len(FORMS)} forms of `vectors/invalid_forms.py` ([by form](acceptance.md)).\n",
        "| engine | releases | accepted | refused | refused late | not asked | died |",
        "|---|---|---|---|---|---|---|",
    ]
    kinds: tuple[Answered, ...] = ("accepted", "refused", "refused late", "not asked", "broke")
    names = dict.fromkeys(label.partition("@")[0] for label in measured.taken)
    for name in names:
        own = {
            k.partition("@")[2]: v for k, v in measured.taken.items() if k.startswith(name + "@")
        }
        versions = list(own)
        for found in {tuple(one[kind] for kind in kinds): None for one in own.values()}:
            chosen = [tuple(one[kind] for kind in kinds) == found for one in own.values()]
            cells = " | ".join(map(str, found))
            lines.append(f"| `{name}` | {spans(chosen, versions)} | {cells} |")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--engine", "families", multiple=True, help="Such as pywasm or wasmtime/cranelift.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the page here.")
def main(families: tuple[str, ...], out: Path | None) -> None:
    """
    Measure on which releases each shipped defect shows.

    \b
    Examples:
      python -m benchmarks.defects --engine pywasm
      python -m benchmarks.defects --out docs/defects.md     every release, in about 10 minutes
    """  # noqa: D301 - click looks for the backspace itself
    with plainly():
        measured = measure(Catalog.load(), lambda text: click.echo(text, err=True), families)
        text = page(measured)
    if out is None:
        click.echo(text)
    else:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
