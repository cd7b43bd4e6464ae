"""
Counters: a module rewritten so that it counts what a gas model charges, on any engine.

The counters are exported mutable globals of type i64, so an observer reads them as any other
global, after a trap as well. The rewritten module is an instrument of a run: evidence is kept
under the digest of the original and the id of the rewrite.

Counting starts when an instance is made, start function included. To count one call alone, call
the entry through the export that `Metered.entries` names: it sets the counters to zero first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from conformance.gas.charges import Charges, Dynamic, function_charges
from conformance.gas.records import GasModel
from conformance.wasm.body import Body, code_table
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import (
    END,
    function_type,
    instruction,
    memory_type,
    name,
    signed,
    unsigned,
    vector,
)
from conformance.wasm.instructions import BlockType
from conformance.wasm.items import FunctionType, Limits, MemoryType
from conformance.wasm.module import Module
from conformance.wasm.opcodes import OPCODES, ValType

VERSION: Final = 1
"""Of the rewrite: goes up whenever the same module and model would give other counts."""

_MAY_TRAP: Final = (".div_", ".rem_", ".trunc_f32_", ".trunc_f64_")
_QUIET: Final = code_table(
    opcode.code
    for opcode in OPCODES.values()
    if opcode.name.startswith(("local.", "global.", "drop", "select", "nop"))
    or (
        opcode.signature is not None
        and not {"memarg", "memory", "table", "data", "element"} & set(opcode.immediates)
        and not any(part in opcode.name for part in _MAY_TRAP)
    )
)
"""By code: whether control always goes on behind that instruction."""
_FUNCTION: Final = b"\0"
_MEMORY: Final = b"\2"
_GLOBAL: Final = b"\3"
_ZERO_GLOBAL: Final = b"\x7e\x01\x42\x00" + END


@dataclass(frozen=True, slots=True)
class Unpriced:
    """
    An instruction whose charge no source gives: a bill of a run that meets it is incomplete.
    """

    function: int
    """Index of the function, imported ones counted first."""
    offset: int
    """Of the instruction, in the original file."""
    operator: str
    kind: str
    """What the missing price would be multiplied with."""


@dataclass(frozen=True, slots=True)
class Metered:
    """
    A rewritten module, and how to read it.
    """

    binary: bytes
    rewrite: str
    """Id of the instrument, for keys of evidence."""
    model: GasModel
    counters: tuple[str, ...]
    """Exported globals; their sum modulo 2^64 is the gas. One for each own function, or one."""
    entries: Mapping[str, str]
    """Exported function -> export that calls it after setting the counters to zero."""
    memory: str
    """An exported memory, the module's own if it has one: workers look at what they know by it."""
    unpriced: tuple[Unpriced, ...]


def rewrite_id(model: GasModel) -> str:
    """
    Id of the counting instrument for *model*.
    """
    return f"gas-counter.{VERSION}:{model.id}"


def metered(
    module: Module, model: GasModel, entries: Sequence[str] = (), *, by_function: bool = False
) -> Metered:
    """
    Rewrite a valid *module* so that it counts by *model*.

    *entries* are exported functions that are to be counted alone; *by_function* gives each own
    function a counter of its own, at no further cost. Raises RefusedOperatorError, and
    LookupError for an entry that is no exported function.
    """
    rewrite = Rewrite(module)
    taken = {export.name for export in module.exports}
    first = len(module.global_types)
    count = max(1, len(module.functions)) if by_function else 1
    counters = tuple(_free(f"weavegate.gas.{number}", taken) for number in range(count))
    unpriced: list[Unpriced] = []
    for place, function in enumerate(module.functions):
        charges = function_charges(module, place, model)
        counter = first + (place if by_function else 0)
        _Counting(module, place, charges, counter).apply(rewrite)
        unpriced += [
            Unpriced(
                function.index,
                int(function.body.offsets[item.place]),
                function.body[item.place].opcode.name,
                item.kind,
            )
            for item in charges.unpriced
        ]
    for number, counter_name in enumerate(counters):
        rewrite.append("global", _ZERO_GLOBAL)
        rewrite.append("export", name(counter_name) + _GLOBAL + unsigned(first + number))
    doors = {entry: _door(rewrite, entry, range(first, first + count), taken) for entry in entries}
    shown = _memory(rewrite, taken)
    return Metered(
        rewrite.binary(), rewrite_id(model), model, counters, MappingProxyType(doors), shown,
        tuple(unpriced),
    )  # fmt: skip


