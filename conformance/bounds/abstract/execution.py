"""
The machine: executes one state until it must wait, parts, returns or traps.

Source: core specification 2.0, section 4.4 (instructions), read for sets of values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.bounds.abstract.branches import go, returning, table, test
from conformance.bounds.abstract.code import Code, Kind, lay_out_code
from conformance.bounds.abstract.domain import Value, ends, join
from conformance.bounds.abstract.memory import CHUNK
from conformance.bounds.abstract.operators import NeverError
from conformance.bounds.abstract.reasons import HandedOverError, Reason
from conformance.bounds.abstract.seen import Seen
from conformance.bounds.abstract.state import Frame, State
from conformance.bounds.abstract.steps import call, grow
from conformance.bounds.abstract.waiting import Waiting
from conformance.bounds.certificate import ENTRY
from conformance.bounds.check.semantics.image import Image
from conformance.gas.charges import function_charges
from conformance.gas.records import GasModel

LOCAL_GET: Final = int(Kind.LOCAL_GET)
CONST: Final = int(Kind.CONST)
BINARY: Final = int(Kind.BINARY)
UNARY: Final = int(Kind.UNARY)
LOCAL_SET: Final = int(Kind.LOCAL_SET)
LOCAL_TEE: Final = int(Kind.LOCAL_TEE)
LOAD: Final = int(Kind.LOAD)
STORE: Final = int(Kind.STORE)
PAY: Final = int(Kind.PAY)
MEET: Final = int(Kind.MEET)
BRANCH_IF: Final = int(Kind.BRANCH_IF)
IF: Final = int(Kind.IF)
BRANCH: Final = int(Kind.BRANCH)
TABLE: Final = int(Kind.TABLE)
ENTER: Final = int(Kind.ENTER)
HEAD: Final = int(Kind.HEAD)
LEAVE: Final = int(Kind.LEAVE)
GLOBAL_GET: Final = int(Kind.GLOBAL_GET)
GLOBAL_SET: Final = int(Kind.GLOBAL_SET)
DROP: Final = int(Kind.DROP)
SELECT: Final = int(Kind.SELECT)
CALL: Final = int(Kind.CALL)
CALL_INDIRECT: Final = int(Kind.CALL_INDIRECT)
RETURN: Final = int(Kind.RETURN)
UNREACHABLE: Final = int(Kind.UNREACHABLE)
SIZE: Final = int(Kind.SIZE)
GROW: Final = int(Kind.GROW)
_CHUNKS_A_STEP: Final = 32
_ASKED_EVERY: Final = 1024
"""Instructions between two questions whether to stop."""


@dataclass(slots=True)
class Machine:
    """
    One abstract execution.
    """

    image: Image
    models: Sequence[GasModel]
    waiting: Waiting
    budget: int
    """Most instructions."""
    crowded_budget: int
    """Most instructions, where too many states were at one point: a higher cap may do better."""
    stop: Callable[[], bool] = lambda: False
    watch: Callable[[State, int], None] | None = None
    """Hears of each state at an entry or a loop head."""
    seen: Seen = field(default_factory=Seen)
    ended: State | None = None
    """All states that returned, as one; only its gas counts."""
    trapped: list[int] = field(default_factory=list)
    """Most gas of runs that trap, by number of the model."""
    steps: int = 0
    """Instructions executed, and what forks cost where memory is large."""
    forks: int = 0
    depth: int = 0
    pages: int = 0
    _ask: int = 0
    _codes: dict[int, Code] = field(default_factory=dict)
    _before: dict[tuple[int, int, int], tuple[tuple[int, ...], list[State]]] = field(
        default_factory=dict
    )
    """Loop of an activation -> where it was entered, and its states some iterations ago."""

    def code(self, function: int) -> Code:
        """
        A function's code.
        """
        found = self._codes.get(function)
        if found is None:
            module = self.image.module
            place = function - module.imported_functions
            charges = [function_charges(module, place, model) for model in self.models]
            found = lay_out_code(self.image.layout(function), module, charges)
            self._codes[function] = found
        return found

    def run(self, state: State) -> None:
        """
        Execute until nothing waits; raises HandedOverError.
        """
        self.trapped = [0] * len(self.models)
        self._note(state, ENTRY)
        while True:
            try:
                self._advance(state)
            except NeverError:
                self.trap(state)
            if self.waiting.least is None:
                return
            state, together = self.waiting.take()
            frame = state.frames[-1]
            kind, a, _ = frame.code.entries[frame.entry]
            if kind == HEAD:
                self._head(state, a, together)
            if kind in (HEAD, MEET):
                frame.entry += 1

    def fork(self, state: State) -> State:
        """
        A second state like this one; what that costs counts as steps, as does their meeting again.
        """
        self.forks += 1
        self.steps += len(state.memory.chunks) // _CHUNKS_A_STEP
        return state.fork()

    def trap(self, state: State) -> None:
        """
        A state ends here, because all runs in it trap.
        """
        self.trapped = list(map(max, self.trapped, state.hi))

    def enter(self, state: State, frame: Frame) -> None:
        """
        A new activation begins.
        """
        state.frames.append(frame)
        self.depth = max(self.depth, len(state.frames))
        for number, gas in enumerate(frame.code.entry_gas):
            state.lo[number] += gas
            state.hi[number] += gas
        self._note(state, ENTRY)

    def _note(self, state: State, place: int) -> None:
        self.pages = max(self.pages, state.pages)
        self.seen.note(state, place)
        if self.watch is not None:
            self.watch(state, place)

    def hand_over(self, reason: Reason, state: State, place: int, sentence: str) -> HandedOverError:
        """
        The error that ends the execution.
        """
        return HandedOverError(reason, state.frames[-1].code.function, place, sentence)

    # -------------------------------------------------------------------------------- loops

    def _head(self, state: State, place: int, together: list[State]) -> None:
        """
        A state is at the head of a loop, where *together* are all of this iteration.

        Raises HandedOverError where the budget is spent or the loop makes no progress.
        """
        self._note(state, place)
        if self.steps >= self._ask:
            self._ask = self.steps + _ASKED_EVERY
            crowded = self.waiting.forced > 0
            limit = self.crowded_budget if crowded else self.budget
            if self.steps > limit or self.stop():
                sentence = f"{self.steps:,} instructions were executed"
                raise self.hand_over("step budget", state, place, sentence)
        if together and state.frames[-1].trail[-1]:
            self._progress(state, place, together)

    def _progress(self, state: State, place: int, together: list[State]) -> None:
        """
        Raise HandedOverError where the states of an iteration are those of an earlier one.

        Iterations 1, 2, 4, ... are kept for that: R. Brent, "An improved Monte Carlo factorization
        algorithm", 1980.
        """
        frame = state.frames[-1]
        iteration = frame.trail[-1]
        key = (len(state.frames), frame.code.function, place)
        entered = (*frame.before, *frame.trail[:-1])
        known = self._before.get(key)
        for one in together:
            one.frames[-1].calling = place
        if known is not None and known[0] == entered:
            old = known[1]
            if len(old) == len(together) and all(any(a.like(b) for b in old) for a in together):
                sentence = "the abstract state repeats, so nothing shows that the loop ends"
                raise self.hand_over("no progress", state, place, sentence)
        if not iteration & (iteration - 1):
            self._before[key] = (entered, [one.fork() for one in together])

    # ----------------------------------------------------------------------------- the loop

    def _advance(  # noqa: C901, PLR0912, PLR0915 - one loop: a call for each entry would double the time
        self, state: State
    ) -> None:
        """
        Execute a state until it waits or ends; raises NeverError where it traps.
        """
        frame = state.frames[-1]
        entries, at = frame.code.entries, frame.entry
        stack, locals_ = frame.stack, frame.locals
        lo, hi = state.lo, state.hi
        waiting = self.waiting
        while True:
            kind, a, b = entries[at]
            at += 1
            if kind == LOCAL_GET:
                stack.append(locals_[a])
            elif kind == CONST:
                stack.append(a)
            elif kind == BINARY:
                right = stack.pop()
                left = stack[-1]
                if type(left) is int and type(right) is int:
                    stack[-1] = a(left, right)
                else:
                    stack[-1] = b(left, right)
            elif kind == LOCAL_SET:
                locals_[a] = stack.pop()
            elif kind == LOCAL_TEE:
                locals_[a] = stack[-1]
            elif kind == LOAD:
                self._load(state, a, b)
            elif kind == STORE:
                value = stack.pop()
                if not state.memory.store(stack.pop(), a, b, value):
                    raise NeverError
            elif kind == PAY:
                self.steps += b
                for model, gas in a:
                    lo[model] += gas
                    hi[model] += gas
            elif kind == UNARY:
                one = stack[-1]
                stack[-1] = a(one) if type(one) is int else b(one)
            elif kind in (MEET, HEAD):
                frame.entry = at - 1
                least = waiting.least
                if least is not None:
                    point = a if kind == MEET else 2 * a + 2
                    if state.point(point) >= least:
                        waiting.put(state, point)
                        return
                if kind == HEAD:
                    self._head(state, a, [state])
            elif kind in (BRANCH_IF, IF):
                frame.entry = at
                value = stack.pop()
                yes, no = (a, None) if kind == BRANCH_IF else (None, a)
                if not test(self, state, value, b, yes, no):
                    return
                frame = state.frames[-1]
                entries, at = frame.code.entries, frame.entry
                stack, locals_ = frame.stack, frame.locals
            elif kind in (BRANCH, TABLE, RETURN, CALL, CALL_INDIRECT):
                frame.entry = at
                if not self._transfer(state, kind, a, b):
                    return
                frame = state.frames[-1]
                entries, at = frame.code.entries, frame.entry
                stack, locals_ = frame.stack, frame.locals
            elif kind == GLOBAL_GET:
                stack.append(state.globals[a])
            elif kind == GLOBAL_SET:
                state.globals[a] = stack.pop()
            elif kind == ENTER:
                frame.trail += (2 * a, 0)
            elif kind == LEAVE:
                del frame.trail[-2:]
            elif kind == SELECT:
                _select(stack)
            elif kind == DROP:
                stack.pop()
            elif kind == SIZE:
                stack.append(state.pages)
            elif kind == GROW:
                frame.entry = at
                grow(self, state, a, b)
            elif kind == UNREACHABLE:
                raise NeverError
            else:
                raise self.hand_over("not modelled", state, ENTRY, f"{a} is not modelled")

    def _transfer(self, state: State, kind: int, a: Any, b: Any) -> bool:
        """
        Instructions after which control may be in another activation; whether the state goes on.
        """
        if kind == BRANCH:
            return go(self, state, a)
        if kind == TABLE:
            return table(self, state, a)
        if kind == RETURN:
            return returning(self, state)
        return call(self, state, a, b)

    def _load(self, state: State, offset: int, how: tuple[int, Any, int]) -> None:
        size, extend, width = how
        stack = state.frames[-1].stack
        address = stack[-1]
        found: Value | bool
        if type(address) is int and not (address + offset) & (size - 1):
            # Aligned accesses to one address are nearly all; they lie in one chunk.
            start = address + offset
            chunks = state.memory.chunks
            if start >= CHUNK * len(chunks):
                raise NeverError
            chunk, at = chunks[start // CHUNK], start & (CHUNK - 1)
            if not any(chunk.open[at : at + size]):
                found = int.from_bytes(chunk.data[at : at + size], "little")
            else:
                found = state.memory.load(address, offset, size)
        else:
            found = state.memory.load(address, offset, size)
        if found is False:
            raise NeverError
        if found is None and 8 * size < width:
            found = (0, (1 << 8 * size) - 1)
        stack[-1] = found if extend is None else extend(found)


def _select(stack: list[Value]) -> None:
    low, high = ends(stack.pop(), 32)
    other = stack.pop()
    if not high:
        stack[-1] = other
    elif not low:
        stack[-1] = join(stack[-1], other)
