"""
What a gas model charges in one function: how much, just before which instruction.

With branches as in `wasm.flow` (a branch to a loop goes on after the `loop`, one to any other
block after its `end`), the static gas of a call is the sum of `entry` over the functions entered
and of `before` over the instructions that control reaches, the one that traps included. That holds
for every outcome, with two exceptions: models with `commits` lose what the function that traps, and
no other, has counted since its last commit; and a refused growth takes back `Dynamic.refund`.

*normal* is what a call pays that returns, *any outcome* the most that any call pays. They differ
for models that pay ahead (`GasModel.pays_ahead`): where an instruction traps, those behind it in
the same run were paid and never executed. `before` says so by itself, so a bound for any outcome
is one over all prefixes of paths, and a normal one is over paths to the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from conformance.gas.errors import RefusedOperatorError
from conformance.gas.records import DynamicKind, GasModel
from conformance.wasm.body import Body, code_table
from conformance.wasm.instructions import Labels
from conformance.wasm.module import Module
from conformance.wasm.opcodes import BY_NAME, OPCODES

_CODES: Final = 1 << 16
_REFUSED: Final = -1
_CONSTANT: Final = BY_NAME["i32.const"].code
_END: Final = BY_NAME["end"].code
_ELSE: Final = BY_NAME["else"].code
_LEAVES: Final = frozenset(BY_NAME[n].code for n in ("br", "br_table", "return", "unreachable"))
_OPENS: Final = frozenset(BY_NAME[name].code for name in ("block", "loop", "if"))
_CONTROL: Final = code_table({*_LEAVES, *_OPENS, _ELSE, _END})


@dataclass(frozen=True, slots=True)
class Dynamic:
    """
    A charge that depends on the run: `price * units`.
    """

    place: int
    """Number of the instruction in the body."""
    kind: DynamicKind
    """
    What is multiplied: the length operand (`bytes`, `elements`), or the size operand of a growth,
    as asked for (`pages-requested`) or as granted (`pages-granted`, ...: see `even_refused`).
    """
    price: int | None
    """Gas for each unit; None: no source gives it, so a bill that meets this is incomplete."""
    paid: Literal["before", "after"]
    """Before the instruction, or after it if it did not trap."""
    even_refused: int
    """
    A growth that is refused costs 0, but up to so many units it may be paid as if granted: surely
    if `literal`, otherwise only if the compiler found out that the number is constant.
    """
    literal: bool
    """Whether the instruction just before is the constant that this one multiplies with."""
    refund: int = 0
    """What was paid just before the instruction, and is taken back if it is a growth refused."""
    most_refused: int = 0
    """The most that one growth pays although it is refused, by `even_refused`."""

    @property
    def always(self) -> int:
        """
        What a growth pays whether it is granted or refused; 0 where that depends.

        By the compilers that the model is about: Winch has the same meter and bills no refusal.
        """
        return self.most_refused if self.literal else 0


@dataclass(frozen=True, slots=True)
class Charges:
    """
    The charges of one function.
    """

    entry: int
    """Paid whenever the function is entered, surcharge for locals included."""
    before: tuple[int, ...]
    """For each instruction what is paid just before it executes, when control reaches it."""
    dynamic: tuple[Dynamic, ...]
    """In ascending order of place."""
    commits: tuple[int, ...] | None
    """
    Places before which the function writes down what it has counted; None: at once, always.

    It is also written down whenever the function returns. The charge of the place comes first.
    """

    @property
    def unpriced(self) -> tuple[Dynamic, ...]:
        """
        Charges whose price is not known.
        """
        return tuple(item for item in self.dynamic if item.price is None)


def function_charges(module: Module, place: int, model: GasModel) -> Charges:
    """
    What *model* charges in the module's own function number *place*.

    Raises RefusedOperatorError for the first instruction that the meter does not accept.
    """
    function = module.functions[place]
    body = function.body
    prices = _table(model)[body.codes]
    refused = np.flatnonzero(prices == _REFUSED)
    if refused.size:
        at = int(refused[0])
        name = OPCODES[int(body.codes[at])].name
        title = module.function_name(function.index)
        raise RefusedOperatorError(model.id, name, title, int(body.offsets[at]), model.refused)
    prices = _with_immediates(module, body, model, prices)
    folded = _folded(body, model)
    for paid_at, units in folded.items():
        prices[paid_at] += units
    if model.skips_dead_code:
        prices[_dead(body)] = 0
    entry = model.entry + (model.locals.of(body.local_count) if model.locals else 0)
    if model.point == "metered-block-start":
        before = metered_blocks(body, prices)
    elif model.point == "operator":
        before = _each(body, model, prices)
    else:
        before = _runs(body, model, prices, list(folded))
    paid = before.tolist()
    return Charges(entry, tuple(paid), _dynamic(body, model, paid, folded), _commits(body, model))


def module_charges(module: Module, model: GasModel) -> tuple[Charges, ...]:
    """
    The charges of all the module's own functions.
    """
    return tuple([function_charges(module, n, model) for n in range(len(module.functions))])


@lru_cache(maxsize=64)
def _cached_table(key: tuple[tuple[str, int], ...]) -> NDArray[np.int64]:
    table = np.full(_CODES, _REFUSED, np.int64)
    for name, price in key:
        table[BY_NAME[name].code] = price
    return table


def _table(model: GasModel) -> NDArray[np.int64]:
    """
    Price by code, shape (65536,).
    """
    return _cached_table(tuple(model.weights.items()))


def _places(body: Body, names: frozenset[str]) -> NDArray[np.intp]:
    """
    Places of the instructions with one of *names*, ascending.
    """
    return np.flatnonzero(_named(names)[body.codes])


@lru_cache(maxsize=64)
def _named(names: frozenset[str]) -> NDArray[np.bool_]:
    """
    By code: whether it is that of one of *names*.
    """
    return code_table(BY_NAME[name].code for name in names)


def _with_immediates(
    module: Module, body: Body, model: GasModel, prices: NDArray[np.int64]
) -> NDArray[np.int64]:
    """
    Add what depends on the immediates of `br_table` and `call_indirect`.
    """
    if model.per_target:
        for place in _places(body, frozenset({"br_table"})).tolist():
            labels = cast("Labels", body[place].immediates[0])
            prices[place] += model.per_target * len(labels.labels)
    if model.per_parameter:
        for place in _places(body, frozenset({"call_indirect"})).tolist():
            wanted = module.types[cast("int", body[place].immediates[0])].type
            prices[place] += model.per_parameter * len(wanted.parameters)
    return prices


def _dead(body: Body) -> NDArray[np.intp]:
    """
    Places between an unconditional branch and the `end` or `else` of its block, that included.
    """
    control = np.flatnonzero(_CONTROL[body.codes])
    found: list[NDArray[np.intp]] = []
    since, depth = -1, 0
    for place, code in zip(control.tolist(), body.codes[control].tolist(), strict=True):
        if since < 0:
            if code in _LEAVES:
                since, depth = place + 1, 0
        elif code in _OPENS:
            depth += 1
        elif code == _END and depth:
            depth -= 1
        elif code in (_END, _ELSE) and not depth:
            found.append(np.arange(since, place + 1))
            since = -1
    return np.concatenate(found) if found else np.zeros(0, np.intp)


def _folded(body: Body, model: GasModel) -> dict[int, int]:
    """
    Place -> the charge for its units, of operators whose literal units are paid as a static price.
    """
    found: dict[int, int] = {}
    for term in model.dynamic:
        if not term.folds_literal or not term.price:
            continue
        for place in _places(body, frozenset(term.operators)).tolist():
            if place and int(body.codes[place - 1]) == _CONSTANT:
                units = cast("int", body[place - 1].immediates[0]) & 0xFFFF_FFFF
                found[place] = term.price * units
    return found


def _runs(
    body: Body, model: GasModel, prices: NDArray[np.int64], folded: list[int]
) -> NDArray[np.int64]:
    """
    Runs that boundary operators end, each paid before its last or before its first operator.
    """
    ends = np.setdiff1d(_places(body, model.boundaries), folded)
    total = np.cumsum(prices)[ends]
    cost = np.diff(total, prepend=0)
    cost[cost > 0] += model.header
    before = np.zeros(len(body), np.int64)
    if model.point == "block-start":
        before[np.concatenate(([0], ends[:-1] + 1))] = cost
    else:
        before[ends] = cost
    return before


def _each(body: Body, model: GasModel, prices: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Each operator paid before itself, or before the next one if it is paid after itself.
    """
    before = prices.copy()
    late = _places(body, model.after_itself)
    before[late] = 0
    np.add.at(before, late + 1, prices[late])
    return before


