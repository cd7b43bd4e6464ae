"""
From who equals whom over one case to the divisions that are findings.

Aspects are compared in steps: nodes that differ in one are not compared in the next, so that each
difference has one class. First how the call ended, then its results, then, among equal results,
memory, pages, globals, gas and host calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from conformance.differential.division import (
    Aspect,
    Division,
    Group,
    Manner,
    Member,
    deviants,
    family,
)
from conformance.differential.profiles import NanProfile
from conformance.differential.records import FindingClass
from runners.status import BROKEN, LIMITS, REJECTED, TRAPS, Status

UNSEEN: Final = 255
"""Label of a node that does not show an aspect, or was not asked."""

_ELEMENT: Final = frozenset(
    {
        Status.TRAP_INDIRECT_CALL_TO_NULL,
        Status.TRAP_TABLE_OUT_OF_BOUNDS,
        Status.TRAP_UNDEFINED_ELEMENT,
    }
)

_WORDS: Final[dict[int, str]] = {
    Status.CRASHED: "crashed",
    Status.TIMED_OUT: "timed out",
    Status.BROKE_PROTOCOL: "broke the protocol",
}


class Pattern(Struct, frozen=True):
    """
    Who equals whom over one case; every tuple has one entry per voice.

    In all but `status` and `unlawful` an entry is the index of the first voice that shows the same,
    or UNSEEN.
    """

    status: tuple[int, ...]
    """`runners.status.Status`; 0 where the voice did not see the case."""
    raw: tuple[int, ...]
    """Output rows, bit by bit."""
    meant: tuple[int, ...]
    """Output rows with canonical NaNs."""
    memory: tuple[int, ...]
    pages: tuple[int, ...]
    globals: tuple[int, ...]
    gas: tuple[int, ...]
    """Readings, whatever the meter: only those of one meter are compared."""
    host_calls: tuple[int, ...]
    unlawful: tuple[int, ...]
    """1 where the voice shows a NaN that arithmetic cannot give, in a place that differs."""
    zeros: int
    """1 when the output rows of all who returned are equal but for the signs of zeros."""


class Jury(Struct, frozen=True):
    """
    Who votes: one member and one meter (empty: none) per voice, and the profile.
    """

    members: tuple[Member, ...]
    meters: tuple[str, ...]
    profile: NanProfile


def status_words(status: int) -> str:
    """
    Say a status byte in words: `returned`, `trapped: integer overflow`, `exhausted: stack`, ...
    """
    if status in _WORDS:
        return _WORDS[status]
    name = Status(status).name.lower().replace("_", " ")
    for prefix, word in (("trap ", "trapped"), ("exhausted ", "exhausted")):
        if name.startswith(prefix):
            return f"{word}: {name.removeprefix(prefix)}"
    return "refused" if status in REJECTED else name


class _Divider:
    """
    Collects the divisions of one pattern.
    """

    def __init__(self, pattern: Pattern, jury: Jury) -> None:
        self.pattern = pattern
        self.jury = jury
        self.found: list[Division] = []

    def having(self, statuses: frozenset[Status]) -> list[int]:
        """
        Voices whose status is one of *statuses*.
        """
        return [voice for voice, status in enumerate(self.pattern.status) if status in statuses]

    def members(self, voices: Sequence[int]) -> tuple[Member, ...]:
        """
        Sort the members behind *voices*.
        """
        return tuple(sorted(self.jury.members[voice] for voice in voices))

    def add(
        self,
        kind: FindingClass,
        aspect: Aspect,
        sides: Sequence[tuple[str, Sequence[int]]],
        *,
        neutral: Sequence[int] = (),
        lawful: bool = False,
        manner: Manner = "other",
    ) -> None:
        """
        Note a division into *sides*: (words, voices) each.
        """
        groups = [Group(what, self.members(voices)) for what, voices in sides]
        groups.sort(key=lambda g: (-len({family(m, aspect) for m in g.members}), g.labels))
        self.found.append(
            Division(
                kind,
                aspect,
                tuple(groups),
                neutral=self.members(neutral),
                nan=self.jury.profile,
                lawful=lawful,
                manner=manner,
            )
        )

    def groups_of(self, voices: Sequence[int], label: Callable[[int], int]) -> list[list[int]]:
        """
        Part *voices* by label, in order of their first member; unseen ones are left out.
        """
        parts: dict[int, list[int]] = {}
        for voice in voices:
            if label(voice) != UNSEEN:
                parts.setdefault(label(voice), []).append(voice)
        return list(parts.values())

    def by_status(self, voices: Sequence[int]) -> list[tuple[str, list[int]]]:
        """
        Part *voices* by their status, with its words.
        """
        parts = self.groups_of(voices, lambda voice: self.pattern.status[voice])
        return [(status_words(self.pattern.status[part[0]]), part) for part in parts]

    def ends(self) -> tuple[list[int], list[list[int]]]:
        """
        Compare how the call ended; return who returned, and groups of who trapped alike.
        """
        broken, refused = self.having(BROKEN), self.having(REJECTED)
        met, trapped = self.having(LIMITS), self.having(TRAPS)
        returned = self.having(frozenset({Status.RETURNED}))
        others = sorted([*refused, *met, *trapped, *returned])
        for words, voices in self.by_status(broken):
            rest = [voice for voice in broken if voice not in voices]
            self.add(
                FindingClass.BROKEN_WORKER, "kind", [(words, voices)], neutral=[*others, *rest]
            )
        ran = sorted([*met, *trapped, *returned])
        if refused and ran:
            self.add(FindingClass.REFUSED, "kind", [("refused", refused), ("ran", ran)])
        finished = sorted([*trapped, *returned])
        limits = self.by_status(met)
        if limits and finished:
            self.add(FindingClass.LIMIT, "kind", [*limits, ("finished", finished)])
        elif len(limits) > 1 or self.all_out_of_stack(met):
            self.add(FindingClass.LIMIT, "kind", limits)
        if returned and trapped:
            self.return_or_trap(returned, trapped)
        return returned, self.traps(trapped)

    def all_out_of_stack(self, met: Sequence[int]) -> bool:
        """
        Whether two families or more ran out of stack: at depths that are each engine's choice.
        """
        stack = [voice for voice in met if self.pattern.status[voice] == Status.EXHAUSTED_STACK]
        return len({family(self.jury.members[voice], "kind") for voice in stack}) > 1

    def return_or_trap(self, returned: list[int], trapped: list[int]) -> None:
        """
        Note that some returned where others trapped.
        """
        kinds = [words for words, _ in self.by_status(trapped)]
        words = kinds[0] if len(kinds) == 1 else "trapped"
        self.add(FindingClass.KIND, "kind", [("returned", returned), (words, trapped)])
        named = deviants(self.found[-1])
        if named == tuple(member.label for member in self.members(trapped)):
            self.found.pop()
            sides = [("returned", returned), (words, trapped)]
            self.add(FindingClass.KIND, "kind", sides, manner="trap")

    def traps(self, trapped: list[int]) -> list[list[int]]:
        """
        Compare kinds of traps, in two steps because "same kind" is not transitive.

        A trap of unknown kind is like every other, "undefined element" like both of its readings:
        such nodes are neutral between kinds that differ.
        """
        status = self.pattern.status
        known = [voice for voice in trapped if status[voice] != Status.TRAP_UNKNOWN]
        unknown = [voice for voice in trapped if status[voice] == Status.TRAP_UNKNOWN]
        classes = self.groups_of(
            known, lambda v: min(_ELEMENT) if status[v] in _ELEMENT else status[v]
        )
        finest: list[list[int]] = []
        if len(classes) > 1:
            sides = [(self.words_of(part), part) for part in classes]
            self.add(FindingClass.KIND, "kind", sides, neutral=unknown)
        for part in classes:
            vague = [voice for voice in part if status[voice] == Status.TRAP_UNDEFINED_ELEMENT]
            exact = self.by_status([voice for voice in part if voice not in vague])
            if len(exact) > 1:
                shared = [*vague, *unknown] if len(classes) == 1 else vague
                self.add(FindingClass.KIND, "kind", exact, neutral=shared)
                finest += [voices for _, voices in exact]
            else:
                finest.append(part)
        return [trapped] if len(finest) <= 1 else finest

    def words_of(self, part: Sequence[int]) -> str:
        """
        Words for trapped voices that may have the kinds of one class.
        """
        kinds = {words for words, _ in self.by_status(part)}
        return kinds.pop() if len(kinds) == 1 else "trapped: undefined element"

    def results(self, returned: list[int]) -> list[list[int]]:
        """
        Compare result bits; return the groups within which further aspects are compared.
        """
        pattern = self.pattern
        meant = self.groups_of(returned, lambda voice: pattern.meant[voice])
        if len(meant) > 1:
            manner: Manner = "sign-of-zero" if pattern.zeros else "other"
            sides = [("", part) for part in meant]
            self.add(FindingClass.VALUE, "results", sides, manner=manner)
        if self.jury.profile == "free":
            return meant
        equal: list[list[int]] = []
        for part in meant:
            raw = self.groups_of(part, lambda voice: pattern.raw[voice])
            equal += raw
            if len(raw) > 1:
                lawful = self.jury.profile == "exact" and not any(pattern.unlawful[v] for v in part)
                sides = [("", voices) for voices in raw]
                self.add(FindingClass.NAN_BITS, "results", sides, lawful=lawful, manner="nan-bits")
        return equal

    def observations(self, part: Sequence[int]) -> None:
        """
        Compare what else was observed among voices with equal results.
        """
        pattern, meters = self.pattern, self.jury.meters
        self.observed(part, FindingClass.STATE, "pages", pattern.pages)
        self.observed(part, FindingClass.STATE, "globals", pattern.globals)
        for meter in sorted({meters[voice] for voice in part if meters[voice]}):
            same = [voice for voice in part if meters[voice] == meter]
            self.observed(same, FindingClass.GAS, "gas", pattern.gas)
        self.observed(part, FindingClass.HOST_CALLS, "host-calls", pattern.host_calls)
        # NaN bits that may differ lie in memory as well: only equal bits have equal memories.
        for equal in self.groups_of(part, lambda voice: pattern.raw[voice]):
            self.observed(equal, FindingClass.STATE, "memory", pattern.memory)

    def observed(
        self, part: Sequence[int], kind: FindingClass, aspect: Aspect, labels: Sequence[int]
    ) -> None:
        """
        Compare one observation among those of *part* that show it.
        """
        groups = self.groups_of(part, lambda voice: labels[voice])
        if len(groups) > 1:
            self.add(kind, aspect, [("", voices) for voices in groups])


def divide(pattern: Pattern, jury: Jury) -> tuple[Division, ...]:
    """
    Find every division of one pattern, in the order in which aspects are compared.
    """
    divider = _Divider(pattern, jury)
    returned, trapped = divider.ends()
    for part in [*divider.results(returned), *trapped]:
        divider.observations(part)
    return tuple(divider.found)
