"""
A division: how nodes fall into groups over one case, and how their families are counted.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from conformance.differential.records import FindingClass

Aspect = Literal["kind", "results", "memory", "pages", "globals", "gas", "host-calls"]
"""What was compared."""

Manner = Literal["sign-of-zero", "nan-bits", "trap", "other"]
"""
How nodes differ: in signs of zeros alone, in NaN bits alone, by the deviating nodes trapping where
all others returned, or otherwise.
"""

LEAST_FAMILIES: Final = 3
"""
Families that must have a voice before anybody is named: with two nobody is, and of three or more
a strict majority is at least two, so one family is never right against others.
"""

UNVOTED: Final = frozenset(
    {
        FindingClass.BROKEN_WORKER,
        FindingClass.FLAKY,
        FindingClass.UNFAITHFUL,
        FindingClass.FPU_MODE,
        FindingClass.RESIDUE,
        FindingClass.IMPORTS,
    }
)
"""Classes in which no node votes against another."""

_FAMILY_OF: Final[dict[str, tuple[Literal["generator", "runtime", "host"], str]]] = {
    "pages": ("runtime", "runtime families"),
    "host-calls": ("host", "host families"),
}


class Member(Struct, frozen=True, order=True):
    """
    A node in a division, with the families that it belongs to.
    """

    label: str
    generator: str
    runtime: str
    host: str


class Group(Struct, frozen=True):
    """
    Nodes that showed the same.
    """

    what: str
    """`returned`, `trapped: unreachable`, `exhausted: stack`, `refused`, ...; `` for bits."""
    members: tuple[Member, ...]
    """Sorted by label."""

    @property
    def labels(self) -> tuple[str, ...]:
        """
        Labels of the members, sorted.
        """
        return tuple(member.label for member in self.members)


class Division(Struct, frozen=True):
    """
    How nodes fall apart over one case; the same for every case that divides them this way.
    """

    kind: FindingClass
    aspect: Aspect
    groups: tuple[Group, ...]
    """Most families first, then by label. A broken worker's division has only the broken."""
    neutral: tuple[Member, ...] = ()
    """
    Nodes without a voice here, sorted: those that agree with more than one group as far as they
    can tell, or, beside a broken worker, those that are not broken.
    """
    nan: str = "exact"
    """NaN profile of the vote."""
    lawful: bool = False
    """NaN bits alone differ, and arithmetic may give each of them."""
    manner: Manner = "other"


class Disagreement(Struct, frozen=True):
    """
    One case over which nodes differ.
    """

    row: int
    """Row of the block."""
    case_id: int
    division: Division

    @property
    def kind(self) -> FindingClass:
        """
        In which way they differ.
        """
        return self.division.kind

    @property
    def groups(self) -> tuple[Group, ...]:
        """
        Who showed the same.
        """
        return self.division.groups


class Count(Struct, frozen=True):
    """
    The voices of a division, by family.
    """

    voices: tuple[tuple[str, int], ...]
    """(family, index of its group), sorted; a family whose members differ has no voice."""
    divided: tuple[str, ...]
    """Families whose members stand in more than one group, sorted."""
    majority: int | None
    """Index of the group that a strict majority of at least three families holds."""
    noun: str
    """What kind of families was counted, in words."""

    def of_group(self, index: int) -> int:
        """
        Count the families whose voice is with group *index*.
        """
        return sum(1 for _, group in self.voices if group == index)


def family(member: Member, aspect: Aspect) -> str:
    """
    Name the family that *member* speaks for when *aspect* is compared.

    Memory grows by the runtime, host calls are answered by the host; all else is generated code.
    """
    name, _ = _FAMILY_OF.get(aspect, ("generator", ""))
    return str(getattr(member, name))


def count_families(division: Division) -> Count:
    """
    Count one voice for each family whose members all stand in one group.
    """
    places: dict[str, set[int]] = {}
    for index, group in enumerate(division.groups):
        for member in group.members:
            places.setdefault(family(member, division.aspect), set()).add(index)
    voices = tuple(sorted((name, min(at)) for name, at in places.items() if len(at) == 1))
    divided = tuple(sorted(name for name, at in places.items() if len(at) > 1))
    _, noun = _FAMILY_OF.get(division.aspect, ("generator", "code-generator families"))
    majority = None
    if len(voices) >= LEAST_FAMILIES:
        for index in range(len(division.groups)):
            size = sum(1 for _, group in voices if group == index)
            if 2 * size > len(voices):
                majority = index
    return Count(voices, divided, majority, noun)


def parted_by_growth(division: Division) -> bool:
    """
    Tell whether nodes ended with different pages and, because of that, differently.
    """
    return division.kind is FindingClass.LIMIT and division.aspect == "pages"


def deviants(division: Division) -> tuple[str, ...]:
    """
    Labels of the nodes that stand apart: all outside the majority, or all when there is none.

    A limit's deviants are the nodes that met it, or all that refused growth parts, because pages do
    not tell who was refused. Where nodes are named without a vote (a broken worker, two outcomes of
    one node, bits that the oracle denies), they are all there are.
    """
    groups = division.groups
    if parted_by_growth(division):
        chosen = list(groups)
    elif division.kind is FindingClass.LIMIT:
        chosen = [group for group in groups if group.what.startswith("exhausted")]
    elif division.kind in UNVOTED:
        chosen = list(groups)
    else:
        majority = count_families(division).majority
        chosen = [group for index, group in enumerate(groups) if index != majority]
    return tuple(sorted(label for group in chosen for label in group.labels))