def _commits(body: Body, model: GasModel) -> tuple[int, ...] | None:
    return None if model.commits is None else tuple(_places(body, model.commits).tolist())


def _most_refused(body: Body, place: int, even_refused: int) -> int:
    """
    The most units of a refused growth that are paid all the same.
    """
    if not place or int(body.codes[place - 1]) != _CONSTANT:
        return even_refused
    units = cast("int", body[place - 1].immediates[0]) & 0xFFFF_FFFF
    return units if units <= even_refused else 0


def _dynamic(
    body: Body, model: GasModel, before: list[int], folded: Mapping[int, int]
) -> tuple[Dynamic, ...]:
    found = [
        Dynamic(
            place,
            term.kind,
            term.price,
            term.paid,
            term.even_refused,
            literal=bool(place) and int(body.codes[place - 1]) == _CONSTANT,
            refund=before[place] if term.drops_run else 0,
            most_refused=(term.price or 0) * _most_refused(body, place, term.even_refused),
        )
        for term in model.dynamic
        for place in _places(body, frozenset(term.operators)).tolist()
        if place not in folded
    ]
    return tuple(sorted(found, key=lambda item: item.place))


# ------------------------------------------------------------------ runs past inner blocks


class _Open:
    """
    A block that is open while metered runs are laid out.
    """

    __slots__ = ("cost", "is_loop", "lowest", "start")

    def __init__(self, start: int, lowest: int, *, is_loop: bool) -> None:
        self.start = start
        """Place where the present run began."""
        self.cost = 0
        self.lowest = lowest
        """Outermost block, counted from the body, that something in here branches forward to."""
        self.is_loop = is_loop


