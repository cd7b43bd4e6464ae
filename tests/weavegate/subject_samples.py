"""
Findings and nodes as a run would make them, for tests of what happens to them afterwards.
"""

from __future__ import annotations

from conformance.differential.findings import RunFinding
from conformance.differential.records import Blame, Finding, FindingClass, Observed
from runners.launch import Launch
from runners.records import (
    Budget,
    Call,
    EngineId,
    Families,
    Level,
    Node,
    NotObserved,
    Outcome,
    OutcomeKind,
    Returned,
)
from weavegate.nodes import Participant

NAMES = ("aa", "bb", "cc")


def participants(*, slow: bool) -> list[Participant]:
    """
    Three nodes of three families; the last is sampled if *slow*.
    """
    found = []
    for name in NAMES:
        engine = EngineId(name, "1.0.0")
        launch = Launch(
            engine=engine,
            families=Families(name, name),
            argv=("none",),
            worker_sha256="",
            artifact_sha256="",
        )
        found.append(Participant(Node(engine), launch, slow and name == "cc"))
    return found


def observed_finding(
    kind: FindingClass, last: OutcomeKind | None, *, slow: bool
) -> tuple[RunFinding, list[Participant]]:
    """
    A finding in which the last node stands apart: by *last*, or by its memory alone.
    """
    nodes = participants(slow=slow)
    returned = Returned((), "bytes:00")
    unseen = NotObserved("not asked")
    observed = tuple(
        Observed(
            node.node,
            node.launch.families.generator,
            Outcome(
                (last or returned) if node is nodes[-1] else returned,
                "0" * 64 if node is not nodes[-1] else "1" * 64,
                1,
                (),
                unseen,
                unseen,
            ),
        )
        for node in nodes
    )
    finding = Finding(
        property="replicates",
        kind=kind,
        blame=Blame("engine", ("cc@1.0.0",), "stands apart"),
        module_sha256="0" * 64,
        call=Call("infer"),
        budget=Budget(),
        level=Level.STATE,
        policy="fresh",
        nan="exact",
        history=("bytes:00",),
        observed=observed,
    )
    return RunFinding(finding, ("cc@1.0.0",), "other", (1,), 1), nodes
