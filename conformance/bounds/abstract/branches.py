"""
Branches: where a state goes on, and how a test parts it in two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.bounds.abstract.code import Target
from conformance.bounds.abstract.conditions import Condition
from conformance.bounds.abstract.domain import Value, ends, members
from conformance.bounds.abstract.operators import NeverError
from conformance.bounds.abstract.state import State
from conformance.bounds.abstract.steps import returned

if TYPE_CHECKING:
    from conformance.bounds.abstract.execution import Machine


def go(machine: Machine, state: State, target: Target) -> bool:
    """
    Branch; whether the state goes on.
    """
    frame = state.frames[-1]
    if target.entry < 0:
        return returning(machine, state)
    stack = frame.stack
    if len(stack) > target.height + target.arity:
        stack[target.height :] = stack[len(stack) - target.arity :] if target.arity else ()
    del frame.trail[2 * target.loops :]
    if target.back:
        frame.trail[-1] += 1
    frame.entry = target.entry
    return True


def returning(machine: Machine, state: State) -> bool:
    """
    The newest activation returns; whether the state goes on in the one below.
    """
    if len(state.frames) > 1:
        returned(state)
        return True
    if machine.ended is None:
        machine.ended = state
    else:
        machine.ended.lo = list(map(min, machine.ended.lo, state.lo))
        machine.ended.hi = list(map(max, machine.ended.hi, state.hi))
    return False


def test(
    machine: Machine, state: State, value: Value, rest: tuple[Condition | None, int],
    yes: Target | None, no: Target | None,
) -> bool:  # fmt: skip
    """
    Go one way or both; a target that is None is the next entry.
    """
    condition, behind = rest
    low, high = ends(value, 32)
    may, may_not = high > 0, low == 0
    if may and may_not:
        if condition is not None:
            return _part(machine, state, condition, behind, yes, no)
        _put(machine, machine.fork(state), yes, behind)
        _put(machine, state, no, behind)
        return False
    target = yes if may else no
    if target is not None:
        return go(machine, state, target)
    return True


def _part(
    machine: Machine, state: State, condition: Condition, behind: int, yes: Target | None,
    no: Target | None,
) -> bool:  # fmt: skip
    """
    Go the ways that the test allows, each with what it tells of locals.
    """
    kept = state.frames[-1].locals
    first, second = kept[:], kept[:]
    may = condition.refine(first, truth=True)
    may_not = condition.refine(second, truth=False)
    if may and may_not:
        other = machine.fork(state)
        other.frames[-1].locals = first
        state.frames[-1].locals = second
        _put(machine, other, yes, behind)
        _put(machine, state, no, behind)
        return False
    if not may and not may_not:
        raise NeverError
    state.frames[-1].locals = first if may else second
    target = yes if may else no
    return True if target is None else go(machine, state, target)


def _put(machine: Machine, state: State, target: Target | None, behind: int) -> None:
    """
    Let a state wait where it goes.
    """
    if target is None:
        machine.waiting.put(state, behind)
    elif go(machine, state, target):
        machine.waiting.put(state, _point(state, target))


def _point(state: State, target: Target) -> int:
    """
    The point at which a state is that went to a target; behind the call, if it returned.
    """
    if target.entry < 0:
        return 2 * state.frames[-1].calling + 1
    return target.point


def table(machine: Machine, state: State, targets: tuple[Target, ...]) -> bool:
    """
    `br_table`: go to each target that the index can name; whether the state itself goes on.
    """
    value = state.frames[-1].stack.pop()
    last = len(targets) - 1
    low, high = ends(value, 32)
    known = members(value)
    chosen = known if known is not None else range(min(low, last), min(high, last) + 1)
    by_entry = {targets[min(one, last)].entry: min(one, last) for one in sorted(chosen)}
    ways = [targets[number] for number in by_entry.values()]
    if len(ways) == 1:
        return go(machine, state, ways[0])
    for target in ways[1:]:
        _put(machine, machine.fork(state), target, 0)
    _put(machine, state, ways[0], 0)
    return False