def metered_blocks(  # noqa: C901 - one case for each control operator
    body: Body, prices: NDArray[np.int64]
) -> NDArray[np.int64]:
    """
    The charge before each place when runs go on past inner blocks that nothing leaves early.

    Source: paritytech/wasm-instrument:src/gas_metering/mod.rs (the rules of its metered blocks).
    """
    before = np.zeros(len(body), np.int64)
    opened = [_Open(0, 0, is_loop=False)]

    def close_run(place: int) -> None:
        top = opened[-1]
        start, cost = top.start, top.cost
        top.start, top.cost = place + 1, 0
        if len(opened) > 1 and opened[-2].start == start:
            opened[-2].cost += cost
        elif cost:
            before[start] += cost

    def leave(place: int, depths: list[int]) -> None:
        close_run(place)
        for depth in depths:
            target = len(opened) - 1 - depth
            if not opened[target].is_loop:
                opened[-1].lowest = min(opened[-1].lowest, target)

    costs = prices.tolist()
    for place, instruction in enumerate(body):
        name = instruction.opcode.name
        opened[-1].cost += costs[place]
        if name == "block":
            opened.append(_Open(opened[-1].start, len(opened), is_loop=False))
        elif name in ("if", "loop"):
            opened.append(_Open(place + 1, len(opened), is_loop=name == "loop"))
        elif name == "else":
            close_run(place)
        elif name == "end":
            close_run(place)
            closed = opened.pop()
            if opened:
                opened[-1].lowest = min(opened[-1].lowest, closed.lowest)
                if closed.lowest < len(opened):
                    close_run(place)
        elif name in ("br", "br_if"):
            leave(place, [cast("int", instruction.immediates[0])])
        elif name == "br_table":
            labels = cast("Labels", instruction.immediates[0])
            leave(place, sorted({labels.default, *labels.labels}))
        elif name == "return":
            leave(place, [len(opened) - 1])
    return before
