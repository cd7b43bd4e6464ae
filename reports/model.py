"""
The report record: everything any report prints, and nothing that has to be computed again.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from conformance.differential.bisection import FirstDifference
from conformance.differential.records import Allowance, Finding
from runners.records import Families, Identity, Node

Verdict = Literal["holds", "fails", "undecided", "not-asked"]


class Subject(Struct, frozen=True, kw_only=True):
    """
    The module.
    """

    name: str
    path: str
    sha256: str
    size_bytes: int
    imports: tuple[str, ...]
    exports: tuple[str, ...]
    memory_pages: tuple[int, int | None] | None
    """Minimum and maximum of its memory."""
    proposals: tuple[str, ...]


class Strength(Struct, frozen=True, kw_only=True):
    """
    What "no difference seen" is worth for one code-generator family.
    """

    generator: str
    cases: int
    differing: int
    rate_below: float
    """Upper bound of the rate of differing cases at 95 % (rule of three); 1.0 without cases."""


class PropertyVerdict(Struct, frozen=True, kw_only=True):
    """
    One property of the certificate.
    """

    property: str
    verdict: Verdict
    sentence: str
    strength: tuple[Strength, ...] = ()


class NodeReport(Struct, frozen=True, kw_only=True):
    """
    One node that took part, or was not asked.
    """

    node: Node
    label: str
    families: Families
    identity: Identity | None
    """None when it never came up."""
    role: Literal["all cases", "sample", "not asked"]
    reason: str = ""
    """Why it was not asked, or only a sample."""
    cases_result: int = 0
    """Cases compared at level `result` only."""
    cases_state: int = 0
    cases_full: int = 0
    agreeing: int = 0
    differing: int = 0
    abstained: int = 0
    broken: int = 0


class Sampling(Struct, frozen=True, kw_only=True):
    """
    Which cases slow engines saw, in cases; drawn from seed and case id alone.
    """

    seed: int
    edge: int
    sample: int
    bulk: int
    full_share: float
    sample_share: float


class Unobserved(Struct, frozen=True, kw_only=True):
    """
    Something that one or more nodes could not show.
    """

    aspect: str
    nodes: tuple[str, ...]
    reason: str
    nobody: bool
    """True when no node at all showed it: then nothing is claimed about it."""


class Origin(Struct, frozen=True, kw_only=True):
    """
    Where cases came from and how many.
    """

    origin: str
    """`dataset`, `uniform` or `edge`."""
    cases: int


class FindingReport(Struct, frozen=True, kw_only=True):
    """
    A finding with what a reader needs beside it.
    """

    id: str
    finding: Finding
    file: str
    replay: str
    """The one command that replays it."""
    allowed_by: str = ""
    """Reason of the allowance that covers it; empty: red."""


class AllowanceReport(Struct, frozen=True, kw_only=True):
    """
    An allowance that bears on this run.
    """

    allowance: Allowance
    state: Literal["used", "not met", "stale", "expired"]


class Measured(Struct, frozen=True, kw_only=True):
    """
    Time one engine spent in its batches.
    """

    label: str
    cases: int
    """Cases that ran now; those served from evidence are counted beside them, not among them."""
    served_from_evidence: int
    busy_ms: float
    us_per_case: float


class FirstOperator(Struct, frozen=True, kw_only=True):
    """
    The search for the operator of a finding that was the first to give two nodes something else.

    It ends by the clock, so that it is a part of the run and of no digest.
    """

    finding: str
    """Id of the finding."""
    nodes: tuple[str, ...]
    """Labels of the two nodes, in the order of `first.values`; empty where there are no two."""
    first: FirstDifference | None = None
    why_not: str = ""
    """Where it was not found: why, in one sentence."""

    def __str__(self) -> str:
        """
        One line for reports.
        """
        if self.first is None:
            return f"not found: {self.why_not}"
        return f"{self.first} ({' against '.join(self.nodes)})"


class Run(Struct, frozen=True, kw_only=True):
    """
    What cannot be reproduced: left out of every digest.
    """

    started: str
    wall_ms: float
    host: str
    weavegate: str
    command: str
    engines: tuple[Measured, ...]
    unstable: tuple[str, ...] = ()
    operators: tuple[FirstOperator, ...] = ()
    """For the first red findings, the operators in which nodes part."""

    def operator_of(self, finding: str) -> FirstOperator | None:
        """
        What was looked for in a finding, by its id.
        """
        return next((one for one in self.operators if one.finding == finding), None)


class Report(Struct, frozen=True, kw_only=True):
    """
    One run of `weavegate certify`.
    """

    schema: int = 1
    subject: Subject
    verdicts: tuple[PropertyVerdict, ...]
    nodes: tuple[NodeReport, ...]
    nan: str
    effort: str
    sampling: Sampling
    origins: tuple[Origin, ...]
    unobserved: tuple[Unobserved, ...]
    findings: tuple[FindingReport, ...]
    allowances: tuple[AllowanceReport, ...]
    as_of: str
    """Date that allowances were judged against."""
    accuracy: str = ""
    """Accuracy on held-out rows, computed from the module's output; empty: no labels."""
    evidence_sha256: str
    """Digest of the outcomes, equal for equal runs."""
    exit_code: int
    run: Run
