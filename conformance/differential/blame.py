"""
Who is named for a difference, and why, in one sentence.

A family of code has one voice, none when its members differ. An engine is named only where at
least three families have a voice and more than half of them, at least two, agree against it; with
two voices nobody is named. The margin is part of the sentence, because two that err alike outvote
one that does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from conformance.differential.division import (
    LEAST_FAMILIES,
    Aspect,
    Count,
    Disagreement,
    Division,
    count_families,
    deviants,
    family,
)
from conformance.differential.records import Blame, FindingClass

_SUBJECTS: Final[dict[Aspect, str]] = {
    "kind": "how the call ends",
    "results": "the result bits",
    "memory": "the bytes of memory",
    "pages": "the pages of memory",
    "globals": "the exported globals",
    "gas": "the reading of one meter",
    "host-calls": "the host calls",
}


def blame(disagreement: Disagreement) -> Blame:
    """
    Name who is to blame for *disagreement*, or nobody.
    """
    return blame_division(disagreement.division)


def blame_division(division: Division) -> Blame:  # noqa: PLR0911 - one return for each class
    """
    Name who is to blame for every case that divides nodes in this way.
    """
    match division.kind:
        case FindingClass.LIMIT:
            return _limit(division)
        case FindingClass.BROKEN_WORKER:
            return _broken(division)
        case FindingClass.FLAKY:
            reason = f"{listed(deviants(division))} gave two outcomes for one and the same case."
            return Blame("engine", deviants(division), reason)
        case FindingClass.UNFAITHFUL:
            reason = "The nodes agree on bits that are not those of the declared semantics."
            return Blame("module", (), reason)
        case FindingClass.FPU_MODE:
            reason = (
                f"Known subnormal products came out wrong beside the batch of "
                f"{listed(deviants(division))}: the mode of the floating-point unit was changed, "
                f"so nothing computed there counts."
            )
            return Blame("harness", (), reason)
        case FindingClass.NAN_BITS if division.lawful:
            reason = (
                "The nodes differ in nothing but NaN bits that the specification leaves open: "
                "the module lets them escape."
            )
            return Blame("module", (), reason)
        case _:
            return _majority(division)


def listed(words: Sequence[str]) -> str:
    """
    Join *words* as a sentence does: `a`, `a and b`, `a, b and c`.
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _majority(division: Division) -> Blame:
    """
    Name those outside the majority, if there is one.
    """
    count = count_families(division)
    subject = _SUBJECTS[division.aspect]
    if count.majority is None:
        return Blame("undecided", (), f"{_no_majority(count, subject)}{_divided(count)}")
    held = sorted(name for name, group in count.voices if group == count.majority)
    named = deviants(division)
    against = len(count.voices) - len(held)
    reason = (
        f"{len(held)} of {len(count.voices)} {count.noun} ({', '.join(held)}) agree on {subject} "
        f"against {listed(named)}; {against or 'none'} {'stand' if against > 1 else 'stands'} "
        f"apart.{_divided(count)}"
    )
    return Blame("engine", named, reason)


def _no_majority(count: Count, subject: str) -> str:
    """
    Say why nobody is named.
    """
    total = len(count.voices)
    if total < LEAST_FAMILIES:
        names = f" ({', '.join(name for name, _ in count.voices)})" if count.voices else ""
        some = "one has" if total == 1 else f"{total or 'none'} have"
        return (
            f"Nodes differ in {subject}, and of the {count.noun} only {some} a voice{names}: "
            f"nobody is named with fewer than {LEAST_FAMILIES}."
        )
    largest = max(count.of_group(group) for _, group in count.voices)
    return (
        f"Nodes differ in {subject}, and no side holds more than half of the {total} "
        f"{count.noun}: the largest holds {largest}."
    )


def _divided(count: Count) -> str:
    """
    Add which families have no voice because their members differ.
    """
    if not count.divided:
        return ""
    one = len(count.divided) == 1
    return (
        f" {listed(count.divided)} {'has' if one else 'have'} no voice, "
        f"because {'its' if one else 'their'} own members differ."
    )


def _limit(division: Division) -> Blame:
    """
    Tell whether a limit that differs says something about the module.

    Limits are the implementation's to choose, so no engine is wrong. When two families meet one,
    the module asks for more than is common; when one does, its limit may just be small.
    """
    met = [group for group in division.groups if group.what.startswith("exhausted")]
    families = {family(member, "kind") for group in met for member in group.members}
    what = listed(sorted(group.what.removeprefix("exhausted: ") for group in met))
    nodes = listed(sorted(label for group in met for label in group.labels))
    rest = [label for group in division.groups if group not in met for label in group.labels]
    while_ = f", {listed(sorted(rest))} not" if rest else ""
    if len(division.groups) == 1 and not rest:
        reason = (
            f"Every node that ran met a limit ({what}): {nodes}. Where it lies is each engine's"
            f" choice, so what the module had done by then may differ between validators."
        )
        return Blame("module", (), reason)
    if len(families) > 1:
        reason = f"The module meets a limit ({what}) that differs: {nodes} met it{while_}."
        return Blame("module", (), reason)
    reason = (
        f"Of all families only {min(families)} met a limit ({what}): {nodes} met it{while_}. "
        f"Whether the module asks for much or the limit is small cannot be told."
    )
    return Blame("undecided", (), reason)


def _broken(division: Division) -> Blame:
    """
    Name the workers that the pool saw break.
    """
    (group,) = division.groups
    nodes = listed(group.labels)
    families = {family(member, "kind") for member in group.members}
    if group.what == "timed out" and not division.neutral and len(families) > 1:
        reason = f"No node came back before its deadline ({nodes}): the module runs too long."
        return Blame("module", (), reason)
    reason = f"{nodes} {group.what} on this case: seen by the pool, without a vote."
    return Blame("engine", group.labels, reason)