def _memory(rewrite: Rewrite, taken: set[str]) -> str:
    """
    Name of an exported memory; without one, the memory that there is gets exported, else an empty
    one, which no instruction of the module can tell from none.
    """
    module = rewrite.module
    found = next((export.name for export in module.exports if export.kind == "memory"), None)
    if found is not None:
        return found
    if not module.memory_types:
        rewrite.replace_section("memory", vector([memory_type(MemoryType(Limits(0, 0)))]))
    title = _free("weavegate.memory", taken)
    rewrite.append("export", name(title) + _MEMORY + unsigned(0))
    return title


def _free(wanted: str, taken: set[str]) -> str:
    """
    A name for an export that the module does not have yet.
    """
    while wanted in taken:
        wanted += "'"
    taken.add(wanted)
    return wanted


def _door(rewrite: Rewrite, entry: str, counters: Iterable[int], taken: set[str]) -> str:
    """
    Add a function that zeroes the counters and calls *entry*; returns its export.
    """
    module = rewrite.module
    export = module.exported(entry)
    if export is None or export.kind != "function":
        message = f"the module exports no function {entry!r}"
        raise LookupError(message)
    parts = [instruction("i64.const", 0) + instruction("global.set", one) for one in counters]
    described = module.function_type(export.index)
    parts += [instruction("local.get", one) for one in range(len(described.parameters))]
    parts += [instruction("call", export.index), END]
    index = rewrite.append_function(module.function_types[export.index], parts)
    title = _free(f"weavegate.counted.{entry}", taken)
    rewrite.append("export", name(title) + _FUNCTION + unsigned(index))
    return title


