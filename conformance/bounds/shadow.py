"""
The shadow code of one function: what each instruction does to taint bits.

A bit is an i32 of 0 or 1. Local *k* has its bit in a further local, and so has each height of the
operand stack; arguments and results of calls travel in globals. Bytes of memory have theirs, as
bytes of 0 or not, in the upper half of a memory that is twice as large as it may ever become; how
many pages of the lower half are there is counted in a global, which answers for `memory.size`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from conformance.bounds.heights import Step, called_type, steps
from conformance.bounds.shadow_layout import (
    FLAG_BITS,
    PAGE_BYTES,
    Layout,
    Role,
    Site,
    shadow_address,
)
from conformance.wasm.body import Function
from conformance.wasm.encode import Rewrite
from conformance.wasm.encode_items import END, function_type, instruction, unsigned
from conformance.wasm.instructions import BlockType, MemArg
from conformance.wasm.items import FunctionType
from conformance.wasm.module import Module
from conformance.wasm.opcodes import Opcode, ValType

_LOADS: Final = {1: 0x2D, 2: 0x2F, 4: 0x28, 8: 0x29}
_STORES: Final = {1: 0x3A, 2: 0x3B, 4: 0x36, 8: 0x37}
_REPLACED: Final = ("memory.size", "memory.grow")
_TRAPS: Final = (".div_", ".rem_", ".trunc_f32_", ".trunc_f64_")
_SAT: Final = "trunc_sat"


def _get(index: int) -> bytes:
    return instruction("local.get", index)


def _put(index: int) -> bytes:
    return instruction("local.set", index)


def _const(value: int) -> bytes:
    return instruction("i32.const", value)


_OR: Final = instruction("i32.or")


class Shadow:
    """
    Writes the shadowed body of one function.
    """

    def __init__(self, module: Module, place: int, layout: Layout, sites: list[Site]) -> None:
        """
        Sites that the function has are added to *sites*.
        """
        self.module = module
        self.place = place
        self.layout = layout
        self.sites = sites
        self.function: Function = module.functions[place]
        self.described: FunctionType = module.function_type(self.function.index)
        self.steps = list(steps(module, self.function))
        own = len(self.described.parameters) + self.function.body.local_count
        deepest = max(step.height for step in self.steps) + self._widest()
        self.local_bits = own
        self.stack_bits = 2 * own
        self.words = self.stack_bits + deepest
        """Three i32 locals for operands that are needed twice, then one of each other type."""
        self.kept: dict[str, int] = {
            kind: self.words + 3 + number for number, kind in enumerate(("i64", "f32", "f64"))
        }
        self.runs: list[tuple[int, ValType]] = [
            *((run.count, run.type) for run in self.function.body.locals),
            (own + deepest + 3, "i32"), (1, "i64"), (1, "f32"), (1, "f64"),
        ]  # fmt: skip
        if self._uses_vectors():
            self.kept["v128"] = self.words + 6
            self.runs.append((1, "v128"))
        self.special = self._by_name()

    def _by_name(self) -> dict[str, Callable[[Step], tuple[bytes, bytes]]]:
        """
        Operators that do more than compute a result from their operands.
        """
        quiet = ("drop", "nop", "block", "loop", "end", "else", "unreachable", "ref.is_null")
        bulk = ("memory.copy", "memory.fill", "memory.init")
        tables = ("table.get", "table.set", "table.grow", "table.fill", "table.copy", "table.init")
        return {
            **dict.fromkeys(quiet, self._nothing),
            **dict.fromkeys(bulk, self._bulk),
            **dict.fromkeys(tables, self._table),
            **dict.fromkeys(("select", "select_t"), self._select),
            **dict.fromkeys(("local.set", "local.tee"), self._local_set),
            **dict.fromkeys(("if", "br_if", "br_table"), self._branch),
            **dict.fromkeys(("call", "call_indirect"), self._call),
            "ref.null": self._clean, "local.get": self._local_get,
            "global.get": self._global_get, "global.set": self._global_set,
            "br": self._jump, "return": self._return, "memory.grow": self._grow,
            "memory.size": self._size,
        }  # fmt: skip

    def _widest(self) -> int:
        """
        The most operands that one instruction can leave.
        """
        widest = [len(item.type.results) for item in self.module.types]
        return max([1, *widest])

    def _uses_vectors(self) -> bool:
        return any(step.instruction.opcode.proposal == "simd" for step in self.steps)

    def apply(self, rewrite: Rewrite) -> None:
        """
        Give the function its shadowed body.
        """
        results = self.described.results
        kind: BlockType = "empty"
        if len(results) == 1:
            kind = results[0]
        elif results:
            kind = rewrite.append("type", function_type(FunctionType((), results)))
        parts = [self._entered(), instruction("block", kind)]
        body = self.function.body
        for step in self.steps:
            before, after = self._code(step) if step.live else (b"", b"")
            replaced = step.live and step.instruction.opcode.name in _REPLACED
            parts += [before, b"" if replaced else body.raw(step.place), after]
        parts += [self._returned(0), END]
        rewrite.replace_body(self.place, parts, self.runs)

    # ------------------------------------------------------------------------ small pieces

    def _stack(self, height: int) -> int:
        """
        The local that holds the bit of the operand at *height*, counted from 0.
        """
        return self.stack_bits + height

    def _local(self, index: int) -> int:
        return self.local_bits + index

    def _entered(self) -> bytes:
        """
        Take the bits of the arguments over.
        """
        return b"".join(
            instruction("global.get", self.layout.arguments + k) + _put(self._local(k))
            for k in range(len(self.described.parameters))
        )

    def _returned(self, first: int) -> bytes:
        """
        Hand over the bits of the results, which lie from height *first* on.
        """
        return b"".join(
            _get(self._stack(first + k)) + instruction("global.set", self.layout.results + k)
            for k in range(len(self.described.results))
        )

    def _any(self, *heights: int) -> bytes:
        """
        Leave the bit that is set when one at these heights is.
        """
        found = [_get(self._stack(height)) for height in heights]
        return b"".join(found) + _OR * (len(found) - 1) if found else _const(0)

    def _site(self, step: Step, role: Role, height: int) -> bytes:
        """
        Keep the bit at *height* as the flag of a new site.
        """
        number = len(self.sites)
        at, opcode = step.instruction.offset, step.instruction.opcode.name
        self.sites.append(Site(self.function.index, at, opcode, role))
        flag = self.layout.flags + number // FLAG_BITS
        return b"".join((
            instruction("global.get", flag), _get(self._stack(height)),
            instruction("i64.extend_i32_u"), instruction("i64.const", number % FLAG_BITS),
            instruction("i64.shl"), instruction("i64.or"), instruction("global.set", flag),
        ))  # fmt: skip

    def _leave(self, step: Step, top: int, *, surely: bool) -> bytes:
        """
        Move the bits that a branch carries from below *top* to where its targets want them.

        Where the branch may not be taken, or has several targets, bits are only added.
        """
        parts = []
        for target in step.targets:
            for k in range(target.arity):
                source, goal = top - target.arity + k, target.height + k
                if source == goal:
                    continue
                bit = _get(self._stack(source))
                if not (surely and len(step.targets) == 1):
                    bit += _get(self._stack(goal)) + _OR
                parts.append(bit + _put(self._stack(goal)))
        return b"".join(parts)

    # -------------------------------------------------------------------------- by operator

    def _code(self, step: Step) -> tuple[bytes, bytes]:
        """
        Shadow code before and after a live instruction.
        """
        opcode = step.instruction.opcode
        special = self.special.get(opcode.name)
        if special is not None:
            return special(step)
        if "memarg" in opcode.immediates:
            stores = opcode.signature is not None and not opcode.signature.results
            return self._store(step) if stores else self._load(step)
        return self._plain(step, opcode)

    def _plain(self, step: Step, opcode: Opcode) -> tuple[bytes, bytes]:
        """
        Any operator whose result depends on its operands alone.
        """
        signature = opcode.signature
        assert signature is not None, opcode.name  # noqa: S101 - all others are special
        first = step.height - len(signature.parameters)
        heights = range(first, step.height)
        code = b""
        if any(part in opcode.name for part in _TRAPS) and _SAT not in opcode.name:
            for height in heights:
                code += self._site(step, "trap", height)
        if signature.results:
            code += self._any(*heights) + _put(self._stack(first))
        return code, b""

    def _nothing(self, _: Step) -> tuple[bytes, bytes]:
        return b"", b""

    def _clean(self, step: Step) -> tuple[bytes, bytes]:
        return _const(0) + _put(self._stack(step.height)), b""

    def _local_get(self, step: Step) -> tuple[bytes, bytes]:
        index = cast("int", step.instruction.immediates[0])
        return _get(self._local(index)) + _put(self._stack(step.height)), b""

    def _local_set(self, step: Step) -> tuple[bytes, bytes]:
        index = cast("int", step.instruction.immediates[0])
        return _get(self._stack(step.height - 1)) + _put(self._local(index)), b""

    def _global_get(self, step: Step) -> tuple[bytes, bytes]:
        index = self.layout.globals + cast("int", step.instruction.immediates[0])
        return instruction("global.get", index) + _put(self._stack(step.height)), b""

    def _global_set(self, step: Step) -> tuple[bytes, bytes]:
        index = self.layout.globals + cast("int", step.instruction.immediates[0])
        return _get(self._stack(step.height - 1)) + instruction("global.set", index), b""

    def _select(self, step: Step) -> tuple[bytes, bytes]:
        h = step.height
        return self._any(h - 3, h - 2, h - 1) + _put(self._stack(h - 3)), b""

    def _branch(self, step: Step) -> tuple[bytes, bytes]:
        """
        `br_if`, `br_table` and `if`.
        """
        top = step.height - 1
        return self._site(step, "branch", top) + self._leave(step, top, surely=False), b""

    def _jump(self, step: Step) -> tuple[bytes, bytes]:
        return self._leave(step, step.height, surely=True), b""

    def _return(self, step: Step) -> tuple[bytes, bytes]:
        return self._returned(step.height - len(self.described.results)), b""

    def _call(self, step: Step) -> tuple[bytes, bytes]:
        called = called_type(self.module, step.instruction)
        top, before = step.height, b""
        if step.instruction.opcode.name == "call_indirect":
            top -= 1
            before = self._site(step, "target", top)
        first = top - len(called.parameters)
        for k in range(len(called.parameters)):
            argument = self.layout.arguments + k
            before += _get(self._stack(first + k)) + instruction("global.set", argument)
        after = b"".join(
            instruction("global.get", self.layout.results + k) + _put(self._stack(first + k))
            for k in range(len(called.results))
        )
        return before, after

    # ----------------------------------------------------------------------- memory, tables

    def _access(self, code: int, offset: int) -> bytes:
        """
        A load or store of taint, which has no promise of alignment.
        """
        return bytes([code, 0]) + unsigned(offset + self.layout.most_pages * PAGE_BYTES)

    def _above(self, local: int) -> bytes:
        """
        The address of the taint of the byte whose address is in a local.
        """
        return shadow_address(_get(local), self.layout)

    def _load(self, step: Step) -> tuple[bytes, bytes]:
        opcode = step.instruction.opcode
        arg = cast("MemArg", step.instruction.immediates[0])
        width = 1 << (opcode.alignment or 0)
        lane = "lane" in opcode.immediates
        address = step.height - (2 if lane else 1)
        before = self._site(step, "trap", address)
        if lane:
            before += _put(self.kept["v128"])
        before += instruction("local.tee", self.words)
        if lane:
            before += _get(self.kept["v128"])
        after = b""
        for start in range(0, width, 8):
            size = min(width, 8)
            after += _get(self.words) + self._access(_LOADS[size], arg.offset + start)
            if size == 8:  # noqa: PLR2004 - the widest access
                after += instruction("i64.const", 0) + instruction("i64.ne")
            else:
                after += _const(0) + instruction("i32.ne")
            after += _OR if start else b""
        heights = (address, address + 1) if lane else (address,)
        after += self._any(*heights) + _OR + _put(self._stack(address))
        return before, after

    def _store(self, step: Step) -> tuple[bytes, bytes]:
        opcode = step.instruction.opcode
        assert opcode.signature is not None  # noqa: S101 - every store has one
        arg = cast("MemArg", step.instruction.immediates[0])
        kind = opcode.signature.parameters[1]
        kept = self.words + 1 if kind == "i32" else self.kept[kind]
        address, value = step.height - 2, step.height - 1
        before = self._site(step, "address", address) + _put(kept)
        before += instruction("local.tee", self.words) + _get(kept)
        width = 1 << (opcode.alignment or 0)
        mask = _const(0) + _get(self._stack(value)) + instruction("i32.sub")
        after = b""
        for start in range(0, width, 8):
            size = min(width, 8)
            wide = instruction("i64.extend_i32_s") if size == 8 else b""  # noqa: PLR2004 - as above
            after += _get(self.words) + mask + wide
            after += self._access(_STORES[size], arg.offset + start)
        return before, after

    def _three(self) -> tuple[bytes, bytes]:
        """
        Code that keeps the three topmost operands, and code that brings them back.
        """
        keep = _put(self.words + 2) + _put(self.words + 1) + _put(self.words)
        return keep, _get(self.words) + _get(self.words + 1) + _get(self.words + 2)

    def _bulk(self, step: Step) -> tuple[bytes, bytes]:
        """
        `memory.copy`, `memory.fill` and `memory.init`: all but a fill's value must be clean.
        """
        opcode = step.instruction.opcode.name
        h = step.height
        keep, back = self._three()
        before = self._site(step, "address", h - 3) + self._site(step, "length", h - 1)
        if opcode != "memory.fill":
            before += self._site(step, "length", h - 2)
        goal, size = self._above(self.words), _get(self.words + 2)
        if opcode == "memory.copy":
            source = self._above(self.words + 1)
            after = goal + source + size + instruction("memory.copy", 0, 0)
        else:
            bit = _const(0)
            if opcode == "memory.fill":
                bit += _get(self._stack(h - 2)) + instruction("i32.sub")
            after = goal + bit + size + instruction("memory.fill", 0)
        return before + keep + back, after

    def _size(self, step: Step) -> tuple[bytes, bytes]:
        """
        In place of `memory.size`.
        """
        clean = _const(0) + _put(self._stack(step.height))
        return clean + instruction("global.get", self.layout.pages), b""

    def _grow(self, step: Step) -> tuple[bytes, bytes]:
        """
        In place of `memory.grow`: the pages are there already, and are only counted.
        """
        top = step.height - 1
        pages = instruction("global.get", self.layout.pages)
        asked = _get(self.words)
        wide = instruction("i64.extend_i32_u")
        return self._site(step, "growth", top) + b"".join((
            _put(self.words), _const(0), _put(self._stack(top)),
            pages, wide, asked, wide, instruction("i64.add"),
            instruction("i64.const", self.layout.most_pages), instruction("i64.le_u"),
            instruction("if", "i32"),
            pages, pages, asked, instruction("i32.add"),
            instruction("global.set", self.layout.pages),
            instruction("else"), _const(-1), END,
        )), b""  # fmt: skip

    def _table(self, step: Step) -> tuple[bytes, bytes]:
        """
        Table operators: tables stay equal in all runs, so every operand must be clean.
        """
        opcode = step.instruction.opcode.name
        roles: dict[str, tuple[Role, ...]] = {
            "table.get": ("table",), "table.set": ("table", "target"),
            "table.grow": ("target", "growth"), "table.fill": ("table", "target", "length"),
            "table.copy": ("table", "table", "length"), "table.init": ("table", "table", "length"),
        }  # fmt: skip
        wanted = roles[opcode]
        first = step.height - len(wanted)
        before = b"".join(self._site(step, role, first + k) for k, role in enumerate(wanted))
        if opcode in ("table.get", "table.grow"):
            before += _const(0) + _put(self._stack(first))
        return before, b""
