"""
Compiles a function of a valid module into its flat form.

Code that cannot be reached is left out: in it the height of the stack has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from conformance.wasm.evaluate.bulk import HANDLERS
from conformance.wasm.evaluate.flat import Code, Entry, Kind, Target
from conformance.wasm.evaluate.operations import ARITY, Operation
from conformance.wasm.instructions import BlockType, Instruction, Labels, MemArg
from conformance.wasm.items import FunctionType
from conformance.wasm.parts import DefinedFunction, Parts

_WIDTHS: Final = {"i32": 4, "i64": 8, "f32": 4, "f64": 8}
_BITS: Final = {"i32.const": 32, "i64.const": 64, "f32.const": 32, "f64.const": 64}


@dataclass(slots=True, eq=False)
class _Label:
    """
    One open block.
    """

    opener: str
    """`block`, `loop`, `if` or `else`."""
    height: int
    """Of the stack below the block's parameters."""
    parameters: int
    results: int
    start: int
    """Place of a loop's entry; of the entry of an `if`."""
    target: Target | None = None
    """Known at once for a loop, at the end for all others."""
    skips: list[int] = field(default_factory=list)
    """Places of the SKIP entries that lead to the end."""


def flatten(module: Parts, function: DefinedFunction, operations: Mapping[str, Operation]) -> Code:
    """
    Compile *function*, with the scalar operators that *operations* names.
    """
    own = module.function_type(function.index)
    flattener = _Flattener(module, operations)
    flattener.open("block", 0, len(own.results), 0)
    for instruction in function.body:
        flattener.add(instruction)
    locals_: list[int | None] = []
    for run in function.body.locals:
        first = None if run.type in ("funcref", "externref") else 0
        locals_.extend([first] * run.count)
    entries = tuple([tuple(_resolved(entry)) for entry in flattener.entries])
    slots = len(own.parameters) + len(locals_) + flattener.highest
    return Code(
        cast("tuple[tuple[int, Any, Any], ...]", entries),
        len(own.parameters),
        tuple(locals_),
        len(own.results),
        slots,
    )


def _resolved(entry: Entry) -> Entry:
    """
    Replace labels by their targets, which are all known at the end.
    """
    if entry.kind in (Kind.BRANCH, Kind.BRANCH_IF):
        return entry._replace(a=tuple(entry.a.target))
    if entry.kind == Kind.BRANCH_TABLE:
        return entry._replace(a=tuple([tuple(label.target) for label in entry.a]))
    return entry


