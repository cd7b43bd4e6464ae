"""
What one round of each loop costs, and one call of each function, from the text of the module.

Blocks of WebAssembly branch forwards except to the label of a loop. So inside one round the blocks
can be gone through in their order, keeping the least and the most that a path to each has cost; an
inner loop adds, at its header, what is proved of its rounds times the cost of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, NamedTuple, cast

import numpy as np

from conformance.bounds.prove.outcome import LoopBound
from conformance.gas.charges import function_charges
from conformance.gas.records import GasModel
from conformance.wasm.flow import flow
from conformance.wasm.loops import LoopForest, loop_forest
from conformance.wasm.module import Module
from conformance.wasm.opcodes import BY_NAME

_CALL: Final = BY_NAME["call"].code
_INDIRECT: Final = BY_NAME["call_indirect"].code
_READS: Final = BY_NAME["local.get"].code
_MULTIPLIES: Final = frozenset(BY_NAME[name].code for name in ("f32.mul", "f64.mul"))
_ADDS: Final = frozenset(BY_NAME[name].code for name in ("f32.add", "f64.add"))


class NoPriceError(Exception):
    """
    A function has no price that can be read off its text; the message says why.
    """


class Span(NamedTuple):
    """
    The least and the most of something.
    """

    lo: int
    hi: int

    def plus(self, other: Span) -> Span:
        """
        Both, one after the other.
        """
        return Span(self.lo + other.lo, self.hi + other.hi)

    def times(self, count: Span) -> Span:
        """
        That often.
        """
        return Span(self.lo * count.lo, self.hi * count.hi)

    def either(self, other: Span) -> Span:
        """
        One of both.
        """
        return Span(min(self.lo, other.lo), max(self.hi, other.hi))

    @property
    def exact(self) -> bool:
        """
        Whether there is one value.
        """
        return self.lo == self.hi


NOTHING: Final = Span(0, 0)


class Weights(NamedTuple):
    """
    What is summed up along paths of one function.
    """

    entry: int
    before: Sequence[int]
    """For each instruction."""


Weigh = Callable[[int], Weights]
"""From the number of one of the module's own functions."""


@dataclass(frozen=True, slots=True)
class Costs:
    """
    Sums of one function.
    """

    call: Span
    """Of a call that returns, callees included."""
    rounds: tuple[Span, ...]
    """For each loop in the order of the forest: header to header, inner loops included."""


class Passages:
    """
    The loops of a module, each with what is proved of how often it repeats.
    """

    def __init__(self, module: Module, proved: Sequence[LoopBound]) -> None:
        """
        *proved* is what a proof of the module says of its loops.
        """
        self.module = module
        self._repeats = {
            (loop.function - module.imported_functions, loop.place): Span(
                _whole(loop.least, up=True), _whole(loop.most, up=False)
            )
            for loop in proved
        }

    @cached_property
    def forests(self) -> tuple[LoopForest, ...]:
        """
        Loops of each of the module's own functions.
        """
        return tuple(loop_forest(flow(function.body)) for function in self.module.functions)

    def place(self, function: int, loop: int) -> int:
        """
        Number of the `loop` instruction.
        """
        forest = self.forests[function]
        return forest.graph.structure.blocks[forest.loops[loop].block].start

    def repeats(self, function: int, loop: int) -> Span:
        """
        How often the loop goes back to its head, each time that it is entered.

        Raises NoPriceError where nothing is proved.
        """
        found = self._repeats.get((function, self.place(function, loop)))
        if found is None:
            sentence = f"nothing is proved of loop {loop} of function {function}"
            raise NoPriceError(sentence)
        return found

    def runs(self, function: int, loop: int) -> int:
        """
        How often the head runs at most in one call of the function.
        """
        count, at = 1, cast("int | None", loop)
        while at is not None:
            count *= self.repeats(function, at).hi + 1
            at = self.forests[function].loops[at].parent
        return count

    def costs(self, weigh: Weigh) -> Callable[[int], Costs]:
        """
        Sums of any function under *weigh*; raises NoPriceError for recursion and indirect calls.
        """
        known: dict[int, Costs | None] = {}

        def of(function: int) -> Costs:
            if function not in known:
                known[function] = None
                known[function] = _costs(self, function, weigh(function), of)
            found = known[function]
            if found is None:
                sentence = f"function {function} calls itself"
                raise NoPriceError(sentence)
            return found

        return of


