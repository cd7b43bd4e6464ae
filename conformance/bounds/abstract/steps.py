"""
Calls, returns and growth of memory, each of which may part a state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from conformance.bounds.abstract.code import PerPage
from conformance.bounds.abstract.domain import Value, members
from conformance.bounds.abstract.operators import NeverError
from conformance.bounds.abstract.state import Frame, State
from conformance.bounds.certificate import ENTRY
from conformance.bounds.check.semantics.image import PAGE_BYTES

if TYPE_CHECKING:
    from conformance.bounds.abstract.execution import Machine

MOST_DEPTH: Final = 400
"""Activations at once."""
_MOST_AMOUNTS: Final = 16
"""Amounts of one growth that are looked at one by one."""
_REFUSED: Final = 0xFFFFFFFF


def call(machine: Machine, state: State, callee: Any, place: int) -> bool:
    """
    `call` of a function, or `call_indirect` by (table, type); whether the state goes on itself.
    """
    frame = state.frames[-1]
    frame.calling = place
    if isinstance(callee, int):
        _enter(machine, state, callee)
        return True
    table, kind = callee
    functions = _targets(machine, table, kind, frame.stack.pop())
    for function in functions[1:]:
        other = machine.fork(state)
        _enter(machine, other, function)
        machine.waiting.put(other, 0)
    _enter(machine, state, functions[0])
    if len(functions) == 1:
        return True
    machine.waiting.put(state, 0)
    return False


def _targets(machine: Machine, table: int, kind: int, index: Value) -> list[int]:
    """
    Functions that an index can name; the others trap, and where all do NeverError is raised.
    """
    known = members(index)
    found = [
        function
        for entry, function in machine.image.targets(table, kind)
        if (known is None and _inside(index, entry)) or (known is not None and entry in known)
    ]
    if not found:
        raise NeverError
    return list(dict.fromkeys(found))


def _inside(index: Value, entry: int) -> bool:
    return type(index) is not tuple or index[0] <= entry <= index[1]


def _enter(machine: Machine, state: State, function: int) -> None:
    frame = state.frames[-1]
    if function < machine.image.module.imported_functions:
        sentence = "a host function is called and has no contract"
        raise machine.hand_over("missing contract", state, ENTRY, sentence)
    if len(state.frames) >= MOST_DEPTH:
        sentence = f"{MOST_DEPTH} activations were open at once"
        raise machine.hand_over("call depth", state, ENTRY, sentence)
    code = machine.code(function)
    first = len(frame.stack) - code.parameters
    arguments = frame.stack[first:]
    del frame.stack[first:]
    locals_: list[Value] = [*arguments, *[0] * (len(code.widths) - code.parameters)]
    before = (*frame.before, *frame.trail, 2 * frame.calling, function)
    machine.enter(state, Frame(code, locals_, before, tuple(arguments)))


def returned(state: State) -> None:
    """
    The newest activation of several returns its results to the one below.
    """
    done = state.frames.pop()
    if done.code.results:
        state.frames[-1].stack += done.stack[len(done.stack) - done.code.results :]


def grow(machine: Machine, state: State, terms: tuple[PerPage, ...], place: int) -> None:
    """
    `memory.grow`: the host may refuse any growth, and it may grant what the limits allow.

    The state goes on as if it was refused; where it may be granted, other states are put to wait.
    """
    frame = state.frames[-1]
    amount = frame.stack.pop()
    amounts = members(amount, _MOST_AMOUNTS)
    if amounts is None:
        sentence = "memory grows by an amount that the input decides"
        raise machine.hand_over("unbounded growth", state, ENTRY, sentence)
    for pages in sorted(amounts):
        if state.pages + pages <= machine.image.most_pages:
            other = machine.fork(state)
            other.frames[-1].stack.append(state.pages)
            other.pages += pages
            other.memory.grow(pages * PAGE_BYTES)
            machine.pages = max(machine.pages, other.pages)
            _pay(other, terms, pages, granted=True)
            machine.waiting.put(other, 2 * place + 1)
    refused = [state.fork() for _ in sorted(amounts)[1:]]
    for pages, other in zip(sorted(amounts), [state, *refused], strict=True):
        other.frames[-1].stack.append(_REFUSED)
        _pay(other, terms, pages, granted=False)
        if other is not state:
            state.lo = list(map(min, state.lo, other.lo))
            state.hi = list(map(max, state.hi, other.hi))


def _pay(state: State, terms: tuple[PerPage, ...], pages: int, *, granted: bool) -> None:
    for term in terms:
        gas = term.price * pages
        small = pages <= term.even_refused
        if granted or term.requested or (small and term.surely):
            state.lo[term.model] += gas
            state.hi[term.model] += gas
        elif small:
            state.hi[term.model] += gas