class _Flattener:
    """
    Where the compilation of one body stands.
    """

    def __init__(self, module: Parts, operations: Mapping[str, Operation]) -> None:
        self.module = module
        self.operations = operations
        self.entries: list[Entry] = []
        self.labels: list[_Label] = []
        self.height = 0
        self.highest = 0
        self.dead = 0
        """0 where code can be reached; else 1 and the number of blocks opened since."""

    def add(self, instruction: Instruction) -> None:
        """
        Append one instruction.
        """
        name = instruction.opcode.name
        if self.dead and not self._revives(name):
            return
        handler = _CONTEXTUAL.get(name)
        if handler is not None:
            handler(self, instruction)
        else:
            self._plain(instruction)
        self.highest = max(self.highest, self.height)

    def emit(self, kind: Kind, a: Any = None, b: Any = None, *, effect: int = 0) -> None:
        """
        Append an entry that changes the height of the stack by *effect*.
        """
        self.entries.append(Entry(int(kind), a, b))
        self.height += effect

    def _revives(self, name: str) -> bool:
        """
        Whether an instruction after dead code closes the block that the dead code is in.
        """
        if name in ("block", "loop", "if"):
            self.dead += 1
        elif name == "end" and self.dead > 1:
            self.dead -= 1
        elif name == "end" or (name == "else" and self.dead == 1):
            return True
        return False

    def _plain(self, instruction: Instruction) -> None:
        """
        Instructions whose types are in the opcode table.
        """
        opcode, immediates = instruction.opcode, instruction.immediates
        name, signature = opcode.name, opcode.signature
        if signature is None:
            message = f"no rule for {name}"
            raise NotImplementedError(message)
        effect = len(signature.results) - len(signature.parameters)
        if name in self.operations:
            kind = Kind.UNARY if ARITY[name] == 1 else Kind.BINARY
            self.emit(kind, self.operations[name], effect=effect)
        elif name in _BITS:
            value = cast("int", immediates[0]) & ((1 << _BITS[name]) - 1)
            self.emit(Kind.CONST, value, effect=effect)
        elif opcode.immediates == ("memarg",):
            self._access(name, cast("MemArg", immediates[0]).offset, effect)
        elif name == "nop":
            self.emit(Kind.NOTHING)
        else:
            self.emit(Kind.OTHER, HANDLERS[name], immediates, effect=effect)

    def _access(self, name: str, offset: int, effect: int) -> None:
        """
        A load or a store: `i64.load32_s` reads 4 bytes and extends them with `i64.extend32_s`.
        """
        kind, _, rest = name.partition(".")
        action = "load" if rest.startswith("load") else "store"
        digits, _, sign = rest.removeprefix(action).partition("_")
        width = int(digits) // 8 if digits else _WIDTHS[kind]
        if sign == "s":
            extend = self.operations[f"{kind}.extend{digits}_s"]
            self.emit(Kind.LOAD_SIGNED, offset, (width, extend), effect=effect)
        else:
            loads = action == "load"
            self.emit(Kind.LOAD if loads else Kind.STORE, offset, width, effect=effect)

    # ------------------------------------------------------------------------- structure

    def open(self, opener: str, parameters: int, results: int, start: int) -> None:
        """
        Enter a block whose parameters are on the stack.
        """
        label = _Label(opener, self.height - parameters, parameters, results, start)
        if opener == "loop":
            label.target = Target(start, parameters, label.height)
        self.labels.append(label)

    def block_type(self, instruction: Instruction) -> tuple[int, int]:
        """
        How many values a block takes and gives.
        """
        block = cast("BlockType", instruction.immediates[0])
        if isinstance(block, int):
            found: FunctionType = self.module.types[block].type
            return len(found.parameters), len(found.results)
        return 0, int(block != "empty")

    def block(self, instruction: Instruction) -> None:
        """
        `block` and `loop`.
        """
        start = len(self.entries)
        self.emit(Kind.NOTHING)
        self.open(instruction.opcode.name, *self.block_type(instruction), start)

    def if_(self, instruction: Instruction) -> None:
        """
        `if`: where it goes on without its condition is filled in by `else` or `end`.
        """
        start = len(self.entries)
        self.emit(Kind.IF, effect=-1)
        self.open("if", *self.block_type(instruction), start)

    def else_(self, _: Instruction) -> None:
        """
        `else`: the branch before it, if it gets here, skips to the end.
        """
        label = self.labels[-1]
        if not self.dead:
            label.skips.append(len(self.entries))
            self.emit(Kind.SKIP)
        self.dead = 0
        label.opener = "else"
        self.entries[label.start] = Entry(int(Kind.IF), len(self.entries))
        self.height = label.height + label.parameters

    def end(self, _: Instruction) -> None:
        """
        `end`: here go all branches to the block, unless it is a loop.
        """
        label = self.labels.pop()
        self.dead = 0
        place = len(self.entries)
        if label.opener == "if":
            self.entries[label.start] = Entry(int(Kind.IF), place)
        if label.target is None:
            label.target = Target(place, label.results, label.height)
        for skip in label.skips:
            self.entries[skip] = Entry(int(Kind.SKIP), place)
        self.height = label.height + label.results
        if not self.labels:
            self.emit(Kind.FINISH)

    # -------------------------------------------------------------------------- branches

    def label(self, depth: int) -> _Label:
        """
        The block that a branch names.
        """
        return self.labels[-1 - depth]

    def br(self, instruction: Instruction) -> None:
        """
        `br`.
        """
        self.emit(Kind.BRANCH, self.label(cast("int", instruction.immediates[0])))
        self.dead = 1

    def br_if(self, instruction: Instruction) -> None:
        """
        `br_if`.
        """
        self.emit(Kind.BRANCH_IF, self.label(cast("int", instruction.immediates[0])), effect=-1)

    def br_table(self, instruction: Instruction) -> None:
        """
        `br_table`.
        """
        labels = cast("Labels", instruction.immediates[0])
        targets = [self.label(depth) for depth in (*labels.labels, labels.default)]
        self.emit(Kind.BRANCH_TABLE, targets)
        self.dead = 1

    def return_(self, _: Instruction) -> None:
        """
        `return`: a branch to the outermost block.
        """
        self.emit(Kind.BRANCH, self.labels[0])
        self.dead = 1

    def unreachable(self, _: Instruction) -> None:
        """
        `unreachable`.
        """
        self.emit(Kind.UNREACHABLE)
        self.dead = 1

    # ------------------------------------------------------------------------------ calls

    def call(self, instruction: Instruction) -> None:
        """
        `call`.
        """
        index = cast("int", instruction.immediates[0])
        called = self.module.function_type(index)
        self.emit(Kind.CALL, index, effect=len(called.results) - len(called.parameters))

    def call_indirect(self, instruction: Instruction) -> None:
        """
        `call_indirect`.
        """
        type_index, table = cast("tuple[int, int]", instruction.immediates)
        called = self.module.types[type_index].type
        effect = len(called.results) - len(called.parameters) - 1
        self.emit(Kind.CALL_INDIRECT, called, table, effect=effect)


