"""
Abstract execution of the calls of a precondition, from the entry to the end of every path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.bounds.abstract.domain import Value, between
from conformance.bounds.abstract.execution import Machine
from conformance.bounds.abstract.memory import Memory
from conformance.bounds.abstract.reasons import HandedOverError, Reason
from conformance.bounds.abstract.seen import Seen
from conformance.bounds.abstract.state import Frame, State
from conformance.bounds.abstract.waiting import Waiting
from conformance.bounds.certificate import ENTRY, GlobalRange, Precondition, Range, Values
from conformance.bounds.check.refusals import RefusedError
from conformance.bounds.check.semantics.image import PAGE_BYTES, Image
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.gas.errors import RefusedOperatorError
from conformance.gas.records import GasModel

BUDGET: Final = 300_000
"""Instructions, if not told otherwise."""
_CAPS: Final = ((16, 8), (256, 3), (2048, 1))
"""States at one point, at most, and which share of what is left of the budget may be spent so."""
_FEW: Final = 16
Watch = Callable[[State, int], None]


@dataclass(frozen=True, slots=True)
class GasSeen:
    """
    Gas under one model.
    """

    model: str
    lo: int
    """Of calls that return."""
    hi: int
    """Of calls that return."""
    any_hi: int
    """Of every call."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """
    Where and why it was handed over to the proof.
    """

    reason: Reason
    function: int
    place: int
    """Of a `loop`, or ENTRY."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Explored:
    """
    What abstract execution found: not proved, and not confirmed by anybody.
    """

    gas: tuple[GasSeen, ...]
    """By model; empty where not every path was followed to its end."""
    stopped: Stopped | None
    """None where every path was followed to its end."""
    seen: Seen
    pages: int
    depth: int
    steps: int
    """Instructions executed, in all attempts."""
    forks: int
    merged: int
    cap: int
    """States at one point, at most, in the last attempt."""
    reached: frozenset[int]
    """Functions that were entered."""

    @property
    def complete(self) -> bool:
        """
        Whether every path was followed to its end.
        """
        return self.stopped is None


def explore(
    image: Image, models: Sequence[GasModel], *, budget: int = BUDGET,
    stop: Callable[[], bool] = lambda: False, watch: Watch | None = None,
) -> Explored:  # fmt: skip
    """
    Execute the calls that the precondition of *image* allows, all at once.

    Where many states at one point become one too early, it is tried again with a higher cap, as
    long as the budget of instructions lasts. *watch* hears of each state at an entry (ENTRY) or at
    the head of a loop (its place).
    """
    left = budget
    best: Explored | None = None
    for cap, share in _CAPS:
        machine = Machine(image, models, Waiting(cap), left, left // share, stop, watch)
        found = _attempt(machine, budget - left)
        left -= machine.steps
        if best is None or found.complete or not best.complete:
            best = found
        if not machine.waiting.forced or left <= 0 or stop():
            break
    return best  # type: ignore[return-value] # there is at least one cap


def _attempt(machine: Machine, spent: int) -> Explored:
    stopped: Stopped | None = None
    gas: tuple[GasSeen, ...] = ()
    try:
        machine.run(_start(machine))
        gas = _gas(machine)
    except HandedOverError as error:
        stopped = Stopped(error.reason, error.function, error.place, error.sentence)
    except RefusedError as error:
        stopped = Stopped("not modelled", _entry(machine.image), ENTRY, error.refusal.sentence)
    except RefusedOperatorError as error:
        stopped = Stopped("not modelled", _entry(machine.image), ENTRY, str(error))
    return Explored(
        gas, stopped, machine.seen, machine.pages, machine.depth, spent + machine.steps,
        machine.forks, machine.waiting.merged, machine.waiting.cap,
        frozenset(function for function, place in machine.seen.cuts if place == ENTRY),
    )  # fmt: skip


def _gas(machine: Machine) -> tuple[GasSeen, ...]:
    if machine.ended is None:
        sentence = "no path returns"
        raise HandedOverError("never returns", _entry(machine.image), ENTRY, sentence)
    rows = zip(machine.models, machine.ended.lo, machine.ended.hi, machine.trapped, strict=True)
    return tuple(GasSeen(m.id, lo, hi, max(hi, trapped)) for m, lo, hi, trapped in rows)


# ------------------------------------------------------------------------------- the beginning


def _entry(image: Image) -> int:
    found = image.module.exported(image.precondition.entry)
    return found.index if found is not None else 0


def _start(machine: Machine) -> State:
    """
    The state in which the entry is called.
    """
    image = machine.image
    precondition, module = image.precondition, image.module
    function = _entry(image)
    if not precondition.fresh:
        sentence = "an instance that was used before can hold anything"
        raise HandedOverError("not modelled", function, ENTRY, sentence)
    if function < module.imported_functions:
        raise HandedOverError("missing contract", function, ENTRY, "the entry is a host function")
    code = machine.code(function)
    arguments = [
        _range(item, width)
        for item, width in zip(precondition.arguments, code.widths, strict=False)
    ]
    locals_: list[Value] = [*arguments, *[0] * (len(code.widths) - len(arguments))]
    memory = _memory(image, precondition)
    gas = list(code.entry_gas)
    frame = Frame(code, locals_, (), tuple(arguments))
    state = State([frame], _globals(image), memory, image.pages, gas, gas[:])
    machine.depth = 1
    return state


def _range(item: Range | GlobalRange | Values, width: int) -> Value:
    if item.hi - item.lo < _FEW:
        numbers = frozenset(range(item.lo, item.hi + 1))
        return numbers if len(numbers) > 1 else item.lo
    return between(item.lo, item.hi, width)


def _memory(image: Image, precondition: Precondition) -> Memory:
    """
    Memory as segments leave it, and what the host wrote.
    """
    size = image.pages * PAGE_BYTES
    memory = Memory.of(bytes(image.initial(0, size)))
    for span in precondition.unknown:
        if span.start < min(span.end, size):
            memory.open(span.start, min(span.end, size))
    for values in precondition.values:
        for start in range(values.start, values.end - values.size + 1, values.size):
            if start + values.size <= size:
                memory.store(start, 0, values.size, _range(values, 8 * values.size))
    return memory


def _globals(image: Image) -> list[Value]:
    found: list[Value] = list(image.initial_globals)
    for changed in image.precondition.globals:
        width = WIDTH[image.module.global_types[changed.index].type]
        found[changed.index] = _range(changed, width)
    return found