class _Counting:
    """
    The code that counts in one function.

    Models that lose counts in a trap keep them in a local until they are written down, as the
    meters themselves do; all others count in the global at once.
    """

    def __init__(self, module: Module, place: int, charges: Charges, counter: int) -> None:
        function = module.functions[place]
        self.place = place
        self.body: Body = function.body
        self.described: FunctionType = module.function_type(function.index)
        self.charges = charges
        self.counter = counter
        self.extra: list[tuple[int, ValType]] = []
        self.locals = len(self.described.parameters) + self.body.local_count
        self.priced = tuple(item for item in charges.dynamic if item.price is not None)
        self.pending = self._local("i64") if charges.commits is not None else None
        self.units = self._local("i32") if self.priced else 0
        granted = any(item.kind.endswith("-granted") for item in self.priced)
        self.answer = self._local("i32") if granted else 0

    def _local(self, kind: ValType) -> int:
        """
        Declare one more local; returns its index.
        """
        self.extra.append((1, kind))
        self.locals += 1
        return self.locals - 1

    def apply(self, rewrite: Rewrite) -> None:
        """
        Give the function its counting body, unless there is nothing to count.
        """
        points = self._points()
        if not points and self.pending is None:
            return
        offsets = self.body.offsets
        parts: list[bytes] = []
        at = int(offsets[0])
        for place in sorted(points):
            offset = int(offsets[place])
            parts += [self.body.binary[at:offset], points[place]]
            at = offset
        parts.append(self.body.binary[at : self.body.span.end])
        if self.pending is not None:
            opening = instruction("block", self._result_type(rewrite))
            parts = [opening, *parts, self._commit(), END]
        declared = None
        if self.extra:
            declared = [*((run.count, run.type) for run in self.body.locals), *self.extra]
        rewrite.replace_body(self.place, parts, declared)

    def _result_type(self, rewrite: Rewrite) -> BlockType:
        """
        The type of a block that gives the function's results.

        A branch out of the body then ends before the last commit, as every other return.
        """
        results = self.described.results
        if not results:
            return "empty"
        if len(results) == 1:
            return results[0]
        return rewrite.append("type", function_type(FunctionType((), results)))

    def _points(self) -> dict[int, bytes]:
        """
        Place -> code that goes just before it.
        """
        charges = self.charges
        parts: dict[int, list[bytes]] = {}

        def add(place: int, code: bytes) -> None:
            parts.setdefault(place, []).append(code)

        for item in self.priced:
            if item.paid == "after":
                add(item.place + 1, self._after(item))
        if charges.entry:
            add(0, self._plus(instruction("i64.const", charges.entry)))
        for place, amount in enumerate(self._gathered()):
            if amount:
                add(place, self._plus(b"\x42" + signed(amount, 64)))
        for place in charges.commits or ():
            add(place, self._commit())
        for item in self.priced:
            add(item.place, self._before(item))
        return {place: b"".join(codes) for place, codes in parts.items()}

    def _gathered(self) -> list[int]:
        """
        The static charges, those of neighbours put together where nobody can tell.

        Behind an instruction that neither branches, nor calls, nor traps, a charge may as well be
        made before it.
        """
        amounts = list(self.charges.before)
        quiet = _QUIET[self.body.codes].tolist()
        for place in range(len(amounts) - 1, 0, -1):
            if quiet[place - 1] and amounts[place - 1]:
                amounts[place - 1] += amounts[place]
                amounts[place] = 0
        return amounts

    def _plus(self, amount: bytes) -> bytes:
        """
        Add what the code *amount* leaves, an i64.
        """
        if self.pending is None:
            get, put, index = "global.get", "global.set", self.counter
        else:
            get, put, index = "local.get", "local.set", self.pending
        return instruction(get, index) + amount + instruction("i64.add") + instruction(put, index)

    def _commit(self) -> bytes:
        """
        Write down what was counted since the last time.
        """
        pending = self.pending
        assert pending is not None  # noqa: S101 - only models with commits come here
        return b"".join((
            instruction("global.get", self.counter),
            instruction("local.get", pending),
            instruction("i64.add"),
            instruction("global.set", self.counter),
            instruction("i64.const", 0),
            instruction("local.set", pending),
        ))  # fmt: skip

    def _times(self, units: bytes, price: int) -> bytes:
        return b"".join((
            units, instruction("i64.extend_i32_u"), instruction("i64.const", price),
            instruction("i64.mul"),
        ))  # fmt: skip

    def _before(self, item: Dynamic) -> bytes:
        """
        Look at the topmost operand; pay, if it is paid before.
        """
        look = instruction("local.tee", self.units)
        if item.paid == "after":
            return look
        units = instruction("local.get", self.units)
        return look + self._plus(self._times(units, item.price or 0))

    def _after(self, item: Dynamic) -> bytes:
        """
        Pay after the instruction: for all units, or for none when a growth was refused (-1).
        """
        units = instruction("local.get", self.units)
        if not item.kind.endswith("-granted"):
            return self._plus(self._times(units, item.price or 0))
        paid = [instruction("local.get", self.answer), instruction("i32.const", -1)]
        paid.append(instruction("i32.ne"))
        if item.even_refused and item.literal:
            paid += [units, instruction("i32.const", item.even_refused)]
            paid += [instruction("i32.le_u"), instruction("i32.or")]
        owed = b"".join((units, instruction("i32.const", 0), *paid, instruction("select")))
        keep = instruction("local.tee", self.answer)
        return keep + self._plus(self._times(owed, item.price or 0)) + self._refund(item)

    def _refund(self, item: Dynamic) -> bytes:
        """
        Take back what was paid before a growth that was refused (-1).
        """
        if not item.refund:
            return b""
        refused = instruction("local.get", self.answer) + instruction("i32.const", -1)
        return self._plus(self._times(refused + instruction("i32.eq"), -item.refund))
