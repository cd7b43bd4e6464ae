"""
How soon generated modules rediscover published miscompilations of old wheels, against random soup.

A find counts only if the same module shows nothing on the next wheel, in which the bug is cured.
Run as a program it prints the table: `python tests/weavegate/fuzz_power.py [SECONDS [SEEDS]]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fuzz_samples import engines

from weavegate.exits import Exit
from weavegate.fuzz_job import FuzzOptions, fuzz
from weavegate.replay_job import replay
from weavegate.terminal import Output

JUDGE: Final = "wasmtime@50.0.1"
BUDGET_S: Final = 600.0
"""For one bug and method, shared by its seeds."""
SEEDS: Final = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Bug:
    """
    A published defect: the wheel that has it, and the next that has not.
    """

    name: str
    red: str
    green: str


BUGS: Final = (
    Bug("CVE-2021-32629 (spilled i32 reloaded with its sign)", "0.26.0", "0.27.0"),
    Bug("CVE-2023-26489 (shift folded into an address)", "6.0.0", "7.0.0"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    What one seed came to.
    """

    modules: int
    seconds: float
    """Until the difference was seen, or until the time was up."""
    found: bool
    operators: int
    """Of the shrunk module."""


def attempt(bug: Bug, generator: Literal["shapes", "soup"], seed: int, seconds: float) -> Attempt:
    """
    Fuzz the red wheel beside a recent one until they differ or the time is up.
    """
    moments: list[float] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weavegate-") as folder:
        options = FuzzOptions(
            out=Path(folder),
            minutes=seconds / 60,
            seed=seed,
            generator=generator,
            counted=False,
            stop_at_first=True,
        )
        pair = engines(f"wasmtime@{bug.red}", JUDGE)
        report = fuzz(options, lambda _: moments.append(time.monotonic() - started), nodes=pair)
        if not report.findings:
            return Attempt(report.modules, seconds, found=False, operators=0)
        found = report.findings[0]
        cured = cured_by(bug, Path(found.file))
        return Attempt(report.modules, moments[1], found=cured, operators=found.operators)


def cured_by(bug: Bug, finding: Path) -> bool:
    """
    Whether a finding shows on the red wheel and not on the green one.
    """
    quiet = Output(stderr=True)
    quiet.quiet = True
    shows = [
        replay(quiet, finding, None, (f"wasmtime@{version}", JUDGE))
        for version in (bug.red, bug.green)
    ]
    return shows == [Exit.FINDINGS, Exit.PASS]


def main() -> None:
    """
    Print the table.
    """
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else BUDGET_S / len(SEEDS)
    seeds = SEEDS[: int(sys.argv[2])] if len(sys.argv) > 2 else SEEDS
    for bug in BUGS:
        for generator in ("shapes", "soup"):
            for seed in seeds:
                found = attempt(bug, generator, seed, seconds)
                how = f"found, {found.operators} operators" if found.found else "not found"
                sys.stdout.write(
                    f"{bug.name} | {generator} | seed {seed} | {found.modules:,} modules"
                    f" | {found.seconds:.1f} s | {how}\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