def gas(module: Module, model: GasModel) -> Weigh:
    """
    Sums are gas under *model*; growth of memory and bulk operators by their fixed part only.
    """

    def weigh(function: int) -> Weights:
        charges = function_charges(module, function, model)
        return Weights(charges.entry, charges.before)

    return weigh


def multiply_accumulates(module: Module) -> Weigh:
    """
    Sums count additions of floats that follow the multiplication of which they take the product.

    Compilers write `s + w * x` with the product last, or read `s` in between. A polynomial in
    Horner's form, `p * x + constant`, has a constant in between and does not count.
    """

    def weigh(function: int) -> Weights:
        codes = module.functions[function].body.codes.tolist()
        counts = [0] * len(codes)
        for place, code in enumerate(codes):
            if code in _ADDS and place >= 2:  # noqa: PLR2004 - one product and one operand
                back = 2 if codes[place - 1] == _READS else 1
                counts[place] = int(codes[place - back] in _MULTIPLIES)
        return Weights(0, counts)

    return weigh


def operators(module: Module, names: frozenset[str]) -> Weigh:
    """
    Sums count executions of the instructions with *names*.
    """
    codes = [BY_NAME[name].code for name in sorted(names)]

    def weigh(function: int) -> Weights:
        found = np.isin(module.functions[function].body.codes, codes)
        return Weights(0, found.astype(int).tolist())

    return weigh


def _whole(number: str, *, up: bool) -> int:
    """
    The nearest whole number that repeats can be; nothing proved is 0.
    """
    value = Fraction(number or "0")
    return -((-value.numerator) // value.denominator) if up else value.__floor__()


def _costs(
    passages: Passages, function: int, weights: Weights, callee: Callable[[int], Costs]
) -> Costs:
    """
    Inner loops first, then the whole body.
    """
    forest = passages.forests[function]
    single = _blocks(passages.module, function, weights, forest, callee)
    rounds: list[Span] = [NOTHING] * len(forest.loops)
    again: dict[int, Span] = {}
    for loop in range(len(forest.loops) - 1, -1, -1):
        header = forest.loops[loop].header
        found = _paths(forest, forest.blocks(loop), header, single, again, header)
        if found is None:
            sentence = f"loop {loop} of function {function} is never repeated"
            raise NoPriceError(sentence)
        rounds[loop] = found
        again[header] = found.times(passages.repeats(function, loop))
    reachable = [n for n, block in enumerate(forest.graph.blocks) if block.reachable]
    whole = _paths(forest, reachable, 0, single, again, forest.graph.exit)
    if whole is None:
        sentence = f"function {function} never returns"
        raise NoPriceError(sentence)
    return Costs(Span(weights.entry, weights.entry).plus(whole), tuple(rounds))


def _blocks(
    module: Module, function: int, weights: Weights, forest: LoopForest,
    callee: Callable[[int], Costs],
) -> list[Span]:  # fmt: skip
    """
    Sums of basic blocks, callees included.
    """
    body = module.functions[function].body
    codes = body.codes.tolist()
    if _INDIRECT in codes:
        sentence = f"function {function} calls through a table"
        raise NoPriceError(sentence)
    found = []
    for block in forest.graph.blocks:
        own = sum(weights.before[block.start : block.end])
        total = Span(own, own)
        for place in range(block.start, block.end):
            if codes[place] == _CALL:
                target = cast("int", body[place].immediates[0]) - module.imported_functions
                if target < 0:
                    sentence = f"function {function} calls the host"
                    raise NoPriceError(sentence)
                total = total.plus(callee(target).call)
        found.append(total)
    return found


def _paths(
    forest: LoopForest, members: Sequence[int], start: int, single: Sequence[Span],
    again: Mapping[int, Span], goal: int,
) -> Span | None:  # fmt: skip
    """
    All paths through *members* from *start* to an edge into *goal*; back edges only to *goal*.

    *again* is added at the headers of inner loops. None: there is no path.
    """
    within = frozenset(members)
    reached = {start: NOTHING}
    found: Span | None = None
    for block in sorted(members):
        if block not in reached:
            continue
        total = reached[block].plus(single[block])
        if block != start or goal != start:
            total = total.plus(again.get(block, NOTHING))
        for edge in forest.graph.successors[block]:
            if edge.target == goal:
                found = total if found is None else found.either(total)
            elif edge.target in within and not edge.back:
                before = reached.get(edge.target)
                reached[edge.target] = total if before is None else before.either(total)
    return found