_Handler = Callable[[_Flattener, Instruction], None]


def _simple(kind: Kind, effect: int) -> _Handler:
    """
    An instruction with one index, or without immediates.
    """

    def handler(flattener: _Flattener, instruction: Instruction) -> None:
        index = instruction.immediates[0] if instruction.opcode.immediates else None
        flattener.emit(kind, index, effect=effect)

    return handler


def _other(effect: int) -> _Handler:
    """
    An instruction that a handler carries out.
    """

    def handler(flattener: _Flattener, instruction: Instruction) -> None:
        action = HANDLERS[instruction.opcode.name]
        flattener.emit(Kind.OTHER, action, instruction.immediates, effect=effect)

    return handler


def _ref_null(flattener: _Flattener, _: Instruction) -> None:
    flattener.emit(Kind.CONST, None, effect=1)


_CONTEXTUAL: Final[dict[str, _Handler]] = {
    "block": _Flattener.block,
    "loop": _Flattener.block,
    "if": _Flattener.if_,
    "else": _Flattener.else_,
    "end": _Flattener.end,
    "br": _Flattener.br,
    "br_if": _Flattener.br_if,
    "br_table": _Flattener.br_table,
    "return": _Flattener.return_,
    "unreachable": _Flattener.unreachable,
    "call": _Flattener.call,
    "call_indirect": _Flattener.call_indirect,
    "drop": _simple(Kind.DROP, -1),
    "select": _simple(Kind.SELECT, -2),
    "select_t": _simple(Kind.SELECT, -2),
    "local.get": _simple(Kind.LOCAL_GET, 1),
    "local.set": _simple(Kind.LOCAL_SET, -1),
    "local.tee": _simple(Kind.LOCAL_TEE, 0),
    "global.get": _simple(Kind.GLOBAL_GET, 1),
    "global.set": _simple(Kind.GLOBAL_SET, -1),
    "ref.null": _ref_null,
    "ref.is_null": _other(0),
    "table.get": _other(0),
    "table.set": _other(-2),
    "table.grow": _other(-1),
    "table.fill": _other(-3),
}
