"""
Sentences and figures that every form of a report words alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final, Literal

from reports.escapes import shortened

if TYPE_CHECKING:
    from reports.model import FindingReport, NodeReport, Report, Strength, Verdict

Tone = Literal["good", "bad", "open"]

VERDICT_WORDS: Final[dict[Verdict, str]] = {
    "holds": "holds",
    "fails": "FAILS",
    "undecided": "undecided",
    "not-asked": "not asked",
}

DEFECT_RATES: Final = (100, 1_000, 10_000)
"""A defect that shows in one of so many cases: for these the chance of missing it is printed."""


@dataclass(frozen=True, slots=True)
class Headline:
    """
    The one-line verdict.
    """

    word: str
    """`PASS`, `FINDINGS`, `REFUSED`, `UNDECIDED`, `INTERRUPTED`, `ERROR` or `CONTRADICTION`."""
    tone: Tone
    sentence: str


def count(number: int, noun: str, plural: str = "") -> str:
    """
    `1 case`, `12,000 cases`.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def red_findings(report: Report) -> tuple[FindingReport, ...]:
    """
    Return the findings that no allowance covers.
    """
    return tuple(item for item in report.findings if not item.allowed_by)


def cases_of(node: NodeReport) -> int:
    """
    Cases in which a node was compared, at any level.
    """
    return node.cases_result + node.cases_state + node.cases_full


def total_cases(report: Report) -> int:
    """
    Cases of the run: edge cases, the sample, and the bulk.
    """
    return report.sampling.edge + report.sampling.sample + report.sampling.bulk


def generators(report: Report) -> tuple[str, ...]:
    """
    Code-generator families of the nodes that took part, sorted.
    """
    return tuple(sorted({n.families.generator for n in report.nodes if n.role != "not asked"}))


def _contradicts(report: Report) -> bool:
    """
    Tell whether the exit code says pass although something in the record is red or open.
    """
    bad = any(v.verdict == "fails" for v in report.verdicts) or bool(red_findings(report))
    stale = any(item.state == "stale" for item in report.allowances)
    unsure = any(v.verdict == "undecided" for v in report.verdicts)
    return report.exit_code == 0 and (bad or stale or unsure)


def headline(report: Report) -> Headline:
    """
    Give the verdict of the run by its exit code: 0 pass, 1 findings, 3 could not decide.

    A record that says 0 beside something red is called a contradiction, never a pass.
    """
    counted = Counter(verdict.verdict for verdict in report.verdicts)
    asked = len(report.nodes) - sum(n.role == "not asked" for n in report.nodes)
    properties = [count(counted["holds"], "property holds", "properties hold")]
    if counted["fails"]:
        properties.append(f"{counted['fails']} {'fails' if counted['fails'] == 1 else 'fail'}")
    if counted["undecided"]:
        properties.append(f"{counted['undecided']} undecided")
    if report.exit_code == 1 and not report.nodes and not report.findings:
        failed = ", ".join(v.property for v in report.verdicts if v.verdict == "fails")
        return Headline("REFUSED", "bad", f"{failed or 'no property'} fails; no node has run it")
    families = count(len(generators(report)), "family", "families")
    parts = [
        ", ".join(properties),
        f"{count(asked, 'node')}, {families}, {count(total_cases(report), 'case')}",
        count(len(red_findings(report)), "finding"),
    ]
    used = sum(item.state == "used" for item in report.allowances)
    if used:
        parts[-1] += f", {count(used, 'allowance')} used"
    stale = sum(item.state == "stale" for item in report.allowances)
    if stale:
        parts.append(count(stale, "stale allowance"))
    known: dict[int, tuple[str, Tone]] = {
        0: ("PASS", "good"),
        1: ("FINDINGS", "bad"),
        3: ("UNDECIDED", "open"),
        130: ("INTERRUPTED", "open"),
    }
    word, tone = known.get(report.exit_code, ("ERROR", "bad"))
    if _contradicts(report):
        word, tone = "CONTRADICTION", "bad"
        parts.insert(0, "the exit code says pass, the record does not")
    return Headline(word, tone, "; ".join(parts))


def rate_words(rate: float) -> str:
    """
    Write an upper bound of a rate with two digits, rounded up: `0.025 %`, `3.0e-7`.
    """
    exact = Decimal(repr(rate))
    if exact <= 0:
        return "0"
    step = Decimal(1).scaleb(exact.adjusted() - 1)
    bound = min(exact.quantize(step, rounding=ROUND_CEILING), max(exact, Decimal(1)))
    if bound < Decimal("0.00001"):
        return f"{bound:.1e}"
    percent = f"{(bound * 100):f}"
    return (percent.rstrip("0").rstrip(".") if "." in percent else percent) + " %"


def duration_words(microseconds: float) -> str:
    """
    Write a duration with two or three digits and the unit that suits it: `66 us`, `2.6 s`.
    """
    steps = (("s", 1e6), ("ms", 1e3), ("us", 1.0))
    unit, size = next((step for step in steps if microseconds >= step[1]), steps[-1])
    value = microseconds / size
    return f"{value:,.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"  # noqa: PLR2004 - two digits


def strength_words(strength: Strength) -> str:
    """
    Say what was seen of one family, and what that is worth.
    """
    if strength.cases == 0:
        return f"{shortened(strength.generator)}: no cases, so nothing is known"
    seen = f"{strength.differing:,} of {strength.cases:,} differ"
    bound = f"rate < {rate_words(strength.rate_below)} at 95 %"
    return f"{shortened(strength.generator)}: {seen}, {bound}"


def drawn_cases(report: Report, node: NodeReport) -> int:
    """
    Cases of a node that were drawn at random: all that it saw but the fixed edge cases.
    """
    return max(0, cases_of(node) - report.sampling.edge)


def missed_words(draws: int, one_in: int) -> str:
    """
    Chance that *draws* random cases all miss a defect that shows in one of *one_in*.

    (1 - 1/one_in) ** draws, rounded up: cases are drawn independently.
    """
    chance = (1 - 1 / one_in) ** draws
    return "< 0.001 %" if chance < 1e-5 else rate_words(chance)  # noqa: PLR2004 - 0.001 %


def blame_words(item: FindingReport) -> str:
    """
    Who is named, and why.
    """
    blame = item.finding.blame
    who = ", ".join(shortened(label) for label in blame.nodes) or blame.party
    if blame.party == "undecided":
        who = "nobody is named"
    elif blame.nodes:
        who = f"{blame.party} {who}"
    return f"{who}: {shortened(blame.reason, 400)}"


def sampling_sentence(report: Report) -> str:
    """
    Which cases there were and who saw them.
    """
    s = report.sampling
    return (
        f"{count(total_cases(report), 'case')} from seed {s.seed}: {s.edge:,} edge cases and a "
        f"sample of {s.sample:,} for every node, {s.bulk:,} more for nodes that can keep up."
    )
