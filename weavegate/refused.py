"""
The report on a module that is not run, because its imports are refused.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from importlib.metadata import version

from reports.model import PropertyVerdict, Report, Run, Sampling
from weavegate.exits import Exit
from weavegate.imports_verdict import refused_imports
from weavegate.subject import Subject
from weavegate.summary import subject_report


def refused_report(
    subject: Subject,
    *,
    nan: str,
    effort: str,
    seed: int,
    as_of: date | None,
    command: str,
    started: float,
    unasked: Sequence[str] = (),
) -> Report:
    """
    Every property but imports-deterministic is left unasked: no engine has seen the module.

    *unasked*: further properties that would have been judged.
    """
    left = tuple(
        PropertyVerdict(
            property=name,
            verdict="not-asked",
            sentence="its imports are refused, so it was not run",
        )
        for name in ("replicates", "faithful", "no-residue", *unasked)
    )
    day = as_of or datetime.now(UTC).date()
    return Report(
        subject=subject_report(subject),
        verdicts=(*left, refused_imports(subject)),
        nodes=(),
        nan=nan,
        effort=effort,
        sampling=Sampling(seed=seed, edge=0, sample=0, bulk=0, full_share=0.0, sample_share=0.0),
        origins=(),
        unobserved=(),
        findings=(),
        allowances=(),
        as_of=day.isoformat(),
        evidence_sha256=hashlib.sha256(b"").hexdigest(),
        exit_code=int(Exit.FINDINGS),
        run=Run(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            wall_ms=(time.monotonic() - started) * 1000,
            host=f"{platform.system()} {platform.machine()}",
            weavegate=version("weavegate"),
            command=command,
            engines=(),
        ),
    )
