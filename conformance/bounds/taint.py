"""
A module rewritten so that it knows which of its values depend on the input, run at native speed.

Beside every local, operand and global lies a taint bit, and beside every byte of memory another
byte: set where the value may differ for another input of the same shape. An operator's result is
tainted when any operand is; a loaded value also when its address is. At *sites*, where a tainted
value could change what the module does next, the bit is kept:

- `branch`: the condition of `if` or `br_if`, the index of `br_table`;
- `target`: the index of `call_indirect`, or a reference that goes into a table;
- `growth`: the operand of a growth; `length`: the length or source of a bulk operator;
- `address`: where a store or a bulk operator writes; `table`: an index into a table;
- `trap`: an operand of something that traps for some values of it.

**Why a clean run is a proof.** Claim: if one run met no tainted site other than `trap`, then every
input of the shape executes the same instructions in the same order, unless it traps on the way.
Take the run of another input beside this one, from the same fresh instance, and go step by step.
Invariant: both are at the same place with equal call stacks, equal sizes of memories and tables,
equal tables, and wherever a taint bit is clear both hold equal values. It holds at the start:
only the input is tainted. A step keeps it: an operator with clean operands gives equal results,
one with a tainted operand a tainted result; a store writes at a clean, so equal, address, and sets
the bits of just those bytes in both; where control goes, and which function is called, depends on
clean, so equal, values; a growth asks for the same. So the runs stay side by side until the other
one ends or traps. Gas is a function of the places executed, and of lengths and growths, which are
clean; hence it is equal if the other run returns, and no more if it traps, because charges are not
negative. If no `trap` site was met either, no input traps, and the gas is one number.

It is assumed that growth that was granted once is granted for every input, that the host is not
called (imports are refused), and that the engine chooses NaN bits as a function of the operands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.bounds.shadow import Shadow
from conformance.bounds.shadow_layout import FLAG_BITS, Layout, Site, shadow_address
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END, instruction, memory_type, name, unsigned, vector
from conformance.wasm.items import Limits, MemoryType
from conformance.wasm.module import Module
from conformance.wasm.opcodes import OPCODES
from runners.records import AtAddress, Buffer, ByExport, Call, InputPointer, Slot

_ZERO: Final = {"i32": b"\x7f\x01\x41\x00" + END, "i64": b"\x7e\x01\x42\x00" + END}
_MOST_PAGES: Final = 32_768
"""Half of what a memory can have."""
_IMPURE: Final = frozenset({"call", "call_indirect", "global.set", "data.drop", "elem.drop"})
REWRITE: Final = "taint.1"
"""Id of the instrument."""


class NoTaintRunError(ValueError):
    """
    A module or call of which no taint run can say anything; the sentence says why.
    """


@dataclass(frozen=True, slots=True)
class Tainted:
    """
    The rewritten module, and how to read it.
    """

    binary: bytes
    """
    Its memory is twice as large. It returns what the module returns where that does not trap;
    where it does, it may do anything: take what it says for an input that returned without it.
    """
    entry: str
    """Export to call in place of the entry: it taints the input first."""
    flags: tuple[str, ...]
    """Exported globals of type i64: bit *k* of number *n* belongs to site `64 n + k`."""
    sites: tuple[Site, ...]
    pages: str
    """Exported global of type i32: pages that the module thinks it has; empty without memory."""
    most_pages: int
    """Real pages that the memory needs."""
    rewrite: str = REWRITE

    def met(self, flags: tuple[int, ...]) -> tuple[Site, ...]:
        """
        The sites whose bit is set.
        """
        return tuple(
            site
            for number, site in enumerate(self.sites)
            if flags[number // FLAG_BITS] >> number % FLAG_BITS & 1
        )


def tainted(module: Module, call: Call, most_pages: int) -> Tainted:
    """
    Rewrite a valid *module* for taint runs of *call*: its slots and its input buffer are tainted.

    The memory can grow to *most_pages*, or to its own maximum if that is less. Raises
    NoTaintRunError.
    """
    _check(module, call)
    smallest, greatest = module.memory_limits or (0, 0)
    most = min(most_pages, most_pages if greatest is None else greatest)
    if not smallest <= most <= _MOST_PAGES:
        raise NoTaintRunError(
            f"the memory has {smallest} pages and may have {most}: a taint run needs twice as many"
        )
    rewrite = Rewrite(module)
    layout = _layout(module, most)
    for _ in range(layout.pages - layout.globals):
        rewrite.append("global", _ZERO["i32"])
    rewrite.append("global", b"\x7f\x01" + instruction("i32.const", smallest) + END)
    sites: list[Site] = []
    for place in range(len(module.functions)):
        Shadow(module, place, layout, sites).apply(rewrite)
    taken = {export.name for export in module.exports}

    def show(title: str, kind: bytes, index: int) -> str:
        found = _free(title, taken)
        rewrite.append("export", name(found) + kind + unsigned(index))
        return found

    flags = []
    for number in range(-(-len(sites) // FLAG_BITS)):
        rewrite.append("global", _ZERO["i64"])
        flags.append(show(f"weavegate.taint.{number}", b"\3", layout.flags + number))
    pages = ""
    if module.memories:
        whole = memory_type(MemoryType(Limits(2 * most, 2 * most)))
        rewrite.replace_section("memory", vector([whole]))
        pages = show("weavegate.taint.pages", b"\3", layout.pages)
    entry = show(f"weavegate.tainted.{call.entry}", b"\0", _door(rewrite, call, layout))
    return Tainted(rewrite.binary(), entry, tuple(flags), tuple(sites), pages, 2 * most)


def _layout(module: Module, most_pages: int) -> Layout:
    """
    Bits of globals, of arguments and of results, the number of pages, then flags.
    """
    arguments = max([1, *(len(item.type.parameters) for item in module.types)])
    results = max([1, *(len(item.type.results) for item in module.types)])
    first = len(module.global_types)
    at = first + len(module.global_types)
    pages = at + arguments + results
    return Layout(first, at, at + arguments, pages, pages + 1, most_pages)


def _free(wanted: str, taken: set[str]) -> str:
    """
    A name for an export that the module does not have yet.
    """
    while wanted in taken:
        wanted += "'"
    taken.add(wanted)
    return wanted


def _check(module: Module, call: Call) -> None:
    if module.imports:
        raise NoTaintRunError(f"the module imports {module.imports[0].key}: hosts have no taint")
    export = module.exported(call.entry)
    if export is None or export.kind != "function":
        raise NoTaintRunError(f"the module exports no function {call.entry!r}")


def _door(rewrite: Rewrite, call: Call, layout: Layout) -> int:
    """
    Add the function that taints the input and calls the entry; returns its index.
    """
    module = rewrite.module
    export = module.exported(call.entry)
    assert export is not None  # noqa: S101 - seen by the caller
    parts = []
    if call.input is not None and call.input.size_bytes:
        if not module.memories:
            raise NoTaintRunError("the call has an input buffer, and the module no memory")
        address = shadow_address(_address(module, call, call.input), layout)
        size = instruction("i32.const", call.input.size_bytes)
        parts += [address, instruction("i32.const", 1), size, instruction("memory.fill", 0)]
    for place, argument in enumerate(call.arguments):
        bit = instruction("i32.const", int(isinstance(argument, Slot)))
        parts += [bit, instruction("global.set", layout.arguments + place)]
    count = len(module.function_type(export.index).parameters)
    parts += [instruction("local.get", place) for place in range(count)]
    parts += [instruction("call", export.index), END]
    return rewrite.append_function(module.function_types[export.index], parts)


def _address(module: Module, call: Call, buffer: Buffer) -> bytes:
    """
    Code that leaves the address of the input buffer.
    """
    for place, argument in enumerate(call.arguments):
        if isinstance(argument, InputPointer):
            return instruction("local.get", place)
    match buffer.place:
        case AtAddress(address):
            return instruction("i32.const", address - (1 << 32) * (address >> 31))
        case ByExport(title):
            export = module.exported(title)
            if export is not None and export.kind == "function" and _pure(module, export.index):
                return instruction("call", export.index)
    raise NoTaintRunError("where the input lies cannot be asked twice, and the entry is not told")


def _pure(module: Module, index: int) -> bool:
    """
    Whether a function only computes from constants, globals and memory, and so answers alike twice.
    """
    body = module.functions[index - module.imported_functions].body
    names = {OPCODES[int(code)].name for code in body.codes}
    return not any(
        name in _IMPURE or ".store" in name or name.startswith(("memory.", "table.", "loop"))
        for name in names
    )
