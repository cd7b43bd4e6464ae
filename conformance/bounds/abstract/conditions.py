"""
What the outcome of a test tells about the locals that it asks.

A test is written down as a small tree over locals and constants while a function is laid out; where
control has taken one way, the locals lose the values that would have led the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from conformance.bounds.abstract.domain import Value, among, between, ends, within
from conformance.bounds.abstract.operators import NeverError, Transfer, transfer
from conformance.wasm.numerics.scalar import WIDTH_BITS

_MOST_NODES: Final = 8
_MOST_TRIED: Final = 64
"""Members of a local's set for each of which a test is evaluated."""
_OPPOSITE: Final = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
_TURNED: Final = {"eq": "eq", "ne": "ne", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


@dataclass(frozen=True, slots=True)
class Local:
    """
    The value of a local.
    """

    index: int


@dataclass(frozen=True, slots=True)
class Number:
    """
    A constant.
    """

    bits: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """
    A value of which the tree knows nothing.
    """


@dataclass(frozen=True, slots=True)
class Applied:
    """
    An integer operator on trees.
    """

    name: str
    parts: tuple[Tree, ...]
    compute: Transfer


Tree = Local | Number | Opaque | Applied


def apply(name: str, parts: tuple[Tree | None, ...]) -> Tree | None:
    """
    The tree of an operator; None where it asks no local, or would grow too large.
    """
    known = tuple([Opaque() if part is None else part for part in parts])
    if "f" in name.partition(".")[0] or not any(map(asked, known)):
        return None
    if sum(map(_nodes, known)) >= _MOST_NODES:
        return None
    return Applied(name, known, transfer(name))


def _nodes(tree: Tree) -> int:
    return 1 + sum(map(_nodes, tree.parts)) if isinstance(tree, Applied) else 1


def asked(tree: Tree | None) -> frozenset[int]:
    """
    The locals in a tree.
    """
    if isinstance(tree, Local):
        return frozenset((tree.index,))
    if isinstance(tree, Applied):
        return frozenset().union(*map(asked, tree.parts))
    return frozenset()


def evaluate(tree: Tree, locals_: Mapping[int, Value]) -> Value:
    """
    The value of a tree; raises NeverError where it traps.
    """
    if isinstance(tree, Local):
        return locals_[tree.index]
    if isinstance(tree, Number):
        return tree.bits
    if isinstance(tree, Opaque):
        return None
    return tree.compute(*[evaluate(part, locals_) for part in tree.parts])


@dataclass(frozen=True, slots=True)
class Condition:
    """
    The test of a branch.
    """

    tree: Tree
    locals: tuple[int, ...]

    def refine(self, locals_: list[Value], *, truth: bool) -> bool:
        """
        Narrow *locals_* to those with which the test has this truth; False where none has.
        """
        for index in self.locals:
            value = locals_[index]
            if type(value) is frozenset and len(value) <= _MOST_TRIED:
                left = [one for one in value if self._may(locals_, index, one, truth)]
                if not left:
                    return False
                locals_[index] = among(left)
        return _narrow(self.tree, locals_, truth)

    def _may(self, locals_: list[Value], index: int, one: int, truth: bool) -> bool:  # noqa: FBT001 - private
        seen = {k: locals_[k] for k in self.locals}
        seen[index] = one
        try:
            found = evaluate(self.tree, seen)
        except NeverError:
            return True
        low, high = ends(found, 32)
        return high > 0 if truth else low == 0


def _narrow(tree: Tree, locals_: list[Value], truth: bool) -> bool:  # noqa: FBT001 - private
    """
    Narrow the locals that a test compares as they are.
    """
    if isinstance(tree, Local):
        if not truth:
            return _limit(locals_, tree.index, 0, 0, 64)
        known = locals_[tree.index] is not None
        return not known or _limit(locals_, tree.index, 1, (1 << 64) - 1, 64)
    if not isinstance(tree, Applied):
        return True
    operator = tree.name.partition(".")[2]
    if operator == "eqz" and isinstance(tree.parts[0], Applied):
        return _narrow(tree.parts[0], locals_, not truth)
    if operator in ("and", "or") and truth == (operator == "and"):
        # No bit of `and` is set without those of both, none of `or` is clear with one of either.
        return all(_narrow(part, locals_, truth) for part in tree.parts)
    return _narrow_test(tree, locals_, truth) if _is_test(tree) else True


def _narrow_test(tree: Applied, locals_: list[Value], truth: bool) -> bool:  # noqa: FBT001 - private
    """
    As `_narrow`, for one comparison.
    """
    kind, _, operator = tree.name.partition(".")
    width = WIDTH_BITS[kind]
    if operator == "eqz":
        parts: tuple[Tree, Tree] = (tree.parts[0], Number(0))
        operator = "eq"
    else:
        parts = (tree.parts[0], tree.parts[1])
    order, sign = operator[:2], operator.endswith("_s")
    order = order if truth else _OPPOSITE[order]
    for one, other, way in ((*parts, order), (parts[1], parts[0], _TURNED[order])):
        if isinstance(one, Local):
            limit = ends(_value(other, locals_), width)
            if not _compare(locals_, one.index, way, limit, width, sign):
                return False
    return True


def _is_test(tree: Tree) -> bool:
    return isinstance(tree, Applied) and (
        tree.name.endswith(".eqz") or tree.name.partition(".")[2][:3] in _TESTS
    )


_TESTS: Final = ("eq", "ne", "lt_", "gt_", "le_", "ge_")


def _value(tree: Tree, locals_: list[Value]) -> Value:
    try:
        return evaluate(tree, {k: locals_[k] for k in asked(tree)})
    except NeverError:
        return None


def _limit(locals_: list[Value], index: int, low: int, high: int, width: int) -> bool:
    """
    Keep of a local what lies between two numbers.
    """
    left = within(locals_[index], low, high, width)
    if left is False:
        return False
    locals_[index] = left
    return True


def _compare(
    locals_: list[Value], index: int, order: str, other: tuple[int, int], width: int,
    sign: bool,  # noqa: FBT001 - private
) -> bool:  # fmt: skip
    """
    Keep of a local what stands in *order* to a number between the ends of *other*.
    """
    low, high = other
    top = (1 << width) - 1
    if order == "eq":
        return _limit(locals_, index, low, high, width)
    if order == "ne":
        return _differ(locals_, index, low, width) if low == high else True
    ranges: Callable[[int, int], tuple[int, int]] = _RANGES[order]
    if not sign:
        return _limit(locals_, index, *ranges(low, high, top), width)  # type: ignore[call-arg]
    half = 1 << (width - 1)
    if low < half <= high:
        return True
    # Signed numbers in order, from the least on: so is what the limits leave of them.
    return _pieces(locals_, index, *ranges(low ^ half, high ^ half, top), width)  # type: ignore[call-arg]


def _pieces(locals_: list[Value], index: int, first: int, last: int, width: int) -> bool:
    """
    Keep of a local the signed numbers from *first* to *last*, 2^(width - 1) added to both.
    """
    half = 1 << (width - 1)
    value, pieces = locals_[index], []
    if first < half and first <= last:
        pieces.append(within(value, first ^ half, min(last, half - 1) ^ half, width))
    if last >= half and first <= last:
        pieces.append(within(value, max(first, half) ^ half, last ^ half, width))
    left = [piece for piece in pieces if piece is not False]
    if len(left) == 1:
        locals_[index] = left[0]
    elif left and type(value) is frozenset:
        locals_[index] = among(one for one in value if first <= one ^ half <= last)
    return bool(left)


def _differ(locals_: list[Value], index: int, number: int, width: int) -> bool:
    value = locals_[index]
    if type(value) is int:
        return value != number
    if type(value) is frozenset:
        left = value - {number}
        if not left:
            return False
        locals_[index] = among(left)
        return True
    low, high = ends(value, width)
    if number == low:
        low += 1
    elif number == high:
        high -= 1
    if low > high:
        return False
    locals_[index] = between(low, high, width)
    return True


_RANGES: Final[Mapping[str, Callable[..., tuple[int, int]]]] = {
    "lt": lambda low, high, top: (0, high - 1),  # noqa: ARG005 - all take the same
    "le": lambda low, high, top: (0, high),  # noqa: ARG005 - all take the same
    "gt": lambda low, high, top: (low + 1, top),  # noqa: ARG005 - all take the same
    "ge": lambda low, high, top: (low, top),  # noqa: ARG005 - all take the same
}
"""Order -> what stands in it to a number between *low* and *high*."""
